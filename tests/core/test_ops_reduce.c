/* Reductions against one that looks at every element for every output; ArgMax, ArgMin, CumSum. */
#include "core/exec.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define DIMS(...)   \
    (int64_t[])     \
    {               \
        __VA_ARGS__ \
    }

enum { SUM, MEAN, MAX, MIN, PROD, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE, REDUCTIONS };

static const char *const names[] = {
    "ReduceSum", "ReduceMean", "ReduceMax",    "ReduceMin",       "ReduceProd",
    "ReduceL1",  "ReduceL2",   "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"};

static double step(int what, double acc, double x)
{
    switch (what) {
    case MAX: return fmax(acc, x);
    case MIN: return fmin(acc, x);
    case PROD: return acc * x;
    case L1: return acc + fabs(x);
    case L2:
    case SUM_SQUARE: return acc + x * x;
    case LOG_SUM_EXP: return acc + exp(x);
    default: return acc + x;
    }
}

static double start(int what)
{
    return what == MAX    ? (double)-INFINITY
           : what == MIN  ? (double)INFINITY
           : what == PROD ? 1.0
                          : 0.0;
}

static double end(int what, double acc, double n)
{
    if (what == MEAN) return acc / n;
    if (what == L2) return sqrt(acc);
    return what == LOG_SUM || what == LOG_SUM_EXP ? log(acc) : acc;
}

enum { NDIM = 4, COUNT = 2 * 3 * 1 * 5 };
static const int64_t shape[NDIM] = {2, 3, 1, 5};

/* Axes by the bits of `mask`; the element of the output that input element i belongs to. */
static size_t output_of(unsigned mask, size_t i)
{
    size_t place = 0, stride = 1;
    for (int d = NDIM - 1; d >= 0; d--) {
        const size_t index = i % (size_t)shape[d];
        i /= (size_t)shape[d];
        if (mask >> d & 1) continue;
        place += index * stride;
        stride *= (size_t)shape[d];
    }
    return place;
}

static void expect_reduction(int what, mc_dtype dtype, const void *x, unsigned mask, bool keep)
{
    double want[COUNT];
    int64_t axes[NDIM], dim[NDIM];
    size_t named = 0, n = 1;
    int ndim = 0;
    for (int d = 0; d < NDIM; d++) {
        if (mask >> d & 1) {
            axes[named++] = d % 2 ? d - NDIM : d; /* from both ends */
            n *= (size_t)shape[d];
        }
        if (!(mask >> d & 1) || keep) dim[ndim++] = mask >> d & 1 ? 1 : shape[d];
    }
    const mc_nd in = op_nd(dtype, NDIM, shape, x);
    for (size_t i = 0; i < COUNT; i++) want[i] = start(what);
    for (size_t i = 0; i < COUNT; i++)
        want[output_of(mask, i)] = step(what, want[output_of(mask, i)], mc_nd_real(&in, i));

    op_case c = op_begin(names[what], 18);
    op_int(&c, "keepdims", keep);
    op_in(&c, in);
    op_const(&c, op_i64(1, DIMS((int64_t)named), axes));
    op_run(&c);
    const mc_nd *out = op_out(&c, 0);
    cr_assert_eq(out->ndim, ndim);
    for (int d = 0; d < ndim; d++) cr_assert_eq(out->dim[d], dim[d]);
    for (size_t i = 0; i < out->count; i++) {
        double w = end(what, want[i], (double)n);
        if (!mc_dtype_about(dtype)->is_float) w = trunc(w);
        const double got = mc_nd_real(out, i), bound = dtype == MC_F32 ? 1e-6 : 1e-13;
        cr_expect(fabs(got - w) <= bound * fmax(1.0, fabs(w)), "%s of %s, axes %x: %g, not %g",
                  names[what], mc_dtype_about(dtype)->name, mask, got, w);
    }
    op_end(&c);
}

