/* Hash lanes: see pipeline_hash.h. */
#include "cli/pipeline_hash.h"

#include <stdatomic.h>
#include <string.h>

enum {
    STEP = 1 << 20,   /* bytes hashed at a time */
    AHEAD = 32 << 20, /* how far hashing may be in front */
    WINDOW = 4 << 20, /* bytes given back at a time: each takes a word with all processors */
};

typedef struct {
    const mc_map *map;
    mc_sha256 *sha;
    _Atomic uint64_t hashed, passed;
    uint64_t released; /* belongs to whoever calls mc_hash_lanes_passed() */
} hash_lane;

struct mc_hash_lanes {
    hash_lane *lane;
    uint8_t (*digest)[MC_SHA256_BYTES];
    size_t lanes;
    size_t at; /* the lane that had something to do */
};

size_t mc_hash_lanes_window(void)
{
    return AHEAD + STEP + 2 * WINDOW;
}

size_t mc_hash_lanes_bytes(const mc_model *model)
{
    return (model->sources + 1) * (sizeof(hash_lane) + MC_SHA256_BYTES) + 4096;
}

mc_status mc_hash_lanes_open(const mc_model *model, mc_arena *mem, mc_hash_lanes **out, mc_err *err)
{
    mc_hash_lanes *l = MC_NEW(mem, mc_hash_lanes, 1);
    if (!l) return mc_no_room(err, "hashing");
    l->lane = MC_NEW(mem, hash_lane, model->sources + 1);
    l->digest = mc_alloc(mem, model->sources + 1, sizeof *l->digest);
    if (!l->lane || !l->digest) return mc_no_room(err, "hashing");
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

static void release(hash_lane *lane, uint64_t until)
{
    mc_map_release(lane->map, (size_t)lane->released, (size_t)until);
    lane->released = until;
}

void mc_hash_lanes_passed(mc_hash_lanes *l, size_t source, uint64_t until)
{
    hash_lane *lane = &l->lane[source];
    atomic_store(&lane->passed, until);
    const uint64_t hashed = atomic_load(&lane->hashed);
    const uint64_t both = until < hashed ? until : hashed;
    if (both >= lane->released + WINDOW) release(lane, both);
}

/* Hashes up to STEP bytes in front of `limit`; false when there are none. */
static bool step(hash_lane *lane, uint64_t limit)
{
    const uint64_t hashed = atomic_load(&lane->hashed);
    if (limit > lane->map->size) limit = lane->map->size;
    if (hashed >= limit) return false;
    const size_t n = (size_t)(limit - hashed < STEP ? limit - hashed : STEP);
    mc_sha256_add(lane->sha, lane->map->data + hashed, n);
    atomic_store(&lane->hashed, hashed + n);
    return true;
}

bool mc_hash_lanes_step(mc_hash_lanes *l)
{
    for (size_t tried = 0; tried < l->lanes; tried++) {
        hash_lane *lane = &l->lane[l->at];
        const uint64_t passed = atomic_load(&lane->passed);
        if (passed > 0 && step(lane, passed + AHEAD)) return true;
        l->at = (l->at + 1) % l->lanes;
    }
    return false;
}

const uint8_t (*mc_hash_lanes_finish(mc_hash_lanes *l))[MC_SHA256_BYTES]
{
    for (size_t i = 0; i < l->lanes; i++) {
        hash_lane *lane = &l->lane[i];
        while (step(lane, UINT64_MAX))
            if (lane->hashed >= lane->released + WINDOW) release(lane, lane->hashed);
        release(lane, lane->map->size);
        mc_sha256_finish(lane->sha, l->digest[i]);
    }
    return (const uint8_t(*)[MC_SHA256_BYTES])l->digest;
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
