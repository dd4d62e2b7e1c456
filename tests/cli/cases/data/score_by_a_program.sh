#!/bin/sh
mnist=$MC_SOURCE_DIR/examples/mnist
mcompress quantize --w8a16 --quiet "$mnist/mnist.onnx" out.bin || exit
# shellcheck disable=SC2016 # a script for another shell
printf '#!/bin/sh\ntest -s "${1:?}" && echo 0.75\n' >judge && chmod +x judge
mcompress verify out.bin --reference "$mnist/mnist.onnx" --quiet --data "$mnist/eval.npz" --quick 5 --dump d.npz \
    --score ./judge --require 'score>=0.7' || exit
mcompress verify out.bin --reference "$mnist/mnist.onnx" --quiet --data "$mnist/eval.npz" --quick 5 --dump d.npz --force \
    --score ./judge --require 'score>=0.8'
