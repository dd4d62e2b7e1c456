/* One weight: its numbers are loaded, corrected, and coded slab by slab on all threads, by the
 * method of the plan or, where data are missing, by the plan's other one. */
#include "cli/pipeline_code.h"

#include "core/clock.h"
#include "core/kernels.h"
#include "core/sweep.h"
#include "quant/bias.h"
#include "quant/compensate.h"

#include <string.h>

typedef struct {
    mc_coding *coding;
    const mc_weight_input *input;
    mc_made_entry *now;
    const mc_quant_setup *setup;
    const mc_weight_spec *spec;
    float *weights;            /* all of it, in the order of the matrix */
    size_t first, rows;        /* those of the convolution's group under way */
    size_t slab;               /* rows of a piece */
    mc_moments moments;        /* of that group */
    bool knows;                /* there are such */
    const void *prepared;
    bool made_good;            /* what came before has been compensated */
    mc_quant_facts *facts;     /* of each piece */
} work;

/* ---- rows ---- */

static mc_status code_piece(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    work *w = job;
    const size_t from = w->first + i * w->slab, end = w->first + w->rows;
    const size_t rows = end - from < w->slab ? end - from : w->slab;
    mc_qmat q = mc_qmat_rows(&w->now->q, from, rows);
    const bool gains = w->knows && !w->made_good && (w->setup->method->wants & MC_QUANT_CROSS);
    const double *gain = gains ? w->input->residual : NULL;
    const mc_quant_job quant = {.weights = {w->weights + from * q.cols, rows, q.cols},
                                .setup = w->setup,
                                .first_row = from,
                                .moments = w->setup->method->wants && w->knows ? &w->moments : NULL,
                                .gain = gain ? gain + from * q.cols : NULL,
                                .prepared = w->prepared,
                                .facts = &w->facts[i]};
    return mc_quantize(&quant, &q, scratch, err);
}

static void add_facts(mc_quant_facts *to, const mc_quant_facts *facts)
{
    if (facts->damp > to->damp) to->damp = facts->damp;
    if (facts->floor > to->floor) to->floor = facts->floor;
    if (facts->dead > to->dead) to->dead = facts->dead;
    to->start += facts->start;
    to->end += facts->end;
}

/* All pieces of these rows, side by side. */
static mc_status run_pieces(work *w, mc_arena mem, mc_err *err)
{
    const size_t pieces = (w->rows + w->slab - 1) / w->slab;
    w->facts = MC_NEW(&mem, mc_quant_facts, pieces);
    if (!w->facts) return mc_no_room(err, "the facts of a weight");
    MC_TRY(mc_pool_for(w->coding->pool, pieces, code_piece, w, err));
    for (size_t i = 0; i < pieces; i++) add_facts(&w->now->facts, &w->facts[i]);
    return MC_OK;
}

/* ---- what rows that meet the same inputs share ---- */

void mc_prepared_drop(mc_prepared *prepared)
{
    mc_region_close(&prepared->room);
    mc_region_close(&prepared->compensation_room);
    *prepared = (mc_prepared){.moments = NULL};
}

static bool same_grid(const mc_grid *a, const mc_grid *b)
{
    return a->levels == b->levels && a->offset == b->offset && a->restricted == b->restricted &&
           a->negative_scale == b->negative_scale && a->scale_dtype == b->scale_dtype &&
           a->sub_bits == b->sub_bits && a->super == b->super;
}

static mc_status prepare(work *w, mc_err *err)
{
    const mc_quant_method *method = w->setup->method;
    mc_prepared *p = &w->coding->prepared;
    const mc_grid *grid = &w->spec->grid;
    const size_t group = w->now->q.group;
    w->prepared = NULL;
    if (!w->knows || !method->prepare) return MC_OK;
    if (p->moments != w->moments.square || p->setup != w->setup || p->group != group ||
        !same_grid(&p->grid, grid)) {
        mc_region_close(&p->room);
        p->moments = NULL;
        p->facts = (mc_quant_facts){0};
        const mc_quant_prepare in = {.setup = w->setup,
                                     .moments = &w->moments,
                                     .grid = grid,
                                     .group = group,
                                     .pool = w->coding->pool};
        MC_TRY(mc_region_open(&p->room, method->prepare_bytes(w->setup, w->moments.n), err));
        MC_TRY(method->prepare(&in, &p->room.arena, &p->prepared, &p->facts, err));
        p->setup = w->setup;
        p->grid = *grid;
        p->group = group;
        p->moments = w->moments.square;
    }
    add_facts(&w->now->facts, &p->facts);
    w->prepared = p->prepared;
    return MC_OK;
}

