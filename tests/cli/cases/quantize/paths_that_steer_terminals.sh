#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
bad=$(printf 'a\033[2Jb')
layer >"$bad.safetensors"
mcompress quantize --w4a16 --no-fsync "$bad.safetensors" "$bad.bin" | grep -v '^  run'
mcompress verify "$bad.bin" | grep -v '^root'