Test(ops_reduce, every_reduction_over_every_set_of_axes)
{
    float x32[COUNT];
    double x64[COUNT];
    int32_t whole[COUNT];
    for (int i = 0; i < COUNT; i++) {
        whole[i] = 1 + i * 7 % 11 % 4;
        x64[i] = 0.25 + (double)(i * 7 % 11) / 8.0;
        x32[i] = (float)x64[i];
    }
    for (int what = 0; what < REDUCTIONS; what++) {
        for (unsigned mask = 1; mask < 1u << NDIM; mask++) {
            expect_reduction(what, MC_F32, x32, mask, mask % 2);
            expect_reduction(what, MC_F64, x64, mask, mask % 3 == 0);
            if (what != LOG_SUM_EXP && what != PROD)
                expect_reduction(what, MC_I32, whole, mask, true);
        }
    }
}

static op_case reduce(const char *name, int version, mc_nd x)
{
    op_case c = op_begin(name, version);
    op_in(&c, x);
    return c;
}

static void expect_scalar(op_case *c, double want)
{
    op_run(c);
    const double got = mc_nd_real(op_out(c, 0), 0);
    cr_expect((isnan(got) && isnan(want)) || got == want, "%s gives %g, not %g", c->node.op, got,
              want);
    op_end(c);
}

Test(ops_reduce, axes_were_an_attribute_before)
{
    const float x[] = {1.0f, 2.0f, 3.0f, 4.0f};
    op_case c = reduce("ReduceSum", 11, op_f32(2, DIMS(2, 2), x));
    op_ints(&c, "axes", 1, DIMS(0));
    op_int(&c, "keepdims", 0);
    op_run(&c);
    op_expect_f32(&c, 0, 1, DIMS(2), (float[]){4.0f, 6.0f}, 0.0);
    op_end(&c);
    c = reduce("ReduceMax", 13, op_f32(2, DIMS(2, 2), x));
    op_ints(&c, "axes", 1, DIMS(-1));
    op_run(&c);
    op_expect_f32(&c, 0, 2, DIMS(2, 1), (float[]){2.0f, 4.0f}, 0.0);
    op_end(&c);
}

/* No axes are all, or, when asked, none: then what is done to single elements remains. */
Test(ops_reduce, no_axes_mean_all_or_none)
{
    const float x[] = {-1.0f, 2.0f};
    const char *const which[] = {"ReduceSum", "ReduceL1", "ReduceSumSquare"};
    const float want[3][2] = {{-1.0f, 2.0f}, {1.0f, 2.0f}, {1.0f, 4.0f}};
    for (size_t i = 0; i < 3; i++) {
        op_case c = reduce(which[i], 18, op_f32(1, DIMS(2), x));
        op_int(&c, "noop_with_empty_axes", 1);
        op_run(&c);
        op_expect_f32(&c, 0, 1, DIMS(2), want[i], 0.0);
        op_end(&c);
    }
    op_case c = reduce("ReduceSum", 13, op_f32(1, DIMS(2), x));
    op_in(&c, op_i64(1, DIMS(0), NULL));
    op_run(&c);
    op_expect_f32(&c, 0, 1, DIMS(1), (float[]){1.0f}, 0.0);
    op_end(&c);
}

Test(ops_reduce, nothing_reduces_to_what_it_starts_from)
{
    const double want[REDUCTIONS] = {[SUM] = 0.0,
                                     [MEAN] = (double)NAN,
                                     [MAX] = (double)-INFINITY,
                                     [MIN] = (double)INFINITY,
                                     [PROD] = 1.0,
                                     [L1] = 0.0,
                                     [LOG_SUM] = (double)-INFINITY,
                                     [L2] = 0.0,
                                     [LOG_SUM_EXP] = (double)-INFINITY,
                                     [SUM_SQUARE] = 0.0};
    for (int what = 0; what < REDUCTIONS; what++) {
        op_case c = reduce(names[what], 18, op_f32(1, DIMS(0), NULL));
        expect_scalar(&c, want[what]);
    }
    op_case c = reduce("ReduceMax", 18, op_nd(MC_I8, 1, DIMS(0), NULL));
    expect_scalar(&c, INT8_MIN);
    c = reduce("ReduceMin", 18, op_nd(MC_U32, 1, DIMS(0), NULL));
    expect_scalar(&c, UINT32_MAX);
    c = reduce("ReduceMean", 18, op_nd(MC_I32, 1, DIMS(0), NULL));
    expect_scalar(&c, 0.0);
}

