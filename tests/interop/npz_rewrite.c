/* Reads an npz and writes its arrays again, row by row.
 *
 *   npz_rewrite IN OUT
 *
 * Arrays have one axis or more. A failure prints the message and ends with its status. */
#include "formats/npy.h"

#include <stdio.h>
#include <stdlib.h>

static mc_status copy_rows(const mc_array *a, size_t member, mc_npz_out *out, mc_err *err)
{
    const uint64_t each = a->dim[0] ? a->count / a->dim[0] : 0;
    unsigned char *row = malloc((size_t)each * 8 + 1);
    mc_status status = row ? MC_OK : mc_no_room(err, "a row");
    for (uint64_t r = 0; status == MC_OK && r < a->dim[0]; r++) {
        mc_array_read(a, r * each, each, row);
        status = mc_npz_out_row(out, member, r, row, err);
    }
    free(row);
    return status;
}

static mc_status copy(const mc_npz *npz, const char *path, mc_err *err)
{
    mc_npz_out *out;
    mc_npz_member *m = calloc(npz->arrays, sizeof *m);
    if (!m) return mc_no_room(err, "the arrays");
    for (size_t i = 0; i < npz->arrays; i++) {
        const mc_array *a = &npz->array[i];
        m[i] = (mc_npz_member){a->name, a->dtype, a->dim[0], a->ndim - 1, {0}};
        for (int d = 1; d < a->ndim; d++) m[i].row_dim[d - 1] = a->dim[d];
    }
    mc_status status = mc_npz_out_open(path, true, m, npz->arrays, &out, err);
    free(m);
    if (status != MC_OK) return status;
    for (size_t i = 0; status == MC_OK && i < npz->arrays; i++)
        status = copy_rows(&npz->array[i], i, out, err);
    if (status == MC_OK) return mc_npz_out_commit(out, err);
    mc_npz_out_discard(out);
    return status;
}

int main(int argc, char **argv)
{
    mc_err err = {0};
    mc_map map;
    mc_npz npz;
    if (argc != 3) return 2;
    mc_status status = mc_map_open(argv[1], 0, &map, &err);
    if (status == MC_OK) {
        const mc_npz_source from = {map.data, map.size, argv[1], &map, 0};
        status = mc_npz_read(&from, &npz, &err);
    }
    if (status == MC_OK) status = copy(&npz, argv[2], &err);
    if (status == MC_OK)
        mc_npz_close(&npz);
    else
        fprintf(stderr, "%s\n", err.text);
    return (int)status;
}
