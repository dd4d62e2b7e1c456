#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --quiet m.safetensors out.bin || exit
safetensors '{"w":{"dtype":"BF16","shape":[64,4],"data_offsets":[0,512]},"b":{"dtype":"BF16","shape":[8],"data_offsets":[512,528]}}' \
    "$(repeated "$eight" 33)" >other.safetensors
mcompress verify out.bin --reference other.safetensors
