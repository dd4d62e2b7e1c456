#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
# A side output that cannot be written: no OUT appears, so a build tries again.
layer >m.safetensors
mcompress quantize --w4a8 -MD -MF nowhere/x.d m.safetensors out.bin
mcompress quantize --w4a8 --report nowhere/r.json m.safetensors out.bin
ls
