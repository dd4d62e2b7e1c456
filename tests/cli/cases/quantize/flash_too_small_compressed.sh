#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --compress --max-flash 1KiB m.safetensors out.bin 2>&1 | sed 's/takes [0-9]*/takes N/'
ls
