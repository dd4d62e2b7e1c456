/* Blocks of a group: sites whose weights stand nowhere else are sorted by the rows that they see,
 * and each sort is collected once. Sums of weights that come again wait until the last of their
 * places was seen. */
#include "cli/pipeline_collect.h"

#include "core/act.h"

#include <string.h>

/* ---- moments ---- */

mc_status mc_collect_moments(const mc_moment_rows *rows, unsigned kinds, mc_pool *pool,
                             mc_region *room, mc_moment_sums *out, mc_err *err)
{
    const size_t n = rows->x[0].n, groups = rows->x[0].groups;
    const size_t bytes = mc_moments_bytes(n, groups, kinds);
    const size_t scratch = mc_moments_scratch(n, groups, kinds);
    if (bytes == SIZE_MAX || scratch == SIZE_MAX) return mc_no_room(err, "moments");
    MC_TRY(mc_region_open(room, bytes + scratch + 4096, err));
    MC_TRY(mc_moments_new(n, groups, kinds, &room->arena, out, err));
    return mc_moments_add(out, rows, pool, room->arena, err);
}

/* ---- the input itself ---- */

enum { PIECES = 16 }; /* samples i, i + 16, ... belong together */

typedef struct {
    const mc_sight *sight;
    mc_channels *channels;   /* of each piece, or NULL */
    mc_histogram *histogram; /* as this */
} seeing;

static mc_status see_sample(const seeing *s, size_t piece, size_t sample, mc_arena scratch,
                            mc_err *err)
{
    const mc_sight *at = s->sight;
    const mc_nd x = mc_walk_input(at->walk, MC_WALK_MAIN, sample);
    mc_act_shape shape;
    if (!mc_act_shape_of(at->kind, &x, &shape)) return MC_OK;
    const float *seen = x.data;
    if (at->change || (at->act && at->act->hadamard)) {
        float *changed = MC_NEW_RAW(&scratch, float, x.count);
        if (!changed) return mc_no_room(err, "an activation");
        memcpy(changed, x.data, x.count * sizeof *changed);
        if (at->change)
            mc_change_sample(at->change, &shape, changed, scratch);
        else
            MC_TRY(mc_act_rotate(at->act, &shape, changed, scratch, err));
        seen = changed;
    }
    if (s->histogram) mc_histogram_add(&s->histogram[piece], seen, x.count);
    if (!s->channels) return MC_OK;
    return mc_channels_add(&s->channels[piece], seen, shape.rows, shape.inner, err);
}

static mc_status see_piece(void *job, size_t piece, mc_arena scratch, mc_err *err)
{
    const seeing *s = job;
    for (size_t i = piece; i < s->sight->calibration->samples; i += PIECES) {
        MC_TRY(see_sample(s, piece, i, scratch, err));
        mc_walk_release(s->sight->walk);
    }
    return MC_OK;
}

static mc_status open_channels(const mc_sight *sight, mc_arena *mem, mc_channels *out,
                               mc_channels **pieces, mc_err *err)
{
    mc_act_shape shape;
    const mc_nd x = mc_walk_input(sight->walk, MC_WALK_MAIN, 0);
    *out = (mc_channels){.n = 0};
    *pieces = NULL;
    if (!mc_act_shape_of(sight->kind, &x, &shape)) return MC_OK;
    MC_TRY(mc_channels_alloc(mem, shape.channels, out, err));
    mc_channels *piece = MC_NEW(mem, mc_channels, PIECES);
    if (!piece) return mc_no_room(err, "channels");
    piece[0] = *out;
    for (size_t i = 1; i < PIECES; i++)
        MC_TRY(mc_channels_alloc(mem, shape.channels, &piece[i], err));
    *pieces = piece;
    return MC_OK;
}

mc_status mc_see_input(const mc_sight *sight, mc_arena *mem, mc_channels *channels,
                       mc_histogram *histogram, mc_err *err)
{
    seeing s = {.sight = sight};
    if (channels) MC_TRY(open_channels(sight, mem, channels, &s.channels, err));
    mc_arena scratch = *mem;
    if (histogram) s.histogram = MC_NEW(&scratch, mc_histogram, PIECES);
    if (histogram && !s.histogram) return mc_no_room(err, "histograms");
    MC_TRY(mc_pool_for(sight->pool, PIECES, see_piece, &s, err));
    for (size_t i = 1; i < PIECES; i++) {
        if (s.histogram) mc_histogram_merge(&s.histogram[0], &s.histogram[i]);
        if (s.channels) MC_TRY(mc_channels_merge(&s.channels[0], &s.channels[i], err));
    }
    if (s.channels) *channels = s.channels[0];
    if (histogram) *histogram = s.histogram[0];
    return MC_OK;
}

