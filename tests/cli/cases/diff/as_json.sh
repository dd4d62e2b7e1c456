#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
vector w F32 '[2,2]' '\0\0\200\077\0\0\0\100\0\0\100\100\0\0\200\100' 16 >a.safetensors
vector w F32 '[2,2]' '\0\0\200\077\0\0\0\100\0\0\100\100\0\0\220\100' 16 >b.safetensors
mcompress diff --json a.safetensors b.safetensors
