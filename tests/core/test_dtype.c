/* Conversions against the definition of each format: a sign, an exponent, a fraction. */
#include "core/dtype.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* A binary format by its fields. `specials`: 2 infinity and NaN in the last binade (IEEE), 1 only
 * one NaN at the very end, 0 none. */
typedef struct {
    mc_dtype dtype;
    int exponent_bits, fraction_bits, specials;
} format;

static const format formats[] = {
    {MC_F16, 5, 10, 2}, {MC_BF16, 8, 7, 2}, {MC_F8_E4M3, 4, 3, 1}, {MC_F8_E5M2, 5, 2, 2}};
enum { FORMATS = sizeof formats / sizeof *formats };

static double by_definition(format f, unsigned code)
{
    const int fraction = (int)(code & ((1u << f.fraction_bits) - 1));
    const int most = (1 << f.exponent_bits) - 1;
    const int exponent = (int)(code >> f.fraction_bits) & most;
    const int bias = most / 2;
    const double sign = code >> (f.exponent_bits + f.fraction_bits) ? -1.0 : 1.0;
    const bool all_ones = fraction == (1 << f.fraction_bits) - 1;
    if (exponent == most && f.specials == 2) return fraction ? (double)NAN : sign * HUGE_VAL;
    if (exponent == most && f.specials == 1 && all_ones) return (double)NAN;
    if (exponent == 0) return sign * ldexp(fraction, 1 - bias - f.fraction_bits);
    return sign * ldexp((1 << f.fraction_bits) + fraction, exponent - bias - f.fraction_bits);
}

static unsigned codes_of(format f)
{
    return 2u << (f.exponent_bits + f.fraction_bits);
}

static float read_one(mc_dtype dtype, unsigned code)
{
    const unsigned char bytes[2] = {(unsigned char)code, (unsigned char)(code >> 8)};
    float x;
    mc_to_f32(dtype, bytes, &x, 1);
    return x;
}

static unsigned write_one(mc_dtype dtype, float x)
{
    unsigned char bytes[4] = {0};
    mc_from_f32(dtype, &x, bytes, 1);
    return bytes[0] | (unsigned)bytes[1] << 8;
}

static bool same_float(float a, float b)
{
    uint32_t bits[2];
    memcpy(&bits[0], &a, 4);
    memcpy(&bits[1], &b, 4);
    return bits[0] == bits[1];
}

Test(dtype, names_and_sizes_are_those_of_safetensors)
{
    cr_expect_eq(mc_dtype_find("BF16", 4), MC_BF16);
    cr_expect_eq(mc_dtype_find("F8_E4M3", 7), MC_F8_E4M3);
    cr_expect_eq(mc_dtype_find("bf16", 4), MC_DTYPE_NONE);
    cr_expect_eq(mc_dtype_find("BF16x", 4), MC_BF16, "only `length` bytes count");
    cr_expect_eq(mc_dtype_find("BF1", 3), MC_DTYPE_NONE);
    cr_expect_eq(mc_dtype_find("", 0), MC_DTYPE_NONE);
    for (unsigned i = MC_U4; i <= MC_STRING; i++) { /* of graphs only */
        const char *name = mc_dtype_about((mc_dtype)i)->name;
        cr_expect_eq(mc_dtype_find(name, strlen(name)), MC_DTYPE_NONE, "%s", name);
    }
    for (unsigned i = 1; i <= MC_U64; i++) {
        const mc_dtype_info *about = mc_dtype_about((mc_dtype)i);
        cr_assert_not_null(about->name, "%u", i);
        cr_expect_eq(mc_dtype_find(about->name, strlen(about->name)), (mc_dtype)i);
        cr_expect(about->bits > 0 && (!about->to_f32 || about->is_float), "%s", about->name);
    }
    cr_expect_eq(mc_dtype_about(MC_F4)->bits, 4u);
    cr_expect_eq(mc_dtype_about(MC_C64)->bits, 64u);
    cr_expect_not(mc_dtype_about(MC_F8_E4M3FNUZ)->to_f32);
    cr_expect(mc_dtype_about(MC_F64)->to_f32);
    cr_expect_not(mc_dtype_about(MC_I8)->is_float);
}

Test(dtype, every_pattern_reads_as_defined)
{
    for (size_t k = 0; k < FORMATS; k++) {
        for (unsigned code = 0; code < codes_of(formats[k]); code++) {
            const float found = read_one(formats[k].dtype, code);
            const float wanted = (float)by_definition(formats[k], code);
            cr_assert(isnan(wanted) ? isnan(found) : same_float(found, wanted),
                      "%s %#x is %g, not %g", mc_dtype_about(formats[k].dtype)->name, code,
                      (double)found, (double)wanted);
        }
    }
}

Test(dtype, every_pattern_survives_the_way_there_and_back)
{
    for (size_t k = 0; k < FORMATS; k++) {
        for (unsigned code = 0; code < codes_of(formats[k]); code++) {
            const float x = read_one(formats[k].dtype, code);
            const unsigned back = write_one(formats[k].dtype, x);
            cr_assert(isnan(x) ? isnan(read_one(formats[k].dtype, back)) : back == code,
                      "%s %#x came back as %#x", mc_dtype_about(formats[k].dtype)->name, code,
                      back);
        }
    }
}

