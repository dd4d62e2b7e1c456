#!/bin/sh
# What `methods` lists is what --method and --preset take.
tinylm=$MC_SOURCE_DIR/examples/tinylm
for name in $(mcompress methods --json | sed -n 's/^[[:space:]]*"name":[[:space:]]*"\([^"]*\)",*$/\1/p'); do
    for option in --method --preset; do
        mcompress quantize --w4a16 --asym --group 32 --calib "$tinylm/eval.txt" $option "$name" --dry-run --quiet "$tinylm" out.bin \
            >/dev/null 2>&1 && echo "$option $name"
    done
done
