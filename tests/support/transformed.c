#include "tests/support/transformed.h"

#include "calib/site_rows.h"
#include "core/passes.h"
#include "core/rng.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { REGION_BYTES = 1 << 28, TOKENS = 12, IDS = 24, SAMPLES = 2 };

/* ---- inputs ---- */

static bool names(const mc_graph *g, size_t i, const char *part)
{
    return strstr(g->value[g->input[i]].name, part) != NULL;
}

static void draw_input(transformed *t, size_t batch, size_t i)
{
    const mc_value *v = &t->graph->value[t->graph->input[i]];
    mc_nd *nd = &t->input[batch][i];
    int64_t dim[MC_MAX_DIMS];
    for (int d = 0; d < v->ndim; d++)
        dim[d] = v->dim[d] > 0 ? v->dim[d] : d == 0 ? SAMPLES : TOKENS;
    *nd = (mc_nd){.kind = MC_ND_TENSOR};
    cr_assert_eq(mc_nd_set(nd, v->dtype, v->ndim, dim, &t->err), MC_OK, "%s", t->err.text);
    nd->data = mc_alloc(&t->region.arena, nd->count, sizeof(int64_t));
    cr_assert_not_null(nd->data);
    const mc_rng rng = {.seed = 11 + batch, .stream = i};
    for (size_t k = 0; k < nd->count; k++) {
        if (v->dtype == MC_I64)
            ((int64_t *)nd->data)[k] = names(t->graph, i, "mask") ? 1
                                       : names(t->graph, i, "type")
                                           ? (int64_t)(k % 2)
                                           : (int64_t)mc_rng_below(rng, k, IDS);
        else
            ((float *)nd->data)[k] = 2.0f * mc_rng_unit(rng, k) - 1.0f;
    }
}

/* ---- opening ---- */

static void open_region(transformed *t)
{
    cr_assert_eq(mc_region_open(&t->region, REGION_BYTES, &t->err), MC_OK);
}

transformed transformed_open(const char *path)
{
    transformed t = {.online = true};
    cr_assert_eq(mc_model_open(path, NULL, &t.model, &t.err), MC_OK, "%s", t.err.text);
    cr_assert_not_null(t.model.graph, "%s", t.model.no_graph ? t.model.no_graph : "");
    open_region(&t);
    transformed_ready(&t);
    return t;
}

/* Two arenas that do not move with the struct: of the graph, and of the edits. */
static mc_arena *arena_of(transformed *t, size_t bytes)
{
    mc_arena *own = &t->region.arena, *mem = MC_NEW(own, mc_arena, 1);
    cr_assert_not_null(mem);
    *mem = (mc_arena){own->at, own->at + bytes};
    own->at = mem->end;
    return mem;
}

void transformed_ready(transformed *t)
{
    static const char *const skip[] = {"batchnorm", NULL};
    mc_arena *own = &t->region.arena, *mem = arena_of(t, REGION_BYTES / 4);
    cr_assert_eq(mc_graph_prepare(t->model.graph, skip, own, &t->graph, &t->err), MC_OK, "%s",
                 t->err.text);
    t->sites = MC_NEW(own, mc_sites, 1);
    cr_assert_not_null(t->sites);
    cr_assert_eq(mc_sites_find(t->graph, own, t->sites, &t->err), MC_OK);
    cr_assert_eq(mc_places_find(t->graph, t->sites, own, &t->places, &t->err), MC_OK, "%s",
                 t->err.text);
    cr_assert_eq(mc_edits_open(&t->model, mem, &t->edits, &t->err), MC_OK, "%s", t->err.text);
    t->hadamard = MC_NEW(own, uint32_t, t->sites->sites + 1);
    cr_assert_not_null(t->hadamard);
    cr_assert_leq(t->graph->inputs, (size_t)TRANSFORMED_INPUTS);
    for (size_t b = 0; b < TRANSFORMED_BATCHES; b++)
        for (size_t i = 0; i < t->graph->inputs; i++) draw_input(t, b, i);
    t->grid = (mc_grid){.levels = mc_levels_int(4), .scale_dtype = MC_F16};
    cr_assert_eq(mc_quant_setup_parse("mse", &t->rounding, &t->err), MC_OK);
}

/* ---- graphs of one's own ---- */

enum { TENSORS = 32, OPSET = 23 };

