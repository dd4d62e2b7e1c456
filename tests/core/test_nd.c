/* Tensors in memory: shapes that are partly known, and every dtype's way from a file to memory. */
#include "core/nd.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static mc_nd shaped(mc_dtype dtype, int ndim, const int64_t *dim)
{
    mc_nd t = {0};
    mc_err err = {0};
    cr_assert_eq(mc_nd_set(&t, dtype, ndim, dim, &err), MC_OK, "%s", err.text);
    return t;
}

static void refused(int ndim, const int64_t *dim, const char *message)
{
    mc_nd t = {0};
    mc_err err = {0};
    cr_expect_eq(mc_nd_set(&t, MC_F32, ndim, dim, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, message);
}

Test(nd, counts_elements_of_known_shapes_only)
{
    cr_expect_eq(shaped(MC_F32, 0, NULL).count, 1);
    cr_expect_eq(shaped(MC_F32, 3, (int64_t[]){2, 3, 4}).count, 24);
    cr_expect_eq(shaped(MC_F32, 3, (int64_t[]){2, 0, 4}).count, 0);
    cr_expect_eq(shaped(MC_F32, 2, (int64_t[]){2, -1}).count, 0);
    const mc_nd open = shaped(MC_F32, MC_RANK_UNKNOWN, NULL);
    cr_expect(open.ndim == MC_RANK_UNKNOWN && !mc_nd_shape_known(&open));
}

Test(nd, refuses_shapes_that_do_not_fit_memory)
{
    refused(1, (int64_t[]){-2}, "dimension 0 is -2");
    refused(9, (int64_t[9]){1}, "a tensor of 9 dimensions (at most 8 are allowed)");
    refused(2, (int64_t[]){(int64_t)1 << 31, (int64_t)1 << 31},
            "a tensor is too large at dimension 1 of 2147483648");
    /* although it has no elements: its parts would */
    refused(3, (int64_t[]){0, (int64_t)1 << 31, (int64_t)1 << 31},
            "a tensor is too large at dimension 2 of 2147483648");
}

Test(nd, a_shape_may_be_set_from_itself)
{
    mc_nd t = shaped(MC_F32, 2, (int64_t[]){2, 3});
    mc_err err = {0};
    cr_assert_eq(mc_nd_set(&t, MC_I8, 1, t.dim + 1, &err), MC_OK);
    cr_expect(t.ndim == 1 && t.dim[0] == 3 && t.count == 3);
}

Test(nd, axes_count_from_both_ends)
{
    const mc_nd t = shaped(MC_F32, 3, (int64_t[]){2, 3, 4});
    int axis = -7;
    cr_expect(mc_nd_axis(&t, -1, &axis) && axis == 2);
    cr_expect(mc_nd_axis(&t, -3, &axis) && axis == 0);
    cr_expect(mc_nd_axis(&t, 2, &axis) && axis == 2);
    cr_expect(!mc_nd_axis(&t, 3, &axis) && !mc_nd_axis(&t, -4, &axis));
    cr_expect(!mc_nd_axis(&t, INT64_MIN, &axis));
    cr_expect_eq(mc_nd_span(&t, 1, 3), 12);
    cr_expect_eq(mc_nd_span(&t, 1, 1), 1);
}

Test(nd, is_shown_with_what_is_not_known)
{
    char text[MC_ND_TEXT];
    mc_nd t = shaped(MC_F32, 3, (int64_t[]){1, -1, 28});
    cr_expect_str_eq(mc_nd_show(&t, text), "[1, ?, 28] F32");
    t = shaped(MC_DTYPE_NONE, MC_RANK_UNKNOWN, NULL);
    cr_expect_str_eq(mc_nd_show(&t, text), "[...] ?");
    int64_t most[MC_MAX_DIMS] = {INT32_MAX, 1, 1, 1, 1, 1, 1, 1};
    t = shaped(MC_F8_E4M3FNUZ, MC_MAX_DIMS, most);
    cr_expect_str_eq(mc_nd_show(&t, text), "[2147483647, 1, 1, 1, 1, 1, 1, 1] F8_E4M3FNUZ");
    t = (mc_nd){.kind = MC_ND_SEQUENCE, .items = 3};
    cr_expect_str_eq(mc_nd_show(&t, text), "a sequence of 3");
}

Test(nd, every_dtype_has_a_width_but_complex)
{
    for (unsigned d = 1; d < MC_DTYPE_COUNT; d++) {
        const mc_dtype dtype = (mc_dtype)d;
        const size_t width = mc_nd_width(dtype);
        if (dtype == MC_C64 || dtype == MC_C128)
            cr_expect_eq(width, 0);
        else
            cr_expect_eq(width, mc_nd_width(mc_nd_storage(dtype)));
    }
    cr_expect_eq(mc_nd_width(MC_F16), 4);
    cr_expect_eq(mc_nd_width(MC_U4), 1);
    cr_expect_eq(mc_nd_width(MC_DTYPE_NONE), 0);
}

/* ---- decoding ---- */

static void decoded(mc_dtype dtype, const void *data, uint64_t first, uint64_t n, void *out)
{
    mc_err err = {0};
    cr_assert_eq(mc_nd_decode(dtype, data, first, n, out, &err), MC_OK, "%s", err.text);
}

Test(nd, small_integers_come_low_bits_first_from_anywhere)
{
    static const unsigned char packed[] = {0x8F, 0x71, 0x0A};
    int8_t i4[6], i2[4];
    uint8_t u4[3];
    decoded(MC_I4, packed, 0, 6, i4);
    cr_expect_arr_eq(i4, ((int8_t[]){-1, -8, 1, 7, -6, 0}), 6);
    decoded(MC_U4, packed, 1, 3, u4);
    cr_expect_arr_eq(u4, ((uint8_t[]){8, 1, 7}), 3);
    decoded(MC_I2, packed, 2, 4, i2);
    cr_expect_arr_eq(i2, ((int8_t[]){0, -2, 1, 0}), 4);
}

Test(nd, whole_numbers_come_unaligned)
{
    static const unsigned char bytes[] = {0, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2};
    int64_t i64;
    int16_t i16[2];
    uint8_t flags[2];
    decoded(MC_I64, bytes + 1, 0, 1, &i64);
    cr_expect_eq(i64, -2);
    decoded(MC_I16, bytes + 1, 1, 2, i16);
    cr_expect_arr_eq(i16, ((int16_t[]){-1, -1}), 4);
    decoded(MC_BOOL, bytes, 8, 2, flags); /* any bit is true */
    cr_expect_arr_eq(flags, ((uint8_t[]){1, 1}), 2);
}

/* All codes against the definition: value (-1)^s 2^(e-bias) (1 + f), e = 0 subnormal. */
static double by_definition(unsigned code, int exponent_bits, int fraction_bits, int bias)
{
    const int e = (int)(code >> fraction_bits) & ((1 << exponent_bits) - 1);
    const double f = (double)(code & ((1u << fraction_bits) - 1)) / (1 << fraction_bits);
    const double sign = code >> (exponent_bits + fraction_bits) ? -1.0 : 1.0;
    return sign * (e == 0 ? ldexp(f, 1 - bias) : ldexp(1.0 + f, e - bias));
}

static void check_codes(mc_dtype dtype, int exponent_bits, int fraction_bits, int bias, bool fnuz)
{
    const unsigned bits = mc_dtype_about(dtype)->bits;
    for (unsigned code = 0; code < 1u << bits; code++) {
        const unsigned char two[2] = {(unsigned char)(bits == 4 ? code | code << 4 : code), 0};
        float x;
        decoded(dtype, two, 0, 1, &x);
        if (fnuz && code == 0x80) {
            cr_expect(isnan(x));
            continue;
        }
        cr_expect_eq((double)x, by_definition(code, exponent_bits, fraction_bits, bias),
                     "%s code %u is %g", mc_dtype_about(dtype)->name, code, (double)x);
        mc_nd t = {.dtype = dtype, .count = 1, .data = &x};
        const float before = x;
        mc_nd_round(&t);
        cr_expect_eq(x, before, "%s cannot hold its own %g", mc_dtype_about(dtype)->name,
                     (double)before);
    }
}

Test(nd, odd_floats_are_what_their_fields_say)
{
    check_codes(MC_F4, 2, 1, 1, false);
    check_codes(MC_F8_E4M3FNUZ, 4, 3, 8, true);
    check_codes(MC_F8_E5M2FNUZ, 5, 2, 16, true);
}

Test(nd, rounds_to_the_nearest_that_the_dtype_holds)
{
    float x[] = {0.25f, 0.26f, 0.74f, 0.75f, 1.25f, 1.75f, 2.5f, 5.0f, 7.0f, -100.0f, -0.2f};
    static const float want[] = {0.0f, 0.5f, 0.5f, 1.0f, 1.0f, 2.0f, 2.0f, 4.0f, 6.0f, -6.0f, 0.0f};
    mc_nd t = {.dtype = MC_F4, .count = 11, .data = x};
    mc_nd_round(&t);
    for (size_t i = 0; i < 11; i++) cr_expect_eq(x[i], want[i], "[%zu] %g", i, (double)x[i]);

    float half[] = {1.0f + 0x1p-11f, 1.0f + 0x1.8p-10f, 1e6f};
    t = (mc_nd){.dtype = MC_F16, .count = 3, .data = half};
    mc_nd_round(&t);
    cr_expect(half[0] == 1.0f && half[1] == 1.0f + 0x1p-9f && isinf(half[2]));

    float whole[] = {1.1f};
    t = (mc_nd){.dtype = MC_F32, .count = 1, .data = whole};
    mc_nd_round(&t);
    cr_expect_eq(whole[0], 1.1f);
}

Test(nd, complex_numbers_are_refused_by_name)
{
    mc_err err = {0};
    char out[16] = {0};
    cr_expect_eq(mc_nd_decode(MC_C64, (const unsigned char *)out, 0, 1, out, &err),
                 MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "numbers of type C64 cannot be computed with");
}

/* ---- single elements ---- */

Test(nd, single_elements_are_exact_or_cut)
{
    const float f[] = {2.9f, -2.9f, 1e30f, -1e30f, NAN};
    const mc_nd floats = {.dtype = MC_F16, .count = 5, .data = (void *)(uintptr_t)f};
    static const int64_t want[] = {2, -2, INT64_MAX, INT64_MIN, 0};
    for (size_t i = 0; i < 5; i++) cr_expect_eq(mc_nd_int(&floats, i), want[i]);

    const int64_t big[] = {((int64_t)1 << 53) + 1};
    const mc_nd ints = {.dtype = MC_I64, .count = 1, .data = (void *)(uintptr_t)big};
    cr_expect_eq(mc_nd_int(&ints, 0), big[0]);

    const int8_t nibble[] = {-3};
    const mc_nd small = {.dtype = MC_I4, .count = 1, .data = (void *)(uintptr_t)nibble};
    cr_expect_eq(mc_nd_int(&small, 0), -3);
    cr_expect_eq(mc_nd_real(&small, 0), -3.0);
}
