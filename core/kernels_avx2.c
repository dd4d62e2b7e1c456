/* The kernels for x86-64 with AVX2 and F16C; the build gives this file the flags. Without FMA,
 * whose single rounding would change results. */
#include "core/kernels.h"

#if defined(__AVX2__) && defined(__F16C__)
extern const mc_kernels mc_kernels_avx2;

#define KERNELS      mc_kernels_avx2
#define KERNELS_NAME "avx2"
#include "core/kernels_impl.inc"
#endif
