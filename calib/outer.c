/* Blocks of outputs side by side; each goes through all samples in chunks of rows. */
#include "calib/outer.h"

#include "core/linalg.h"

#include <string.h>

enum { OUTPUTS = 64, CHUNK = 128 };

typedef struct {
    const mc_outer_rows *rows;
    size_t m, n;
    double *out;
} job;

size_t mc_outer_scratch(size_t n)
{
    return CHUNK * ((n + OUTPUTS) * (sizeof(double) + sizeof(float)) + OUTPUTS * sizeof(float)) +
           n * sizeof(float) + 4096;
}

/* Room of one piece. */
typedef struct {
    double *x, *d;
    float *from;
} chunk_room;

static const float *rows_at(const mc_site_rows *rows, size_t first, size_t count, float *room)
{
    const float *at = mc_site_rows_at(rows, first);
    if (at) return at;
    mc_site_rows_fill(rows, 0, first, count, room);
    return room;
}

static void add_chunk(const job *j, size_t sample, size_t first, size_t count, size_t output,
                      size_t outputs, const chunk_room *r)
{
    const float *x = rows_at(&j->rows->x[sample], first, count, r->from);
    for (size_t i = 0; i < count * j->n; i++) r->x[i] = (double)x[i];
    for (size_t t = 0; t < count; t++) {
        const float *a = mc_site_rows_at(&j->rows->a[sample], first + t);
        const float *b = mc_site_rows_at(&j->rows->b[sample], first + t);
        for (size_t o = 0; o < outputs; o++)
            r->d[t * outputs + o] = (double)a[output + o] - (double)b[output + o];
    }
    mc_gemm_f64(outputs, j->n, count, r->d, outputs, 1, r->x, j->n, 0, 1.0,
                j->out + output * j->n, j->n);
}

static mc_status piece(void *context, size_t i, mc_arena scratch, mc_err *err)
{
    const job *j = context;
    const size_t output = i * OUTPUTS;
    const size_t outputs = j->m - output < OUTPUTS ? j->m - output : OUTPUTS;
    const chunk_room r = {MC_NEW_RAW(&scratch, double, CHUNK * j->n),
                    MC_NEW_RAW(&scratch, double, CHUNK * OUTPUTS),
                    MC_NEW_RAW(&scratch, float, CHUNK * j->n)};
    if (!r.x || !r.d || !r.from) return mc_no_room(err, "rows of a residual stream");
    memset(j->out + output * j->n, 0, outputs * j->n * sizeof *j->out);
    for (size_t s = 0; s < j->rows->samples; s++) {
        const size_t all = j->rows->x[s].rows;
        for (size_t first = 0; first < all; first += CHUNK) {
            const size_t count = all - first < CHUNK ? all - first : CHUNK;
            add_chunk(j, s, first, count, output, outputs, &r);
        }
    }
    return MC_OK;
}

static mc_status check(const mc_outer_rows *rows, mc_err *err)
{
    for (size_t s = 0; s < rows->samples; s++) {
        const mc_site_rows *a = &rows->a[s], *b = &rows->b[s], *x = &rows->x[s];
        const bool lies = a->rows == 0 || (mc_site_rows_at(a, 0) && mc_site_rows_at(b, 0));
        if (a->groups != 1 || b->groups != 1 || x->groups != 1 || a->rows != x->rows ||
            b->rows != x->rows || a->n != b->n || a->n != rows->a[0].n || x->n != rows->x[0].n ||
            !lies)
            return mc_fail(err, MC_E_FORMAT,
                           "sample %zu: %zu rows of %zu, %zu of %zu and %zu of %zu do not belong "
                           "together",
                           s, a->rows, a->n, b->rows, b->n, x->rows, x->n);
    }
    return MC_OK;
}

mc_status mc_outer_sum(const mc_outer_rows *rows, mc_pool *pool, double *out, mc_err *err)
{
    if (rows->samples == 0) return MC_OK;
    MC_TRY(check(rows, err));
    job j = {rows, rows->a[0].n, rows->x[0].n, out};
    return mc_pool_for(pool, (j.m + OUTPUTS - 1) / OUTPUTS, piece, &j, err);
}
