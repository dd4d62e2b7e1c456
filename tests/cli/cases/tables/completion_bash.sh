#!/bin/sh
command -v bash >/dev/null || { echo "no bash" >&2; exit 77; }
mcompress completion bash >script
cat >ask <<'ASK'
. ./script
complete_line() {
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    COMPREPLY=()
    _mcompress
    echo "${*:2}: ${COMPREPLY[*]}"
}
complete_line mcompress ''
complete_line mcompress ver
complete_line mcompress quantize --gro
complete_line mcompress quantize --group ''
complete_line mcompress quantize --sym-grid = f
complete_line mcompress quantize -M
complete_line mcompress verify --gro
complete_line mcompress completion ''
complete_line mcompress help d
complete_line mcompress quantize --w4a1
ASK
bash ask
