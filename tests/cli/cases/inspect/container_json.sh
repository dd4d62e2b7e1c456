#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --quiet m.safetensors out.bin || exit
mcompress inspect --json out.bin | sed -e 's/\("root":\).*/\1 HASH/' -e 's/\("manifest":\).*/\1 .../' \
    -e '2,5s/\("[a-z]*bytes":\).*/\1 N/'
