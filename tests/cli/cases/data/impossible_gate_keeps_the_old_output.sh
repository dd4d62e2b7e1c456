#!/bin/sh
mnist=$MC_SOURCE_DIR/examples/mnist
mcompress quantize --w8a16 --quiet "$mnist/mnist.onnx" out.bin || exit
cp out.bin before
mcompress quantize --w2a4 --quiet --force "$mnist/mnist.onnx" out.bin --data "$mnist/eval.npz" --quick 100 \
    --require 'accuracy_drop<=-0.5'
status=$?
cmp before out.bin && ls
exit $status
