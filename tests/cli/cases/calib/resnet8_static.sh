#!/bin/sh
resnet8=$MC_SOURCE_DIR/examples/resnet8
for scheme in w8a8 w4a8; do
    mcompress quantize --$scheme --group channel --act static --observer minmax --method batchnorm+compensate+gptq --quiet \
        --calib "$resnet8/eval_200.npz" "$resnet8/resnet8.onnx" $scheme.bin --data "$resnet8/eval_200.npz" --report $scheme.json \
        --require 'accuracy_drop<=0.02' --require 'top1_agreement>=0.92' || exit
    grep -E '"(headline|task|simulated)"' $scheme.json
done
