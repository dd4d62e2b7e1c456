#!/bin/sh
# … and not what the model computes.
tinylm=$MC_SOURCE_DIR/examples/tinylm
for transform in '' logeq+ smoothquant+ awq+ rotate+ rotate:kind=2+; do
    mcompress quantize --w8a16 --group channel --calib "$tinylm/eval.txt" --max-tokens 256 --window 64 --method "${transform}rtn" \
        --quiet --force "$tinylm" out.bin --data "$tinylm/eval.txt" --quick 1 --require 'kl_mean<=0.001' || exit
    cksum <out.bin >>sums
done
sort -u sums | wc -l
