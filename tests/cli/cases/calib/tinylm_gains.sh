#!/bin/sh
# The same bytes, less divergence.
tinylm=$MC_SOURCE_DIR/examples/tinylm
figure() { sed -n "s/^[[:space:]]*\"$1\":[[:space:]]*\([0-9.e-]*\),*$/\1/p" "$2" | head -n 1; }
run() {
    name=$1
    shift
    mcompress quantize --w3a16 --group 64 --asym --zero integer --keep 'embed|lm_head' --quiet "$@" "$tinylm" "$name.bin" \
        --data "$tinylm/eval.txt" --quick 4 --report "$name.json" || exit
}
run none --method mse
run data --preset balanced --calib "$tinylm/eval.txt" --max-tokens 4096 --require 'kl_mean<=0.025' --require 'top1_agreement>=0.88'
a=$(figure kl_mean data.json) b=$(figure kl_mean none.json)
awk -v a="$a" -v b="$b" 'BEGIN { exit !(a > 0 && a < b) }' && echo "less divergence"
a=$(wc -c <data.bin) b=$(wc -c <none.bin)
[ $((a - b)) -lt 1000 ] && echo "as many bytes"