transformed transformed_begin(void)
{
    transformed t = {.online = true};
    open_region(&t);
    t.model.graph = mc_graph_new(arena_of(&t, REGION_BYTES / 64), "toy");
    t.model.tensor = MC_NEW(&t.region.arena, mc_tensor, TENSORS);
    cr_assert(t.model.graph && t.model.tensor);
    return t;
}

mc_id transformed_in(transformed *t, int ndim, const int64_t *dim)
{
    return mc_graph_add_input(t->model.graph, "x", MC_F32, ndim, dim);
}

/* Names must come in rising order: mc_model_find searches by halves. */
mc_id transformed_weight(transformed *t, const char *name, int ndim, const uint64_t *dim,
                         const float *x)
{
    mc_tensor *tensor = &t->model.tensor[t->model.tensors++];
    cr_assert_leq(t->model.tensors, (size_t)TENSORS);
    cr_assert(t->model.tensors < 2 || strcmp(tensor[-1].name, name) < 0, "%s", name);
    *tensor = (mc_tensor){.name = name, .dtype = MC_F32, .ndim = ndim, .count = 1};
    for (int d = 0; d < ndim; d++) tensor->count *= tensor->dim[d] = dim[d];
    tensor->bytes = tensor->count * sizeof(float);
    float *data = MC_NEW(&t->region.arena, float, (size_t)tensor->count);
    cr_assert_not_null(data);
    const mc_rng rng = {.seed = 5, .stream = t->model.tensors};
    for (size_t i = 0; i < tensor->count; i++) data[i] = x ? x[i] : mc_rng_unit(rng, i) - 0.5f;
    tensor->data = (const unsigned char *)data;
    return mc_graph_add_constant(t->model.graph, tensor);
}

mc_id transformed_node(transformed *t, const char *op, const char *name, const mc_id *in,
                       size_t ins)
{
    const mc_id out = mc_graph_apply(t->model.graph, "", op, OPSET, in, ins, name);
    cr_assert_neq(out, MC_NONE);
    return out;
}

void transformed_close(transformed *t)
{
    mc_edits_close(t->edits);
    mc_region_close(&t->region);
    mc_model_close(&t->model);
}

/* ---- running ---- */

typedef void (*watch_fn)(void *to, const mc_run *run, mc_id node);

typedef struct {
    const mc_graph *graph;
    const mc_weights *weights;
    const mc_sites *sites;
    const mc_act_spec *act;
    watch_fn watch; /* each node that is about to give its outputs; may be NULL */
    void *to;
} running;

