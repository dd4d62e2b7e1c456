/* Tensors in memory, as operators take and give them: contiguous, row-major, native byte order,
 * aligned to 64 bytes (views into mapped files: to the element).
 *
 * How an element lies: F32, F64, whole numbers of 8 bits and more and BOOL (0 or 1) as themselves;
 * smaller floats (F16, BF16, F8_*, F4) as f32 that their dtype can hold (but weights that a
 * container gives, and what is only moved of them, may be finer); whole numbers below 8 bits one a
 * byte; STRING as mc_nd_text. mc_nd_width() is the one rule.
 *
 * The same struct describes a tensor that is not there yet: `data` NULL, dimensions that are not
 * known -1, a rank that is not known MC_RANK_UNKNOWN, a dtype that is not known MC_DTYPE_NONE. */
#ifndef MC_CORE_ND_H
#define MC_CORE_ND_H

#include "core/dtype.h"
#include "core/err.h"
#include "core/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MC_RANK_UNKNOWN = -1 };

typedef enum {
    MC_ND_TENSOR,
    MC_ND_SEQUENCE, /* `item`s, all tensors */
    MC_ND_OPTIONAL, /* one item, or none */
} mc_nd_kind;

typedef struct {
    const char *at; /* UTF-8, not NUL-terminated */
    size_t length;
} mc_nd_text;

typedef struct mc_lazy mc_lazy;

typedef struct mc_nd mc_nd;
struct mc_nd {
    mc_nd_kind kind;
    mc_dtype dtype;
    int ndim;
    int64_t dim[MC_MAX_DIMS]; /* outermost first */
    size_t count;             /* elements; 0 while a dimension is not known */
    void *data;
    const mc_lazy *lazy;      /* instead of data: a constant that is decoded piece by piece */
    const mc_nd *item;        /* of sequences and optionals */
    size_t items;
};

/* A constant whose numbers become f32 when they are asked for, so that a model larger than memory
 * runs. Only operators that say so (MC_OP_LAZY) ever see one. */
struct mc_lazy {
    /* Elements [first, first + count), row-major. Any thread. */
    mc_status (*read)(const mc_lazy *lazy, uint64_t first, uint64_t count, float *out,
                      mc_err *err);
};

/* Bytes that one element takes in memory; 0 for dtypes that cannot be held (complex). */
size_t mc_nd_width(mc_dtype dtype);

/* The dtype as which elements lie: F32 for small floats, U8 or I8 for integers below 8 bits. */
mc_dtype mc_nd_storage(mc_dtype dtype);

/* Is it a float that is computed in f32 and rounded at the end (F16, BF16, F8_*, F4)? */
bool mc_nd_is_small_float(mc_dtype dtype);

/* Is every dimension, rank and dtype known? */
bool mc_nd_shape_known(const mc_nd *t);
bool mc_nd_same_shape(const mc_nd *a, const mc_nd *b);

/* Sets dtype and dimensions and counts elements; a dimension may be -1. MC_E_FORMAT when a
 * dimension is below -1, there are more than MC_MAX_DIMS, or the bytes leave 63 bits. */
mc_status mc_nd_set(mc_nd *t, mc_dtype dtype, int ndim, const int64_t *dim, mc_err *err);

/* Elements before, at and behind an axis; the axis may count from the end (-1 is the last).
 * False when it is out of range. */
bool mc_nd_axis(const mc_nd *t, int64_t axis, int *out);
size_t mc_nd_span(const mc_nd *t, int from, int to); /* the product of dim[from..to) */

/* The element at flat index i, for small tensors of parameters: whole numbers and BOOL exactly,
 * floats cut toward zero; and any real number. */
int64_t mc_nd_int(const mc_nd *t, size_t i);
double mc_nd_real(const mc_nd *t, size_t i);

/* What the file stores, as it lies in memory: `count` elements from element `first` on. */
mc_status mc_nd_decode(mc_dtype dtype, const unsigned char *data, uint64_t first, uint64_t count,
                       void *out, mc_err *err);

/* Rounds f32 elements to what a small float can hold; nothing to do for other dtypes. */
void mc_nd_round(mc_nd *t);

/* "[1, ?, 28, 28] F32" for messages. Returns `text`. */
enum { MC_ND_TEXT = 160 };
const char *mc_nd_show(const mc_nd *t, char text[MC_ND_TEXT]);

#endif
