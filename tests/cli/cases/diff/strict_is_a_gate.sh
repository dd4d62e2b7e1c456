#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
vector w I8 '[2]' '\001\002' 2 >a.safetensors
vector w I8 '[2]' '\001\003' 2 >b.safetensors
mcompress diff --strict a.safetensors b.safetensors
