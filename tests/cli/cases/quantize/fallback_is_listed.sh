#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
safetensors '{"conv.weight":{"dtype":"BF16","shape":[2,3,3,3],"data_offsets":[0,108]}}' "$(repeated '\200\077' 54)" >m.safetensors
mcompress quantize --w4a8 --dry-run m.safetensors out.bin | grep conv