Test(ops_reduce, infinities_and_nan)
{
    const float low[] = {-INFINITY, -INFINITY}, high[] = {1.0f, INFINITY},
                nan[] = {1.0f, NAN, 2.0f};
    const float large[] = {1000.0f, 1000.0f};
    op_case c = reduce("ReduceLogSumExp", 18, op_f32(1, DIMS(2), low));
    expect_scalar(&c, (double)-INFINITY);
    c = reduce("ReduceLogSumExp", 18, op_f32(1, DIMS(2), high));
    expect_scalar(&c, (double)INFINITY);
    c = reduce("ReduceLogSumExp", 18, op_f32(1, DIMS(2), large));
    expect_scalar(&c, (double)(float)(1000.0 + log(2.0)));
    const char *const which[] = {"ReduceMax", "ReduceMin", "ReduceSum"};
    for (size_t i = 0; i < 3; i++) {
        c = reduce(which[i], 18, op_f32(1, DIMS(3), nan));
        expect_scalar(&c, (double)NAN);
    }
}

/* f32 would stop counting at 2^24. */
Test(ops_reduce, sums_are_of_doubles_and_wrap_in_whole_numbers)
{
    const float x[] = {0x1p24f, 1.0f, 1.0f};
    op_case c = reduce("ReduceSum", 13, op_f32(1, DIMS(3), x));
    expect_scalar(&c, 0x1p24 + 2.0);
    const int32_t y[] = {INT32_MAX, 1};
    c = reduce("ReduceSum", 13, op_nd(MC_I32, 1, DIMS(2), y));
    expect_scalar(&c, INT32_MIN);
    const uint8_t b[] = {1, 0};
    c = reduce("ReduceMin", 20, op_nd(MC_BOOL, 1, DIMS(2), b));
    expect_scalar(&c, 0.0);
}

Test(ops_reduce, axes_out_of_range_or_named_twice_are_refused)
{
    const float x[] = {0.0f};
    const int64_t axes[2][2] = {{0, 3}, {1, -1}};
    const char *const why[] = {"axis 3 of a tensor of 2 dimensions", "axis 1 is named twice"};
    for (size_t i = 0; i < 2; i++) {
        op_case c = reduce("ReduceMax", 18, op_f32(2, DIMS(1, 1), x));
        op_in(&c, op_i64(1, DIMS(2), axes[i]));
        cr_expect_eq(op_try(&c), MC_E_FORMAT);
        cr_expect_not_null(strstr(c.err.text, why[i]), "%s", c.err.text);
        op_end(&c);
    }
}

/* ---- ArgMax and ArgMin ---- */

static void expect_place(const char *name, int64_t last, mc_nd x, int64_t axis, const int64_t *want)
{
    op_case c = op_begin(name, 13);
    op_int(&c, "axis", axis);
    op_int(&c, "keepdims", 0);
    op_int(&c, "select_last_index", last);
    op_in(&c, x);
    op_run(&c);
    cr_assert_eq(op_out(&c, 0)->dtype, MC_I64);
    op_expect_i64(&c, 0, 1, DIMS(x.dim[axis == 0]), want);
    op_end(&c);
}

