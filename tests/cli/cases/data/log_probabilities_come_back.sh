#!/bin/sh
tinylm=$MC_SOURCE_DIR/examples/tinylm
mcompress quantize --w4a16 --keep . --quiet "$tinylm" out.bin || exit
mcompress verify out.bin --reference "$tinylm" --data "$tinylm/eval.txt" --window 64 --quick 3 --quiet --logits-out l.bin || exit
# What 16 bits for 16 nats leave: far below a thousandth of a nat.
mcompress verify out.bin --reference "$tinylm" --logits-in l.bin --quiet --require 'kl_mean<=1e-6' --require 'perplexity_ratio<=1.0001' || exit
head -c 8 l.bin && echo
head -c 1000 l.bin >cut.bin
mcompress verify out.bin --reference "$tinylm" --logits-in cut.bin --quiet
