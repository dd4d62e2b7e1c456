#!/bin/sh
# The first byte of the codes changes: front and names have the first 12 KiB.
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w8a8 --method rtn --align 4096 --quiet m.safetensors a.bin || exit
cp a.bin b.bin
printf '\001' | dd of=b.bin bs=1 seek=12288 conv=notrunc 2>/dev/null
mcompress diff a.bin b.bin
echo "exit $?"
mcompress diff b.bin a.bin
