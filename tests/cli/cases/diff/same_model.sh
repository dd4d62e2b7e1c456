#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
layer >a.safetensors
cp a.safetensors b.safetensors
mcompress diff --strict a.safetensors b.safetensors
