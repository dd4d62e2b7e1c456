#!/bin/sh
resnet8=$MC_SOURCE_DIR/examples/resnet8
mcompress quantize --w8a8 --quiet "$resnet8/resnet8.onnx" out.bin --data "$resnet8/eval_200.npz" \
    --require 'accuracy_drop<=0.02' --report r.json || exit
ls
grep -E '"(task|accuracy_reference|simulated|macs)"|^		"n"' r.json
