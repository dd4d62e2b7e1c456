/* A GGUF file, and an importance matrix: the input is the whole file. What is accepted must lie
 * inside the file and be found by its name. */
#include "tests/fuzz/fuzz_file.h"

#include "core/bytes.h"
#include "formats/gguf.h"
#include "formats/gguf_imatrix.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) abort();
}

static void check_failure(mc_status status, const mc_err *err)
{
    must(status == MC_E_FORMAT || status == MC_E_UNSUPPORTED || status == MC_E_BUDGET);
    must(memchr(err->text, '\0', sizeof err->text) && mc_is_utf8(err->text, strlen(err->text)));
}

static bool inside(const mc_map *file, const unsigned char *at, uint64_t bytes)
{
    return bytes == 0 ||
           (at >= file->data && bytes <= file->size && at <= file->data + file->size - bytes);
}

static void check_gguf(const mc_map *file)
{
    mc_err err = {0};
    mc_region room;
    mc_gguf g;
    must(mc_region_open(&room, mc_gguf_memory(file), &err) == MC_OK);
    const mc_status status = mc_gguf_read(file, "fuzz", &room.arena, &g, &err);
    if (status != MC_OK) check_failure(status, &err);
    for (size_t i = 0; status == MC_OK && i < g.pairs; i++) {
        const mc_gguf_pair *p = &g.pair[i];
        const char *text;
        size_t at = 0, bytes;
        uint64_t value, texts = 0;
        must(inside(file, p->data, p->bytes) && mc_gguf_find(&g, p->key) == p);
        mc_gguf_u64(p, &value);
        for (; mc_gguf_next_text(p, &at, &text, &bytes); texts++)
            must(inside(file, (const unsigned char *)text, bytes));
        must(p->type != MC_GGUF_ARRAY || p->item != MC_GGUF_TEXT || texts == p->items);
    }
    for (size_t i = 0; status == MC_OK && i < g.tensors; i++) {
        must(inside(file, g.tensor[i].data, g.tensor[i].bytes));
        must(mc_gguf_find_tensor(&g, g.tensor[i].name) == &g.tensor[i]);
    }
    mc_region_close(&room);
}

static void check_entry(const mc_imatrix *im, const mc_imatrix_entry *e)
{
    mc_imatrix_part part;
    must(e->n > 0 && e->matrices > 0);
    for (size_t i = 0; i < e->n * e->matrices; i++) must(e->square[i] >= 0.0f);
    for (size_t i = 0; i < e->matrices; i++) must(e->count[i] >= 0.0f);
    if (e->matrices == 1 && strncmp(e->tensor, "blk.", 4) == 0)
        must(mc_imatrix_find(im, e->tensor, &part) && part.square == e->square);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const mc_map file = {.data = size ? data : NULL, .size = size, .slot = -1};
    mc_err err = {0};
    mc_region room;
    mc_imatrix im;
    check_gguf(&file);
    mc_imatrix_is(&file);
    must(mc_region_open(&room, mc_imatrix_memory(&file), &err) == MC_OK);
    const mc_status status = mc_imatrix_read(&file, "fuzz", &room.arena, &im, &err);
    if (status != MC_OK) check_failure(status, &err);
    for (size_t i = 0; status == MC_OK && i < im.entries; i++) check_entry(&im, &im.entry[i]);
    mc_region_close(&room);
    return 0;
}
