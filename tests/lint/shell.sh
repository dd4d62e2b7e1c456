#!/bin/sh
# Every shell script passes shellcheck.
set -u
cd "$(dirname "$0")/../.." || exit 2

scripts=$(find . \( -name .git -o -name build \) -prune -o -type f -name '*.sh' -print | sort)
[ ! -f .ci/run ] || scripts="$scripts .ci/run"
# SC2317: functions that are called by name, as an argument of another, look unreachable to it.
# shellcheck disable=SC2086 # one word a script
shellcheck -x -e SC2317 $scripts
