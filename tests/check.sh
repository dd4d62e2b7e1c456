#!/bin/sh
# Builds one preset with everything in it and runs every test. The last line counts single
# Criterion tests and single cases of shell tests.
#
#   check.sh [PRESET [CTEST OPTIONS]]
#
# Each test leaves TAP in build/PRESET/results/NAME.tap. A test that fails without saying so there (it
# crashed, hung or never started) counts as one failure; one without TAP counts as one test.
set -u
cd "$(dirname "$0")/.." || exit 1
unset MAKEFLAGS MFLAGS MAKELEVEL # tests that call make are not part of this one
preset=${1-release}
[ $# -eq 0 ] || shift
build=build/$preset
results=$build/results

mkdir -p build
cmake --preset "$preset" -DMC_TESTS=ON >"build/configure.$preset.log" 2>&1 || {
    cat "build/configure.$preset.log"
    exit 1
}
cmake --build --preset "$preset" || exit 1

# A locale with a decimal comma for the tests that need one; without localedef they are skipped.
if mkdir -p build/locales && { [ -d build/locales/de_DE.UTF-8 ] ||
    localedef -i de_DE -f UTF-8 build/locales/de_DE.UTF-8; } >/dev/null 2>&1; then
    export LOCPATH="$PWD/build/locales"
fi

rm -rf "$results" "$build/Testing/Temporary/LastTestsFailed.log"
mkdir -p "$results"
ctest --test-dir "$build" --output-on-failure --timeout 600 -j 2 "$@"
ctest --test-dir "$build" -N "$@" | sed -n 's/^ *Test *#[0-9]*: //p' >"$results/names"
failed_tests=$(sed 's/^[0-9]*://' "$build/Testing/Temporary/LastTestsFailed.log" 2>/dev/null)

count() { # count PATTERN FILE
    grep -c -- "$1" "$2" 2>/dev/null
}

passed=0
failed=0
skipped=0
while read -r name; do
    tap=$results/$name.tap
    p=$(count '^ok ' "$tap")
    f=$(count '^not ok ' "$tap")
    s=$(count '^ok .*# SKIP' "$tap")
    planned=$(sed -n 's/^1\.\.\([0-9][0-9]*\).*/\1/p' "$tap" 2>/dev/null | tail -n 1)
    : "${p:=0}" "${f:=0}" "${s:=0}" "${planned:=0}"
    if printf '%s\n' "$failed_tests" | grep -qxF -- "$name"; then
        [ "$f" -gt 0 ] || f=1
    elif [ $((p + f)) -eq 0 ]; then
        p=1
    elif [ $((p + f)) -lt "$planned" ]; then
        echo "$name: ended after $((p + f)) of $planned"
        f=$((f + 1))
    fi
    passed=$((passed + p - s)) failed=$((failed + f)) skipped=$((skipped + s))
done <"$results/names"

if [ "$skipped" -gt 0 ]; then
    echo "Skipped:"
    cat "$results"/*.tap | sed -n 's/^ok - \(.*# SKIP.*\)/  \1/p'
fi
[ "$passed" -gt 0 ] || failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
