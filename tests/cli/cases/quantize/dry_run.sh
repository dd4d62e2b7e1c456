#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8kv8 --dry-run m.safetensors out.bin | sed 's/container of .*,/container of N,/; s/estimate: .*/estimate: N/'
test ! -e out.bin
