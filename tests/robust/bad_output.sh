#!/bin/sh
# Outputs that cannot be: refused before any work, with nothing touched.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/support/cases.sh
. "$here/../support/cases.sh"

model=$MC_SOURCE_DIR/examples/tinylm/model.safetensors

quantize() {
    "$MCOMPRESS" quantize --w4a8 --no-fsync "$@"
}

mkdir "$scratch/folder"
exits 'a directory as output' 2 'folder: is a directory' quantize "$model" "$scratch/folder"
exits 'a directory as output, with --force' 2 'folder: is a directory' quantize --force "$model" "$scratch/folder"
holds 'the directory is empty as before' rmdir "$scratch/folder"

echo old >"$scratch/old.bin"
exits 'an existing output' 2 'old\.bin: exists.*--force' quantize "$model" "$scratch/old.bin"
holds 'it is as it was' test "$(cat "$scratch/old.bin")" = old
exits '--write-if-changed replaces containers only' 2 'old\.bin: exists.*--force' \
    quantize --write-if-changed "$model" "$scratch/old.bin"
holds 'with --force it is replaced' quantize --force "$model" "$scratch/old.bin"
holds 'and verifies' "$MCOMPRESS" verify "$scratch/old.bin"
exits 'an existing container without --force' 2 'old\.bin: exists' quantize "$model" "$scratch/old.bin"
holds '--write-if-changed replaces a container' quantize --write-if-changed --method rtn "$model" "$scratch/old.bin"
touch -d 2001-01-01 "$scratch/old.bin"
holds '--write-if-changed with the same bytes' quantize --write-if-changed --method rtn "$model" "$scratch/old.bin"
holds 'keeps the time stamp' test "$(date -r "$scratch/old.bin" +%Y)" = 2001

cp "$model" "$scratch/in.safetensors"
ln "$scratch/in.safetensors" "$scratch/hard.safetensors"
ln -s in.safetensors "$scratch/soft.safetensors"
for name in in hard soft; do
    exits "the input as output, by the name $name" 2 "$name\.safetensors: .*input" \
        quantize --force "$scratch/in.safetensors" "$scratch/$name.safetensors"
done
exits 'the report over the input' 2 'in\.safetensors: .*input' \
    quantize --report "$scratch/in.safetensors" --force "$scratch/in.safetensors" "$scratch/new.bin"
holds 'the input is as it was' cmp "$model" "$scratch/in.safetensors"
holds 'nothing was written beside it' test ! -e "$scratch/new.bin"

exits 'a folder that is not there' 5 'nowhere/out\.bin: .*No such file' quantize "$model" "$scratch/nowhere/out.bin"
exits 'a file in place of a folder' 5 'old\.bin/out\.bin: .*Not a directory' quantize "$model" "$scratch/old.bin/out.bin"
exits 'a device as output' 2 '/dev/null: is not a regular file' quantize --force "$model" /dev/null

too_large() { # with at most 64 blocks of a file
    (
        ulimit -f 64
        "$@"
    )
}
exits 'a limit on the size of files' 5 'limited\.bin: .*[Tt]oo large' \
    too_large quantize "$model" "$scratch/limited.bin"
holds 'leaves nothing' test -z "$(find "$scratch" -name '*limited*')"

mkdir "$scratch/reports"
exits 'a report that cannot be written' 5 'nowhere/r\.json: ' \
    quantize --report "$scratch/nowhere/r.json" "$model" "$scratch/reports/out.bin"
holds 'leaves no output that looks finished' rmdir "$scratch/reports"

# Root may write everywhere, so root becomes nobody for this one.
mkdir "$scratch/closed"
chmod 755 "$scratch"
chmod 555 "$scratch/closed"
cp "$MCOMPRESS" "$scratch/mcompress"
chmod 644 "$scratch/in.safetensors"
as_nobody() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
    else
        "$@"
    fi
}
exits 'an unwritable folder' 5 'closed/out\.bin: .*Permission denied' \
    as_nobody "$scratch/mcompress" quantize --w4a8 "$scratch/in.safetensors" "$scratch/closed/out.bin"
holds 'nothing is in it' test -z "$(ls -A "$scratch/closed")"
chmod 000 "$scratch/in.safetensors"
exits 'an unreadable input' 5 'in\.safetensors: .*Permission denied' \
    as_nobody "$scratch/mcompress" quantize --w4a8 "$scratch/in.safetensors" "$scratch/closed/out.bin"
finish
