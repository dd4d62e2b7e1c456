/* CRC-32C (Castagnoli polynomial, reflected 0x82f63b78; RFC 3720 appendix B.4).
 *
 * The portable path takes eight bytes a step from eight tables (Kounavis and Berry, "slicing by
 * 8"). x86-64 has an instruction for the same sum; it is chosen at run time. */
#include "core/hash.h"

#include "core/bytes.h"

#include <pthread.h>

static uint32_t table[8][256]; /* [k][b]: the byte b followed by k zero bytes */
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void fill_table(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        table[0][b] = crc;
    }
    for (size_t k = 1; k < 8; k++)
        for (size_t b = 0; b < 256; b++) {
            const uint32_t before = table[k - 1][b];
            table[k][b] = before >> 8 ^ table[0][before & 0xff];
        }
}

uint32_t mc_crc32c_table(uint32_t crc, const void *bytes, size_t n)
{
    pthread_once(&table_once, fill_table);
    const unsigned char *p = bytes;
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        const uint32_t low = crc ^ mc_load_u32le(p), high = mc_load_u32le(p + 4);
        crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^
              table[4][low >> 24] ^ table[3][high & 0xff] ^ table[2][high >> 8 & 0xff] ^
              table[1][high >> 16 & 0xff] ^ table[0][high >> 24];
    }
    for (; n > 0; n--, p++) crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *bytes,
                                                                 size_t n)
{
    const unsigned char *p = bytes;
    uint64_t sum = ~crc;
    for (; n >= 8; n -= 8, p += 8) sum = _mm_crc32_u64(sum, mc_load_u64le(p));
    for (; n > 0; n--, p++) sum = _mm_crc32_u8((uint32_t)sum, *p);
    return ~(uint32_t)sum;
}

uint32_t mc_crc32c(uint32_t crc, const void *bytes, size_t n)
{
    return __builtin_cpu_supports("sse4.2") ? by_instruction(crc, bytes, n)
                                            : mc_crc32c_table(crc, bytes, n);
}

#else

uint32_t mc_crc32c(uint32_t crc, const void *bytes, size_t n)
{
    return mc_crc32c_table(crc, bytes, n);
}

#endif
