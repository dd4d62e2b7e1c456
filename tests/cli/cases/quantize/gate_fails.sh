#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
# An old OUT survives a gate that fails; the new container stands beside it.
layer >m.safetensors
mcompress quantize --w4a8 --quiet m.safetensors out.bin || exit 9
cp out.bin old.bin
mcompress quantize --w2a16 --force --quiet --require 'min_tensor_sqnr_db>=90' m.safetensors out.bin
code=$?
cmp out.bin old.bin && mcompress verify --quiet out.bin.rejected && ls
exit $code
