/* TensorProto.DataType and our dtypes: one table for both ways. */
#include "formats/onnx.h"

static const unsigned char dtypes[] = {
    [1] = MC_F32,      [2] = MC_U8,           [3] = MC_I8,       [4] = MC_U16,
    [5] = MC_I16,      [6] = MC_I32,          [7] = MC_I64,      [8] = MC_STRING,
    [9] = MC_BOOL,     [10] = MC_F16,         [11] = MC_F64,     [12] = MC_U32,
    [13] = MC_U64,     [14] = MC_C64,         [15] = MC_C128,    [16] = MC_BF16,
    [17] = MC_F8_E4M3, [18] = MC_F8_E4M3FNUZ, [19] = MC_F8_E5M2, [20] = MC_F8_E5M2FNUZ,
    [21] = MC_U4,      [22] = MC_I4,          [23] = MC_F4,      [24] = MC_F8_E8M0,
    [25] = MC_U2,      [26] = MC_I2,
};

enum { TYPES = sizeof dtypes / sizeof dtypes[0] };

mc_dtype mc_onnx_dtype(int64_t data_type)
{
    return data_type > 0 && data_type < TYPES ? (mc_dtype)dtypes[data_type] : MC_DTYPE_NONE;
}

int mc_onnx_data_type(mc_dtype dtype)
{
    for (int i = 1; i < TYPES; i++)
        if (dtypes[i] == dtype) return i;
    return 0;
}
