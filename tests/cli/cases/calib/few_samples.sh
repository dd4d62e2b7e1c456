#!/bin/sh
# Two dead channels, and fewer rows than channels: every method gives weights no worse than noise.
python3 "$MC_CASES/calib/tiny_onnx.py" Tanh
for method in imatrix gptq gptaq adaround flexround compensate+gptq compensate+gptq:rounds=3 gptq+bias; do
    for samples in 1 32; do
        mcompress quantize --w4a16 --group 32 --calib data.npy --max-tokens $samples --method $method --force --quiet m.onnx out.bin \
            --data data.npy --require 'min_site_sqnr_db>=5' && echo "$method, $samples"
    done
done
