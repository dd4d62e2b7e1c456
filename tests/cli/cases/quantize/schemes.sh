#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w4a8 --method hqq --zero integer --dry-run m.safetensors out.bin | grep '^  w '
mcompress quantize --w1.58a8 --dry-run m.safetensors out.bin | grep '^  w '
mcompress quantize --w1a8 --group channel --dry-run m.safetensors out.bin | grep '^  w '
mcompress quantize --w4a8 --levels nf4 --group tensor --dry-run m.safetensors out.bin | grep '^  w '
mcompress quantize --w4a8 --scale-dtype k6x8 --group 8 --dry-run m.safetensors out.bin | grep '^  w '
mcompress quantize --w4a8 --sym-grid restricted --scale-dtype bf16 --dry-run m.safetensors out.bin | grep '^  w '
mcompress quantize --w1a8 --asym --dry-run m.safetensors out.bin | grep '^  w '
mcompress quantize --w1.58a8 --asym --dry-run m.safetensors out.bin | grep '^  w '
