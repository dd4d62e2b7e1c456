#!/bin/sh
# What calibrate does not do, and what its files do not stand in for.
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
models=$MC_SOURCE_DIR/examples

refuse() {
    echo "calibrate $*" | sed "s|$models|MODELS|g"
    mcompress calibrate "$@" 2>&1 | sed "s|$models|MODELS|g; s/to [0-9.]* MiB/to SOME MiB/"
    [ -e out.stats ] || [ -e out.stats.partial ] && echo "something was written"
}

layer >plain.safetensors
printf '0\n' >x.txt
refuse plain.safetensors out.stats
refuse plain.safetensors
refuse --data x.txt plain.safetensors out.stats
refuse --data a.npz --data b.npz plain.safetensors out.stats
refuse --data tune=a.npz plain.safetensors out.stats
refuse --data absent.npz "$models/mnist/mnist.onnx" out.stats
refuse --data "$models/mnist/eval.npz" --max-tokens 0 "$models/mnist/mnist.onnx" out.stats
refuse --data "$models/mnist/eval.npz" --threads 2 --memory-limit 1M "$models/mnist/mnist.onnx" out.stats
refuse --data "$models/mnist/eval.npz" --no-gram "$models/mnist/mnist.onnx" out.gguf
refuse --data "$models/mnist/eval.npz" --max-tokens 8 "$models/mnist/mnist.onnx" out.gguf
refuse --merge a.stats --merge b.stats --data x.txt out.stats
refuse --merge a.stats --merge b.stats one.stats out.stats
refuse --merge absent.stats out.stats
refuse --merge plain.safetensors out.stats
