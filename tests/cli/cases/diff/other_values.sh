#!/bin/sh
# A: 1 2 3 4; B: 1 2 3 4.5. The noise is 0.25 of 30: 20.79 dB.
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
vector w F32 '[2,2]' '\0\0\200\077\0\0\0\100\0\0\100\100\0\0\200\100' 16 >a.safetensors
vector w F32 '[2,2]' '\0\0\200\077\0\0\0\100\0\0\100\100\0\0\220\100' 16 >b.safetensors
mcompress diff a.safetensors b.safetensors
