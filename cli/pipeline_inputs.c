/* The inputs of a group of sites, as its weights will meet them: rotated and rounded, sample by
 * sample; then the moments of the rows that they present. */
#include "cli/pipeline_collect.h"

#include "calib/expert_pairs.h"
#include "calib/outer.h"
#include "core/act.h"

#include <string.h>

/* ---- rounding ---- */

typedef struct {
    const mc_group_inputs *in;
    mc_carry *to;
    unsigned stream;
    mc_site_kind kind;
    bool rounds;
} rounding;

static mc_status round_sample(void *job, size_t sample, mc_arena scratch, mc_err *err)
{
    const rounding *r = job;
    const mc_nd x = mc_walk_input(r->in->walk, r->stream, sample);
    mc_act_shape shape;
    MC_TRY(mc_carry_put(r->to, 0, sample, &x, err));
    const mc_nd copy = mc_carry_get(r->to, 0, sample);
    if (!mc_act_shape_of(r->kind, &copy, &shape)) return MC_OK;
    if (r->in->act->hadamard) MC_TRY(mc_act_rotate(r->in->act, &shape, copy.data, scratch, err));
    if (r->rounds) mc_act_round(r->in->act, &shape, copy.data);
    mc_carry_release(r->to);
    mc_walk_release(r->in->walk);
    return MC_OK;
}

static mc_status round_stream(const mc_coding *coding, mc_group_inputs *in, unsigned stream,
                              mc_carry *to, mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    rounding r = {.in = in,
                  .to = to,
                  .stream = stream,
                  .kind = c->sites.site[in->group->site[0]].kind,
                  .rounds = stream == MC_WALK_MAIN && in->act->mode != MC_ACT_FLOAT};
    if (!r.rounds && !in->act->hadamard) return MC_OK;
    MC_TRY(mc_carry_open(to, c->samples, 1, mc_walk_spills(in->walk), &in->lists.arena, err));
    MC_TRY(mc_carry_add(to, 0, err));
    return mc_pool_for(coding->pool, c->samples, round_sample, &r, err);
}

/* As the site takes it. */
static mc_nd input_of(const mc_group_inputs *in, unsigned stream, size_t sample)
{
    const mc_carry *other = stream == MC_WALK_MAIN ? &in->rounded : &in->turned;
    return other->column ? mc_carry_get(other, 0, sample) : mc_walk_input(in->walk, stream, sample);
}

/* ---- experts ---- */

typedef struct {
    mc_group_inputs *in;
    const mc_node *node; /* that chose the rows */
} pairing;

static mc_status pair_sample(void *job, size_t sample, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    const pairing *p = job;
    mc_nd gates[MC_WALK_STREAMS];
    for (unsigned s = 0; s < MC_WALK_STREAMS; s++)
        if (!mc_walk_value(p->in->walk, s, p->node->in[1], sample, &gates[s]))
            return mc_fail(err, MC_E_INTERNAL, "the gates of experts are gone");
    const mc_nd x = input_of(p->in, MC_WALK_MAIN, sample);
    const mc_nd y = input_of(p->in, MC_WALK_FLOAT, sample);
    MC_TRY(mc_carry_put(&p->in->paired, 0, sample, &x, err));
    mc_nd paired = mc_carry_get(&p->in->paired, 0, sample);
    const mc_expert_pair pair = {
        .node = p->node, .x_gates = &gates[0], .y_gates = &gates[1], .y = &y};
    return mc_expert_pair_rows(&pair, &paired, err);
}

/* Tokens may go to other experts in the float model. */
static mc_status pair_streams(const mc_coding *coding, mc_group_inputs *in, mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    const mc_id node = mc_expert_rows_node(&c->stages, in->group->value);
    if (node == MC_NONE) return MC_OK;
    pairing p = {in, &c->graph->node[node]};
    MC_TRY(
        mc_carry_open(&in->paired, c->samples, 1, mc_walk_spills(in->walk), &in->lists.arena, err));
    MC_TRY(mc_carry_add(&in->paired, 0, err));
    return mc_pool_for(coding->pool, c->samples, pair_sample, &p, err);
}

/* ---- all of it ---- */

mc_status mc_group_inputs_open(const mc_coding *coding, mc_walk *walk, const mc_input_group *group,
                               mc_group_inputs *out, mc_err *err)
{
    const size_t samples = coding->calibration->samples;
    *out = (mc_group_inputs){.walk = walk, .group = group};
    MC_TRY(mc_region_open(&out->lists,
                          samples * 8 * (sizeof(mc_nd) + sizeof(mc_site_rows)) + ((size_t)1 << 16),
                          err));
    if (coding->made->act) {
        out->act = &coding->made->act[group->site[0]];
        MC_TRY(round_stream(coding, out, MC_WALK_MAIN, &out->rounded, err));
        if (mc_walk_two(walk)) MC_TRY(round_stream(coding, out, MC_WALK_FLOAT, &out->turned, err));
    }
    return mc_walk_two(walk) ? pair_streams(coding, out, err) : MC_OK;
}

