#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --quiet m.safetensors out.bin || exit
cp m.safetensors copy; cp out.bin copy.bin
mcompress verify out.bin --reference m.safetensors --report m.safetensors
mcompress verify out.bin --reference m.safetensors --html ./out.bin
mcompress verify out.bin --reference m.safetensors --html r --report ./r
cmp m.safetensors copy && cmp out.bin copy.bin && ls
