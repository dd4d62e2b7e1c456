#!/bin/sh
mnist=$MC_SOURCE_DIR/examples/mnist
mcompress quantize --w8a16 --quiet "$mnist/mnist.onnx" out.bin || exit
mcompress verify out.bin --reference "$mnist/mnist.onnx" --quiet --data "a=$mnist/eval.npz" --data "b=$mnist/eval.npz" \
    --quick 40 --require 'worst_accuracy_drop<=0.2' --report r.json || exit
grep -E '"(name|samples)"' r.json | tail -n 4