static void run_batch(const transformed *t, const running *r, size_t batch,
                      void (*take)(void *to, size_t output, const mc_nd *y), void *to)
{
    const mc_exec_options options = {.name = "transformed",
                                     .weights = r->weights,
                                     .cache_bytes = UINT64_MAX,
                                     .act = r->act,
                                     .sites = r->sites,
                                     .activation_bits = 16,
                                     .keep_inputs = true};
    mc_err err = {0};
    mc_exec *exec = NULL;
    mc_run *run = NULL;
    const mc_nd *in[TRANSFORMED_INPUTS];
    for (size_t i = 0; i < r->graph->inputs; i++) in[i] = &t->input[batch][i];
    cr_assert_eq(mc_exec_open(r->graph, &options, &exec, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_run_open(exec, 0, &run, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_run_begin(run, in, r->graph->inputs, &err), MC_OK, "%s", err.text);
    for (mc_id node = 0; node != MC_NONE;) {
        cr_assert_eq(mc_run_step(run, &node, &err), MC_OK, "%s", err.text);
        if (node != MC_NONE && r->watch) r->watch(r->to, run, node);
    }
    for (size_t i = 0; i < r->graph->outputs && take; i++)
        take(to, i, mc_run_value(run, r->graph->output[i]));
    mc_run_close(run);
    mc_exec_close(exec);
}

/* Rotations that the device does. */
static const mc_act_spec *acts(const transformed *t, mc_arena *mem)
{
    mc_act_spec *act = MC_NEW(mem, mc_act_spec, t->sites->sites + 1);
    cr_assert_not_null(act);
    for (size_t s = 0; s < t->sites->sites; s++)
        act[s] = (mc_act_spec){.bits = 16, .hadamard = t->hadamard[s]};
    return act;
}

/* ---- distances ---- */

enum { OUTPUTS = 4 };

typedef struct {
    mc_arena *mem;
    float *y[OUTPUTS];
    size_t n[OUTPUTS];
    bool compares;
    double off, most;
} comparison;

static void take_output(void *to, size_t i, const mc_nd *y)
{
    comparison *c = to;
    cr_assert_lt(i, (size_t)OUTPUTS);
    cr_assert_eq(y->dtype, MC_F32);
    if (!c->compares) {
        c->y[i] = MC_NEW(c->mem, float, y->count);
        cr_assert_not_null(c->y[i]);
        memcpy(c->y[i], y->data, y->count * sizeof(float));
        c->n[i] = y->count;
        return;
    }
    cr_assert_eq(y->count, c->n[i]);
    const float *x = y->data;
    for (size_t k = 0; k < y->count; k++) {
        const double off = fabs((double)x[k] - (double)c->y[i][k]);
        c->off = off <= c->off ? c->off : isnan(off) ? (double)INFINITY : off;
        c->most = fmax(c->most, fabs((double)c->y[i][k]));
    }
}

static double distance(const transformed *t, const mc_graph *graph, const mc_act_spec *act,
                       mc_arena scratch)
{
    comparison c = {.mem = &scratch};
    for (size_t b = 0; b < TRANSFORMED_BATCHES; b++) {
        const running before = {.graph = t->graph};
        const running after = {.graph = graph,
                               .weights = mc_edits_weights(t->edits),
                               .sites = act ? t->sites : NULL,
                               .act = act};
        c.compares = false;
        run_batch(t, &before, b, take_output, &c);
        c.compares = true;
        run_batch(t, &after, b, take_output, &c);
    }
    return c.off / c.most;
}

double transformed_distance(const transformed *t)
{
    mc_arena scratch = t->region.arena;
    return distance(t, t->graph, acts(t, &scratch), scratch);
}

double transformed_distance_with_passes(const transformed *t)
{
    mc_arena scratch = t->region.arena;
    mc_graph *graph;
    mc_err err = {0};
    cr_assert_eq(mc_graph_prepare(t->model.graph, NULL, &scratch, &graph, &err), MC_OK);
    return distance(t, graph, NULL, scratch);
}

/* ---- what groups take ---- */

typedef struct {
    const transformed *t;
    const mc_input_group *group;
    mc_arena *mem;
    size_t n, groups, channels; /* columns and groups of the moments; channels */
    uint64_t rows;
    double *gram, *sum, *square, *mean_abs, count;
    float *least, *most, *absmax;
} collector;

static void add_row(collector *c, size_t group, const float *x)
{
    const size_t n = c->n;
    double *gram = c->gram + group * n * n;
    for (size_t i = 0; i < n; i++) {
        c->sum[group * n + i] += (double)x[i];
        c->square[group * n + i] += (double)x[i] * (double)x[i];
        for (size_t k = 0; k < n; k++) gram[i * n + k] += (double)x[i] * (double)x[k];
    }
}

static void alloc_collector(collector *c, const mc_site_rows *rows, size_t channels)
{
    const size_t all = rows->groups * rows->n;
    c->n = rows->n;
    c->groups = rows->groups;
    c->channels = channels;
    c->gram = MC_NEW(c->mem, double, all * rows->n);
    c->sum = MC_NEW(c->mem, double, all);
    c->square = MC_NEW(c->mem, double, all);
    c->mean_abs = MC_NEW(c->mem, double, channels);
    c->least = MC_NEW(c->mem, float, channels);
    c->most = MC_NEW(c->mem, float, channels);
    c->absmax = MC_NEW(c->mem, float, channels);
    cr_assert(c->gram && c->sum && c->square && c->mean_abs && c->least && c->most && c->absmax);
    for (size_t i = 0; i < channels; i++) {
        c->least[i] = INFINITY;
        c->most[i] = -INFINITY;
    }
}

static void add_channels(collector *c, const mc_nd *x, bool image)
{
    const size_t inner = image ? mc_nd_span(x, 2, x->ndim) : 1;
    const float *data = x->data;
    for (size_t i = 0; i < x->count; i++) {
        const size_t channel = i / inner % c->channels;
        c->least[channel] = fminf(c->least[channel], data[i]);
        c->most[channel] = fmaxf(c->most[channel], data[i]);
        c->absmax[channel] = fmaxf(c->absmax[channel], fabsf(data[i]));
        c->mean_abs[channel] += fabs((double)data[i]);
    }
    c->count += (double)x->count / (double)c->channels;
}

/* Takes what comes to the group's first site. */
static void take_rows(collector *c, const mc_run *run)
{
    const mc_site *site = &c->t->sites->site[c->group->site[0]];
    mc_err err = {0};
    mc_site_rows rows;
    const mc_nd *x = mc_run_value(run, c->group->value);
    cr_assert_not_null(x, "the input of %s", site->name);
    if (mc_site_rows_refuses(c->t->graph, site) || x->count == 0) return;
    cr_assert_eq(mc_site_rows_plan(c->t->graph, site, x, &rows, &err), MC_OK, "%s", err.text);
    const bool image = site->kind == MC_SITE_CONV;
    if (!c->gram) alloc_collector(c, &rows, (size_t)x->dim[image ? 1 : x->ndim - 1]);
    mc_arena scratch = *c->mem;
    float *row = MC_NEW(&scratch, float, rows.n);
    cr_assert_not_null(row);
    for (size_t g = 0; g < rows.groups; g++)
        for (size_t r = 0; r < rows.rows; r++) {
            mc_site_rows_fill(&rows, g, r, 1, row);
            add_row(c, g, row);
        }
    c->rows += rows.rows;
    add_channels(c, x, image);
}

typedef struct {
    collector *each;
    size_t n;
} collectors;

static void watch_groups(void *to, const mc_run *run, mc_id node)
{
    const collectors *all = to;
    for (size_t g = 0; g < all->n; g++)
        if (all->each[g].t->sites->site[all->each[g].group->site[0]].node == node)
            take_rows(&all->each[g], run);
}

/* Of all groups, with the edits as they are. */
static collector *collect(const transformed *t, mc_arena *mem)
{
    collectors all = {.n = t->places.groups.groups};
    all.each = MC_NEW(mem, collector, all.n + 1);
    cr_assert_not_null(all.each);
    for (size_t g = 0; g < all.n; g++)
        all.each[g] = (collector){.t = t, .group = &t->places.groups.group[g], .mem = mem};
    const running r = {.graph = t->graph,
                       .weights = mc_edits_weights(t->edits),
                       .sites = t->sites,
                       .act = acts(t, mem),
                       .watch = watch_groups,
                       .to = &all};
    for (size_t b = 0; b < TRANSFORMED_BATCHES; b++) run_batch(t, &r, b, NULL, NULL);
    for (size_t g = 0; g < all.n; g++)
        for (size_t i = 0; i < all.each[g].channels; i++)
            all.each[g].mean_abs[i] /= all.each[g].count;
    return all.each;
}

/* What the device makes of a row before it rounds it. */
static void turn(const transformed *t, const mc_input_group *group, float *x, size_t n,
                 mc_arena scratch)
{
    const uint32_t block = t->hadamard[group->site[0]];
    mc_rotation q;
    mc_err err = {0};
    if (block == 0) return;
    cr_assert_eq(mc_rotation_make(MC_ROTATE_HADAMARD, n, block, 0, &scratch, &q, &err), MC_OK);
    mc_rotate_f32(&q, false, x, 1, n, scratch);
}

typedef struct {
    const transformed *t;
    const mc_input_group *group;
    size_t channels;
    float *most;
    mc_arena *mem;
} largest;

static void watch_largest(void *to, const mc_run *run, mc_id node)
{
    const largest *l = to;
    const mc_site *site = &l->t->sites->site[l->group->site[0]];
    if (node != site->node) return;
    mc_arena scratch = *l->mem;
    const mc_nd *x = mc_run_value(run, l->group->value);
    float *row = MC_NEW(&scratch, float, l->channels);
    cr_assert(x && row && site->kind == MC_SITE_LINEAR && x->count % l->channels == 0);
    for (size_t at = 0; at < x->count; at += l->channels) {
        memcpy(row, (const float *)x->data + at, l->channels * sizeof *row);
        turn(l->t, l->group, row, l->channels, scratch);
        for (size_t i = 0; i < l->channels; i++) l->most[i] = fmaxf(l->most[i], fabsf(row[i]));
    }
}

void transformed_absmax(const transformed *t, const mc_input_group *group, size_t channels,
                        float *most)
{
    mc_arena mem = t->region.arena;
    largest l = {t, group, channels, most, &mem};
    const running r = {.graph = t->graph,
                       .weights = mc_edits_weights(t->edits),
                       .sites = t->sites,
                       .act = acts(t, &mem),
                       .watch = watch_largest,
                       .to = &l};
    memset(most, 0, channels * sizeof *most);
    for (size_t b = 0; b < TRANSFORMED_BATCHES; b++) run_batch(t, &r, b, NULL, NULL);
}

void transformed_edit(transformed *t, const char *name, mc_edit_kind kind, int axis,
                      const double *vector)
{
    const mc_tensor *tensor = mc_model_find(&t->model, name);
    const mc_edit edit = {.kind = kind, .axis = axis, .vector = vector};
    cr_assert_not_null(tensor, "%s", name);
    cr_assert_eq(mc_edits_add(t->edits, tensor, &edit, &t->err), MC_OK, "%s", t->err.text);
}

/* ---- transforming ---- */

static const mc_transform *find(const char *name)
{
    for (size_t i = 0; mc_transform_at(i); i++)
        if (strcmp(mc_transform_at(i)->name, name) == 0) return mc_transform_at(i);
    cr_assert_fail("there is no transform %s", name);
    return NULL;
}

static mc_status transform_groups(transformed *t, const mc_transform *transform)
{
    mc_arena mem = t->region.arena;
    const size_t room = mc_transform_memory(&t->places);
    const collector *all = collect(t, &mem);
    cr_assert_geq((size_t)(mem.end - mem.at), room);
    for (size_t g = 0; g < t->places.groups.groups; g++) {
        const collector *c = &all[g];
        if (!c->gram) continue;
        const mc_input_stats stats = {.group = c->group,
                                      .moments = {.n = c->n,
                                                  .groups = c->groups,
                                                  .rows = c->rows,
                                                  .gram = c->gram,
                                                  .sum = c->sum,
                                                  .square = c->square},
                                      .least = c->least,
                                      .most = c->most,
                                      .absmax = c->absmax,
                                      .mean_abs = c->mean_abs};
        const mc_arena scratch = {mem.at, mem.at + room};
        const mc_status status = transform->group(&t->job, &stats, scratch, &t->err);
        if (status != MC_OK) return status;
    }
    return MC_OK;
}

mc_status transformed_try(transformed *t, const char *name, const double *param)
{
    const mc_transform *transform = find(name);
    mc_quant_setup *setup = MC_NEW(&t->region.arena, mc_quant_setup, 1);
    cr_assert_not_null(setup);
    for (size_t i = 0; i < MC_QUANT_PARAMS && transform->params[i].key; i++)
        setup->param[i] = param ? param[i] : transform->params[i].usual;
    t->job = (mc_transform_job){.model = &t->model,
                                .places = &t->places,
                                .edits = t->edits,
                                .setup = setup,
                                .rounding = &t->rounding,
                                .grid = &t->grid,
                                .group = t->job.group,
                                .activation_bits = 8,
                                .seed = 3,
                                .online_hadamard = t->online,
                                .hadamard = t->hadamard,
                                .kv_hadamard = &t->kv_hadamard};
    const size_t room = mc_transform_memory(&t->places);
    cr_assert_geq((size_t)(t->region.arena.end - t->region.arena.at), 2 * room);
    mc_arena mem = {t->region.arena.at, t->region.arena.at + room};
    t->region.arena.at = mem.end;
    if (transform->begin) {
        const mc_status status = transform->begin(&t->job, &mem, &t->err);
        if (status != MC_OK) return status;
    }
    return transform->group ? transform_groups(t, transform) : MC_OK;
}

void transformed_apply(transformed *t, const char *name, const double *param)
{
    cr_assert_eq(transformed_try(t, name, param), MC_OK, "%s: %s", name, t->err.text);
}

/* ---- looking ---- */

const mc_place *transformed_place(const transformed *t, const char *consumer)
{
    for (size_t i = 0; i < t->places.places; i++)
        for (size_t k = 0; k < t->places.place[i].sites; k++)
            if (strstr(t->sites->site[t->places.place[i].site[k]].name, consumer))
                return &t->places.place[i];
    return NULL;
}

const float *transformed_tensor(transformed *t, const char *name)
{
    const mc_tensor *tensor = mc_model_find(&t->model, name);
    cr_assert_not_null(tensor, "%s", name);
    float *x = MC_NEW(&t->region.arena, float, (size_t)tensor->count);
    mc_arena scratch = t->region.arena;
    cr_assert_not_null(x);
    cr_assert_eq(mc_edits_load(t->edits, tensor, scratch, x, &t->err), MC_OK, "%s", t->err.text);
    return x;
}
