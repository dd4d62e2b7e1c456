/* Hash lanes: see pipeline_hash.h. */
#include "cli/pipeline_hash.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { STEP = 1 << 20 }; /* bytes between two looks at what is wanted */

typedef struct {
    const mc_map *map;
    mc_sha256 *sha;
    uint64_t done, wanted;
    bool busy;
} hash_lane;

struct mc_hash_lanes {
    pthread_mutex_t lock; /* over wanted and busy; done and sha belong to whoever set busy */
    hash_lane *lane;
    uint8_t (*digest)[MC_SHA256_BYTES];
    size_t lanes;
};

mc_status mc_hash_lanes_open(const mc_model *model, mc_arena *mem, mc_hash_lanes **out, mc_err *err)
{
    mc_hash_lanes *l = MC_NEW(mem, mc_hash_lanes, 1);
    if (!l) return mc_no_room(err, "hashing");
    l->lane = MC_NEW(mem, hash_lane, model->sources + 1);
    l->digest = mc_alloc(mem, model->sources + 1, sizeof *l->digest);
    if (!l->lane || !l->digest) return mc_no_room(err, "hashing");
    pthread_mutex_init(&l->lock, NULL);
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
    pthread_mutex_destroy(&l->lock);
}

static void hash_step(hash_lane *lane, uint64_t wanted)
{
    const uint64_t left = wanted - lane->done;
    const size_t n = (size_t)(left < STEP ? left : STEP);
    mc_sha256_add(lane->sha, lane->map->data + lane->done, n);
    mc_map_release(lane->map, (size_t)lane->done, (size_t)lane->done + n);
    lane->done += n;
}

void mc_hash_lanes_want(mc_hash_lanes *l, size_t source, uint64_t until)
{
    hash_lane *lane = &l->lane[source];
    if (until > lane->map->size) until = lane->map->size;

    pthread_mutex_lock(&l->lock);
    if (until > lane->wanted) lane->wanted = until;
    while (!lane->busy && lane->done < lane->wanted) {
        const uint64_t wanted = lane->wanted;
        lane->busy = true;
        pthread_mutex_unlock(&l->lock);
        hash_step(lane, wanted);
        pthread_mutex_lock(&l->lock);
        lane->busy = false;
    }
    pthread_mutex_unlock(&l->lock);
}

const uint8_t (*mc_hash_lanes_finish(mc_hash_lanes *l))[MC_SHA256_BYTES]
{
    for (size_t i = 0; i < l->lanes; i++) {
        mc_hash_lanes_want(l, i, l->lane[i].map->size);
        mc_sha256_finish(l->lane[i].sha, l->digest[i]);
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
