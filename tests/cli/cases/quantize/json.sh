#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --json m.safetensors out.bin | sed 's/\("\(seconds\|fsync_seconds\|peak_bytes\|container_bytes\|container_hash\)":\).*/\1 N,/; s/\t/  /g'
