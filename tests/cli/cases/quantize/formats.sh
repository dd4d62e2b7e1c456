#!/bin/sh
# The grids that others have names for.
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >m.safetensors
plan() { mcompress quantize "$@" --dry-run m.safetensors out.bin | grep '^  w '; }
plan --preset mxfp4
plan --preset nvfp4
plan --w4a16 --levels e2m1 --group 16 --scale-dtype e4m3xf32 --method rtn
plan --w8a16 --levels e4m3
plan --w8a16 --levels e5m2 --group tensor --scale-dtype f32
plan --w8a16 --levels e4m3 --group 32 --scale-dtype e8m0
plan --w4a16 --levels nf4 --group 8 --scale-dtype k8x256
plan --w4a16 --levels iq4_nl
plan --w4a16 --asym --zero float --scale-dtype k6x8 --group 8
mcompress quantize --preset nvfp4 m.safetensors out.bin >/dev/null && mcompress verify out.bin | sed -n "1s/,.*//p"
mcompress quantize --preset nvfp4 --asym --zero float m.safetensors out2.bin
