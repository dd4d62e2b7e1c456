#!/bin/sh
# tap_file.sh FILE COMMAND...: runs the command, shows what it prints and keeps it in FILE, for check.sh to count.
file=$1
shift
"$@" >"$file"
status=$?
cat "$file"
exit $status
