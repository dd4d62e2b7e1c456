/* What learned rounding needs besides its own slopes: moments in units, targets and starts, the
 * objective in f64, and what becomes of candidates. */
#include "quant/learned_shared.h"

#include "core/linalg.h"
#include "quant/descent_shared.h"
#include "quant/gptq_shared.h"
#include "quant/quick_math.h"
#include "quant/rows.h"

#include <math.h>
#include <string.h>

enum { TILE = MC_LEARNED_TILE };
enum { ROUNDS = 8 }; /* of a descent, at most */

/* ---- what rows share ---- */

static double mean_of_living(const double *gram, size_t n)
{
    double sum = 0.0;
    size_t living = 0;
    for (size_t i = 0; i < n; i++)
        if (gram[i * n + i] > 0.0) {
            sum += gram[i * n + i];
            living++;
        }
    return living ? sum / (double)living : 1.0;
}

/* Damping of a column; where nothing was met there is none. */
static double added(const mc_learned *learned, size_t column)
{
    const mc_sweep_factor *factor = &learned->compensation.solve;
    return factor->dead[column] ? 0.0 : factor->added;
}

static mc_status in_units(const double *gram, mc_arena *mem, mc_learned *out, mc_err *err)
{
    const size_t n = out->n;
    float *scaled = MC_NEW_RAW(mem, float, n *n), *worth = MC_NEW_RAW(mem, float, n);
    if (!scaled || !worth) return mc_no_room(err, "the moments of a site");
    for (size_t i = 0; i < n * n; i++) scaled[i] = (float)(gram[i] / out->unit);
    for (size_t i = 0; i < n; i++) {
        scaled[i * n + i] = (float)((gram[i * n + i] + added(out, i)) / out->unit);
        worth[i] = scaled[i * n + i];
    }
    out->gram = scaled;
    out->worth = worth;
    return MC_OK;
}

static mc_quant_setup usual_setup(const mc_quant_method *method)
{
    mc_quant_setup setup = {.method = method};
    for (size_t i = 0; i < MC_QUANT_PARAMS && method->params[i].key; i++)
        setup.param[i] = method->params[i].usual;
    return setup;
}

/* gptq and as many rounds of descent as its results are measured against. */
static mc_quant_setup sweep_setup(double damp)
{
    mc_quant_setup setup = usual_setup(&mc_quant_gptq);
    setup.param[MC_GPTQ_DAMP] = damp;
    setup.param[MC_GPTQ_ROUNDS] = fmax(setup.param[MC_GPTQ_ROUNDS], ROUNDS);
    return setup;
}

/* The sweep works on the target, for which there is one stream. */
static mc_status prepare_sweep(const mc_quant_prepare *in, double damp, mc_arena *mem,
                               mc_learned *out, mc_quant_facts *facts, mc_err *err)
{
    mc_moments one_stream = *in->moments;
    one_stream.cross = NULL;
    out->sweep = sweep_setup(damp);
    mc_quant_prepare sweep = *in;
    sweep.setup = &out->sweep;
    sweep.moments = &one_stream;
    return mc_quant_make_ready(&sweep, mem, &out->swept, facts, err);
}

static void tell(const mc_sweep_factor *factor, mc_quant_facts *facts)
{
    facts->damp = fmax(facts->damp, factor->damp);
    facts->floor = fmax(facts->floor, factor->floor);
    facts->dead += factor->dead_columns;
}

mc_status mc_learned_prepare(const mc_quant_prepare *in, mc_learned_rule rule, mc_arena *mem,
                             const void **out, mc_quant_facts *facts, mc_err *err)
{
    const mc_moments *m = in->moments;
    mc_learned *made = MC_NEW(mem, mc_learned, 1);
    if (!made) return mc_no_room(err, "the moments of a site");
    made->n = m->n;
    made->start = rule.start;
    MC_TRY(mc_compensate_prepare(m, rule.damp, mem, &made->compensation, err));
    made->unit = mean_of_living(m->gram, m->n);
    MC_TRY(in_units(m->gram, mem, made, err));
    if (rule.start == MC_START_SWEEP)
        MC_TRY(prepare_sweep(in, rule.damp, mem, made, facts, err));
    else if (facts)
        tell(&made->compensation.solve, facts);
    *out = made;
    return MC_OK;
}

