#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
mcompress quantize --w3a16 --levels nf4 m.safetensors out.bin
mcompress quantize --w4a16 --zero float m.safetensors out.bin
mcompress quantize --w4a16 --levels nf4 --sym-grid restricted m.safetensors out.bin
mcompress quantize --w8a16 --scale-dtype k6x8 --no-fallback m.safetensors out.bin
mcompress quantize --w8a16 --scale-dtype k6x8 --dry-run m.safetensors out.bin | grep '^  w'
mcompress quantize --w4a16 --group 5 --dry-run m.safetensors out.bin | grep '^  w'
