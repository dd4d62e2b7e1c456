#!/bin/sh
# Logarithms of negative numbers, exponentials beyond f32: no codes come of them.
python3 "$MC_CASES/calib/tiny_onnx.py" Log
for method in gptq imatrix compensate+gptq adaround awq+gptq gptq+bias; do
    mcompress quantize --w4a16 --group 32 --calib data.npy --method $method --quiet m.onnx out.bin
    echo "exit $?" >&2
done
mcompress quantize --w4a8 --group 32 --calib data.npy --method rtn --act static --quiet m.onnx out.bin
echo "exit $?" >&2
python3 "$MC_CASES/calib/tiny_onnx.py" Exp Exp Exp Exp
mcompress quantize --w4a16 --group 32 --calib data.npy --method gptq --quiet m.onnx out.bin
echo "exit $?" >&2
ls
