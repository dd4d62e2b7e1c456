#!/bin/sh
# shellcheck source=tests/cli/cases/tiny_models.sh
. "$MC_CASES/tiny_models.sh"
printf '{"architectures":["LlamaForCausalLM"]}' >config.json
layer >m.safetensors
for side in '' --no-side-files; do
    # shellcheck disable=SC2086 # nothing the first time
    mcompress quantize --w4a8 --force --quiet $side m.safetensors out.bin || exit
    grep -c LlamaForCausalLM out.bin || true
done
mcompress inspect out.bin | grep -c config.json || true