/* ---- weights and their places ---- */

typedef struct {
    size_t sites, left;    /* that present rows for it; not seen yet */
    size_t *site;          /* in the order of their groups */
    mc_region sums, input; /* of a weight of several places, while it waits */
    mc_moment_sums moments;
    mc_channels channels;
    mc_histogram *histogram;
    bool begun;
} place_list;

struct mc_collector {
    const mc_calibration *calibration;
    mc_pool *pool;
    mc_region memory;
    place_list *weight; /* of each of the model's tensors */
};

static size_t tensor_of(const mc_calibration *c, size_t site)
{
    const mc_tensor *t = mc_model_find(c->model, c->sites.site[site].weight->name);
    return t ? (size_t)(t - c->model->tensor) : SIZE_MAX;
}

bool mc_collects_site(const mc_calibration *c, size_t site)
{
    const mc_site *s = &c->sites.site[site];
    return c->groups.of_site[site] != MC_NONE && !s->part && tensor_of(c, site) != SIZE_MAX &&
           !mc_site_rows_refuses(c->graph, s);
}

size_t mc_collect_places(const mc_collector *collector, size_t site)
{
    return collector->weight[tensor_of(collector->calibration, site)].sites;
}

/* A shortcut's site may stand behind those of a later group. */
static void insert(place_list *w, const uint32_t *group_of, size_t site)
{
    size_t at = w->left++;
    for (; at > 0 && group_of[w->site[at - 1]] > group_of[site]; at--)
        w->site[at] = w->site[at - 1];
    w->site[at] = site;
}

static mc_status find_places(mc_collector *k, mc_err *err)
{
    const mc_calibration *c = k->calibration;
    mc_arena *mem = &k->memory.arena;
    k->weight = MC_NEW(mem, place_list, c->model->tensors + 1);
    if (!k->weight) return mc_no_room(err, "the places of weights");
    for (int pass = 0; pass < 2; pass++)
        for (size_t s = 0; s < c->sites.sites; s++) {
            if (!mc_collects_site(c, s)) continue;
            place_list *w = &k->weight[tensor_of(c, s)];
            if (pass == 0) {
                w->sites++;
                continue;
            }
            if (!w->site) w->site = MC_NEW(mem, size_t, w->sites);
            if (!w->site) return mc_no_room(err, "the places of weights");
            insert(w, c->groups.of_site, s);
        }
    return MC_OK;
}

mc_status mc_collect_open(const mc_calibration *c, mc_pool *pool, mc_collector **out, mc_err *err)
{
    mc_region memory;
    *out = NULL;
    const size_t room = c->model->tensors * sizeof(place_list) + c->sites.sites * 64;
    MC_TRY(mc_region_open(&memory, sizeof(mc_collector) + room + ((size_t)1 << 16), err));
    mc_collector *k = MC_NEW(&memory.arena, mc_collector, 1);
    if (k) *k = (mc_collector){.calibration = c, .pool = pool, .memory = memory};
    const mc_status status = k ? find_places(k, err) : mc_no_room(err, "the places of weights");
    if (status != MC_OK)
        mc_region_close(&memory);
    else
        *out = k;
    return status;
}

static void drop_sums(place_list *w)
{
    mc_region_close(&w->sums);
    mc_region_close(&w->input);
}

void mc_collect_close(mc_collector *k)
{
    if (!k) return;
    for (size_t t = 0; t < k->calibration->model->tensors; t++) drop_sums(&k->weight[t]);
    mc_region memory = k->memory; /* it lies in it */
    mc_region_close(&memory);
}

/* ---- a group ---- */

typedef struct {
    mc_collector *k;
    mc_walk *walk;
    const mc_input_group *group;
    const mc_collect_sink *sink;
    mc_arena mem; /* of the group */
    mc_nd *x;     /* of each sample */
    bool seen;    /* channels and histogram are there */
    mc_channels channels;
    mc_histogram *histogram;
} collecting;

static mc_status see(collecting *w, mc_err *err)
{
    const mc_calibration *c = w->k->calibration;
    if (w->seen) return MC_OK;
    const mc_sight sight = {.calibration = c,
                            .walk = w->walk,
                            .pool = w->k->pool,
                            .kind = c->sites.site[w->group->site[0]].kind};
    w->histogram = MC_NEW(&w->mem, mc_histogram, 1);
    if (!w->histogram) return mc_no_room(err, "histograms");
    w->seen = true;
    return mc_see_input(&sight, &w->mem, &w->channels, w->histogram, err);
}

