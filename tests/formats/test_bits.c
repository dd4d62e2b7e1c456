/* Bit packing against a slow reading of docs/container.md, bit by bit. */
#include "formats/bits.h"

#include "core/rng.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

/* Code i of b bits is the number whose bit k is bit i*b + k of the stream. */
static unsigned slow_code(unsigned bits, const unsigned char *stream, size_t i)
{
    unsigned code = 0;
    for (unsigned k = 0; k < bits; k++) {
        const size_t at = i * bits + k;
        code |= (unsigned)(stream[at / 8] >> at % 8 & 1) << k;
    }
    return code;
}

/* `n` codes on the heap, so that a byte too many is seen by the address sanitizer. */
static uint8_t *codes_below(unsigned bound, size_t n)
{
    uint8_t *code = malloc(n ? n : 1);
    cr_assert_not_null(code);
    for (size_t i = 0; i < n; i++)
        code[i] = (uint8_t)mc_rng_below((mc_rng){.seed = 5, .stream = bound}, i, bound);
    return code;
}

Test(bits, stand_least_significant_first)
{
    const uint8_t code[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    unsigned char to[4] = {0};
    mc_bits_pack(3, code, 8, to);
    cr_assert_arr_eq(to, ((unsigned char[]){0x88, 0xc6, 0xfa, 0}), 4);
    mc_bits_pack(4, code + 1, 3, to);
    cr_assert_arr_eq(to, ((unsigned char[]){0x21, 0x03}), 2);
    mc_bits_pack(1, (const uint8_t[]){1, 0, 0, 0, 0, 0, 0, 0, 1}, 9, to);
    cr_assert_arr_eq(to, ((unsigned char[]){0x01, 0x01}), 2);
}

Test(bits, of_base_3_begin_with_the_lightest)
{
    unsigned char to[2];
    mc_base3_pack((const uint8_t[]){1, 2, 0, 1, 2, 2, 1}, 7, to);
    cr_assert_eq(to[0], 1 + 2 * 3 + 0 * 9 + 1 * 27 + 2 * 81);
    cr_assert_eq(to[1], 2 + 1 * 3);
}

Test(bits, equal_the_slow_reading_for_all_widths_and_lengths)
{
    for (unsigned bits = 1; bits <= 8; bits++)
        for (size_t n = 0; n <= MOST; n++) {
            uint8_t *code = codes_below(1u << bits, n);
            const size_t bytes = (n * bits + 7) / 8;
            unsigned char *to = malloc(bytes ? bytes : 1);
            mc_bits_pack(bits, code, n, to);
            for (size_t i = 0; i < n; i++)
                cr_assert_eq(slow_code(bits, to, i), code[i], "%u bits, code %zu of %zu", bits, i,
                             n);
            if (n * bits % 8) cr_assert_eq(to[bytes - 1] >> n * bits % 8, 0, "padding");
            free(to);
            free(code);
        }
}

Test(bits, come_back_from_any_place)
{
    for (unsigned bits = 1; bits <= 8; bits++) {
        uint8_t *code = codes_below(1u << bits, MOST);
        const size_t bytes = ((size_t)MOST * bits + 7) / 8;
        unsigned char *packed = malloc(bytes);
        mc_bits_pack(bits, code, MOST, packed);
        for (size_t first = 0; first <= MOST; first++)
            for (size_t n = 0; n <= MOST - first; n++) {
                uint8_t *back = malloc(n ? n : 1);
                mc_bits_unpack(bits, packed, first, n, back);
                cr_assert_arr_eq(back, code + first, n, "%u bits, %zu + %zu", bits, first, n);
                free(back);
            }
        free(packed);
        free(code);
    }
}

Test(bits, of_base_3_come_back_from_any_place)
{
    for (size_t n = 0; n <= MOST; n++) {
        uint8_t *code = codes_below(3, n);
        const size_t bytes = (n + 4) / 5;
        unsigned char *packed = malloc(bytes ? bytes : 1);
        mc_base3_pack(code, n, packed);
        for (size_t first = 0; first <= n; first++) {
            uint8_t *back = malloc(n - first ? n - first : 1);
            mc_base3_unpack(packed, first, n - first, back);
            cr_assert_arr_eq(back, code + first, n - first, "%zu from %zu", n, first);
            free(back);
        }
        free(packed);
        free(code);
    }
}
