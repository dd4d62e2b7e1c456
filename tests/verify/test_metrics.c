/* Error sums against closed forms, and against themselves taken piece by piece. */
#include "verify/metrics.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { MANY = 1000 };

static mc_sums sums_of(const float *w, const float *v, size_t n)
{
    mc_sums sums = {0};
    mc_sums_add(&sums, w, v, n, 0);
    return sums;
}

/* Whole numbers: their sums are exact in any order. */
static void fill_whole(float *w, float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        w[i] = (float)((int)(i * 7 % 31) - 15);
        v[i] = (float)((int)(i * 5 % 13) - 6);
    }
}

Test(metrics, sums_are_those_of_the_closed_form)
{
    /* w = 1 … n, v = w - 1: sums of squares and of neighbours' products. */
    float w[MANY], v[MANY];
    for (size_t i = 0; i < MANY; i++) {
        w[i] = (float)(i + 1);
        v[i] = (float)i;
    }
    const double n = MANY;
    const mc_sums s = sums_of(w, v, MANY);
    cr_expect_eq(s.count, MANY);
    cr_expect_eq(s.ww, n * (n + 1) * (2 * n + 1) / 6);
    cr_expect_eq(s.vv, (n - 1) * n * (2 * n - 1) / 6);
    cr_expect_eq(s.wv, n * (n + 1) * (2 * n + 1) / 6 - n * (n + 1) / 2);
    cr_expect_eq(s.ee, n);
    cr_expect_eq(s.max_abs, 1.0);
    cr_expect_eq(s.max_index, 0u, "the first of the largest");
    cr_expect_eq(s.zeros, 1u);
}

Test(metrics, pieces_merged_are_one_pass)
{
    float w[MANY], v[MANY];
    fill_whole(w, v, MANY);
    const mc_sums whole = sums_of(w, v, MANY);

    static const size_t cuts[] = {1, 2, 3, 4, 5, 63, 64, 501, 999};
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
        mc_sums merged = {0}, piece;
        for (size_t at = 0; at < MANY; at += cuts[c]) {
            const size_t n = MANY - at < cuts[c] ? MANY - at : cuts[c];
            memset(&piece, 0, sizeof piece);
            mc_sums_add(&piece, w + at, v + at, n, at);
            mc_sums_merge(&merged, &piece);
        }
        cr_expect_eq(memcmp(&merged, &whole, sizeof whole), 0, "pieces of %zu", cuts[c]);
    }
}

/* Numbers of many sizes and signs, so that a sum in another order would round differently. */
Test(metrics, every_build_gives_the_same_bits)
{
    float w[MANY + 3], v[MANY + 3];
    for (size_t i = 0; i < MANY + 3; i++) {
        w[i] = ldexpf(sinf((float)i), (int)(i * 7 % 40) - 20);
        v[i] = i % 11 ? w[i] * 1.01f : 0.0f;
    }
    for (size_t k = 1; mc_sums_add_at(k); k++)
        for (size_t n = 0; n < MANY + 3; n += n < 40 ? 1 : 97) {
            mc_sums plain = {0}, fast = {0};
            mc_sums_add_at(0)(&plain, w, v, n, 5);
            mc_sums_add_at(k)(&fast, w, v, n, 5);
            cr_expect_eq(memcmp(&plain, &fast, sizeof plain), 0, "%zu numbers", n);
        }
}

Test(metrics, the_largest_error_is_found_wherever_it_is)
{
    float w[37] = {0}, v[37] = {0};
    for (size_t at = 0; at < 37; at++) {
        v[at] = -2.5f;
        if (at + 1 < 37) v[at + 1] = 2.5f;
        const mc_sums s = sums_of(w, v, 37);
        cr_expect_eq(s.max_abs, 2.5);
        cr_expect_eq(s.max_index, at);
        memset(v, 0, sizeof v);
    }
}

Test(metrics, an_equal_error_of_a_later_piece_keeps_the_first_index)
{
    const float w[1] = {0}, v[1] = {3};
    mc_sums first = {0}, second = {0};
    mc_sums_add(&first, w, v, 1, 10);
    mc_sums_add(&second, w, v, 1, 20);
    mc_sums_merge(&first, &second);
    cr_expect_eq(first.max_index, 10u);
    mc_sums_add(&first, w, v, 1, 30);
    cr_expect_eq(first.max_index, 10u);
}

/* v = w (1 - 10^(-d/20)) loses exactly d dB, and the relative error is 10^(-d/20). */
Test(metrics, a_known_loss_gives_its_decibels)
{
    float w[MANY], v[MANY];
    for (double loss = 6.0; loss < 60.0; loss += 6.0) {
        const double ratio = pow(10.0, -loss / 20.0);
        for (size_t i = 0; i < MANY; i++) {
            w[i] = ldexpf(1.0f, (int)(i % 5)); /* so that only the factor is rounded */
            v[i] = w[i] * (float)(1.0 - ratio);
        }
        const mc_sums s = sums_of(w, v, MANY);
        /* 1 - ratio is rounded to 2^-24; so much of the error's size is ratio * 10^(7.2 - d/20). */
        const double bound = 8.7 * ldexp(1.0, -24) / ratio + 1e-9;
        cr_expect(fabs(mc_sqnr_db(&s) - loss) <= bound, "%g dB for %g", mc_sqnr_db(&s), loss);
        cr_expect(fabs(mc_relative_error(&s) / ratio - 1.0) <= bound);
        cr_expect(fabs(mc_cosine(&s) - 1.0) <= 1e-12, "a multiple points the same way");
    }
}

