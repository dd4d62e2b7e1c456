/* Element-wise operators: the list of types they are written for, which inputs they take, and how
 * to go through operands that broadcast. */
#ifndef MC_CORE_OPS_OP_NUMBER_SHARED_H
#define MC_CORE_OPS_OP_NUMBER_SHARED_H

#include "core/op.h"

#include <math.h>

/* X(dtype, C type, the unsigned type its arithmetic wraps in, suffix): one line a storage type. */
#define MC_NUM_FLOATS(X)       \
    X(F32, float, float, f32)  \
    X(F64, double, double, f64)
#define MC_NUM_SIGNED(X)          \
    X(I8, int8_t, uint32_t, i8)   \
    X(I16, int16_t, uint32_t, i16) \
    X(I32, int32_t, uint32_t, i32) \
    X(I64, int64_t, uint64_t, i64)
#define MC_NUM_UNSIGNED(X)          \
    X(U8, uint8_t, uint32_t, u8)    \
    X(U16, uint16_t, uint32_t, u16) \
    X(U32, uint32_t, uint32_t, u32) \
    X(U64, uint64_t, uint64_t, u64)
#define MC_NUM_INTS(X) MC_NUM_SIGNED(X) MC_NUM_UNSIGNED(X)
#define MC_NUM_ALL(X)  MC_NUM_FLOATS(X) MC_NUM_INTS(X)

/* ---- inputs ---- */

enum {
    MC_NUM_FLOAT = 1,
    MC_NUM_SIGN = 2, /* whole numbers of 8 bits and more, with a sign and without */
    MC_NUM_NOSIGN = 4,
    MC_NUM_BOOL = 8,
    MC_NUM_STRING = 16,
    MC_NUM_TINY = 32, /* whole numbers below 8 bits */
    MC_NUM_INT = MC_NUM_SIGN | MC_NUM_NOSIGN,
    MC_NUM_ANY_NUMBER = MC_NUM_FLOAT | MC_NUM_INT,
    MC_NUM_ANY = MC_NUM_ANY_NUMBER | MC_NUM_BOOL | MC_NUM_STRING | MC_NUM_TINY,
};

/* Refuses an input that is missing, no tensor, or of another kind; an unknown dtype passes. */
mc_status mc_num_need(const mc_call *call, size_t input, unsigned kinds, mc_err *err);

/* The same for an input that may be left out. */
mc_status mc_num_may(const mc_call *call, size_t input, unsigned kinds, mc_err *err);

/* Refuses inputs [0, ins) whose dtypes differ where both are known; *dtype is theirs. */
mc_status mc_num_alike(const mc_call *call, size_t first, size_t ins, mc_dtype *dtype,
                       mc_err *err);

/* ---- conversions ---- */

/* Cut toward zero. Beyond the range and NaN, where C leaves it open: 32 and 64 bits take the end of
 * the range (NaN: 0); smaller types keep the low bits of what lies within 32 bits, else 0, as numpy
 * does. */
int64_t mc_num_cut_i64(double x);
uint64_t mc_num_cut_u64(double x);
int32_t mc_num_cut_i32(double x);
uint32_t mc_num_cut_u32(double x);
int16_t mc_num_cut_i16(double x);
uint16_t mc_num_cut_u16(double x);
int8_t mc_num_cut_i8(double x);
uint8_t mc_num_cut_u8(double x);

/* Elements from one storage dtype to another (numbers and BOOL), whole numbers modulo 2^bits.
 * Arrays do not overlap. */
void mc_num_convert(mc_dtype from, const void *x, mc_dtype to, void *y, size_t n);

/* ---- broadcasting ---- */

/* Rows of an output, in order: `row` elements each, beside which operand k starts at element at[k]
 * and goes on by unit[k], which is 0 or 1. Axes that lie together for all operands are one. */
typedef struct {
    size_t rows, row;
    size_t unit[3], at[3];
    int operands, ndim; /* of the axes outside rows */
    size_t dim[MC_MAX_DIMS], index[MC_MAX_DIMS];
    size_t step[3][MC_MAX_DIMS];
} mc_num_walk;

/* Shapes are known and fit. rows is 0 when the output has no elements. */
void mc_num_walk_open(mc_num_walk *w, const mc_nd *out, const mc_nd *const *in, int operands);
void mc_num_walk_next(mc_num_walk *w);

/* o[i] = f(a[i * sa], b[i * sb]); sa and sb are 0 or 1; o may be a. */
typedef void (*mc_num_loop)(void *o, const void *a, const void *b, size_t n, size_t sa, size_t sb);

/* `loop` over an output of in[0] and in[1]; their storage widths are the loop's. */
void mc_num_binary(mc_num_loop loop, const mc_nd *a, const mc_nd *b, const mc_nd *out);

#endif