/* ---- compensation ---- */

static mc_status compensate_piece(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    const work *w = job;
    const size_t n = w->moments.n, from = w->first + i * w->slab, end = w->first + w->rows;
    const size_t rows = end - from < w->slab ? end - from : w->slab;
    const double *residual = w->input->residual;
    return mc_compensate_rows(&w->coding->prepared.compensation, w->weights + from * n, rows,
                              residual ? residual + from * n : NULL, scratch, err);
}

/* The weights that make good what came before, where there are two streams to tell. */
static mc_status compensate(work *w, mc_err *err)
{
    static const double damp = 0.01;
    if (!w->knows || !w->coding->plan->chain.correct[MC_CORRECTION_compensate]) return MC_OK;
    if (!w->moments.cross && !w->input->residual) return MC_OK;
    mc_prepared *p = &w->coding->prepared;
    if (p->compensated != w->moments.square) {
        p->compensated = NULL;
        mc_region_close(&p->compensation_room);
        MC_TRY(mc_region_open(&p->compensation_room, mc_compensate_prepare_bytes(w->moments.n),
                              err));
        MC_TRY(mc_compensate_prepare(&w->moments, damp, &p->compensation_room.arena,
                                     &p->compensation, err));
        p->compensated = w->moments.square;
    }
    MC_TRY(mc_pool_for(w->coding->pool, (w->rows + w->slab - 1) / w->slab, compensate_piece, w,
                       err));
    w->moments.cross = NULL; /* it is made good: a method that looks there would do so again */
    w->moments.shift = NULL;
    w->made_good = true;
    return MC_OK;
}

/* ---- which method, and why another ---- */

/* A Gram of so few rows says nothing about most directions: one in sixteen. */
static bool too_few(const mc_moments *m)
{
    return m->rows < (m->n + 15) / 16;
}

static const char *why_other(const work *w, const mc_plan_entry *entry, mc_arena *mem)
{
    const mc_moments *m = w->input->moments;
    if (!entry->setup->method->wants) return NULL;
    if (!m) return w->input->why_none ? w->input->why_none : "no data reached it";
    if (m->n != w->now->q.cols) return "its rows do not match the matrix that is coded";
    if (m->rows == 0) return "no token reached it";
    if (too_few(m))
        return mc_format(mem, "only %llu tokens reached it, %zu are needed",
                         (unsigned long long)m->rows, (m->n + 15) / 16);
    return NULL;
}

/* ---- what a bias makes good ---- */

static mc_status shift_bias(const work *w, const float *before, mc_arena mem, mc_err *err)
{
    mc_coding *coding = w->coding;
    const mc_moments *all = w->input->moments;
    const size_t rows = w->now->q.rows, cols = w->now->q.cols;
    mc_bias_slot slot;
    mc_err none;
    if (mc_bias_find(coding->calibration->graph, w->input->site, &mem, &slot, &none) != MC_OK) {
        w->now->no_bias = mc_copy_text(&coding->made->lists.arena, none.text, strlen(none.text));
        return w->now->no_bias ? MC_OK : mc_no_room(err, "the notes of a weight");
    }
    double *shift = MC_NEW(&mem, double, rows);
    float *after = MC_NEW_RAW(&mem, float, rows * cols);
    if (!shift || !after) return mc_no_room(err, "the bias of a weight");
    for (size_t r = 0; r < rows; r++)
        mc_grid_decode_row(&w->spec->grid, w->now->q.params + r * mc_qmat_groups(&w->now->q),
                           w->now->q.code + r * cols, mc_qmat_groups(&w->now->q), w->now->q.group,
                           after + r * cols);
    mc_bias_shift(all, before, after, rows, shift);
    for (size_t r = 0; r < rows; r++) shift[r] *= slot.factor[r];
    const mc_edit edit = {.kind = MC_EDIT_ADD, .axis = slot.axis, .vector = shift};
    return mc_edits_add(coding->made->edits, slot.tensor, &edit, err);
}

