/* Weights from the project's counter-based generator. */
#include "tests/support/draw.h"

#include "core/rng.h"

#include <math.h>
#include <string.h>

static const char *const names[DRAW_KINDS] = {"normal",  "heavy", "outlier",  "uniform", "positive",
                                              "shifted", "tiny",  "constant", "sparse"};

const char *draw_name(draw_kind kind)
{
    return names[kind];
}

static double unit(mc_rng rng, uint64_t i)
{
    return (double)mc_rng_unit(rng, i);
}

/* Box and Muller; four numbers are set aside for each weight. */
static double normal(mc_rng rng, uint64_t i)
{
    const double radius = sqrt(-2.0 * log(1.0 - unit(rng, 8 * i)));
    return radius * cos(6.283185307179586 * unit(rng, 8 * i + 1));
}

static double heavy(mc_rng rng, uint64_t i)
{
    double squares = 0.0;
    for (uint64_t k = 0; k < 3; k++) {
        const double x = normal(rng, 4 * i + k + 1);
        squares += x * x;
    }
    return normal(rng, 4 * i) / sqrt(squares / 3.0 + 1e-12);
}

static double draw(draw_kind kind, mc_rng rng, uint64_t i)
{
    switch (kind) {
    case DRAW_NORMAL: return 0.02 * normal(rng, i);
    case DRAW_HEAVY: return 0.02 * heavy(rng, i);
    case DRAW_OUTLIER: return (i % 61 == 7 ? 0.3 : 0.02) * normal(rng, i);
    case DRAW_UNIFORM: return 0.04 * (unit(rng, i) - 0.5);
    case DRAW_POSITIVE: return fabs(0.02 * normal(rng, i));
    case DRAW_SHIFTED: return 0.03 + 0.02 * normal(rng, i);
    case DRAW_TINY: return 0x1p-20 * normal(rng, i);
    case DRAW_CONSTANT: return normal(rng, i / 32);
    default: return i / 64 % 3 != 0 && unit(rng, 8 * i + 2) < 0.1 ? normal(rng, i) : 0.0;
    }
}

void draw_weights(draw_kind kind, uint64_t seed, float *w, size_t n)
{
    const mc_rng rng = {.seed = seed, .stream = (uint64_t)kind};
    for (size_t i = 0; i < n; i++) w[i] = (float)draw(kind, rng, i);
}

void draw_bits(uint64_t seed, float *w, size_t n)
{
    const mc_rng rng = {.seed = seed, .stream = 77};
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = mc_rng_u32(rng, i);
        if (bits % 13 == 0) bits &= 0x807FFFFFu; /* subnormal */
        if (bits % 17 == 0) bits &= 0x80000000u;
        if ((bits & 0x7F800000u) == 0x7F800000u) bits ^= 0x00800000u;
        memcpy(&w[i], &bits, sizeof bits);
    }
}
