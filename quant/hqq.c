/* Half-quadratic quantization: the offset that leaves the least sum of |w - v|^p, p below 1, so
 * that a few large weights may be missed and the many others are met well (Badri and Shaji 2023,
 * "Half-Quadratic Quantization of Large Machine Learning Models").
 *
 * The error is split into e and a rest that is measured in squares. In turn, e shrinks the error,
 *     e <- sign(x) max(|x| - |x|^(p-1) / beta, 0),  x = w - v,
 * and the offset becomes the mean of w - e - s t[u], after which codes are chosen again; beta
 * grows by kappa. It stops when the error stops falling, and keeps the best of all it has seen.
 *
 * The scale is not searched in this norm: small errors would pay for clipping more and more
 * weights, and what the layer computes suffers (it can be done: mse with norm 0.7).
 *
 * Deviations. (1) x is measured in steps of the grid, else what beta means would depend on the
 * size of the weights. (2) Scale and offset are rounded to what is stored before codes are chosen,
 * so the error that is compared is the one that remains. (3) An integer zero goes through the same
 * iterations, rounded, and its neighbours are tried. (4) It starts from both the range and the
 * least squares fit of the grid: never worse than rtn and mse in the norm p. */
#include "quant/quant.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { P, ITERATIONS, BETA, KAPPA };
enum { CHUNK = 256 };

/* power() is off by less than this, relatively; a smaller gain is no gain. */
static const double power_error = 2e-6;

/* An iteration that lowers the error by less than this fraction is the last. */
static const double least_fall = 3e-3;

/* One group and what is known about it. */
typedef struct {
    const mc_grid *grid;
    const float *w;
    size_t n;
    const double *param;   /* of the setup */
    float unit;            /* a power of two that takes the largest weight to 0.5..1 */
    double per_rest;       /* 1 / (n * unit) */
    float steps_per_scale; /* mean distance of neighbouring levels */
    mc_params best;
    double cost; /* of best: sum of |(w - v) * unit|^p */
} group_fit;

static const char *refuses(const mc_grid *grid)
{
    if (grid->offset == MC_OFFSET_NONE)
        return "it optimises the zero, so it needs an asymmetric grid";
    if (grid->sub_bits) return "it fits each group alone, so it needs plain scales";
    return NULL;
}

static size_t scratch_bytes(const mc_grid *grid, size_t rows, size_t cols, size_t group)
{
    (void)grid, (void)rows;
    return cols / group * sizeof(mc_params) + 64; /* and what aligning takes */
}

static inline float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* a^p for a in [0, 2^40]; 0 below 2^-60. Plain arithmetic, so that compilers make vector code of
 * the loop around it and every machine gets the same bits; powf promises neither. log2 by the
 * series of atanh, 2^x by the polynomial of Cephes' exp2f. For |p| below 2 alone: the searching
 * kernels of core take exponents up to 8, so their power keeps whole exponents apart, and the last
 * bits differ. */
static inline float power(float a, float p)
{
    const uint32_t half = bits_of_float(a) - 0x3f3504f3u; /* of sqrt(1/2) */
    const int32_t e = (int32_t)half >> 23;
    const float m = float_of_bits((half & 0x007fffffu) + 0x3f3504f3u); /* sqrt(1/2) .. sqrt(2) */
    const float t = (m - 1.0f) / (m + 1.0f), t2 = t * t;
    const float log2m =
        t * (2.88539008f + t2 * (0.961796694f + t2 * (0.577078016f + t2 * 0.412198583f)));

    const float y = p * ((float)e + log2m);
    const int32_t k = (int32_t)(y + 128.5f) - 128;
    const float f = y - (float)k;
    const float frac =
        1.0f + f * (6.931472028550421e-1f +
                    f * (2.402264791363012e-1f +
                         f * (5.550332471162809e-2f +
                              f * (9.618437357674640e-3f +
                                   f * (1.339887440266574e-3f + f * 1.535336188319500e-4f)))));
    const float result = float_of_bits((uint32_t)(k + 127) << 23) * frac;
    const uint32_t keep = 0u - (uint32_t)(a >= 0x1p-60f); /* a branch would end the vector code */
    return float_of_bits(bits_of_float(result) & keep);
}

