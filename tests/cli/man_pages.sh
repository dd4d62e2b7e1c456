#!/bin/sh
# docs/man holds what `mcompress help --man` prints, page by page. MC_UPDATE_GOLDEN=1 writes the pages anew.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/support/cases.sh
. "$here/../support/cases.sh"
pages=$(cd "$here/../.." && pwd)/docs/man

check_page() { # check_page NAME [COMMAND]
    page=$pages/$1.1
    shift
    "${MCOMPRESS:?the path of the program}" help --man "$@" >"$scratch/page"
    if [ -n "${MC_UPDATE_GOLDEN-}" ]; then cp "$scratch/page" "$page"; fi
    if diff -u "$page" "$scratch/page" >"$scratch/diff"; then
        pass "${page##*/} is what the program prints"
    else
        fail "${page##*/} is what the program prints" "$(cat "$scratch/diff")"
    fi
}

check_page mcompress
for command in $("$MCOMPRESS" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    check_page "mcompress-$command" "$command"
done
finish
