/* Reads an importance matrix and writes what it says of some weights again.
 *
 *   imatrix_rewrite IN OUT WEIGHT…       weights as Hugging Face models name them
 *
 * A failure prints the message and ends with its status. */
#include "formats/gguf_imatrix.h"

#include <stdio.h>
#include <stdlib.h>

static mc_status collect(const mc_imatrix *im, const char *weight, mc_arena *mem,
                         mc_imatrix_row *row, mc_err *err)
{
    mc_imatrix_part part;
    if (!mc_imatrix_find(im, weight, &part))
        return mc_fail(err, MC_E_USAGE, "%s is not there", weight);
    double *square = MC_NEW(mem, double, part.n);
    if (!square) return mc_no_room(err, weight);
    for (size_t i = 0; i < part.n; i++) square[i] = (double)part.square[i];
    *row = (mc_imatrix_row){weight, part.n, square, (uint64_t)part.count};
    return MC_OK;
}

static mc_status write_rows(const char *path, const mc_imatrix_content *content, mc_err *err)
{
    mc_region scratch;
    mc_out *out;
    const mc_out_options options = {.replace = true, .no_fsync = true};
    MC_TRY(mc_region_open(&scratch, mc_imatrix_write_memory(content), err));
    MC_TRY(mc_out_open(path, 0, options, &out, err));
    MC_TRY(mc_imatrix_write(out, content, scratch.arena, err));
    return mc_out_commit(out, NULL, NULL, err);
}

static mc_status rewrite(const char *in, const char *out, char **weight, size_t weights,
                         mc_err *err)
{
    mc_map map;
    mc_region room;
    mc_imatrix im;
    MC_TRY(mc_map_open(in, 0, &map, err));
    MC_TRY(mc_region_open(&room, 4 * mc_imatrix_memory(&map) + (1 << 20), err));
    MC_TRY(mc_imatrix_read(&map, in, &room.arena, &im, err));
    mc_imatrix_row *row = MC_NEW(&room.arena, mc_imatrix_row, weights);
    if (!row) return mc_no_room(err, "the weights");
    for (size_t i = 0; i < weights; i++) MC_TRY(collect(&im, weight[i], &room.arena, &row[i], err));
    const mc_imatrix_content content = {row, weights, im.datasets ? im.dataset[0] : "", im.chunks,
                                        im.chunk_tokens};
    return write_rows(out, &content, err);
}

int main(int argc, char **argv)
{
    mc_err err = {0};
    if (argc < 3) return 2;
    const mc_status status = rewrite(argv[1], argv[2], argv + 3, (size_t)argc - 3, &err);
    if (status != MC_OK) fprintf(stderr, "%s\n", err.text);
    return (int)status;
}
