/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC'11, section 3.3; constants of Random123).
 *
 * The key is the seed, the upper half of the counter is the stream, the lower half counts blocks
 * of four words. */
#include "core/rng.h"

enum { ROUNDS = 10 };

static const uint32_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
static const uint32_t weyl[2] = {0x9E3779B9u, 0xBB67AE85u}; /* golden ratio, sqrt(3) - 1 */

void mc_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k[2] = {key[0], key[1]};
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)multiplier[0] * c[0];
        const uint64_t p1 = (uint64_t)multiplier[1] * c[2];
        const uint32_t c1 = c[1], c3 = c[3];
        c[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k[0];
        c[1] = (uint32_t)p1;
        c[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k[1];
        c[3] = (uint32_t)p0;
        k[0] += weyl[0];
        k[1] += weyl[1];
    }
    for (int i = 0; i < 4; i++) out[i] = c[i];
}

static void block(mc_rng rng, uint64_t i, uint32_t out[4])
{
    const uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), (uint32_t)rng.stream,
                                 (uint32_t)(rng.stream >> 32)};
    const uint32_t key[2] = {(uint32_t)rng.seed, (uint32_t)(rng.seed >> 32)};
    mc_philox4x32(counter, key, out);
}

uint32_t mc_rng_u32(mc_rng rng, uint64_t i)
{
    uint32_t word[4];
    block(rng, i / 4, word);
    return word[i % 4];
}

/* The upper 64 bits of a * b, without a 128-bit type. */
static uint64_t multiply_high(uint64_t a, uint64_t b)
{
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t low = a0 * b0, mid = a1 * b0 + (low >> 32), mid2 = a0 * b1 + (uint32_t)mid;
    return a1 * b1 + (mid >> 32) + (mid2 >> 32);
}

uint64_t mc_rng_below(mc_rng rng, uint64_t i, uint64_t bound)
{
    uint32_t word[4];
    block(rng, i / 2, word);
    const uint32_t *pair = word + 2 * (i % 2);
    return multiply_high((uint64_t)pair[1] << 32 | pair[0], bound);
}

float mc_rng_unit(mc_rng rng, uint64_t i)
{
    return (float)(mc_rng_u32(rng, i) >> 8) * 0x1p-24f;
}
