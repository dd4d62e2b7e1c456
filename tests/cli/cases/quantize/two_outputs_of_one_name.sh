#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
# Two of one name, and a report over the container.
layer >m.safetensors
mcompress quantize --w4a8 --report out.bin m.safetensors out.bin