size_t mc_learned_prepare_bytes(size_t n)
{
    const mc_quant_setup sweep = sweep_setup(0.0);
    return sizeof(mc_learned) + (n * n + n) * sizeof(float) + 3 * 64 +
           mc_compensate_prepare_bytes(n) + mc_quant_ready_bytes(&sweep, n);
}

/* ---- targets and starts of a job's rows ---- */

static mc_status make_target(const mc_quant_job *job, mc_arena *mem, mc_learned_rows *rows,
                             mc_err *err)
{
    const mc_mat w = job->weights;
    rows->target = w.at;
    if (!rows->learned->compensation.cross && !job->gain) return MC_OK;
    float *target = MC_NEW_RAW(mem, float, w.rows *w.cols);
    if (!target) return mc_no_room(err, "the target of a slab");
    memcpy(target, w.at, w.rows * w.cols * sizeof *target);
    rows->target = target;
    return mc_compensate_rows(&rows->learned->compensation, target, w.rows, job->gain, *mem, err);
}

static mc_status make_start(const mc_quant_job *job, const mc_learned_rows *rows, mc_qmat *out,
                            mc_arena scratch, mc_err *err)
{
    const mc_learned *learned = rows->learned;
    const mc_quant_setup hqq = usual_setup(&mc_quant_hqq);
    mc_moments one_stream = *job->moments;
    mc_quant_facts swept = {0};
    one_stream.cross = NULL;
    const mc_quant_job start = {
        .weights = {rows->target, job->weights.rows, job->weights.cols},
        .setup = learned->start == MC_START_SWEEP ? &learned->sweep : &hqq,
        .first_row = job->first_row,
        .moments = &one_stream,
        .prepared = learned->swept,
        .facts = &swept,
    };
    if (learned->start == MC_START_SWEEP) {
        MC_TRY(mc_quant_gptq.run(&start, out, scratch, err));
        if (job->facts) job->facts->start += swept.start;
        return MC_OK;
    }
    if (learned->start == MC_START_NEAREST) {
        const mc_fit squares = {.kind = MC_FIT_SEARCH, .norm = 2.0f};
        return fit_and_encode_rows(&start, squares, NULL, out, err);
    }
    const char *reason = mc_quant_hqq.refuses(&out->grid);
    if (reason) return mc_fail(err, MC_E_UNSUPPORTED, "start %d (hqq): %s", MC_START_HQQ, reason);
    return mc_quant_hqq.run(&start, out, scratch, err);
}

static mc_status open_tile(mc_learned_rows *t, mc_arena *mem, mc_err *err)
{
    const size_t n = TILE * t->n;
    t->start = *t->all;
    t->start.rows = TILE;
    t->trial = t->start;
    MC_TRY(mc_qmat_alloc(&t->start, mem, err));
    MC_TRY(mc_qmat_alloc(&t->trial, mem, err));
    t->off = MC_NEW_RAW(mem, double, n);
    t->slope = MC_NEW_RAW(mem, double, n);
    t->value = MC_NEW_RAW(mem, float, n);
    t->now = MC_NEW_RAW(mem, mc_learned_score, TILE);
    t->held = MC_NEW_RAW(mem, mc_learned_score, TILE);
    t->bar = MC_NEW_RAW(mem, double, TILE);
    const bool all = t->off && t->slope && t->value && t->now && t->held && t->bar;
    return all ? MC_OK : mc_no_room(err, "a tile of rows");
}

