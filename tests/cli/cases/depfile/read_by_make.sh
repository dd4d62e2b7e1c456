#!/bin/sh
# shellcheck disable=SC2016 # dollars are letters here
command -v make >/dev/null || { echo "no make" >&2; exit 77; }
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
mkdir 'in #1'
layer >'in #1/a $model:x.safetensors'
mcompress quantize --w4a8 --quiet -MD 'in #1/a $model:x.safetensors' 'out $1.bin' || exit
ls
cat 'out $1.bin.d'
cat >Makefile <<'MAKE'
all: out\ $$1.bin ; @echo 'all done'
out\ $$1.bin: ; @echo 'making [$@] from [$^]'
include out\ $$1.bin.d
MAKE
# Nothing is to be done now, and there is once the output is older than its input.
make -rs all
touch -t 200001010000 'out $1.bin'
make -rs all
