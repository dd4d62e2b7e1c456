#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
vector w BF16 '[64,128]' "$(repeated "$eight" 1024)" 16384 >m.safetensors
mcompress quantize --w2a8 --group channel --quiet m.safetensors a.bin || exit
mcompress quantize --w8a8 --quiet m.safetensors b.bin || exit
mcompress diff a.bin b.bin | grep sectors && mcompress diff b.bin a.bin | grep sectors
