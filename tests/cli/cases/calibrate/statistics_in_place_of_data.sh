#!/bin/sh
# quantize --calib with a file of statistics: what it cannot do with it, it says.
models=$MC_SOURCE_DIR/examples
mnist=$models/mnist/mnist.onnx
mcompress calibrate --quiet --no-fsync --data "$models/mnist/eval.npz" --max-tokens 64 "$mnist" m.stats || exit
mcompress calibrate --quiet --no-fsync --data "$models/mnist/eval.npz" --max-tokens 64 --no-gram "$mnist" lean.stats || exit

refuse() {
    echo "quantize --calib $*" | sed "s|$models|MODELS|g"
    mcompress quantize --quiet --no-fsync --w4a8 --calib "$@" out.bin 2>&1 | sed "s|$models|MODELS|g"
    rm -f out.bin
}

refuse m.stats --sequential "$mnist"
refuse m.stats --max-tokens 5 "$mnist"
refuse m.stats --checkpoint kept "$mnist"
refuse m.stats --method compensate+gptq "$mnist"
refuse m.stats --method gptq "$models/resnet8/resnet8.onnx" | sed 's/[0-9a-f]\{64\}/HASH/g'
refuse lean.stats --method gptq "$mnist"
refuse lean.stats --method imatrix+bias "$mnist"
refuse m.stats "$mnist"
