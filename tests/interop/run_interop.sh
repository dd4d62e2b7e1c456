#!/bin/sh
# Suites against programs that are not ours: PyPI and npm packages go into build/venv and build/npm, models and
# tools come from ../shared (MC_SHARED). The last line counts single cases.
#
#   run_interop.sh MCOMPRESS REWRITE
set -u
cd "$(dirname "$0")/../.." || exit 2
MCOMPRESS=$PWD/$1
REWRITE=$PWD/$2
TOKENIZER_IDS=$(dirname "$REWRITE")/tokenizer_ids
ONNX_REWRITE=$(dirname "$REWRITE")/onnx_rewrite
NPZ_REWRITE=$(dirname "$REWRITE")/npz_rewrite
IMATRIX_REWRITE=$(dirname "$REWRITE")/imatrix_rewrite
ONNX_BACKEND=$(dirname "$REWRITE")/onnx_backend
MC_SOURCE_DIR=$PWD
MC_SHARED=${MC_SHARED-$PWD/../shared}
LLAMA_LIB=$PWD/build/npm/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64
export MCOMPRESS REWRITE TOKENIZER_IDS ONNX_REWRITE NPZ_REWRITE IMATRIX_REWRITE ONNX_BACKEND MC_SOURCE_DIR MC_SHARED LLAMA_LIB

retry() { # retry LOG COMMAND...: networks fail now and then
    log=$1
    shift
    for pause in 5 20 0; do
        "$@" >"$log" 2>&1 && return 0
        sleep "$pause"
    done
    cat "$log"
    return 1
}

mkdir -p build
[ -d "$MC_SHARED/models/tinylm" ] || {
    echo "run_interop.sh: no models in $MC_SHARED; set MC_SHARED"
    exit 1
}
if ! cmp -s tests/interop/requirements.txt build/venv/installed.txt; then
    rm -rf build/venv
    python3 -m venv build/venv || exit 1
    retry build/venv/pip.log build/venv/bin/pip install --quiet --disable-pip-version-check \
        -r tests/interop/requirements.txt || exit 1
    cp tests/interop/requirements.txt build/venv/installed.txt
fi
if [ ! -d "$LLAMA_LIB" ]; then
    mkdir -p build/npm
    retry build/npm/npm.log npm install --silent --no-audit --no-fund --ignore-scripts --prefix build/npm \
        @node-llama-cpp/linux-x64@3.22.1 || exit 1
fi

results=build/interop.tap
failed_scripts=0
: >"$results"
for script in tests/interop/interop_*.py; do
    echo "# $script" >>"$results"
    before=$(grep -c '^not ok' "$results")
    if ! build/venv/bin/python3 "$script" >>"$results" 2>&1; then
        # One that ends early fails without a line that says so.
        [ "$(grep -c '^not ok' "$results")" -gt "$before" ] || failed_scripts=$((failed_scripts + 1))
    fi
done
cat "$results"
skipped=$(grep -c '^ok .*# SKIP' "$results")
passed=$(($(grep -c '^ok' "$results") - skipped))
failed=$(($(grep -c '^not ok' "$results") + failed_scripts))
[ "$skipped" -eq 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
