#!/bin/sh
# 40 digits cannot tell a drop of 1 % from none; 2,000 can tell one of 2 %.
mnist=$MC_SOURCE_DIR/examples/mnist
mcompress quantize --w8a16 --quiet "$mnist/mnist.onnx" out.bin || exit
verify() {
    mcompress verify out.bin --reference "$mnist/mnist.onnx" --data "$mnist/eval.npz" --report r.json "$@"
    echo "exit $?"
}
verify --quick 40 --require 'accuracy_drop<=0.01' | grep -E '^verdict|underpowered|^exit'
verify --quick 40 --require 'accuracy_drop<=0.01' --strict --quiet
grep -E '"(pass|underpowered)"' r.json
verify --require 'accuracy_drop<=0.02' --strict --quiet
