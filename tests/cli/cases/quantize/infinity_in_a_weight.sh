#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
safetensors '{"z.weight":{"dtype":"F32","shape":[2,8],"data_offsets":[0,64]}}' \
    "$(repeated '\000\000\200\077' 15)\000\000\200\377" >m.safetensors
mcompress quantize --w8a8 m.safetensors out.bin
