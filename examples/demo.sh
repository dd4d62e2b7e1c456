#!/bin/sh
# The main job, end to end: quantize a real model, run original and container on a text that neither
# has seen, show what that cost.
#
#   demo.sh MCOMPRESS MODEL OUT_DIR
set -eu
mcompress=$1
model=$2
out=$3

run() {
    echo "\$ $*"
    "$@"
}

mkdir -p "$out"
run "$mcompress" quantize --w4a8 --force "$model" "$out/tinylm.bin"
run "$mcompress" verify "$out/tinylm.bin" --reference "$model" \
    --data "${model%/*}/eval.txt" --require 'perplexity_ratio<=1.02' \
    --report "$out/report.json" --html "$out/report.html"
echo
echo "The same report as a page: $out/report.html, and for programs: $out/report.json"
