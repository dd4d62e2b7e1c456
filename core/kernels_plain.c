/* The kernels for any processor. */
#include "core/kernels.h"

extern const mc_kernels mc_kernels_plain;

#define KERNELS      mc_kernels_plain
#define KERNELS_NAME "plain"
#include "core/kernels_impl.inc"