mc_status mc_learned_open(const mc_quant_job *job, mc_qmat *out, mc_arena *mem,
                          mc_learned_rows *rows, mc_err *err)
{
    const mc_learned *learned = job->prepared;
    if (!learned || !job->moments || learned->n != out->cols)
        return mc_fail(err, MC_E_INTERNAL, "no moments of %zu columns were prepared", out->cols);
    *rows = (mc_learned_rows){
        .learned = learned,
        .gram = job->moments->gram,
        .n = out->cols,
        .groups = mc_qmat_groups(out),
        .all = out,
    };
    MC_TRY(open_tile(rows, mem, err));
    MC_TRY(make_target(job, mem, rows, err));
    return make_start(job, rows, out, *mem, err);
}

size_t mc_learned_scratch(const mc_grid *grid, size_t rows, size_t cols, size_t group)
{
    const size_t tile = 2 * mc_qmat_bytes(grid, TILE, cols, group) +
                        TILE * cols * (2 * sizeof(double) + sizeof(float)) +
                        TILE * (2 * sizeof(mc_learned_score) + sizeof(double)) + 6 * 64;
    const size_t loan[] = {mc_compensate_scratch(rows, cols), mc_descend_scratch(cols),
                           mc_quant_gptq.scratch(grid, rows, cols, group),
                           mc_quant_hqq.scratch(grid, rows, cols, group)};
    size_t most = 0;
    for (size_t i = 0; i < sizeof loan / sizeof loan[0]; i++)
        most = loan[i] > most ? loan[i] : most;
    return tile + rows * cols * sizeof(float) + 64 + most;
}

/* ---- the objective ---- */

static void score_row(const mc_learned_rows *t, size_t row)
{
    const double *off = t->off + row * t->n, *slope = t->slope + row * t->n;
    double loss = 0.0, damping = 0.0;
    for (size_t j = 0; j < t->n; j++) {
        loss += off[j] * slope[j];
        damping += added(t->learned, j) * off[j] * off[j];
    }
    t->now[row] = (mc_learned_score){loss, loss + damping};
}

/* Scores all rows. */
static void measure(const mc_learned_rows *t, const mc_qmat *q)
{
    const size_t n = t->n, filled = t->rows * n;
    for (size_t r = 0; r < t->rows; r++)
        mc_grid_decode_row(&q->grid, q->params + r * t->groups, q->code + r * n, t->groups,
                           q->group, t->value + r * n);
    for (size_t i = 0; i < filled; i++) t->off[i] = (double)t->value[i] - (double)t->t[i];
    memset(t->off + filled, 0, (TILE * n - filled) * sizeof *t->off);
    mc_gemm_f64(TILE, n, n, t->off, n, 0, t->gram, n, 0, 0.0, t->slope, n);
    for (size_t r = 0; r < t->rows; r++) score_row(t, r);
}

/* ---- candidates ---- */

static void copy_rows(mc_qmat *to, const mc_qmat *from, size_t row, size_t rows)
{
    const size_t groups = mc_qmat_groups(to), supers = mc_qmat_supers(to);
    const size_t at = row * groups, n = rows * groups;
    memcpy(to->code + row * to->cols, from->code + row * to->cols, rows * to->cols);
    memcpy(to->params + at, from->params + at, n * sizeof *to->params);
    if (to->sub) memcpy(to->sub + at, from->sub + at, n * sizeof *to->sub);
    if (to->super)
        memcpy(to->super + row * supers, from->super + row * supers,
               rows * supers * sizeof *to->super);
}

static void keep_the_better(mc_learned_rows *t)
{
    for (size_t r = 0; r < t->rows; r++) {
        if (!(t->now[r].damped < t->held[r].damped && t->now[r].loss <= t->bar[r])) continue;
        t->held[r] = t->now[r];
        copy_rows(&t->best, &t->trial, r, 1);
    }
}

mc_status mc_learned_offer(mc_learned_rows *t, mc_arena scratch, mc_err *err)
{
    const mc_descent descent = {t->gram, &t->learned->compensation.solve, ROUNDS};
    const mc_descent_rows rows = {&t->trial, 0, t->rows, t->t, NULL};
    measure(t, &t->trial);
    keep_the_better(t);
    MC_TRY(mc_descend(&descent, rows, scratch, err));
    measure(t, &t->trial);
    keep_the_better(t);
    return MC_OK;
}

