#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
echo mine >out.bin.rejected
mcompress quantize --w4a8 --require 'min_tensor_sqnr_db>=90' m.safetensors out.bin
cat out.bin.rejected
mkdir dir
mcompress quantize --w4a8 --dry-run m.safetensors dir
echo old >old.bin
mcompress quantize --w4a8 --dry-run m.safetensors old.bin
