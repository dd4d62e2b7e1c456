#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
# Row 2, column 3 of the second tensor is NaN; the message counts in the whole tensor.
safetensors '{"a":{"dtype":"BF16","shape":[4,8],"data_offsets":[0,64]},"z.weight":{"dtype":"BF16","shape":[4,8],"data_offsets":[64,128]}}' \
    "$(repeated "$eight" 6)\000\077\200\277\200\076\300\177\100\077\000\276\300\077\000\277$eight" >m.safetensors
mcompress quantize --w4a8 --group 8 m.safetensors out.bin
code=$?
ls
exit $code