void mc_group_inputs_close(mc_group_inputs *in)
{
    mc_carry_close(&in->rounded);
    mc_carry_close(&in->turned);
    mc_carry_close(&in->paired);
    mc_region_close(&in->sums);
    mc_region_close(&in->residual_room);
    mc_region_close(&in->lists);
    *in = (mc_group_inputs){.walk = NULL};
}

/* ---- moments ---- */

/* The rows of all samples in one stream; they and the activations live in `mem`. */
static mc_status rows_of(const mc_coding *coding, const mc_group_inputs *in, unsigned stream,
                         const mc_site *site, mc_arena *mem, mc_site_rows **out, mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    mc_nd *x = MC_NEW(mem, mc_nd, c->samples + 1);
    mc_site_rows *rows = MC_NEW(mem, mc_site_rows, c->samples + 1);
    if (!x || !rows) return mc_no_room(err, "the rows of a site");
    for (size_t i = 0; i < c->samples; i++) {
        x[i] = stream == MC_WALK_FLOAT && in->paired.column ? mc_carry_get(&in->paired, 0, i)
                                                            : input_of(in, stream, i);
        MC_TRY(mc_site_rows_plan(c->graph, site, &x[i], &rows[i], err));
    }
    *out = rows;
    return MC_OK;
}

static unsigned kinds_of(unsigned wants, bool two)
{
    unsigned kinds = 0;
    if (wants & (MC_QUANT_GRAM | MC_QUANT_CROSS)) kinds |= MC_MOMENTS_GRAM;
    if ((wants & MC_QUANT_CROSS) && two) kinds |= MC_MOMENTS_CROSS;
    return kinds;
}

/* Do both streams have the same number of rows in each sample? A model that chooses rows by itself
 * may not; then nothing says which belong together. */
static bool all_pair(const mc_site_rows *x, const mc_site_rows *y, size_t samples)
{
    for (size_t i = 0; i < samples; i++)
        if (x[i].rows != y[i].rows || x[i].n != y[i].n || x[i].groups != y[i].groups) return false;
    return true;
}

static void release(void *self)
{
    const mc_group_inputs *in = self;
    mc_walk_release(in->walk);
    mc_carry_release(&in->rounded);
    mc_carry_release(&in->turned);
    mc_carry_release(&in->paired);
}

static mc_status collect(const mc_coding *coding, mc_group_inputs *in, const mc_site *site,
                         unsigned kinds, mc_err *err)
{
    mc_arena mem = in->lists.arena;
    mc_site_rows *x, *y = NULL;
    MC_TRY(rows_of(coding, in, MC_WALK_MAIN, site, &mem, &x, err));
    if (kinds & MC_MOMENTS_CROSS) {
        MC_TRY(rows_of(coding, in, MC_WALK_FLOAT, site, &mem, &y, err));
        if (!all_pair(x, y, coding->calibration->samples)) {
            kinds &= ~(unsigned)MC_MOMENTS_CROSS;
            y = NULL;
        }
    }
    mc_region_close(&in->sums);
    in->last = NULL;
    const mc_moment_rows rows = {.site = site->name,
                                 .x = x,
                                 .y = y,
                                 .samples = coding->calibration->samples,
                                 .passed = release,
                                 .self = in};
    MC_TRY(mc_collect_moments(&rows, kinds, coding->pool, &in->sums, &in->moments, err));
    mc_moments_mirror(&in->moments);
    in->last = site;
    return MC_OK;
}

/* Whether two sites present the same rows of the first sample, and so of all. */
static mc_status same_rows(const mc_coding *coding, const mc_group_inputs *in, const mc_site *a,
                           const mc_site *b, bool *same, mc_err *err)
{
    mc_site_rows x, y;
    const mc_nd nd = input_of(in, MC_WALK_MAIN, 0);
    MC_TRY(mc_site_rows_plan(coding->calibration->graph, a, &nd, &x, err));
    MC_TRY(mc_site_rows_plan(coding->calibration->graph, b, &nd, &y, err));
    *same = mc_site_rows_same(&x, &y);
    return MC_OK;
}