/* Between neighbours a and b: the middle goes to the even code, beside it to the nearer one. */
Test(dtype, rounds_to_nearest_and_to_even_between_all_neighbours)
{
    for (size_t k = 0; k < FORMATS; k++) {
        const mc_dtype dtype = formats[k].dtype;
        for (unsigned code = 0; code + 1 < codes_of(formats[k]) / 2; code++) {
            const float a = read_one(dtype, code);
            const float b = read_one(dtype, code + 1);
            if (!isfinite(a) || !isfinite(b)) break;
            const float middle = (float)(0.5 * ((double)a + (double)b)); /* exact */
            const unsigned even = code + code % 2;
            const unsigned sign = codes_of(formats[k]) / 2;
            cr_assert_eq(write_one(dtype, middle), even, "%g", (double)middle);
            cr_assert_eq(write_one(dtype, -middle), even | sign, "%g", (double)-middle);
            cr_assert_eq(write_one(dtype, nextafterf(middle, 0.0f)), code, "%g", (double)middle);
            cr_assert_eq(write_one(dtype, nextafterf(middle, INFINITY)), code + 1);
        }
    }
}

Test(dtype, beyond_the_range_is_infinity_or_saturates)
{
    cr_expect_eq(write_one(MC_F16, 65519.996f), 0x7BFFu);
    cr_expect_eq(write_one(MC_F16, 65520.0f), 0x7C00u);
    cr_expect_eq(write_one(MC_F16, -1e30f), 0xFC00u);
    cr_expect_eq(write_one(MC_BF16, 3.4e38f), 0x7F80u);
    cr_expect_eq(write_one(MC_F8_E5M2, 61439.996f), 0x7Bu);
    cr_expect_eq(write_one(MC_F8_E5M2, 61440.0f), 0x7Cu);
    cr_expect_eq(write_one(MC_F8_E5M2, -1e9f), 0xFCu);
    cr_expect_eq(write_one(MC_F8_E4M3, 464.0f), 0x7Eu);
    cr_expect_eq(write_one(MC_F8_E4M3, 1e9f), 0x7Eu);
    cr_expect_eq(write_one(MC_F8_E4M3, -INFINITY), 0xFEu);
    cr_expect_eq(write_one(MC_F8_E4M3, NAN) & 0x7F, 0x7Fu);
}

Test(dtype, powers_of_two_are_nearest_in_the_exponent)
{
    for (unsigned code = 0; code < 255; code++) {
        cr_expect_eq(read_one(MC_F8_E8M0, code), ldexpf(1.0f, (int)code - 127), "%u", code);
        cr_expect_eq(write_one(MC_F8_E8M0, ldexpf(1.0f, (int)code - 127)), code);
    }
    cr_expect(isnan(read_one(MC_F8_E8M0, 255)));
    cr_expect_eq(write_one(MC_F8_E8M0, NAN), 255u);
    cr_expect_eq(write_one(MC_F8_E8M0, 0.0f), 0u);
    cr_expect_eq(write_one(MC_F8_E8M0, 1.4142135f), 127u); /* just below sqrt(2) */
    cr_expect_eq(write_one(MC_F8_E8M0, 1.4142136f), 128u);
    cr_expect_eq(write_one(MC_F8_E8M0, -3.0f), 129u);
    cr_expect_eq(write_one(MC_F8_E8M0, 3.4e38f), 254u);
    cr_expect_eq(write_one(MC_F8_E8M0, 1e-45f), 0u);
}

Test(dtype, doubles_round_once)
{
    const double wide[] = {1.0 + 0x1p-24, 1.0 + 0x1p-24 + 0x1p-50, 1e300, -0.0, 0.1};
    const float wanted[] = {1.0f, 1.0f + 0x1p-23f, INFINITY, -0.0f, 0.1f};
    float found[5];
    mc_to_f32(MC_F64, wide, found, 5);
    for (int i = 0; i < 5; i++) cr_expect(same_float(found[i], wanted[i]), "%d", i);
}

/* Arrays go other ways than single numbers, and file data starts anywhere. */
Test(dtype, arrays_of_any_length_and_place_are_the_same_as_single_numbers)
{
    enum { MOST = 67 };
    unsigned char bytes[4 * MOST + 1];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 151 + 7);
    for (size_t k = 0; k < FORMATS; k++) {
        const mc_dtype dtype = formats[k].dtype;
        const size_t size = mc_dtype_about(dtype)->bits / 8;
        for (size_t n = 0; n <= MOST; n++) {
            float x[MOST] = {0};
            unsigned char back[4 * MOST + 1];
            mc_to_f32(dtype, bytes + 1, x, n);
            mc_from_f32(dtype, x, back + 1, n);
            for (size_t i = 0; i < n; i++) {
                const unsigned char *at = bytes + 1 + i * size;
                const unsigned code = size == 2 ? at[0] | (unsigned)at[1] << 8 : at[0];
                cr_assert(same_float(x[i], read_one(dtype, code)));
                cr_assert(memcmp(back + 1 + i * size, at, size) == 0 || isnan(x[i]));
            }
        }
    }
}

Test(dtype, rounding_in_place_is_storing_and_reading)
{
    float x[100];
    for (int i = 0; i < 100; i++) x[i] = sinf((float)i) * 3.0f;
    for (size_t k = 0; k < FORMATS; k++) {
        float all[100];
        memcpy(all, x, sizeof x);
        mc_round_all_to(formats[k].dtype, all, 100);
        for (int i = 0; i < 100; i++) {
            const unsigned code = write_one(formats[k].dtype, x[i]);
            cr_expect(same_float(all[i], read_one(formats[k].dtype, code)));
            cr_expect(same_float(all[i], mc_round_to(formats[k].dtype, x[i])));
        }
    }
    cr_expect_eq(mc_round_to(MC_F32, 0.1f), 0.1f);
}
