#!/bin/sh
# A file name says which file it is: no two sources or scripts in the tree share one. (A case under
# tests/cli/cases is named by its folder and its file.)
#
#   unique_names.sh [ROOT]
set -u
cd "${1-$(dirname "$0")/../..}" || exit 2

files=$(find . \( -name .git -o -name build -o -path ./tests/cli/cases \) -prune -o -type f \
    \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name '*.awk' -o -name '*.cmake' \) -print)
twice=$(printf '%s\n' "$files" | sed 's|.*/||' | sort | uniq -d)
[ -n "$twice" ] || exit 0
for name in $twice; do
    printf '%s\n' "$files" | grep -F "/$name" | grep "/$name\$"
done
exit 1
