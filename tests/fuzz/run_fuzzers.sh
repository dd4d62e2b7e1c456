#!/bin/sh
# Replays the corpus and then searches for new inputs with each libFuzzer program.
#
#   run_fuzzers.sh BUILD_DIR        FUZZ_SECONDS (30) for each; inputs that fail stay in BUILD_DIR/found
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$1
seconds=${FUZZ_SECONDS-30}

mkdir -p build
cmake --preset fuzz -B "$build" >build/configure.fuzz.log 2>&1 || {
    cat build/configure.fuzz.log
    exit 1
}
cmake --build "$build" || exit 1

failures=0
for source in tests/fuzz/fuzz_*.c; do
    target=${source##*/fuzz_}
    target=${target%.c}
    program=$build/tests/fuzz/fuzz_$target
    found=$build/found/$target
    new=$build/corpus/$target
    mkdir -p "$found" "$new"
    dictionary=
    [ ! -f "tests/fuzz/$target.dict" ] || dictionary=-dict=tests/fuzz/$target.dict

    # shellcheck disable=SC2086 # an option or none
    if "$program" -runs=0 -artifact_prefix="$found/" "tests/fuzz/corpus/$target" >"$build/$target.log" 2>&1 &&
        "$program" $dictionary -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -max_len=65536 \
            -artifact_prefix="$found/" -print_final_stats=1 "$new" "tests/fuzz/corpus/$target" \
            >>"$build/$target.log" 2>&1; then
        echo "ok - fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log" | tail -n 1) runs in $seconds s"
    else
        failures=$((failures + 1))
        echo "not ok - fuzz $target"
        tail -n 40 "$build/$target.log"
    fi
done
[ "$failures" -eq 0 ]
