/* Which model statistics are of: a hash of names and numbers, not of files. */
#include "calib/stats_file.h"

#include <string.h>

/* Bytes that are read before their pages are given back. */
enum { STEP = 16 << 20 };

static void add_tensor(const mc_model *model, const mc_tensor *t, mc_sha256 *sha)
{
    uint64_t begin;
    const bool mapped = mc_tensor_in_file(model, t, &begin);
    mc_sha256_add(sha, t->name, strlen(t->name) + 1);
    for (uint64_t at = 0; t->data && at < t->bytes; at += STEP) {
        const size_t n = t->bytes - at < STEP ? (size_t)(t->bytes - at) : STEP;
        mc_sha256_add(sha, t->data + at, n);
        if (!mapped) continue;
        const size_t from = (size_t)(begin + at);
        mc_map_passed(&model->source[t->source].map, from, from + n);
    }
}

mc_status mc_stats_hash_model(const mc_model *model, char hex[MC_SHA256_HEX], mc_err *err)
{
    uint8_t digest[MC_SHA256_BYTES];
    mc_sha256 *sha;
    MC_TRY(mc_sha256_open(&sha, err));
    for (size_t i = 0; i < model->tensors; i++) add_tensor(model, &model->tensor[i], sha);
    mc_sha256_finish(sha, digest);
    mc_sha256_close(sha);
    mc_hex(digest, sizeof digest, hex);
    return MC_OK;
}
