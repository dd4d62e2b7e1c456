/* TensorProto.DataType and our dtypes, by the table in core. */
#include "formats/onnx.h"

mc_dtype mc_onnx_dtype(int64_t data_type)
{
    return mc_dtype_of_onnx(data_type);
}

int mc_onnx_data_type(mc_dtype dtype)
{
    return mc_dtype_to_onnx(dtype);
}
