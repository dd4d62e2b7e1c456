#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
# NaN is refused; infinities are what masks are made of.
vector mask BF16 '[4]' '\200\077\200\377\200\177\200\077' 8 >m.safetensors
mcompress quantize --w4a8 --quiet m.safetensors out.bin && ls
vector norm.weight BF16 '[4]' '\200\077\200\077\200\077\300\177' 8 >m.safetensors
mcompress quantize --w4a8 --force m.safetensors out.bin
