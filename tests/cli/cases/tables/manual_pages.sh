#!/bin/sh
command -v mandoc >/dev/null || { echo "no mandoc" >&2; exit 77; }
for page in '' quantize verify inspect diff methods targets completion help version; do
    # shellcheck disable=SC2086 # nothing for the first
    mcompress help --man $page >page.1 || exit
    mandoc -T lint -W warning page.1
done
mcompress help --man diff | mandoc -T ascii | sed 's/.\x08//g' | head -n 20
