#!/bin/sh
mnist=$MC_SOURCE_DIR/examples/mnist
mcompress quantize --w8a8 --quiet "$mnist/mnist.onnx" out.bin --data "$mnist/eval.npz" \
    --require 'accuracy_drop<=0.01' --require 'accuracy_reference==0.981' --report r.json || exit
ls
grep -E '^	*"(verdict|task|accuracy_reference|simulated|activations|macs)"|^		"n"' r.json
