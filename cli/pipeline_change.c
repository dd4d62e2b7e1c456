/* Changes are applied one by one, in f64: x / s, x - z, x Q, and what follows for sums of x x^T. */
#include "cli/pipeline_change.h"

#include <math.h>

size_t mc_change_scratch(size_t n)
{
    return 10 * n * sizeof(double) + 4096;
}

/* ---- moments ---- */

/* Columns of a group of the moments that a channel has, and the group's first channel. */
typedef struct {
    size_t each, first;
} columns;

static columns columns_of(const mc_moments *m, const mc_input_change *c, size_t group)
{
    const size_t each = m->groups * m->n / c->n;
    return (columns){each ? each : 1, group * m->n / (each ? each : 1)};
}

static void scale_group(const mc_input_change *c, mc_moment_sums *m, size_t group, double *by)
{
    const size_t n = m->view.n;
    const columns at = columns_of(&m->view, c, group);
    double *gram = m->gram ? m->gram + group * n * n : NULL;
    for (size_t i = 0; i < n; i++) {
        const double s = c->vector[at.first + i / at.each];
        by[i] = s != 0.0 ? 1.0 / s : 0.0;
    }
    for (size_t i = 0; i < n; i++) {
        m->sum[group * n + i] *= by[i];
        m->square[group * n + i] *= by[i] * by[i];
        for (size_t k = 0; gram && k < n; k++) gram[i * n + k] *= by[i] * by[k];
    }
}

static void shift_group(const mc_input_change *c, mc_moment_sums *m, size_t group, double *by)
{
    const size_t n = m->view.n;
    const columns at = columns_of(&m->view, c, group);
    const double rows = (double)m->view.rows;
    double *gram = m->gram ? m->gram + group * n * n : NULL;
    double *sum = m->sum + group * n, *square = m->square + group * n;
    for (size_t i = 0; i < n; i++) by[i] = c->vector[at.first + i / at.each];
    for (size_t i = 0; i < n; i++) {
        square[i] = fmax(square[i] - 2.0 * by[i] * sum[i] + rows * by[i] * by[i], 0.0);
        for (size_t k = 0; gram && k < n; k++)
            gram[i * n + k] -= by[i] * sum[k] + by[k] * sum[i] - rows * by[i] * by[k];
    }
    for (size_t i = 0; i < n; i++) sum[i] -= rows * by[i];
}

static void transpose(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) {
            const double kept = x[i * n + k];
            x[i * n + k] = x[k * n + i];
            x[k * n + i] = kept;
        }
}

/* Q^T G Q, as symmetric as G was. */
static void rotate_gram(const mc_rotation *q, double *gram, size_t n, mc_arena scratch)
{
    mc_rotate_f64(q, false, gram, n, n, scratch);
    transpose(gram, n);
    mc_rotate_f64(q, false, gram, n, n, scratch);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) gram[k * n + i] = gram[i * n + k];
}

static mc_status rotate_moments(const mc_input_change *c, mc_moment_sums *m, mc_arena scratch,
                                mc_err *err)
{
    const size_t n = m->view.n;
    if (!m->gram)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "statistics without a Gram do not say what a rotation makes of them");
    if (m->view.groups != 1 || n != c->rotation->n)
        return mc_fail(err, MC_E_FORMAT, "statistics of %zu columns, where %zu are rotated", n,
                       c->rotation->n);
    rotate_gram(c->rotation, m->gram, n, scratch);
    mc_rotate_f64(c->rotation, false, m->sum, 1, n, scratch);
    return MC_OK;
}

static mc_status change_once(const mc_input_change *c, mc_moment_sums *m, mc_arena scratch,
                             mc_err *err)
{
    if (c->kind == MC_INPUT_ROTATED) return rotate_moments(c, m, scratch, err);
    double *by = MC_NEW_RAW(&scratch, double, m->view.n);
    if (!by) return mc_no_room(err, "moments");
    if (c->n == 0 || m->view.groups * m->view.n % c->n != 0)
        return mc_fail(err, MC_E_FORMAT, "statistics of %zu columns for an input of %zu channels",
                       m->view.groups * m->view.n, c->n);
    for (size_t g = 0; g < m->view.groups; g++) {
        if (c->kind == MC_INPUT_SCALED)
            scale_group(c, m, g, by);
        else
            shift_group(c, m, g, by);
    }
    return MC_OK;
}

mc_status mc_change_moments(const mc_input_change *first, mc_moment_sums *m, mc_arena scratch,
                            mc_err *err)
{
    const size_t n = m->view.n;
    for (const mc_input_change *c = first; c; c = c->next) MC_TRY(change_once(c, m, scratch, err));
    for (size_t i = 0; first && m->gram && i < m->view.groups * n; i++) {
        double *diagonal = m->gram + i / n * n * n + i % n * (n + 1);
        *diagonal = fmax(*diagonal, 0.0);
        m->square[i] = *diagonal;
    }
    return MC_OK;
}

/* ---- channels ---- */

bool mc_change_channels(const mc_input_change *first, mc_channels *ch)
{
    for (const mc_input_change *c = first; c; c = c->next)
        if (c->kind != MC_INPUT_SCALED || c->n != ch->n) return false;
    for (const mc_input_change *c = first; c; c = c->next)
        for (size_t i = 0; i < ch->n; i++) {
            const double by = c->vector[i] != 0.0 ? 1.0 / c->vector[i] : 0.0;
            const double a = (double)ch->least[i] * by, b = (double)ch->most[i] * by;
            ch->least[i] = (float)fmin(a, b);
            ch->most[i] = (float)fmax(a, b);
            ch->sum[i] *= by;
            ch->abs[i] *= fabs(by);
            ch->square[i] *= by * by;
        }
    return true;
}

/* ---- samples ---- */

void mc_change_sample(const mc_input_change *first, const mc_act_shape *shape, float *x,
                      mc_arena scratch)
{
    const size_t row = shape->channels * shape->inner;
    for (const mc_input_change *c = first; c; c = c->next) {
        if (c->kind == MC_INPUT_ROTATED) {
            mc_rotate_f32(c->rotation, false, x, shape->rows, row, scratch);
            continue;
        }
        for (size_t i = 0; i < shape->rows * row; i++) {
            const double by = c->vector[i % row / shape->inner];
            const double v = (double)x[i];
            x[i] = (float)(c->kind == MC_INPUT_SHIFTED ? v - by : by != 0.0 ? v / by : 0.0);
        }
    }
}
