#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
vector 'a\u001b[2J\nmcompress: done' I8 '[1]' '\001' 1 >m.safetensors
mcompress inspect m.safetensors | tail -n 1
