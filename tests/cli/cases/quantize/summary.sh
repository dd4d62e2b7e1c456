#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 m.safetensors out.bin | sed 's/run .*/run N/; s/-> [0-9.]* KiB (.*),/-> N KiB (N),/'
