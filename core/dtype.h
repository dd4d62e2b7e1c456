/* Element types: the 22 of safetensors and those that only graphs know, and how each becomes f32.
 *
 * A dtype is one line of MC_DTYPES; names, sizes, reading, reports and the container all use that
 * line. The numeric value is written into containers: never reorder, only append. */
#ifndef MC_CORE_DTYPE_H
#define MC_CORE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(id, safetensors name, bits, value in containers, class); classes: F float with conversion,
 * O float without conversion (carried as it is), I integer or bool, C complex, G of graphs only:
 * safetensors has no such name. Elements below 8 bits lie packed, low bits first, without padding
 * between rows. */
#define MC_DTYPES(X)                       \
    X(F32, "F32", 32, 1, F)                \
    X(F16, "F16", 16, 2, F)                \
    X(BF16, "BF16", 16, 3, F)              \
    X(F64, "F64", 64, 4, F)                \
    X(F8_E4M3, "F8_E4M3", 8, 5, F)         \
    X(F8_E5M2, "F8_E5M2", 8, 6, F)         \
    X(F8_E8M0, "F8_E8M0", 8, 7, F)         \
    X(F8_E4M3FNUZ, "F8_E4M3FNUZ", 8, 8, O) \
    X(F8_E5M2FNUZ, "F8_E5M2FNUZ", 8, 9, O) \
    X(F6_E2M3, "F6_E2M3", 6, 10, O)        \
    X(F6_E3M2, "F6_E3M2", 6, 11, O)        \
    X(F4, "F4", 4, 12, O)                  \
    X(BOOL, "BOOL", 8, 13, I)              \
    X(U8, "U8", 8, 14, I)                  \
    X(I8, "I8", 8, 15, I)                  \
    X(I16, "I16", 16, 16, I)               \
    X(U16, "U16", 16, 17, I)               \
    X(I32, "I32", 32, 18, I)               \
    X(U32, "U32", 32, 19, I)               \
    X(C64, "C64", 64, 20, C)               \
    X(I64, "I64", 64, 21, I)               \
    X(U64, "U64", 64, 22, I)               \
    X(U4, "U4", 4, 23, G)                  \
    X(I4, "I4", 4, 24, G)                  \
    X(U2, "U2", 2, 25, G)                  \
    X(I2, "I2", 2, 26, G)                  \
    X(C128, "C128", 128, 27, G)            \
    X(STRING, "STRING", 0, 28, G)

typedef enum {
    MC_DTYPE_NONE = 0,
#define X(id, name, bits, value, class) MC_##id = (value),
    MC_DTYPES(X)
#undef X
    MC_DTYPE_COUNT
} mc_dtype;

typedef struct {
    const char *name;
    unsigned bits; /* per element */
    bool is_float; /* holds real numbers (F or O) */
    bool to_f32;   /* mc_to_f32 can read it */
} mc_dtype_info;

/* The line of a dtype; never NULL for a value of the enum. */
const mc_dtype_info *mc_dtype_about(mc_dtype dtype);

/* MC_DTYPE_NONE when safetensors has no such name (exact spelling, `length` bytes). */
mc_dtype mc_dtype_find(const char *name, size_t length);

/* The dtype that TensorProto.DataType of ONNX gives a number or a name ("FLOAT"), and back;
 * MC_DTYPE_NONE and 0 where there is none. */
mc_dtype mc_dtype_of_onnx(int64_t number);
mc_dtype mc_dtype_of_onnx_name(const char *name);
int mc_dtype_to_onnx(mc_dtype dtype);

/* `n` elements at `from` (any alignment, little-endian) to f32. F64 rounds to nearest even; all
 * others are exact (a signalling f16 NaN becomes quiet). The dtype must have to_f32. */
void mc_to_f32(mc_dtype dtype, const void *from, float *to, size_t n);

/* f32 to `dtype` (F32, F16, BF16, F8_E4M3, F8_E5M2, F8_E8M0), round to nearest even,
 * little-endian. F16, BF16 and F8_E5M2 overflow to infinity, F8_E4M3 saturates at 448; F8_E8M0
 * takes the power of two whose exponent is nearest to log2 |x|, 2^-127..2^127. NaN stays NaN. */
void mc_from_f32(mc_dtype dtype, const float *from, void *to, size_t n);

/* What `x` becomes when it is stored as `dtype` and read back. */
float mc_round_to(mc_dtype dtype, float x);

/* The same in place for `n` numbers at once. */
void mc_round_all_to(mc_dtype dtype, float *x, size_t n);

#endif
