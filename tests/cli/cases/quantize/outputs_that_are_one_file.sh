#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
# One file by two names, the depfile's default name, and what a failed gate would write.
layer >m.safetensors
mcompress quantize --w4a8 --report ./out.bin m.safetensors out.bin
mcompress quantize --w4a8 -MD --report out.bin.d m.safetensors out.bin
mcompress quantize --w4a8 --html ../run/out.bin.rejected m.safetensors out.bin
ls
