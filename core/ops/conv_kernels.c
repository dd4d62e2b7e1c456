/* Which build of a convolution's innermost loops runs here: one for vectors of four floats that any
 * compiler makes, and on x86-64 those for AVX2 and AVX-512 with fused multiply-add. */
#include "core/ops/conv_direct.h"

#include <string.h>

/* Blocks stay in registers only when their loops are gone. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* ---- any processor ---- */

typedef float four __attribute__((vector_size(16)));

static inline four load_four(const float *from)
{
    four v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void store_four(float *to, four v)
{
    memcpy(to, &v, sizeof v);
}

#define BUILD      plain
#define BUILD_NAME "plain"
#define TARGET
#define LANES                 4u
#define FILTERS               4u
#define VECTORS               3u
#define DEEP_VECTORS          8u
#define vec                   four
#define LOAD(from)            load_four(from)
#define STORE(to, v)          store_four(to, v)
#define SPREAD(x)             ((four){(x), (x), (x), (x)})
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#include "core/ops/conv_kernels.inc"

/* ---- x86-64 ---- */

#ifdef __x86_64__
#include <immintrin.h>

#define BUILD                 avx2
#define BUILD_NAME            "avx2"
#define TARGET                __attribute__((target("avx2,fma")))
#define LANES                 8u
#define FILTERS               4u
#define VECTORS               3u
#define DEEP_VECTORS          8u
#define vec                   __m256
#define LOAD(from)            _mm256_loadu_ps(from)
#define STORE(to, v)          _mm256_storeu_ps(to, v)
#define SPREAD(x)             _mm256_set1_ps(x)
#define MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#include "core/ops/conv_kernels.inc"

#define BUILD                 avx512
#define BUILD_NAME            "avx512"
#define TARGET                __attribute__((target("avx512f,avx2,fma")))
#define LANES                 16u
#define FILTERS               8u
#define VECTORS               3u
#define DEEP_VECTORS          8u
#define vec                   __m512
#define LOAD(from)            _mm512_loadu_ps(from)
#define STORE(to, v)          _mm512_storeu_ps(to, v)
#define SPREAD(x)             _mm512_set1_ps(x)
#define MULTIPLY_ADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#include "core/ops/conv_kernels.inc"
#endif

const mc_conv_kernels *mc_conv_kernels_at(size_t i)
{
    if (i == 0) return &kernels_plain;
#ifdef __x86_64__
    const bool fused = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (i == 1 && fused) return &kernels_avx2;
    if (i == 2 && fused && __builtin_cpu_supports("avx512f")) return &kernels_avx512;
#endif
    return NULL;
}

const mc_conv_kernels *mc_conv_kernels_best(void)
{
    const mc_conv_kernels *best = mc_conv_kernels_at(0);
    for (size_t i = 1; mc_conv_kernels_at(i); i++) best = mc_conv_kernels_at(i);
    return best;
}
