#!/bin/sh
# What is too long to read: files over 600 lines, C functions over 60, C lines over 100 bytes.
#
#   size.sh [ROOT]
set -u
cd "${1-$(dirname "$0")/../..}" || exit 2

found=$(
    find . \( -name .git -o -name build \) -prune -o -type f \
        \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' \) -print | sort | while read -r file; do
        LC_ALL=C awk -v file="$file" '
            file ~ /\.[ch]$/ && length($0) > 100 { print file ":" FNR ": a line of " length($0) " bytes" }
            /^\{[[:space:]]*$/ || /^[A-Za-z_].*\)[[:space:]]*\{[[:space:]]*$/ { start = FNR }
            /^\}/ && start {
                if (file ~ /\.[ch]$/ && FNR - start > 60) print file ":" start ": a function of " FNR - start " lines"
                start = 0
            }
            END { if (FNR > 600) print file ": " FNR " lines" }' "$file"
    done
)
[ -n "$found" ] || exit 0
printf '%s\n' "$found"
exit 1
