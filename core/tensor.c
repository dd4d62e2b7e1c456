/* How a tensor of any number of dimensions becomes the matrix that algorithms work on. */
#include "core/tensor.h"

#include "core/ckd.h"

#include <inttypes.h>
#include <stdio.h>

enum { KERNEL_BELOW = 16 }; /* a last dimension below it is a convolution's kernel */

/* The product of dimensions [from, to). It can leave 64 bits only in an empty tensor, where
 * another dimension is 0; then 0 keeps rows x cols right. */
static uint64_t product(const mc_tensor *t, int from, int to)
{
    uint64_t n = 1;
    for (int i = from; i < to; i++)
        if (!mc_mul_u64(n, t->dim[i], &n)) return 0;
    return n;
}

static bool is_convolution(const mc_tensor *t)
{
    return t->ndim == 4 || t->ndim == 5 || (t->ndim == 3 && t->dim[2] < KERNEL_BELOW);
}

bool mc_tensor_shape(const mc_tensor *t, uint64_t *rows, uint64_t *cols)
{
    if (t->ndim < 2) {
        *rows = 1;
        *cols = t->count;
        return false;
    }
    const int split = is_convolution(t) ? 1 : t->ndim - 1;
    *rows = product(t, 0, split);
    *cols = product(t, split, t->ndim);
    return true;
}

void mc_tensor_shape_text(const mc_tensor *t, char *text, size_t room)
{
    if (room == 0) return;
    size_t used = 0;
    for (int i = 0; i <= t->ndim && used < room; i++) {
        const char *before = i == 0 ? "[" : ", ";
        const int n = i < t->ndim
                          ? snprintf(text + used, room - used, "%s%" PRIu64, before, t->dim[i])
                          : snprintf(text + used, room - used, "%s]", i == 0 ? "[" : "");
        if (n < 0) break;
        used += (size_t)n;
    }
}
