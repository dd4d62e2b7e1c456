# Models of a few bytes. Source this.
# shellcheck shell=sh

# safetensors HEADER DATA: a file on stdout; DATA is a format of printf.
safetensors() {
    n=${#1} i=0
    while [ $i -lt 8 ]; do
        # shellcheck disable=SC2059 # an octal escape
        printf "\\$(printf %03o $((n % 256)))"
        n=$((n / 256)) i=$((i + 1))
    done
    printf '%s' "$1"
    # shellcheck disable=SC2059 # DATA is a format
    printf "$2"
}

# repeated TEXT N: TEXT N times.
repeated() {
    n=0
    while [ $n -lt "$2" ]; do
        printf '%s' "$1"
        n=$((n + 1))
    done
}

# 0.5 -1 0.25 2 0.75 -0.125 1.5 -0.5 as bf16
eight='\000\077\200\277\200\076\000\100\100\077\000\276\300\077\000\277'

# layer: "w" 4 x 64 and "b" 8, both bf16, on stdout.
layer() {
    safetensors '{"__metadata__":{"format":"pt"},"w":{"dtype":"BF16","shape":[4,64],"data_offsets":[0,512]},"b":{"dtype":"BF16","shape":[8],"data_offsets":[512,528]}}' \
        "$(repeated "$eight" 33)"
}

# vector NAME DTYPE SHAPE DATA BYTES: one tensor on stdout.
vector() {
    safetensors "{\"$1\":{\"dtype\":\"$2\",\"shape\":$3,\"data_offsets\":[0,$5]}}" "$4"
}
