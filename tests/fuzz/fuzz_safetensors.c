/* The header of a safetensors file: the input is the whole file. What is accepted must lie inside
 * the file, and writing it gives a file that reads back the same. */
#include "core/bytes.h"
#include "formats/safetensors.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) abort();
}

static const char *scratch_name(void)
{
    static char name[512];
    if (!name[0]) {
        const char *folder = getenv("TMPDIR");
        snprintf(name, sizeof name, "%s/mcompress-fuzz.safetensors", folder ? folder : "/tmp");
    }
    return name;
}

static void check_inside(const mc_map *file, const mc_safetensors *got)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < got->tensors; i++) {
        const mc_tensor *t = &got->tensor[i];
        must(t->ndim >= 0 && t->ndim <= MC_MAX_DIMS && strlen(t->name) < file->size);
        must(t->bytes <= file->size);
        if (t->bytes) must(t->data >= file->data && t->data <= file->data + file->size - t->bytes);
        if (i > 0) must(strcmp(got->tensor[i - 1].name, t->name) < 0);
        bytes += t->bytes;
    }
    must(8 + mc_load_u64le(file->data) + bytes == file->size);
    for (size_t i = 1; i < got->metadatas; i++)
        must(strcmp(got->metadata[i - 1].key, got->metadata[i].key) < 0);
}

static bool same_tensor(const mc_tensor *a, const mc_tensor *b)
{
    return strcmp(a->name, b->name) == 0 && a->dtype == b->dtype && a->ndim == b->ndim &&
           memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof a->dim[0]) == 0 &&
           a->bytes == b->bytes && (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0);
}

static void check_round_trip(const mc_safetensors *got)
{
    mc_err err = {0};
    mc_out *out;
    mc_map map;
    mc_region room, again_room;
    must(mc_region_open(&room, mc_safetensors_write_memory(got), &err) == MC_OK);
    const mc_out_options options = {.replace = true, .no_fsync = true};
    must(mc_out_open(scratch_name(), 0, options, &out, &err) == MC_OK);
    must(mc_safetensors_write(out, got, room.arena, &err) == MC_OK);
    must(mc_out_map(out, &map, &err) == MC_OK);

    mc_safetensors again;
    must(mc_region_open(&again_room, mc_safetensors_memory(&map), &err) == MC_OK);
    must(mc_safetensors_parse(&map, "again", &again_room.arena, &again, &err) == MC_OK);
    must(again.tensors == got->tensors && again.metadatas == got->metadatas);
    for (size_t i = 0; i < got->tensors; i++) must(same_tensor(&got->tensor[i], &again.tensor[i]));
    for (size_t i = 0; i < got->metadatas; i++)
        must(strcmp(got->metadata[i].key, again.metadata[i].key) == 0 &&
             strcmp(got->metadata[i].value, again.metadata[i].value) == 0);

    mc_map_close(&map);
    mc_out_discard(out);
    mc_region_close(&again_room);
    mc_region_close(&room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const mc_map file = {.data = size ? data : NULL, .size = size, .slot = -1};
    mc_err err = {0};
    mc_region room;
    must(mc_region_open(&room, mc_safetensors_memory(&file), &err) == MC_OK);

    mc_safetensors got;
    const mc_status status = mc_safetensors_parse(&file, "fuzz", &room.arena, &got, &err);
    if (status == MC_OK) {
        check_inside(&file, &got);
        check_round_trip(&got);
    } else {
        must(status == MC_E_FORMAT || status == MC_E_UNSUPPORTED || status == MC_E_BUDGET);
        must(memchr(err.text, '\0', sizeof err.text) && mc_is_utf8(err.text, strlen(err.text)));
    }
    mc_region_close(&room);
    return 0;
}
