#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --quiet m.safetensors out.bin || exit
mcompress inspect out.bin | sed -e 's/^root  *[0-9a-f]\{64\}$/root          HASH/' \
    -e 's/^\(size\|manifest\)  .*/\1/' -e 's/tool.version = .*/tool.version = N/' -e 's/version [0-9]*$/version N/'
