/* Philox4x32-10 against the known answers of Random123, and what is made of it. */
#include "core/rng.h"

#include <criterion/criterion.h>
#include <math.h>

static void expect_philox(const uint32_t c[4], const uint32_t k[2], const uint32_t wanted[4])
{
    uint32_t got[4];
    mc_philox4x32(c, k, got);
    cr_expect_arr_eq(got, wanted, sizeof got);
}

Test(rng, gives_the_known_answers)
{
    const uint32_t ones = 0xffffffffu;
    expect_philox((uint32_t[]){0, 0, 0, 0}, (uint32_t[]){0, 0},
                  (uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    expect_philox((uint32_t[]){ones, ones, ones, ones}, (uint32_t[]){ones, ones},
                  (uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    expect_philox((uint32_t[]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                  (uint32_t[]){0xa4093822, 0x299f31d0},
                  (uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

Test(rng, the_stream_is_the_blocks_in_order)
{
    const mc_rng rng = {.seed = 0x299f31d0a4093822u, .stream = 0x0370734413198a2eu};
    const uint64_t at = 4 * 0x05a308d3243f6a88u; /* the largest block index has 62 bits */
    uint32_t wanted[4];
    mc_philox4x32((uint32_t[]){0x243f6a88, 0x05a308d3, 0x13198a2e, 0x03707344},
                  (uint32_t[]){0xa4093822, 0x299f31d0}, wanted);
    for (uint64_t i = 0; i < 4; i++) cr_expect_eq(mc_rng_u32(rng, at + i), wanted[i]);
}

Test(rng, seeds_and_streams_differ)
{
    const uint32_t base = mc_rng_u32((mc_rng){1, 1}, 0);
    cr_expect_neq(base, mc_rng_u32((mc_rng){2, 1}, 0));
    cr_expect_neq(base, mc_rng_u32((mc_rng){1, 2}, 0));
    cr_expect_neq(base, mc_rng_u32((mc_rng){1, 1}, 1));
    cr_expect_neq(base, mc_rng_u32((mc_rng){1ull << 32 | 1, 1}, 0));
    cr_expect_neq(base, mc_rng_u32((mc_rng){1, 1ull << 32 | 1}, 0));
    cr_expect_neq(base, mc_rng_u32((mc_rng){1, 1}, 1ull << 40));
}

__extension__ typedef unsigned __int128 wide;

Test(rng, below_is_the_high_half_of_the_product)
{
    const mc_rng rng = {.seed = 42, .stream = 7};
    const uint64_t bounds[] = {1, 2, 3, 10, 1000003, 1ull << 32, (1ull << 63) + 12345, UINT64_MAX};
    for (uint64_t i = 0; i < 200; i++) {
        const uint64_t bits = (uint64_t)mc_rng_u32(rng, 2 * i + 1) << 32 | mc_rng_u32(rng, 2 * i);
        for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++) {
            const uint64_t got = mc_rng_below(rng, i, bounds[b]);
            cr_expect_lt(got, bounds[b]);
            cr_expect_eq(got, (uint64_t)((wide)bits * bounds[b] >> 64));
        }
    }
}

/* Chi-square with 9 degrees of freedom: 27.9 is the 0.1 % point. */
Test(rng, below_is_even)
{
    const mc_rng rng = {.seed = 3};
    enum { N = 100000, BINS = 10 };
    double seen[BINS] = {0}, chi = 0;
    for (uint64_t i = 0; i < N; i++) seen[mc_rng_below(rng, i, BINS)]++;
    for (int b = 0; b < BINS; b++) chi += (seen[b] - N / BINS) * (seen[b] - N / BINS) / (N / BINS);
    cr_expect(chi < 27.9, "chi-square is %g", chi);
}

/* The mean of n uniform numbers lies within 5 standard errors, 5 / sqrt(12 n), of one half. */
Test(rng, unit_lies_in_its_interval)
{
    const mc_rng rng = {.seed = 9, .stream = 1};
    enum { N = 100000 };
    double sum = 0;
    for (uint64_t i = 0; i < N; i++) {
        const float u = mc_rng_unit(rng, i);
        cr_assert(u >= 0.0f && u < 1.0f);
        cr_assert_eq(u, (float)(mc_rng_u32(rng, i) >> 8) / 16777216.0f);
        sum += (double)u;
    }
    cr_expect(fabs(sum / N - 0.5) < 5 / sqrt(12.0 * N), "mean is %g", sum / N);
}
