#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --quiet m.safetensors out.bin || exit
mcompress verify out.bin --reference m.safetensors --quiet --require 'ram_bytes<=64MiB'
