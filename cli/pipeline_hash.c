/* Hash lanes: see pipeline_hash.h. */
#include "cli/pipeline_hash.h"

#include <stdatomic.h>
#include <string.h>

enum { STEP = 1 << 19 }; /* bytes hashed at a time; they stay in a processor's cache */

typedef struct {
    const mc_map *map;
    mc_sha256 *sha;
    _Atomic uint64_t wanted;
    uint64_t done;
} hash_lane;

struct mc_hash_lanes {
    hash_lane *lane;
    uint8_t (*digest)[MC_SHA256_BYTES];
    unsigned char *buffer; /* STEP bytes */
    size_t lanes;
    size_t at; /* the lane that had something to do */
    mc_err failure;
};

size_t mc_hash_lanes_bytes(const mc_model *model)
{
    return STEP + (model->sources + 1) * (sizeof(hash_lane) + MC_SHA256_BYTES) + 4096;
}

mc_status mc_hash_lanes_open(const mc_model *model, mc_arena *mem, mc_hash_lanes **out, mc_err *err)
{
    mc_hash_lanes *l = MC_NEW(mem, mc_hash_lanes, 1);
    if (!l) return mc_no_room(err, "hashing");
    l->lane = MC_NEW(mem, hash_lane, model->sources + 1);
    l->digest = mc_alloc(mem, model->sources + 1, sizeof *l->digest);
    l->buffer = MC_NEW_RAW(mem, unsigned char, STEP);
    if (!l->lane || !l->digest || !l->buffer) return mc_no_room(err, "hashing");
    *out = l;
    for (; l->lanes < model->sources; l->lanes++) {
        l->lane[l->lanes].map = &model->source[l->lanes].map;
        MC_TRY(mc_sha256_open(&l->lane[l->lanes].sha, err));
    }
    return MC_OK;
}

void mc_hash_lanes_close(mc_hash_lanes *l)
{
    if (!l) return;
    for (size_t i = 0; i < l->lanes; i++) mc_sha256_close(l->lane[i].sha);
}

void mc_hash_lanes_want(mc_hash_lanes *l, size_t source, uint64_t until)
{
    hash_lane *lane = &l->lane[source];
    if (until > lane->map->size) until = lane->map->size;
    uint64_t wanted = atomic_load(&lane->wanted);
    while (until > wanted && !atomic_compare_exchange_weak(&lane->wanted, &wanted, until)) continue;
}

/* Hashes up to STEP bytes; false when the lane is where it is wanted, or something failed. */
static bool step(mc_hash_lanes *l, hash_lane *lane)
{
    const uint64_t left = atomic_load(&lane->wanted) - lane->done;
    const size_t n = (size_t)(left < STEP ? left : STEP);
    if (n == 0 || l->failure.status != MC_OK) return false;
    if (mc_map_read(lane->map, (size_t)lane->done, l->buffer, n, &l->failure) != MC_OK)
        return false;
    mc_sha256_add(lane->sha, l->buffer, n);
    lane->done += n;
    return true;
}

bool mc_hash_lanes_step(mc_hash_lanes *l)
{
    for (size_t tried = 0; tried < l->lanes; tried++) {
        if (step(l, &l->lane[l->at])) return true;
        l->at = (l->at + 1) % l->lanes;
    }
    return false;
}

mc_status mc_hash_lanes_finish(mc_hash_lanes *l, const uint8_t (**digest)[MC_SHA256_BYTES],
                               mc_err *err)
{
    for (size_t i = 0; i < l->lanes; i++) {
        mc_hash_lanes_want(l, i, l->lane[i].map->size);
        while (step(l, &l->lane[i])) continue;
        mc_sha256_finish(l->lane[i].sha, l->digest[i]);
    }
    if (l->failure.status != MC_OK) {
        *err = l->failure;
        return err->status;
    }
    *digest = (const uint8_t(*)[MC_SHA256_BYTES])l->digest;
    return MC_OK;
}

mc_status mc_hash_of_weights(const mc_model *model, const uint8_t (*digest)[MC_SHA256_BYTES],
                             char *hex, mc_err *err)
{
    size_t files = 0;
    while (files < model->sources && strcmp(model->source[files].role, "weights") == 0) files++;
    uint8_t one[MC_SHA256_BYTES];
    if (files == 1)
        memcpy(one, digest[0], sizeof one);
    else
        MC_TRY(mc_sha256_of(digest, files * sizeof *digest, one, err));
    mc_hex(one, sizeof one, hex);
    return MC_OK;
}
