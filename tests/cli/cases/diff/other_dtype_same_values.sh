#!/bin/sh
# 1 and 2 as f32 and as bf16
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
vector w F32 '[2]' '\0\0\200\077\0\0\0\100' 8 >a.safetensors
vector w BF16 '[2]' '\200\077\0\100' 4 >b.safetensors
mcompress diff a.safetensors b.safetensors
