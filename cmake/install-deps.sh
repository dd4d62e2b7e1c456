#!/bin/sh
# Installs the Debian packages that are missing, and says nothing when none is.
#
#   install-deps.sh build|test|ci|fuzzer ...
#
# A package counts as present when what it is needed for works, wherever that came from.
set -u

missing=

need() { # need PACKAGE COMMAND...: the package, and a command that succeeds when it is not needed
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

build_packages() {
    need gcc command -v cc
    need libc6-dev test -e /usr/include/stdio.h
    need cmake command -v cmake
    need ninja-build command -v ninja
    need pkg-config command -v pkg-config
    need libarchive-dev pkg-config --exists libarchive
    need zlib1g-dev pkg-config --exists zlib
    need libcjson-dev pkg-config --exists libcjson
    need libssl-dev pkg-config --exists libcrypto
    need libopenblas-dev pkg-config --exists openblas
}

test_packages() {
    need libcriterion-dev pkg-config --exists criterion
    need python3 command -v python3
    need locales test -e /usr/share/i18n/locales/de_DE
    need shellcheck command -v shellcheck
    need mandoc command -v mandoc
    need libonnx-testdata test -d /usr/share/libonnx-testdata
}

# What continuous integration adds: the second compiler, fuzzing, the device compiler, the oracles' homes.
ci_packages() {
    need git command -v git
    need clang command -v clang
    need llvm command -v llvm-symbolizer
    need gcc-arm-none-eabi command -v arm-none-eabi-gcc
    need libnewlib-arm-none-eabi test -e /usr/lib/arm-none-eabi/include/stdint.h
    need python3-venv python3 -c 'import venv, ensurepip'
    need npm command -v npm
}

# libFuzzer's library, in a package named after the version of clang; so this set comes behind ci.
fuzzer_packages() {
    need "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev" clang_has_fuzzer
}

clang_has_fuzzer() {
    echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
        clang -x c -fsanitize=fuzzer,address,undefined - -o /dev/null
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

retry() {
    for pause in 5 20 0; do
        "$@" && return 0
        sleep "$pause"
    done
    return 1
}

install_missing() {
    [ -n "$missing" ] || return 0
    echo "Missing packages:$missing" >&2
    if ! command -v apt-get >/dev/null; then
        echo "install-deps.sh: no apt-get here; please install what they hold by hand" >&2
        return 1
    fi
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "install-deps.sh: please run as root: apt-get install$missing" >&2
        return 1
    fi
    if [ -z "$updated" ]; then
        retry as_root apt-get -qq update </dev/null >&2 || return 1
        updated=yes
    fi
    # shellcheck disable=SC2086 # one word a package
    retry as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install -y --no-install-recommends $missing </dev/null >&2 || return 1
    missing=
}

updated=
for set in "$@"; do
    case $set in
    build | test | ci | fuzzer) "${set}_packages" ;;
    *)
        echo "install-deps.sh: unknown set '$set'; there are build, test, ci and fuzzer" >&2
        exit 2
        ;;
    esac
    install_missing || exit 1
done