void mc_learned_reset_trial(mc_learned_rows *t)
{
    copy_rows(&t->trial, &t->start, 0, t->rows);
}

/* ---- tiles ---- */

static mc_qmat part_of(const mc_qmat *q, size_t first, size_t rows)
{
    mc_qmat part = *q;
    part.rows = rows;
    part.code += first * q->cols;
    part.params += first * mc_qmat_groups(q);
    if (part.sub) part.sub += first * mc_qmat_groups(q);
    if (part.super) part.super += first * mc_qmat_supers(q);
    return part;
}

/* The nearest codes on the numbers of the start. */
static void try_nearest(mc_learned_rows *t, mc_quant_facts *facts)
{
    mc_learned_reset_trial(t);
    for (size_t r = 0; r < t->rows; r++)
        mc_grid_encode_row(&t->trial.grid, t->trial.params + r * t->groups, t->t + r * t->n,
                           t->groups, t->trial.group, t->trial.code + r * t->n);
    measure(t, &t->trial);
    for (size_t r = 0; r < t->rows; r++) {
        if (facts && t->learned->start != MC_START_SWEEP) facts->start += t->now[r].loss;
        if (!(t->now[r].loss < t->bar[r])) continue;
        t->bar[r] = t->now[r].loss;
        t->held[r] = t->now[r];
        copy_rows(&t->best, &t->trial, r, 1);
    }
}

mc_status mc_learned_begin(mc_learned_rows *t, size_t first, mc_quant_facts *facts,
                           mc_arena scratch, mc_err *err)
{
    const size_t left = t->all->rows - first;
    t->rows = left < TILE ? left : TILE;
    t->t = t->target + first * t->n;
    t->best = part_of(t->all, first, t->rows);
    copy_rows(&t->start, &t->best, 0, t->rows);
    measure(t, &t->start);
    for (size_t r = 0; r < t->rows; r++) {
        t->held[r] = t->now[r];
        t->bar[r] = t->now[r].loss;
    }
    try_nearest(t, facts);
    if (t->learned->start == MC_START_SWEEP) return MC_OK; /* it has descended already */
    mc_learned_reset_trial(t);
    return mc_learned_offer(t, scratch, err);
}

void mc_learned_end(const mc_learned_rows *t, mc_quant_facts *facts)
{
    for (size_t r = 0; facts && r < t->rows; r++) facts->end += t->held[r].loss;
}

/* ---- iterations ---- */

void mc_learned_product(const mc_learned *learned, const float *d, float *slope)
{
    const size_t n = learned->n;
    const mc_gemm_operand a = {d, n, 0}, b = {learned->gram, n, 0};
    mc_gemm(TILE, n, n, a, b, 0.0f, slope, n);
}

double mc_learned_row_unit(const float *step, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)step[i] * (double)step[i];
    return sum > 0.0 ? sqrt(sum / (double)n) : 1.0;
}

static const double adam_first = 0.9, adam_second = 0.999;

mc_adam mc_adam_at(double rate, unsigned step)
{
    return (mc_adam){
        .rate = (float)(rate / (1.0 - pow(adam_first, step))),
        .second_unbias = (float)(1.0 / (1.0 - pow(adam_second, step))),
    };
}

void mc_adam_move(mc_adam adam, const float *slope, float *mean, float *square, float *x, size_t n)
{
    const float a = (float)adam_first, b = (float)adam_second;
    const float na = (float)(1.0 - adam_first), nb = (float)(1.0 - adam_second);
    for (size_t i = 0; i < n; i++) {
        const float g = slope[i];
        mean[i] = a * mean[i] + na * g;
        square[i] = b * square[i] + nb * g * g;
        const float s = square[i] * adam.second_unbias;
        x[i] -= adam.rate * mean[i] / (s * quick_inverse_root(s) + 1e-8f);
    }
}
