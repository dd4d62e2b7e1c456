#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --method rtn --quiet m.safetensors a.bin || exit
mcompress quantize --w8a8 --method rtn --quiet m.safetensors b.bin || exit
mcompress diff a.bin a.bin | tail -n +4 || exit
mcompress diff a.bin b.bin | tail -n +4
