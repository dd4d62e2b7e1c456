/* Bit packing. Eight codes are one 64-bit word on one side and `bits` bytes on the other; three
 * rounds of shift and merge close the gaps between them (pack) or open them again (unpack). The
 * width is a constant in each loop, so that the compiler unrolls and vectorises it. */
#include "formats/bits.h"

#include "core/bytes.h"

#include <string.h>

/* ---- eight codes at a time ---- */

#define LANES_8  0x00ff00ff00ff00ffu /* every other byte */
#define LANES_16 0x0000ffff0000ffffu
#define LANES_32 0x00000000ffffffffu

static inline uint64_t close_gaps(uint64_t x, unsigned bits)
{
    x = (x & LANES_8) | (x >> 8 & LANES_8) << bits;
    x = (x & LANES_16) | (x >> 16 & LANES_16) << 2 * bits;
    return (x & LANES_32) | (x >> 32) << 4 * bits;
}

static inline uint64_t open_gaps(uint64_t x, unsigned bits)
{
    const uint64_t low4 = (UINT64_C(1) << 4 * bits) - 1;
    const uint64_t low2 = ((UINT64_C(1) << 2 * bits) - 1) * 0x0000000100000001u;
    const uint64_t low1 = ((UINT64_C(1) << bits) - 1) * 0x0001000100010001u;
    x = (x & low4) | (x >> 4 * bits & low4) << 32;
    x = (x & low2) | (x >> 2 * bits & low2) << 16;
    return (x & low1) | (x >> bits & low1) << 8;
}

static inline uint64_t load_bytes(const unsigned char *from, unsigned n)
{
    uint64_t x = 0;
    for (unsigned i = 0; i < n; i++) x |= (uint64_t)from[i] << 8 * i;
    return x;
}

static inline void store_bytes(unsigned char *to, uint64_t x, unsigned n)
{
    for (unsigned i = 0; i < n; i++) to[i] = (unsigned char)(x >> 8 * i);
}

static inline void pack_blocks(const uint8_t *code, size_t blocks, unsigned char *to, unsigned bits)
{
    for (size_t i = 0; i < blocks; i++)
        store_bytes(to + i * bits, close_gaps(mc_load_u64le(code + 8 * i), bits), bits);
}

/* Two codes a byte: plain enough for the compiler to do sixteen at once. */
static void pack_nibbles(const uint8_t *restrict code, size_t blocks, unsigned char *restrict to)
{
    for (size_t i = 0; i < 4 * blocks; i++)
        to[i] = (unsigned char)(code[2 * i] | code[2 * i + 1] << 4);
}

static void unpack_nibbles(const unsigned char *restrict from, size_t blocks,
                           uint8_t *restrict code)
{
    for (size_t i = 0; i < 4 * blocks; i++) {
        code[2 * i] = from[i] & 15;
        code[2 * i + 1] = from[i] >> 4;
    }
}

static inline void unpack_blocks(const unsigned char *from, size_t blocks, uint8_t *code,
                                 unsigned bits)
{
    for (size_t i = 0; i < blocks; i++)
        mc_store_u64le(code + 8 * i, open_gaps(load_bytes(from + i * bits, bits), bits));
}

void mc_bits_pack(unsigned bits, const uint8_t *code, size_t n, unsigned char *to)
{
    const size_t blocks = n / 8;
    switch (bits) {
    case 1: pack_blocks(code, blocks, to, 1); break;
    case 2: pack_blocks(code, blocks, to, 2); break;
    case 3: pack_blocks(code, blocks, to, 3); break;
    case 4: pack_nibbles(code, blocks, to); break;
    case 5: pack_blocks(code, blocks, to, 5); break;
    case 6: pack_blocks(code, blocks, to, 6); break;
    case 7: pack_blocks(code, blocks, to, 7); break;
    default: memcpy(to, code, n); return; /* 8 */
    }
    uint64_t rest = 0;
    for (size_t i = 8 * blocks; i < n; i++) rest |= (uint64_t)code[i] << (i % 8) * bits;
    store_bytes(to + blocks * bits, rest, (unsigned)((n % 8 * bits + 7) / 8));
}

/* One code anywhere in the stream. */
static uint8_t code_at(unsigned bits, const unsigned char *from, uint64_t i)
{
    /* i * bits would overflow long before the file ends being a file; i / 8 * bits does not. */
    const unsigned bit = (unsigned)(i % 8) * bits;
    const unsigned char *at = from + i / 8 * bits + bit / 8;
    unsigned x = at[0];
    if (bit % 8 + bits > 8) x |= (unsigned)at[1] << 8;
    return (uint8_t)(x >> bit % 8 & ((1u << bits) - 1));
}

void mc_bits_unpack(unsigned bits, const unsigned char *from, uint64_t first, size_t n,
                    uint8_t *code)
{
    size_t i = 0;
    for (; i < n && (first + i) % 8 != 0; i++) code[i] = code_at(bits, from, first + i);
    const size_t blocks = (n - i) / 8;
    const unsigned char *at = from + (first + i) / 8 * bits;
    switch (bits) {
    case 1: unpack_blocks(at, blocks, code + i, 1); break;
    case 2: unpack_blocks(at, blocks, code + i, 2); break;
    case 3: unpack_blocks(at, blocks, code + i, 3); break;
    case 4: unpack_nibbles(at, blocks, code + i); break;
    case 5: unpack_blocks(at, blocks, code + i, 5); break;
    case 6: unpack_blocks(at, blocks, code + i, 6); break;
    case 7: unpack_blocks(at, blocks, code + i, 7); break;
    default: memcpy(code + i, at, 8 * blocks); break;
    }
    for (i += 8 * blocks; i < n; i++) code[i] = code_at(bits, from, first + i);
}

/* ---- base 3 ---- */

/* Byte 4 of the product gathers c0 + 3 c1 + 9 c2 + 27 c3 + 81 c4. The bytes below it stay under
 * 256 (2 * 120 at most), so nothing carries into it. */
#define POWERS (81u | (uint64_t)27 << 8 | (uint64_t)9 << 16 | (uint64_t)3 << 24 | (uint64_t)1 << 32)

void mc_base3_pack(const uint8_t *code, size_t n, unsigned char *to)
{
    size_t i = 0;
    for (; n - i >= 8; i += 5)
        *to++ = (unsigned char)((mc_load_u64le(code + i) & 0xffffffffffu) * POWERS >> 32);
    while (i < n) {
        unsigned sum = 0, weight = 1;
        for (unsigned k = 0; k < 5 && i < n; k++, i++, weight *= 3) sum += code[i] * weight;
        *to++ = (unsigned char)sum;
    }
}

/* Digits [from, to) of a byte. */
static inline uint8_t *digits(unsigned byte, unsigned from, unsigned to, uint8_t *code)
{
    for (unsigned k = 0; k < to; k++, byte /= 3)
        if (k >= from) *code++ = (uint8_t)(byte % 3);
    return code;
}

void mc_base3_unpack(const unsigned char *from, uint64_t first, size_t n, uint8_t *code)
{
    const unsigned char *at = from + first / 5;
    const unsigned skip = (unsigned)(first % 5);
    uint8_t *const end = code + n;
    if (skip) code = digits(*at++, skip, n < 5 - skip ? skip + (unsigned)n : 5, code);
    while (end - code >= 5) code = digits(*at++, 0, 5, code);
    if (code < end) (void)digits(*at, 0, (unsigned)(end - code), code);
}
