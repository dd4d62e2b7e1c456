#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --quiet m.safetensors out.bin || exit
mcompress verify --memory-limit 1MiB --threads 1 out.bin 2>&1 | sed 's/up to [0-9.]* MiB/up to N MiB/'
mcompress verify --memory-limit 1MiB --threads 1 out.bin --reference m.safetensors 2>/dev/null
