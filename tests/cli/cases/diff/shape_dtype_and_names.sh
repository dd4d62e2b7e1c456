#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
safetensors '{"gone":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"kind":{"dtype":"I8","shape":[1],"data_offsets":[1,2]},"turned":{"dtype":"I8","shape":[1,2],"data_offsets":[2,4]}}' \
    '\001\001\001\001' >a.safetensors
safetensors '{"kind":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"new":{"dtype":"I8","shape":[1],"data_offsets":[1,2]},"turned":{"dtype":"I8","shape":[2,1],"data_offsets":[2,4]}}' \
    '\001\001\001\001' >b.safetensors
mcompress diff a.safetensors b.safetensors