/* Sums over a chunk in four strands, the same for every compiler. */
static double sum_chunk(const float *x, size_t n)
{
    double s[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t j = 0; j < 4; j++) s[j] += (double)x[i + j];
    for (; i < n; i++) s[0] += (double)x[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

typedef struct {
    float unit, norm;
    float bend; /* step^(2-p) / beta */
} weigh_rule;

typedef struct {
    double cost; /* sum of |x|^p */
    double rest; /* sum of x - e */
} weight_sums;

/* Of n <= CHUNK weights and their values. In units of the cost, shrinking leaves
 *     x - e = sign(x) min(|x|, step^(2-p) |x|^(p-1) / beta). */
static weight_sums weigh(const float *w, const float *value, size_t n, weigh_rule rule)
{
    float cost[CHUNK], rest[CHUNK];
    for (size_t i = 0; i < n; i++) {
        const float x = (w[i] - value[i]) * rule.unit;
        const float size = fabsf(x), slope = power(size, rule.norm - 1.0f);
        const float bent = rule.bend * slope;
        cost[i] = size * slope;
        rest[i] = copysignf(bent < size ? bent : size, x);
    }
    return (weight_sums){sum_chunk(cost, n), sum_chunk(rest, n)};
}

/* The cost of p, and by how much its offset should move. */
static double measure(const group_fit *f, mc_params p, float bend, double *move)
{
    const weigh_rule rule = {f->unit, (float)f->param[P], bend};
    uint8_t code[CHUNK];
    float value[CHUNK];
    weight_sums all = {0};
    for (size_t i = 0; i < f->n; i += CHUNK) {
        const size_t n = f->n - i < CHUNK ? f->n - i : CHUNK;
        mc_grid_encode(f->grid, p, f->w + i, n, code);
        mc_grid_decode(f->grid, p, code, n, value);
        const weight_sums sums = weigh(f->w + i, value, n, rule);
        all.cost += sums.cost;
        all.rest += sums.rest;
    }
    *move = all.rest * f->per_rest;
    return all.cost;
}

/* p with its offset moved, as it can be stored. */
static mc_params moved(const mc_grid *grid, mc_params p, double move)
{
    if (grid->offset == MC_OFFSET_FREE) {
        const float offset = mc_round_to(grid->scale_dtype, (float)((double)p.offset + move));
        if (isfinite(offset)) p.offset = offset;
    } else {
        const double most = (double)(mc_grid_codes(grid) - 1);
        const double zero = rint((double)p.zero - move / (double)p.scale);
        if (zero >= 0.0 && zero <= most) p.zero = (uint8_t)zero;
    }
    return p;
}

static bool same(mc_params a, mc_params b)
{
    return a.scale == b.scale && a.offset == b.offset && a.zero == b.zero;
}

/* The iterations from `p` on; true when they found something better than the best. */
static bool descend(group_fit *f, mc_params p, int iterations)
{
    const double before = f->cost;
    const float step = fabsf(p.scale) * f->unit * f->steps_per_scale;
    const float bend = power(step, 2.0f - (float)f->param[P]);
    float beta = (float)f->param[BETA];
    double last = HUGE_VAL;
    for (int i = 0; i < iterations; i++) {
        double move;
        const double cost = measure(f, p, bend / beta, &move);
        if (cost < f->cost * (1.0 - 2.0 * power_error)) {
            f->cost = cost;
            f->best = p;
        }
        if (!(cost < last * (1.0 - least_fall))) break;
        if (i > 0 && cost - (last - cost) * (iterations - 1 - i) > f->cost)
            break; /* out of reach */
        last = cost;
        const mc_params next = moved(f->grid, p, move);
        if (same(next, p)) break;
        p = next;
        beta *= (float)f->param[KAPPA];
    }
    return f->cost < before;
}

/* The integer zeros beside the best one, as long as they lower the error. */
static void try_zeros(group_fit *f)
{
    if (f->grid->offset != MC_OFFSET_ZERO) return;
    for (int direction = -1; direction <= 1; direction += 2)
        for (;;) {
            const double move = (double)f->best.scale * direction;
            const mc_params p = moved(f->grid, f->best, move);
            if (same(p, f->best) || !descend(f, p, 1)) break;
        }
}

/* The units in which the group is measured. */
static group_fit open_group(const mc_grid *grid, const double *param, const float *w, size_t n)
{
    float largest = 0.0f;
    for (size_t i = 0; i < n; i++) largest = fabsf(w[i]) > largest ? fabsf(w[i]) : largest;
    int exponent;
    frexpf(largest, &exponent);
    exponent = exponent < -126 ? -126 : exponent > 126 ? 126 : exponent;

    const float unit = ldexpf(1.0f, -exponent);
    const unsigned last = mc_grid_codes(grid) - 1;
    const float *level = grid->levels->value;
    const float low = level ? level[0] : 0.0f, high = level ? level[last] : (float)last;
    return (group_fit){
        .grid = grid,
        .w = w,
        .n = n,
        .param = param,
        .unit = unit,
        .per_rest = 1.0 / ((double)n * (double)unit),
        .steps_per_scale = (high - low) / (float)last,
        .cost = HUGE_VAL,
    };
}

static mc_params fit_group(group_fit *f, mc_params range, mc_params least_squares)
{
    const int iterations = (int)f->param[ITERATIONS];
    f->best = least_squares;
    descend(f, least_squares, iterations);
    descend(f, range, iterations);
    try_zeros(f);
    return f->best;
}

/* Both starts of a row's groups: `range` is rtn's, out->params gets that of mse. */
static mc_status fit_starts(const mc_quant_job *job, size_t row, mc_params *range, mc_qmat *out,
                            mc_err *err)
{
    const mc_fit fit[] = {{.kind = MC_FIT_RANGE}, {.kind = MC_FIT_SEARCH, .norm = 2.0f}};
    const size_t groups = mc_qmat_groups(out);
    mc_params *to[] = {range, out->params + row * groups};
    for (size_t i = 0; i < 2; i++)
        if (mc_grid_fit(&out->grid, fit[i], mc_row(job->weights, row), NULL, groups, out->group,
                        to[i], NULL, NULL, err) != MC_OK)
            return mc_wrap(err, "row %zu", job->first_row + row);
    return MC_OK;
}

static mc_status run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    const size_t n = out->group, groups = mc_qmat_groups(out);
    mc_params *range = MC_NEW_RAW(&scratch, mc_params, groups);
    if (!range) return mc_no_room(err, "the scales of a row");

    for (size_t r = 0; r < out->rows; r++) {
        MC_TRY(fit_starts(job, r, range, out, err));
        for (size_t g = 0; g < groups; g++) {
            const float *w = mc_row(job->weights, r) + g * n;
            mc_params *params = &out->params[r * groups + g];
            group_fit f = open_group(&out->grid, job->setup->param, w, n);
            *params = fit_group(&f, range[g], *params);
            mc_grid_encode(&out->grid, *params, w, n, out->code + r * out->cols + g * n);
        }
    }
    return MC_OK;
}

const mc_quant_method mc_quant_hqq = {
    .name = "hqq",
    .summary = "the offset of each group found for a norm that forgives outliers",
    .needs = "no data",
    .cost = "20 passes over the weights",
    .paper = "Badri and Shaji 2023 (HQQ), with errors in steps and offsets as stored",
    .params =
        {
            [P] = {"p", "exponent of the error that is minimised", 0.1, 1.0, 0.7, false},
            [ITERATIONS] = {"iterations", "most steps from one start", 1, 1000, 20, true},
            [BETA] = {"beta", "weight of the squared rest, in steps of the grid", 0.1, 1e4, 10.0,
                      false},
            [KAPPA] = {"kappa", "growth of beta from one step to the next", 1.0, 2.0, 1.01, false},
        },
    .prefers_free_offset = true,
    .refuses = refuses,
    .scratch = scratch_bytes,
    .run = run,
};
