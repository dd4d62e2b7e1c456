#!/bin/sh
# Runs cases/AREA/CASE.sh and compares what they print and how they exit with the files beside them: CASE.stdout,
# CASE.stderr and CASE.exit (no file: nothing printed, exit 0).
#
#   run_cases.sh [AREA/CASE...]
#
# MC_UPDATE_GOLDEN=1 writes these files anew; look at the difference before you keep them. A case runs in an empty
# folder, with mcompress in its PATH, and may source $MC_CASES/tiny_models.sh. Exit 77 means: a tool is missing here.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/support/cases.sh
. "$here/../support/cases.sh"

MC_CASES=$here/cases
export MC_CASES LC_ALL=C TERM=dumb
unset NO_COLOR
mkdir "$scratch/bin"
[ -x "${MCOMPRESS:?the path of the program}" ] || { echo "Bail out! no $MCOMPRESS"; exit 1; }
ln -s "$MCOMPRESS" "$scratch/bin/mcompress"
PATH=$scratch/bin:$PATH

# keep FILE SEEN: what was seen becomes what is expected; nothing needs no file.
keep() {
    if [ -s "$2" ]; then cp "$2" "$1"; else rm -f "$1"; fi
}

# compare WHAT EXPECTED SEEN: prints how they differ.
compare() {
    expected=$2
    [ -f "$expected" ] || expected=/dev/null
    diff -u "$expected" "$3" >"$scratch/diff" || {
        echo "$1 differs:"
        tail -n +3 "$scratch/diff"
    }
}

run_case() {
    name=$1
    base=$here/cases/$name
    rm -rf "$scratch/run" && mkdir "$scratch/run"
    (cd "$scratch/run" && sh "$base.sh") >"$scratch/stdout" 2>"$scratch/stderr" </dev/null
    code=$?
    if [ $code -eq 77 ]; then
        skip "$name" "$(cat "$scratch/stderr")"
        return
    fi
    if [ $code -eq 0 ]; then : >"$scratch/exit"; else echo $code >"$scratch/exit"; fi

    if [ -n "${MC_UPDATE_GOLDEN-}" ]; then
        for what in stdout stderr exit; do keep "$base.$what" "$scratch/$what"; done
        pass "$name"
        return
    fi
    seen=$(for what in stdout stderr exit; do compare $what "$base.$what" "$scratch/$what"; done)
    if [ -z "$seen" ]; then pass "$name"; else fail "$name" "$seen"; fi
}

if [ $# -eq 0 ]; then
    # shellcheck disable=SC2046 # names have no blanks
    set -- $(cd "$here/cases" && find . -mindepth 2 -name '*.sh' | sed 's|^\./||; s/\.sh$//' | sort)
fi
for name in "$@"; do run_case "$name"; done
finish
