#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --method rtn --quiet m.safetensors out.bin || exit
mcompress diff m.safetensors out.bin | sed '2s/[0-9.]* KiB)/N KiB)/'