/* The weights as they were: what their outputs' mean is measured against. */
static mc_status keep_before(const work *w, mc_arena *mem, const float **before, mc_err *err)
{
    const mc_moments *all = w->input->moments;
    *before = NULL;
    if (!w->coding->plan->chain.correct[MC_CORRECTION_bias] || !w->input->site || !all ||
        all->n != w->now->q.cols)
        return MC_OK;
    const size_t count = w->now->q.rows * w->now->q.cols;
    float *copy = MC_NEW_RAW(mem, float, count);
    if (!copy) return mc_no_room(err, "a weight");
    memcpy(copy, w->weights, count * sizeof *copy);
    *before = copy;
    return MC_OK;
}

/* ---- the whole ---- */

static mc_status code_all(work *w, mc_arena mem, mc_err *err)
{
    const mc_plan *plan = w->coding->plan;
    mc_made_seconds *seconds = &w->coding->made->seconds;
    const mc_moments *all = w->input->moments;
    const size_t groups = all && w->now->why == NULL ? all->groups : 1;
    const size_t rows = w->now->q.rows;
    if (rows % groups != 0)
        return mc_fail(err, MC_E_INTERNAL, "%zu outputs in %zu groups", rows, groups);
    w->knows = all && w->now->why == NULL && all->n == w->now->q.cols;
    /* Methods that look at data take rows in tiles of so many. */
    w->slab = (mc_plan_slab_rows(plan, w->input->entry) + MC_SWEEP_TILE - 1) / MC_SWEEP_TILE *
              MC_SWEEP_TILE;
    if (w->slab > rows / groups) w->slab = rows / groups;
    for (size_t g = 0; g < groups; g++) {
        w->first = g * (rows / groups);
        w->rows = rows / groups;
        if (w->knows) w->moments = mc_moments_of_group(all, g);
        const double start = mc_seconds();
        MC_TRY(compensate(w, err));
        MC_TRY(prepare(w, err));
        const double ready = mc_seconds();
        MC_TRY(run_pieces(w, mem, err));
        seconds->factors += ready - start;
        seconds->codes += mc_seconds() - ready;
    }
    return MC_OK;
}

static mc_status code_loaded(work *w, mc_arena mem, mc_err *err)
{
    mc_made *made = w->coding->made;
    const mc_plan_entry *entry = &w->coding->plan->entry[w->input->entry];
    w->weights = MC_NEW_RAW(&mem, float, entry->tensor->count);
    if (!w->weights) return mc_no_room(err, "a weight");
    MC_TRY(mc_made_load(made, w->input->entry, mem, w->weights, err));
    MC_TRY(mc_made_begin_codes(made, w->input->entry, err));
    float most;
    mc_kernels_best()->absmax(w->weights, 1, entry->tensor->count, &most);
    mc_grid_set_tensor_scale(&w->now->q.grid, most);
    w->now->why = why_other(w, entry, &made->lists.arena);
    w->setup = w->now->why ? &w->coding->plan->other : entry->setup;
    w->now->setup = w->setup;
    w->now->fallback = w->now->why && w->input->site;
    if (w->now->fallback && w->coding->plan->options->no_fallback)
        return mc_fail(err, MC_E_UNSUPPORTED, "method %s: %s", entry->setup->method->name,
                       w->now->why);
    if (w->input->moments) w->now->rows_seen = w->input->moments->rows;
    const float *before;
    MC_TRY(keep_before(w, &mem, &before, err));
    MC_TRY(code_all(w, mem, err));
    w->now->coded = true;
    return before ? shift_bias(w, before, mem, err) : MC_OK;
}

mc_status mc_code_weight(mc_coding *coding, const mc_weight_input *input, mc_err *err)
{
    const mc_plan *plan = coding->plan;
    work w = {.coding = coding,
              .input = input,
              .now = &coding->made->entry[input->entry],
              .spec = &plan->weight[input->entry]};
    const mc_tensor *t = plan->entry[input->entry].tensor;
    mc_region memory;
    const size_t pieces = (size_t)t->count * sizeof(mc_quant_facts);
    MC_TRY(mc_region_open(&memory,
                          mc_made_load_bytes(plan, input->entry) + t->count * 3 * sizeof(float) +
                              pieces + ((size_t)1 << 20),
                          err));
    const mc_status status = code_loaded(&w, memory.arena, err);
    mc_region_close(&memory);
    if (status == MC_OK) return MC_OK;
    return mc_wrap(err, "%s: tensor \"%s\"", plan->model->source[t->source].path, t->name);
}
