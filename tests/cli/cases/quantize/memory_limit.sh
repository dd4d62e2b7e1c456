#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --memory-limit 1MiB --threads 1 m.safetensors out.bin 2>&1 | sed 's/up to [0-9.]* MiB/up to N MiB/'
mcompress quantize --w4a8 --memory-limit 1MiB --quiet m.safetensors out.bin 2>/dev/null