Test(metrics, cosine_is_that_of_the_angle)
{
    const float w[2] = {1, 0}, up[2] = {0, 2}, back[2] = {-3, 0}, between[2] = {1, 1};
    const mc_sums right = sums_of(w, up, 2), opposite = sums_of(w, back, 2),
                  half = sums_of(w, between, 2);
    cr_expect_eq(mc_cosine(&right), 0.0);
    cr_expect_eq(mc_cosine(&opposite), -1.0);
    cr_expect(fabs(mc_cosine(&half) - sqrt(0.5)) <= 1e-15);
}

Test(metrics, equal_tensors_lost_nothing)
{
    float w[MANY], ignored[MANY];
    fill_whole(w, ignored, MANY);
    const mc_sums s = sums_of(w, w, MANY);
    cr_expect_eq(mc_sqnr_db(&s), (double)INFINITY);
    cr_expect_eq(mc_relative_error(&s), 0.0);
    cr_expect_eq(mc_cosine(&s), 1.0);
    cr_expect_eq(s.max_abs, 0.0);
}

Test(metrics, all_zeros_count_as_equal)
{
    const float zero[3] = {0};
    const mc_sums s = sums_of(zero, zero, 3), none = {0};
    cr_expect_eq(mc_sqnr_db(&s), (double)INFINITY);
    cr_expect_eq(mc_relative_error(&s), 0.0);
    cr_expect_eq(mc_cosine(&s), 1.0);
    cr_expect_eq(s.zeros, 3u);
    cr_expect_eq(mc_sqnr_db(&none), (double)INFINITY);
}

Test(metrics, noise_where_nothing_was_is_the_worst)
{
    const float zero[3] = {0}, noise[3] = {0, 1, 0};
    const mc_sums s = sums_of(zero, noise, 3);
    cr_expect_eq(mc_sqnr_db(&s), -(double)INFINITY);
    cr_expect_eq(mc_relative_error(&s), (double)INFINITY);
    cr_expect_eq(mc_cosine(&s), 0.0);
}

Test(metrics, nan_reaches_every_figure)
{
    for (size_t at = 0; at < 9; at++) {
        float w[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, v[9] = {1, 2, 3, 4, 5, 6, 7, 8, 8};
        v[at] = NAN;
        mc_sums s = sums_of(w, v, 9);
        mc_sums fine = sums_of(w, w, 9);
        if (at % 2)
            mc_sums_merge(&s, &fine);
        else {
            mc_sums_merge(&fine, &s);
            s = fine;
        }
        cr_expect(isnan(mc_sqnr_db(&s)));
        cr_expect(isnan(mc_relative_error(&s)));
        cr_expect(isnan(mc_cosine(&s)));
        cr_expect(isnan(s.max_abs), "at %zu", at);
    }
}

Test(metrics, histogram_counts_every_code)
{
    uint8_t code[1031];
    uint64_t wanted[256] = {0};
    for (size_t i = 0; i < sizeof code; i++) {
        code[i] = (uint8_t)(i * i + i / 7);
        wanted[code[i]]++;
    }
    mc_sums s = {0};
    mc_sums_codes(&s, code, 1000, 256);
    mc_sums_codes(&s, code + 1000, sizeof code - 1000, 256);
    cr_expect_arr_eq(s.histogram, wanted, sizeof wanted);
}

Test(metrics, narrow_codes_are_counted_like_wide_ones)
{
    static const unsigned codes[] = {2, 3, 8, 15, 16, 17};
    uint8_t code[1031];
    for (size_t k = 0; k < sizeof codes / sizeof *codes; k++) {
        for (size_t i = 0; i < sizeof code; i++) code[i] = (uint8_t)((i * i + i / 7) % codes[k]);
        mc_sums narrow = {0}, wide = {0};
        mc_sums_codes(&narrow, code, 13, codes[k]);
        mc_sums_codes(&narrow, code + 13, sizeof code - 13, codes[k]);
        mc_sums_codes(&wide, code, sizeof code, 256);
        cr_expect_arr_eq(narrow.histogram, wide.histogram, sizeof wide.histogram, "%u", codes[k]);
    }
}

Test(metrics, entropy_is_that_of_the_distribution)
{
    uint64_t one[256] = {0}, even[256] = {0}, skewed[256] = {0}, none[256] = {0};
    one[7] = 12345;
    for (size_t u = 0; u < 16; u++) even[u * 3] = 99;
    skewed[0] = 4; /* 1/2, 1/4, 1/8, 1/8: 1.75 bits */
    skewed[1] = 2;
    skewed[2] = skewed[3] = 1;
    cr_expect_eq(mc_entropy_bits(one), 0.0);
    cr_expect_not(signbit(mc_entropy_bits(one)));
    cr_expect(fabs(mc_entropy_bits(even) - 4.0) <= 1e-12);
    cr_expect_eq(mc_entropy_bits(skewed), 1.75);
    cr_expect_eq(mc_entropy_bits(none), 0.0);
}
