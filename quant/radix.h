/* Sorting floats in place and in time that grows with n: the "American flag" radix sort, highest
 * byte first (McIlroy, Bostic, McIlroy 1993). A qsort would take memory of its own. */
#ifndef MC_QUANT_RADIX_H
#define MC_QUANT_RADIX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Keys whose order as integers is the order of the floats (negative ones have all bits turned). */
static inline uint32_t key_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static inline float float_of_key(uint32_t key)
{
    const uint32_t bits = key & 0x80000000u ? key & 0x7fffffffu : ~key;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline void sort_few_keys(uint32_t *key, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const uint32_t k = key[i];
        size_t j = i;
        for (; j > 0 && key[j - 1] > k; j--) key[j] = key[j - 1];
        key[j] = k;
    }
}

/* Puts every key into the bucket of its byte at `shift`; end[d] becomes the end of bucket d. */
static inline void deal_keys(uint32_t *key, size_t n, unsigned shift, size_t end[256])
{
    size_t next[256];
    memset(end, 0, 256 * sizeof end[0]);
    for (size_t i = 0; i < n; i++) end[key[i] >> shift & 255]++;
    for (size_t d = 0, sum = 0; d < 256; d++) {
        next[d] = sum;
        sum += end[d];
        end[d] = sum;
    }
    for (size_t d = 0; d < 256; d++)
        while (next[d] < end[d]) {
            uint32_t k = key[next[d]];
            for (size_t to = k >> shift & 255; to != d; to = k >> shift & 255) {
                const uint32_t swapped = key[next[to]];
                key[next[to]++] = k;
                k = swapped;
            }
            key[next[d]++] = k;
        }
}

/* Sorts keys that differ only below bit shift + 8; call it with 24. Recursion is four deep. */
static inline void sort_keys(uint32_t *key, size_t n, unsigned shift)
{
    enum { FEW = 40 };
    if (n <= FEW) {
        sort_few_keys(key, n);
        return;
    }
    size_t end[256];
    deal_keys(key, n, shift, end);
    if (shift == 0) return;
    for (size_t d = 0, start = 0; d < 256; start = end[d++])
        if (end[d] - start > 1) sort_keys(key + start, end[d] - start, shift - 8);
}

#endif