static mc_status rows_of(collecting *w, size_t site, mc_arena *mem, mc_site_rows **out, mc_err *err)
{
    const mc_calibration *c = w->k->calibration;
    mc_site_rows *rows = MC_NEW(mem, mc_site_rows, c->samples + 1);
    if (!rows) return mc_no_room(err, "the rows of a site");
    for (size_t i = 0; i < c->samples; i++)
        MC_TRY(mc_site_rows_plan(c->graph, &c->sites.site[site], &w->x[i], &rows[i], err));
    *out = rows;
    return MC_OK;
}

static void release(void *self)
{
    const collecting *w = self;
    mc_walk_release(w->walk);
}

static mc_status sum_site(collecting *w, size_t site, unsigned wants, mc_region *room,
                          mc_moment_sums *out, mc_err *err)
{
    mc_arena mem = w->mem;
    mc_site_rows *x = NULL;
    MC_TRY(rows_of(w, site, &mem, &x, err));
    const mc_moment_rows rows = {.site = w->k->calibration->sites.site[site].name,
                                 .x = x,
                                 .samples = w->k->calibration->samples,
                                 .passed = release,
                                 .self = w};
    const unsigned kinds = wants & MC_COLLECT_GRAM ? MC_MOMENTS_GRAM : 0;
    return mc_collect_moments(&rows, kinds, w->k->pool, room, out, err);
}

/* Whether two sites of the group present the same rows of the first sample, and so of all. */
static mc_status same_rows(const collecting *w, size_t a, size_t b, bool *same, mc_err *err)
{
    const mc_calibration *c = w->k->calibration;
    mc_site_rows x, y;
    MC_TRY(mc_site_rows_plan(c->graph, &c->sites.site[a], &w->x[0], &x, err));
    MC_TRY(mc_site_rows_plan(c->graph, &c->sites.site[b], &w->x[0], &y, err));
    *same = mc_site_rows_same(&x, &y);
    return MC_OK;
}

static mc_status give(collecting *w, const size_t *site, size_t sites, mc_moment_sums *moments,
                      const mc_channels *channels, const mc_histogram *histogram, mc_err *err)
{
    const mc_calibration *c = w->k->calibration;
    mc_arena mem = w->mem;
    const char **weight = MC_NEW(&mem, const char *, sites);
    if (!weight) return mc_no_room(err, "the weights of a block");
    mc_block block = {.weight = weight,
                      .site = site,
                      .sites = sites,
                      .moments = moments,
                      .channels = channels && channels->n > 0 ? channels : NULL,
                      .histogram = channels && channels->n > 0 ? histogram : NULL};
    for (size_t i = 0; i < sites; i++) {
        const char *name = c->sites.site[site[i]].weight->name;
        if (i == 0 || strcmp(weight[0], name) != 0) weight[block.weights++] = name;
    }
    block.name = weight[0];
    return w->sink->take(w->sink->self, &block, err);
}

/* Sites whose weights stand here alone and see the rows of the first of them. */
static mc_status collect_class(collecting *w, const size_t *site, size_t sites, mc_err *err)
{
    const char *name = w->k->calibration->sites.site[site[0]].weight->name;
    const unsigned wants = w->sink->wants(w->sink->self, name, site, sites);
    if (wants == 0) return MC_OK;
    if (wants & MC_COLLECT_INPUT) MC_TRY(see(w, err));
    mc_region room = {0};
    mc_moment_sums sums = {.gram = NULL};
    mc_status status = sum_site(w, site[0], wants, &room, &sums, err);
    const bool input = (wants & MC_COLLECT_INPUT) != 0;
    if (status == MC_OK)
        status = give(w, site, sites, &sums, input ? &w->channels : NULL,
                      input ? w->histogram : NULL, err);
    mc_region_close(&room);
    return status;
}

/* ---- weights of several places ---- */

static mc_status add_input(collecting *w, place_list *p, mc_err *err)
{
    MC_TRY(see(w, err));
    if (!p->begun) {
        const size_t bytes = mc_channels_bytes(w->channels.n) + sizeof(mc_histogram) + 4096;
        MC_TRY(mc_region_open(&p->input, bytes, err));
        MC_TRY(mc_channels_alloc(&p->input.arena, w->channels.n, &p->channels, err));
        p->histogram = MC_NEW(&p->input.arena, mc_histogram, 1);
        if (!p->histogram) return mc_no_room(err, "histograms");
    }
    if (p->channels.n != w->channels.n) { /* an image here, tokens there */
        p->channels.n = 0;
        return MC_OK;
    }
    mc_histogram_merge(p->histogram, w->histogram);
    return mc_channels_merge(&p->channels, &w->channels, err);
}