Test(ops_reduce, extremes_are_found_where_ties_say)
{
    const float x[] = {1.0f, 3.0f, 3.0f, 2.0f, 2.0f, 0.0f};
    const mc_nd t = op_f32(2, DIMS(2, 3), x);
    expect_place("ArgMax", 0, t, 1, DIMS(1, 0));
    expect_place("ArgMax", 1, t, 1, DIMS(2, 1));
    expect_place("ArgMin", 0, t, 0, DIMS(0, 1, 1));
    const float nan[] = {1.0f, NAN, 5.0f, NAN};
    expect_place("ArgMax", 0, op_f32(2, DIMS(1, 4), nan), 1, DIMS(1));
    expect_place("ArgMin", 1, op_f32(2, DIMS(1, 4), nan), 1, DIMS(3));
    const uint8_t u[] = {7, 7, 255, 0};
    expect_place("ArgMin", 0, op_nd(MC_U8, 2, DIMS(2, 2), u), 0, DIMS(0, 1));
}

/* ---- CumSum ---- */

Test(ops_reduce, sums_add_up_along_an_axis)
{
    const double x[] = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0};
    const double want[4][6] = {{1, 3, 6, 4, 9, 15},  /* as it is */
                               {0, 1, 3, 0, 4, 9},   /* exclusive */
                               {6, 5, 3, 15, 11, 6}, /* reverse */
                               {5, 3, 0, 11, 6, 0}}; /* both */
    const int32_t axis = -1;
    for (int64_t k = 0; k < 4; k++) {
        op_case c = op_begin("CumSum", 14);
        op_int(&c, "exclusive", k & 1);
        op_int(&c, "reverse", k / 2);
        op_in(&c, op_nd(MC_F64, 2, DIMS(2, 3), x));
        op_in(&c, op_nd(MC_I32, 0, NULL, &axis));
        op_run(&c);
        const mc_nd expected = op_nd(MC_F64, 2, DIMS(2, 3), want[k]);
        op_expect_same(&c, 0, &expected);
        op_end(&c);
    }
    const int32_t y[] = {INT32_MAX, 1, 1, 1};
    op_case c = op_begin("CumSum", 14);
    op_in(&c, op_nd(MC_I32, 2, DIMS(2, 2), y));
    op_in(&c, op_i64(1, DIMS(1), DIMS(0)));
    op_run(&c);
    op_expect_i64(&c, 0, 2, DIMS(2, 2), (int64_t[]){INT32_MAX, 1, INT32_MIN, 2});
    op_end(&c);
}

/* ---- what is known before the axes are ---- */

static int rank_without_axes(int64_t keep, int64_t axes)
{
    mc_region region;
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&region, 1 << 20, &err), MC_OK);
    mc_graph *g = mc_graph_new(&region.arena, "inferred");
    const mc_id in[] = {mc_graph_add_input(g, "x", MC_F32, 3, DIMS(2, 3, 4)),
                        mc_graph_add_input(g, "axes", MC_I64, 1, &axes)};
    const mc_id y = mc_graph_apply(g, "", "ReduceSum", 13, in, 2, "y");
    cr_assert(mc_node_add_int(g, "keepdims", keep));
    cr_assert(mc_graph_add_output(g, y));
    mc_nd *out = MC_NEW(&region.arena, mc_nd, g->values);
    cr_assert_not_null(out);
    cr_assert_eq(mc_graph_infer(g, NULL, out, &region.arena, &err), MC_OK, "%s", err.text);
    const int ndim = out[y].ndim;
    for (int i = 0; i < ndim; i++) cr_expect_eq(out[y].dim[i], -1);
    mc_region_close(&region);
    return ndim;
}

Test(ops_reduce, the_rank_is_known_without_the_axes)
{
    cr_expect_eq(rank_without_axes(1, 2), 3);
    cr_expect_eq(rank_without_axes(0, 2), 1);
    cr_expect_eq(rank_without_axes(0, -1), MC_RANK_UNKNOWN);
}
