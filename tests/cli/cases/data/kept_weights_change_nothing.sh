#!/bin/sh
tinylm=$MC_SOURCE_DIR/examples/tinylm
mcompress quantize --w4a16 --keep . --quiet "$tinylm" out.bin || exit
mcompress verify out.bin --reference "$tinylm" --data "$tinylm/eval.txt" --quick 2 --quiet --report r.json \
    --require 'perplexity_ratio==1' --require 'kl_max==0' --require 'top1_agreement==1' --require 'output_max_abs_error==0' || exit
grep -c '"own_output_sqnr_db":[[:space:]]*null' r.json
