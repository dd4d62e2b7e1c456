#!/bin/sh
# A disk that is full: exit 5 with the name of the file, nothing left, the old output untouched.
#
# The disk is a 1 MB tmpfs in a mount namespace of this script; without the right to make one, skipped.
here=$(cd "$(dirname "$0")" && pwd)
if [ "${MC_OWN_MOUNTS-}" != yes ]; then
    export MC_OWN_MOUNTS=yes
    for own in "unshare --mount" "unshare --user --map-root-user --mount"; do
        # shellcheck disable=SC2086 # a command and its options
        if $own true 2>/dev/null; then exec $own sh "$0" "$@"; fi
    done
fi
# shellcheck source=tests/support/cases.sh
. "$here/../support/cases.sh"

model=$MC_SOURCE_DIR/examples/tinylm/model.safetensors
disk=$scratch/disk
whole=$scratch/whole.bin
mkdir "$disk"
if ! mount -t tmpfs -o size=1m tmpfs "$disk" 2>/dev/null; then
    skip 'a full disk' 'no right to mount a tmpfs'
    finish
fi
at_exit() {
    umount "$disk"
    rm -rf "$scratch"
}

left() { # the names in the folder, on one line
    # shellcheck disable=SC2012 # the names are ours
    ls -A "$disk" | tr '\n' ' '
}

exits 'quantize onto a full disk names the output' 5 "disk/out\.bin: .*[Nn]o space" \
    "$MCOMPRESS" quantize --w4a8 "$model" "$disk/out.bin"
holds 'quantize leaves nothing there' test -z "$(left)"

echo old >"$disk/out.bin"
exits 'replacing an output on a full disk fails' 5 "disk/out\.bin: .*[Nn]o space" \
    "$MCOMPRESS" quantize --w4a8 --force "$model" "$disk/out.bin"
holds 'the old output is alone there' test "$(left)" = 'out.bin '
holds 'the old output is as it was' test "$(cat "$disk/out.bin")" = old

"$MCOMPRESS" quantize --w4a8 --no-fsync "$model" "$whole" >/dev/null 2>&1
head -c 2000000 /dev/zero >"$disk/fill" 2>/dev/null
for option in --report --html; do
    exits "verify $option onto a full disk names the file" 5 "disk/report: .*[Nn]o space" \
        "$MCOMPRESS" verify "$whole" --reference "$model" $option "$disk/report"
    holds "verify $option leaves nothing there" test "$(left)" = 'fill out.bin '
done

"$MCOMPRESS" verify "$whole" --json >/dev/full 2>"$scratch/said"
code=$?
holds 'a result that stdout does not take is exit 5' test $code -eq 5
holds 'and says so' grep -q 'stdout\|standard output' "$scratch/said"
finish
