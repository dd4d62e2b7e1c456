#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress diff --threads 1 --memory-limit 1GiB --quiet m.safetensors m.safetensors >/dev/null || exit
mcompress diff --threads 1 --memory-limit 1MiB m.safetensors m.safetensors 2>&1 | sed 's/up to [0-9.]* MiB/up to N MiB/'
mcompress diff --threads 1 --memory-limit 1MiB m.safetensors m.safetensors 2>/dev/null
