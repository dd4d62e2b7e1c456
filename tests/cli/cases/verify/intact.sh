#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --quiet m.safetensors out.bin || exit
mcompress verify out.bin | sed 's/[0-9a-f]\{64\}/HASH/; s/[0-9]* bytes/N bytes/'
