#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w3a16 --asym --group 16 --dry-run --json m.safetensors out.bin |
    sed 's/\("\(memory_bytes\|container_bytes\|seconds\)":\).*/\1 N,/; s/\t/  /g'
