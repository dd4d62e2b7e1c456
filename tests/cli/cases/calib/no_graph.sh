#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
echo text >text.txt
mcompress quantize --w4a16 --calib text.txt --method gptq m.safetensors out.bin
echo "exit $?" >&2
mcompress quantize --w4a16 --method cle+rtn m.safetensors out.bin