mc_status mc_group_moments(const mc_coding *coding, mc_group_inputs *in, size_t site,
                           unsigned wants, const mc_moments **moments, const char **why,
                           mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    const mc_site *s = &c->sites.site[site];
    *moments = NULL;
    *why = mc_site_rows_refuses(c->graph, s);
    if (*why || c->samples == 0) return MC_OK;
    bool same = false;
    if (in->last) MC_TRY(same_rows(coding, in, in->last, s, &same, err));
    if (!same) MC_TRY(collect(coding, in, s, kinds_of(wants, mc_walk_two(in->walk)), err));
    *moments = &in->moments.view;
    return MC_OK;
}

/* ---- what the output is added to ---- */

static bool is_add(const mc_node *node)
{
    return mc_node_is(node, "", "Add") && node->ins == 2;
}

/* The one node that takes a value, or MC_NONE. */
static mc_id only_user(const mc_graph *g, mc_id value)
{
    mc_id user = MC_NONE;
    for (mc_id n = 0; n < g->nodes; n++)
        for (size_t i = 0; i < g->node[n].ins; i++) {
            if (g->node[n].in[i] != value) continue;
            if (user != MC_NONE) return MC_NONE;
            user = n;
        }
    return user;
}

mc_id mc_code_added_to(const mc_calibration *c, const mc_site *site)
{
    const mc_graph *g = c->graph;
    mc_id value = g->node[site->node].out[0];
    for (int step = 0; step < 2; step++) {
        const mc_id user = only_user(g, value);
        if (user == MC_NONE || !is_add(&g->node[user])) return MC_NONE;
        const mc_node *add = &g->node[user];
        const mc_id other = add->in[0] == value ? add->in[1] : add->in[0];
        if (other == value) return MC_NONE;
        if (!c->stages.constant[other]) return other;
        value = add->out[0];
    }
    return MC_NONE;
}

typedef struct {
    mc_site_rows *a, *b, *x;
} residual_rows;

/* False when the value does not wait at this stage. */
static mc_status find_rows(const mc_coding *coding, mc_group_inputs *in, const mc_site *site,
                           mc_id value, mc_arena *mem, residual_rows *out, mc_err *err)
{
    const size_t samples = coding->calibration->samples;
    mc_nd *nd = MC_NEW(mem, mc_nd, 2 * samples + 1), there;
    mc_site_rows *rows = MC_NEW(mem, mc_site_rows, 2 * samples + 1);
    if (!nd || !rows) return mc_no_room(err, "the rows of a site");
    *out = (residual_rows){.a = NULL};
    for (size_t i = 0; i < 2 * samples; i++) {
        const unsigned stream = i < samples ? MC_WALK_FLOAT : MC_WALK_MAIN;
        if (!mc_walk_value(in->walk, stream, value, i % samples, &there)) return MC_OK;
        if (mc_nd_storage(there.dtype) != MC_F32 || there.ndim < 2) return MC_OK;
        nd[i] = there;
        rows[i] = mc_site_rows_of(&nd[i]);
    }
    MC_TRY(rows_of(coding, in, MC_WALK_MAIN, site, mem, &out->x, err));
    out->a = rows;
    out->b = rows + samples;
    return MC_OK;
}

static bool all_belong(const residual_rows *r, size_t samples)
{
    for (size_t i = 0; i < samples; i++)
        if (r->a[i].rows != r->x[i].rows || r->b[i].rows != r->x[i].rows ||
            r->a[i].n != r->a[0].n || r->b[i].n != r->a[0].n)
            return false;
    return true;
}

mc_status mc_group_residual(const mc_coding *coding, mc_group_inputs *in, size_t site,
                            const double **residual, mc_err *err)
{
    const mc_calibration *c = coding->calibration;
    const mc_site *s = &c->sites.site[site];
    *residual = NULL;
    if (s->kind != MC_SITE_LINEAR || !mc_walk_two(in->walk) || c->samples == 0) return MC_OK;
    const mc_id value = mc_code_added_to(c, s);
    if (value == MC_NONE) return MC_OK;

    mc_arena mem = in->lists.arena;
    residual_rows r;
    MC_TRY(find_rows(coding, in, s, value, &mem, &r, err));
    if (!r.a || r.x[0].groups != 1 || !all_belong(&r, c->samples)) return MC_OK;
    mc_region_close(&in->residual_room);
    const size_t count = r.a[0].n * r.x[0].n;
    MC_TRY(mc_region_open(&in->residual_room, count * sizeof(double) + 4096, err));
    double *sum = MC_NEW_RAW(&in->residual_room.arena, double, count);
    if (!sum) return mc_no_room(err, "a residual stream's moments");
    const mc_outer_rows rows = {.a = r.a, .b = r.b, .x = r.x, .samples = c->samples};
    MC_TRY(mc_outer_sum(&rows, coding->pool, sum, err));
    *residual = sum;
    return MC_OK;
}
