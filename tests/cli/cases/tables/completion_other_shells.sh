#!/bin/sh
# Those that are installed find no mistake in their script.
for shell in bash zsh fish; do
    mcompress completion $shell >script.$shell || exit
    command -v $shell >/dev/null || continue
    $shell -n script.$shell || exit
done
