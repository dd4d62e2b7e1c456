/* Sizes from files are multiplied and added here, never with * and +. True means it fitted. */
#ifndef MC_CORE_CKD_H
#define MC_CORE_CKD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool mc_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool mc_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool mc_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool mc_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* ceil(n / d) without overflow; d > 0. */
static inline uint64_t mc_ceil_div(uint64_t n, uint64_t d)
{
    return n / d + (n % d != 0);
}

/* The next multiple of `align` (a power of two); false when it does not fit 64 bits. */
static inline bool mc_align_up(uint64_t n, uint64_t align, uint64_t *out)
{
    if (!mc_add_u64(n, align - 1, out)) return false;
    *out &= ~(align - 1);
    return true;
}

#endif
