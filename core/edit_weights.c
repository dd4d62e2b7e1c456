/* The edited model as an executor's source of weights. Stretches that had to be computed whole for
 * a part of them are kept and shared by all threads: one loads, the others wait for it and then
 * read side by side. What is kept changes nothing but time. */
#include "core/edit_parts.h"

#include "core/ckd.h"
#include "core/pool.h"

#include <pthread.h>
#include <string.h>

typedef struct {
    const char *name; /* of the tensor; NULL: empty */
    size_t steps;     /* of its edits then: another edit makes it stale */
    uint64_t unit;    /* which stretch of it */
    mc_region region;
    const float *at;
    size_t readers;
    bool loading;
    uint64_t used; /* when; the least was used longest ago */
} kept;

struct mc_edit_cache {
    pthread_mutex_t turn;
    pthread_cond_t change; /* something was loaded, or is read no more */
    uint64_t clock;        /* counts uses */
    size_t rooms;
    kept room[];
};

void mc_edit_cache_close(mc_edit_cache *cache)
{
    if (!cache) return;
    for (size_t i = 0; i < cache->rooms; i++) mc_region_close(&cache->room[i].region);
    pthread_cond_destroy(&cache->change);
    pthread_mutex_destroy(&cache->turn);
}

/* ---- what is kept ---- */

/* A stretch: the elements that one rotation of `tensor` mixes. */
typedef struct {
    const mc_edit_list *list;
    const mc_tensor *tensor;
    uint64_t unit, index; /* how long, which one */
} stretch;

static bool holds(const kept *k, const stretch *s)
{
    return k->name == s->list->name && k->steps == s->list->steps && k->unit == s->index;
}

static kept *find(mc_edit_cache *cache, const stretch *s)
{
    for (size_t i = 0; i < cache->rooms; i++)
        if (holds(&cache->room[i], s)) return &cache->room[i];
    return NULL;
}

/* The room that nobody reads or fills, used longest ago; NULL: all are. */
static kept *find_idle(mc_edit_cache *cache)
{
    kept *best = NULL;
    for (size_t i = 0; i < cache->rooms; i++) {
        kept *k = &cache->room[i];
        if (k->readers == 0 && !k->loading && (!best || k->used < best->used)) best = k;
    }
    return best;
}

/* With memory for the time being. */
static mc_status edit_range(const mc_edit_list *list, const mc_tensor *t, uint64_t first,
                            uint64_t count, float *out, mc_err *err)
{
    mc_region scratch;
    MC_TRY(mc_region_open(&scratch, mc_edit_range_bytes(list, t, count), err));
    const mc_status status = mc_edit_range(list, t, first, count, scratch.arena, out, err);
    mc_region_close(&scratch);
    return status;
}

static mc_status fill(kept *k, const stretch *s, mc_err *err)
{
    mc_region_close(&k->region);
    uint64_t bytes;
    if (!mc_mul_u64(s->unit, sizeof(float), &bytes) || bytes > SIZE_MAX - 64)
        return mc_fail(err, MC_E_BUDGET, "no room to edit tensor '%s'", s->tensor->name);
    MC_TRY(mc_region_open(&k->region, (size_t)bytes + 64, err));
    float *at = MC_NEW_RAW(&k->region.arena, float, (size_t)s->unit);
    if (!at) return mc_fail(err, MC_E_BUDGET, "no room to edit tensor '%s'", s->tensor->name);
    k->at = at;
    return edit_range(s->list, s->tensor, s->index * s->unit, s->unit, at, err);
}

/* Until give(), it stays. */
static mc_status take(mc_edit_cache *cache, const stretch *s, kept **out, mc_err *err)
{
    pthread_mutex_lock(&cache->turn);
    kept *k;
    for (;;) {
        k = find(cache, s);
        if (k && !k->loading) break;
        if (!k && (k = find_idle(cache))) break;
        pthread_cond_wait(&cache->change, &cache->turn);
    }
    mc_status status = MC_OK;
    k->used = ++cache->clock;
    if (!holds(k, s)) {
        k->name = s->list->name;
        k->steps = s->list->steps;
        k->unit = s->index;
        k->loading = true;
        pthread_mutex_unlock(&cache->turn);
        status = fill(k, s, err);
        pthread_mutex_lock(&cache->turn);
        k->loading = false;
        if (status != MC_OK) k->name = NULL;
        pthread_cond_broadcast(&cache->change);
    }
    if (status == MC_OK) k->readers++;
    pthread_mutex_unlock(&cache->turn);
    *out = k;
    return status;
}

static void give(mc_edit_cache *cache, kept *k)
{
    pthread_mutex_lock(&cache->turn);
    k->readers--;
    pthread_cond_broadcast(&cache->change);
    pthread_mutex_unlock(&cache->turn);
}

/* ---- reading ---- */

/* Elements [from, from + count) of a stretch that holds more. */
static mc_status read_part(mc_edit_cache *cache, const stretch *s, uint64_t from, uint64_t count,
                           float *out, mc_err *err)
{
    kept *k;
    MC_TRY(take(cache, s, &k, err));
    memcpy(out, k->at + from, (size_t)count * sizeof *out);
    give(cache, k);
    return MC_OK;
}

static mc_status read_edited(const mc_weights *from, const mc_tensor *t, uint64_t first,
                             uint64_t count, float *out, mc_err *err)
{
    const mc_edits *edits = (const mc_edits *)(const void *)from;
    if (first > t->count || count > t->count - first)
        return mc_fail(err, MC_E_INTERNAL, "tensor '%s': read beyond its end", t->name);
    if (count == 0) return MC_OK;
    const mc_edit_list *list = mc_edit_list_of(edits, t);
    if (!list) {
        mc_to_f32(t->dtype, t->data + first * (mc_dtype_about(t->dtype)->bits / 8), out,
                  (size_t)count);
        return MC_OK;
    }
    const uint64_t unit = mc_edit_unit(list, t);
    while (count > 0) {
        const uint64_t in = first % unit, left = unit - in;
        uint64_t now = count - count % unit;
        if (in == 0 && now > 0) {
            MC_TRY(edit_range(list, t, first, now, out, err));
        } else {
            const stretch s = {list, t, unit, first / unit};
            now = left < count ? left : count;
            MC_TRY(read_part(edits->cache, &s, in, now, out, err));
        }
        first += now;
        out += now;
        count -= now;
    }
    return MC_OK;
}

mc_status mc_edit_cache_open(mc_edits *edits, mc_err *err)
{
    const size_t rooms = mc_processors();
    size_t bytes;
    mc_edit_cache *cache = NULL;
    if (mc_mul_size(rooms, sizeof *cache->room, &bytes) &&
        mc_add_size(bytes, sizeof *cache, &bytes))
        cache = mc_alloc(edits->mem, 1, bytes);
    if (!cache) return mc_no_room(err, "a cache of edited tensors");
    pthread_mutex_init(&cache->turn, NULL); /* cannot fail with default attributes on Linux */
    pthread_cond_init(&cache->change, NULL);
    cache->rooms = rooms;
    edits->cache = cache;
    edits->weights.read = read_edited;
    return MC_OK;
}

const mc_weights *mc_edits_weights(const mc_edits *edits)
{
    return &edits->weights;
}
