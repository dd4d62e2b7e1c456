#!/bin/sh
# Compiles the device's reader for a Cortex-M4 and prints its code size; fails on a warning, on data in RAM, and
# on any call that a bare device does not have.
#
#   cortex_m4.sh [ROOT]
set -u
cd "${1-$(dirname "$0")/../..}" || exit 2

if ! command -v arm-none-eabi-gcc >/dev/null 2>&1; then
    echo "ok - cortex-m4 # SKIP there is no arm-none-eabi-gcc"
    exit 0
fi
out=$(mktemp -d) || exit 2
trap 'rm -rf "$out"' EXIT

for source in runtime/*.c; do
    # newlib's headers are enough: <stdint.h>, <stddef.h>, <string.h>
    arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -Os -std=c99 -ffreestanding \
        -ffp-contract=off -ffunction-sections -Wall -Wextra -Wpedantic -Wconversion -Wshadow \
        -Wdouble-promotion -Wvla -Werror -I. -c "$source" -o "$out/$(basename "$source" .c).o" || {
        echo "not ok - cortex-m4: $source does not compile"
        exit 1
    }
done
arm-none-eabi-size -t "$out"/*.o
arm-none-eabi-size -t "$out"/*.o | awk '/TOTALS/ && $2 + $3 > 0 { print "it has " $2 + $3 " bytes of RAM"; exit 1 }' || {
    echo "not ok - cortex-m4: no static data"
    exit 1
}

# What it asks of the device: the functions of <string.h>, and 64-bit division from libgcc.
foreign=$(arm-none-eabi-nm -u "$out"/*.o | sed -n 's/.* U //p' | sort -u |
    grep -vxE 'mem(cmp|cpy|set)|strlen|__aeabi_uldivmod|mcpk_[a-z0-9_]*')
if [ -n "$foreign" ]; then
    echo "not ok - cortex-m4: it calls $foreign"
    exit 1
fi
echo "ok - cortex-m4"
