#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
vector w F32 '[2]' '\0\0\300\177\0\0\0\100' 8 >a.safetensors
vector w F32 '[2]' '\0\0\300\177\0\0\0\101' 8 >b.safetensors
mcompress diff --strict a.safetensors a.safetensors && mcompress diff a.safetensors b.safetensors
