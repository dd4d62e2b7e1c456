#!/bin/sh
tinylm=$MC_SOURCE_DIR/examples/tinylm
for method in compensate+gptq awq+gptaq; do
    for threads in 1 2; do
        mcompress quantize --w4a8 --act static --group 32 --calib "$tinylm/eval.txt" --max-tokens 512 --window 64 --method $method \
            --threads $threads --quiet "$tinylm" $threads.bin --force || exit
    done
    cmp 1.bin 2.bin && echo $method
done