static mc_status add_moments(collecting *w, place_list *p, size_t site, unsigned wants, mc_err *err)
{
    if (!p->begun) return sum_site(w, site, wants, &p->sums, &p->moments, err);
    mc_region room = {0};
    mc_moment_sums more = {.gram = NULL};
    mc_status status = sum_site(w, site, wants, &room, &more, err);
    if (status == MC_OK) status = mc_moments_merge(&p->moments, &more.view, err);
    mc_region_close(&room);
    return status;
}

/* The sites of one weight in this group; rows that two of them share count once. */
static mc_status collect_place(collecting *w, place_list *p, size_t begin, size_t end, mc_err *err)
{
    const char *name = w->k->calibration->sites.site[p->site[0]].weight->name;
    const unsigned wants = w->sink->wants(w->sink->self, name, p->site, p->sites);
    p->left -= end - begin;
    if (wants == 0) return MC_OK;
    if (wants & MC_COLLECT_INPUT) MC_TRY(add_input(w, p, err));
    for (size_t i = begin; i < end; i++) {
        bool same = false;
        for (size_t k = begin; k < i && !same; k++)
            MC_TRY(same_rows(w, p->site[k], p->site[i], &same, err));
        if (same) continue;
        MC_TRY(add_moments(w, p, p->site[i], wants, err));
        p->begun = true;
    }
    if (p->left > 0) return MC_OK;
    const bool input = (wants & MC_COLLECT_INPUT) != 0;
    const mc_status status = give(w, p->site, p->sites, &p->moments, input ? &p->channels : NULL,
                                  input ? p->histogram : NULL, err);
    drop_sums(p);
    return status;
}

/* The sites that p has in the group of its first site that was not seen. */
static mc_status collect_shared(collecting *w, place_list *p, mc_err *err)
{
    const mc_calibration *c = w->k->calibration;
    const size_t begin = p->sites - p->left;
    size_t end = begin;
    while (end < p->sites &&
           c->groups.of_site[p->site[end]] == c->groups.of_site[w->group->site[0]])
        end++;
    return begin < end ? collect_place(w, p, begin, end, err) : MC_OK;
}

static mc_status collect_all(collecting *w, mc_err *err)
{
    const mc_calibration *c = w->k->calibration;
    const size_t sites = w->group->sites;
    bool *done = MC_NEW(&w->mem, bool, sites);
    size_t *class = MC_NEW(&w->mem, size_t, sites);
    if (!done || !class) return mc_no_room(err, "the blocks of a group");
    for (size_t i = 0; i < sites; i++) {
        const size_t site = w->group->site[i];
        size_t members = 0;
        if (done[i] || !mc_collects_site(c, site)) continue;
        place_list *p = &w->k->weight[tensor_of(c, site)];
        if (p->sites > 1) {
            MC_TRY(collect_shared(w, p, err));
            continue;
        }
        for (size_t k = i; k < sites; k++) {
            bool same = false;
            const size_t other = w->group->site[k];
            if (done[k] || !mc_collects_site(c, other) || mc_collect_places(w->k, other) > 1)
                continue;
            MC_TRY(same_rows(w, site, other, &same, err));
            if (!same) continue;
            done[k] = true;
            class[members++] = other;
        }
        MC_TRY(collect_class(w, class, members, err));
    }
    return MC_OK;
}

mc_status mc_collect_group(mc_collector *k, mc_walk *walk, const mc_input_group *group,
                           const mc_collect_sink *sink, mc_err *err)
{
    static const size_t room = (size_t)4 << 30; /* address space for channels and rows */
    const size_t samples = k->calibration->samples;
    mc_region memory;
    MC_TRY(mc_region_open(&memory, room + samples * (sizeof(mc_nd) + sizeof(mc_site_rows)), err));
    collecting w = {.k = k, .walk = walk, .group = group, .sink = sink, .mem = memory.arena};
    w.x = MC_NEW(&w.mem, mc_nd, samples + 1);
    mc_status status = w.x ? MC_OK : mc_no_room(err, "samples");
    for (size_t i = 0; w.x && i < samples; i++) w.x[i] = mc_walk_input(walk, MC_WALK_MAIN, i);
    if (status == MC_OK) status = collect_all(&w, err);
    mc_region_close(&memory);
    return status;
}
