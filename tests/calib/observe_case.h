/* What the tests of observers share: values that were seen, codes that are wanted, and one call
 * that observes in exactly the scratch memory that the header asks for. */
#ifndef MC_TESTS_OBSERVE_CASE_H
#define MC_TESTS_OBSERVE_CASE_H

#include "calib/observe.h"
#include "tests/support/draw.h"

#include <criterion/criterion.h>
#include <math.h>

enum { VALUES = 20000 };

static float values[VALUES];
static mc_histogram seen;
static _Alignas(64) unsigned char scratch[MC_OBSERVE_SCRATCH];

static const mc_observe_want wants[] = {
    {.bits = 4},  {.bits = 4, .asymmetric = true},  {.bits = 8}, {.bits = 8, .asymmetric = true},
    {.bits = 16}, {.bits = 16, .asymmetric = true},
};

enum { WANTS = sizeof wants / sizeof wants[0] };

static inline void see(const float *x, size_t n)
{
    seen = (mc_histogram){0};
    mc_histogram_add(&seen, x, n);
}

static inline void see_drawn(draw_kind kind)
{
    draw_weights(kind, 11, values, VALUES);
    see(values, VALUES);
}

static inline mc_status try_observe(const char *name, mc_observe_want want, mc_observed *out,
                                    mc_err *err)
{
    mc_observe_setup setup;
    cr_assert_eq(mc_observe_setup_parse(name, &setup, err), MC_OK, "%s", err->text);
    const mc_observe_job job = {.setup = &setup, .want = want, .seen = &seen};
    return mc_observe(&job, (mc_arena){scratch, scratch + sizeof scratch}, out, err);
}

static inline mc_observed observe(const char *name, mc_observe_want want)
{
    mc_observed out;
    mc_err err = {0};
    cr_assert_eq(try_observe(name, want, &out, &err), MC_OK, "%s", err.text);
    return out;
}

static inline int first_code(mc_observe_want w)
{
    return w.asymmetric ? -(1 << (w.bits - 1)) : 1 - (1 << (w.bits - 1));
}

static inline int last_code(mc_observe_want w)
{
    return (1 << (w.bits - 1)) - 1;
}

/* What the codes make of x. */
static inline double rounded(float x, mc_observe_want w, float scale, int zero)
{
    const float q = rintf(x / scale) + (float)zero;
    const float in = fminf(fmaxf(q, (float)first_code(w)), (float)last_code(w));
    return (double)scale * ((double)in - zero);
}

#endif
