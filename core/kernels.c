/* Which build of the kernels runs here. */
#include "core/kernels.h"

extern const mc_kernels mc_kernels_plain;

#ifdef MC_HAVE_AVX2
extern const mc_kernels mc_kernels_avx2;

/* Every processor with AVX2 has F16C, which clang cannot be asked about. */
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}
#endif

const mc_kernels *mc_kernels_at(size_t i)
{
    if (i == 0) return &mc_kernels_plain;
#ifdef MC_HAVE_AVX2
    if (i == 1 && has_avx2()) return &mc_kernels_avx2;
#endif
    return NULL;
}

const mc_kernels *mc_kernels_best(void)
{
#ifdef MC_HAVE_AVX2
    if (has_avx2()) return &mc_kernels_avx2;
#endif
    return &mc_kernels_plain;
}

size_t mc_first_not_finite(const float *w, size_t n)
{
    return mc_kernels_best()->first_not_finite(w, n);
}
