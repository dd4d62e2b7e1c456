#!/bin/sh
tinylm=$MC_SOURCE_DIR/examples/tinylm
figure() { sed -n "s/^[[:space:]]*\"$1\":[[:space:]]*\([0-9.e-]*\),*$/\1/p" "$2" | head -n 1; }
for scheme in w4a16 w4a8 w4a4; do
    mcompress quantize --$scheme --quiet "$tinylm" $scheme.bin --data "$tinylm/eval.txt" --quick 6 --report $scheme.json || exit
    grep -E '"(headline|simulated|window|n)"' $scheme.json
done
# More rounding, further from the original.
for pair in 'w4a16 w4a8' 'w4a8 w4a4'; do
    # shellcheck disable=SC2086 # two words
    set -- $pair
    a=$(figure kl_mean "$1.json") b=$(figure kl_mean "$2.json")
    awk -v a="$a" -v b="$b" 'BEGIN { exit !(a > 0 && a < b) }' && echo "$1 is nearer than $2"
done
