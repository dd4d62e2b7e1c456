/* The numbers and names of TensorProto.DataType and our dtypes: one table for both ways. */
#include "core/dtype.h"

#include <string.h>

static const struct {
    mc_dtype dtype;
    const char *name;
} types[] = {
    [1] = {MC_F32, "FLOAT"},
    [2] = {MC_U8, "UINT8"},
    [3] = {MC_I8, "INT8"},
    [4] = {MC_U16, "UINT16"},
    [5] = {MC_I16, "INT16"},
    [6] = {MC_I32, "INT32"},
    [7] = {MC_I64, "INT64"},
    [8] = {MC_STRING, "STRING"},
    [9] = {MC_BOOL, "BOOL"},
    [10] = {MC_F16, "FLOAT16"},
    [11] = {MC_F64, "DOUBLE"},
    [12] = {MC_U32, "UINT32"},
    [13] = {MC_U64, "UINT64"},
    [14] = {MC_C64, "COMPLEX64"},
    [15] = {MC_C128, "COMPLEX128"},
    [16] = {MC_BF16, "BFLOAT16"},
    [17] = {MC_F8_E4M3, "FLOAT8E4M3FN"},
    [18] = {MC_F8_E4M3FNUZ, "FLOAT8E4M3FNUZ"},
    [19] = {MC_F8_E5M2, "FLOAT8E5M2"},
    [20] = {MC_F8_E5M2FNUZ, "FLOAT8E5M2FNUZ"},
    [21] = {MC_U4, "UINT4"},
    [22] = {MC_I4, "INT4"},
    [23] = {MC_F4, "FLOAT4E2M1"},
    [24] = {MC_F8_E8M0, "FLOAT8E8M0"},
    [25] = {MC_U2, "UINT2"},
    [26] = {MC_I2, "INT2"},
};

enum { TYPES = sizeof types / sizeof types[0] };

mc_dtype mc_dtype_of_onnx(int64_t number)
{
    return number > 0 && number < TYPES ? types[number].dtype : MC_DTYPE_NONE;
}

int mc_dtype_to_onnx(mc_dtype dtype)
{
    for (int i = 1; i < TYPES; i++)
        if (types[i].dtype == dtype) return i;
    return 0;
}

mc_dtype mc_dtype_of_onnx_name(const char *name)
{
    for (int i = 1; i < TYPES; i++)
        if (strcmp(types[i].name, name) == 0) return types[i].dtype;
    return MC_DTYPE_NONE;
}
