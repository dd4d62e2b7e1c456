/* The closed form, by the factor that sweeps use: it brings the ladder of dampings and the rule for
 * columns that met nothing with it. */
#include "quant/compensate.h"

#include "core/linalg.h"

#include <math.h>
#include <string.h>

enum { TILE = MC_SWEEP_TILE };

mc_status mc_compensate_prepare(const mc_moments *one, double damp, mc_arena *mem,
                                mc_compensation *out, mc_err *err)
{
    const size_t n = one->n;
    const mc_sweep_setup setup = {.damp = damp};
    *out = (mc_compensation){.cross = one->cross};
    for (size_t i = 0; one->cross && i < n * n; i++)
        if (!isfinite(one->cross[i]))
            return mc_fail(err, MC_E_FORMAT,
                           "the cross moment of the inputs is %s at columns %zu and %zu",
                           isnan(one->cross[i]) ? "nan" : "infinite", i / n, i % n);
    return mc_sweep_prepare(n, one->gram, NULL, &setup, mem, &out->solve, err);
}

size_t mc_compensate_prepare_bytes(size_t n)
{
    return mc_sweep_prepare_bytes(n, false);
}

size_t mc_compensate_scratch(size_t rows, size_t n)
{
    (void)rows;
    return 2 * TILE * n * sizeof(double) + 2 * 64 + mc_sweep_solve_scratch(n);
}

/* pull = W C + R of a tile, 0 in columns that met nothing; `wide` is room for W. */
static void pull_of(const mc_compensation *c, const float *w, size_t rows, const double *residual,
                    double *wide, double *pull)
{
    const size_t n = c->solve.n, filled = rows * n;
    memset(pull, 0, TILE * n * sizeof *pull);
    if (residual) memcpy(pull, residual, filled * sizeof *pull);
    if (c->cross) {
        memset(wide, 0, TILE * n * sizeof *wide);
        for (size_t i = 0; i < filled; i++) wide[i] = (double)w[i];
        mc_gemm_f64(TILE, n, n, wide, n, 0, c->cross, n, 0, 1.0, pull, n);
    }
    for (size_t j = 0; j < n; j++)
        for (size_t r = 0; c->solve.dead[j] && r < rows; r++) pull[r * n + j] = 0.0;
}

static mc_status add_rows(const double *move, size_t first, size_t rows, size_t n, float *w,
                          mc_err *err)
{
    for (size_t i = 0; i < rows * n; i++) {
        w[i] = (float)((double)w[i] + move[i]);
        if (!isfinite(w[i]))
            return mc_fail(err, MC_E_FORMAT, "row %zu, column %zu: compensated weight is %s",
                           first + i / n, i % n, isnan(w[i]) ? "nan" : "inf");
    }
    return MC_OK;
}

mc_status mc_compensate_rows(const mc_compensation *c, float *w, size_t rows,
                             const double *residual, mc_arena scratch, mc_err *err)
{
    const size_t n = c->solve.n;
    if (!c->cross && !residual) return MC_OK;
    double *wide = MC_NEW_RAW(&scratch, double, TILE * n);
    double *pull = MC_NEW_RAW(&scratch, double, TILE * n);
    if (!wide || !pull) return mc_no_room(err, "a tile of rows");
    for (size_t first = 0; first < rows; first += TILE) {
        const size_t count = rows - first < TILE ? rows - first : TILE, at = first * n;
        pull_of(c, w + at, count, residual ? residual + at : NULL, wide, pull);
        MC_TRY(mc_sweep_solve(&c->solve, pull, count, scratch, err));
        MC_TRY(add_rows(pull, first, count, n, w + at, err));
    }
    return MC_OK;
}
