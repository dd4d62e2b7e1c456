/* tokenizer.json, a NUL and a text; and the whole as a tokenizer.model. Ids are below the size, two
 * runs give the same, and what comes back is UTF-8. */
#include "core/bytes.h"
#include "core/tokenizer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MODEL_ROOM = 1 << 22, TEXT_ROOM = 1 << 24 };

static void must(bool holds)
{
    if (!holds) abort();
}

static void must_explain(mc_status status, const mc_err *err)
{
    must(status == MC_E_FORMAT || status == MC_E_UNSUPPORTED || status == MC_E_BUDGET);
    must(memchr(err->text, '\0', sizeof err->text) && mc_is_utf8(err->text, strlen(err->text)));
}

static void encode_twice(const mc_tokenizer *t, const char *text, size_t bytes)
{
    int32_t *ids, *again;
    size_t n, m;
    mc_err err = {0};
    const mc_status status = mc_tokenizer_encode(t, text, bytes, &ids, &n, &err);
    if (status != MC_OK) {
        must_explain(status, &err);
        return;
    }
    for (size_t i = 0; i < n; i++) must(ids[i] >= 0 && (size_t)ids[i] < mc_tokenizer_size(t));
    must(mc_tokenizer_encode(t, text, bytes, &again, &m, &err) == MC_OK && m == n);
    must(n == 0 || memcmp(ids, again, n * sizeof *ids) == 0);

    mc_region region;
    must(mc_region_open(&region, TEXT_ROOM, &err) == MC_OK);
    const char *back = mc_tokenizer_decode(t, ids, n, &region.arena);
    must(!back || mc_is_utf8(back, strlen(back)));
    mc_region_close(&region);
    mc_tokenizer_free_ids(ids);
    mc_tokenizer_free_ids(again);
}

static void read_model(const uint8_t *data, size_t size)
{
    mc_region region;
    mc_sentencepiece model;
    mc_err err = {0};
    must(mc_region_open(&region, MODEL_ROOM, &err) == MC_OK);
    const mc_status status = mc_sentencepiece_read(data, size, "fuzz", &region.arena, &model, &err);
    if (status != MC_OK) must_explain(status, &err);
    for (size_t i = 0; status == MC_OK && i < model.pieces; i++)
        must(mc_is_utf8(model.piece[i].text, model.piece[i].length) && model.piece[i].length > 0);
    mc_region_close(&region);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\0', size) : NULL;
    const size_t bytes = end ? (size_t)(end - data) : size;
    mc_tokenizer *t;
    mc_err err = {0};
    const mc_status status = mc_tokenizer_open((const char *)data, bytes, "fuzz", &t, &err);
    if (status == MC_OK) {
        for (int take = 0; take < 2; take++) {
            mc_tokenizer_take_special(t, take == 1);
            encode_twice(t, "It's  a b\n", 10);
            if (end) encode_twice(t, (const char *)end + 1, size - bytes - 1);
        }
        mc_tokenizer_close(t);
    } else {
        must_explain(status, &err);
    }
    read_model(data, size);
    return 0;
}
