#!/bin/sh
# Who may include and call what. Prints each line that breaks a rule; fails when there is one.
#
#   layers.sh [ROOT]
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "${1-$here/../..}" || exit 2

libraries='core formats calib prune lowrank quant verify runtime' # everything below cli/

# ---- what is searched ----

sources() { # the C files in all folders
    for folder in $libraries cli; do
        [ ! -d "$folder" ] || find "$folder" -name '*.[ch]' -type f
    done | sort
}

# The include lines, as file:line:#include …
all_includes=$(sources | xargs -r grep -HnE '^[[:space:]]*#[[:space:]]*include' |
    sed 's/:[[:space:]]*#[[:space:]]*include[[:space:]]*/:#include /')

# The calls, as file:line:code; comments and texts blanked, so that only code is searched.
all_calls=$(sources | while read -r file; do
    awk -v file="$file" -f "$here/strip_c.awk" "$file"
done | grep -F '(')

in_folders() { # in_folders FOLDER...: only lines of files there
    grep -E "^($(echo "$*" | tr ' ' '|'))/"
}

includes() { # includes FOLDER...
    printf '%s\n' "$all_includes" | in_folders "$@"
}

calls() { # calls "FUNCTIONS" FOLDER...: a member or a longer name is not such a call
    names=$(echo "$1" | tr ' ' '|')
    shift
    printf '%s\n' "$all_calls" | in_folders "$@" | grep -E "(^|[^A-Za-z0-9_.>])($names)[[:space:]]*\\("
}

# ---- rules: each prints the lines that break it, and why ----

because() {
    sed "s|\$|    <- $1|"
}

may_include() { # may_include FOLDER REGEX
    includes "$1" | grep -F '#include "' | grep -vE "#include \"($2)" | because "not for $1/"
}

only_in() { # only_in REGEX-OF-FILES REGEX-OF-HEADERS
    # shellcheck disable=SC2086 # a list of folders
    includes $libraries cli | grep -E "#include [<\"]($2)" | grep -vE "^($1):" | because "only in $1"
}

folders() { # the table of design.md, section 1
    may_include core    'core/'
    may_include formats 'core/|formats/|runtime/mcpk\.h"'
    may_include calib   'core/|formats/|calib/'
    may_include prune   'core/|calib/stats\.h"|prune/'
    may_include lowrank 'core/|calib/stats\.h"|lowrank/'
    may_include quant   'core/|calib/stats\.h"|quant/'
    may_include verify  'core/|formats/|calib/|verify/'
    may_include runtime 'runtime/'
    may_include cli     'core/|formats/|calib/|prune/|lowrank/|quant/|verify/|cli/|runtime/'
}

# shellcheck disable=SC2086 # lists of folders
spelling() {
    includes $libraries cli | grep -E '#include [^"<]' | because 'an include is "path" or <name>'
    includes $libraries cli | grep -E "#include <($(echo $libraries cli | tr ' ' '|'))/" |
        because 'our own headers stand in quotes'
    includes $libraries cli | grep -E '#include "[^"]*\.\.' | because 'includes start at the root'
}

headers() {
    includes runtime | grep -F '#include <' | grep -vE '#include <(stdint|stddef|string)\.h>' |
        because 'runtime/ has stdint.h, stddef.h and string.h only'
    only_in 'core/linalg[a-z_]*\.c' '(openblas/)?(cblas|lapacke?)[a-z_]*\.h'
    only_in 'core/json\.c'          '(cjson/)?cJSON'
    only_in 'core/hash\.c'          'openssl/'
    only_in 'formats/archive\.c'    'archive(_entry)?\.h'
    only_in 'formats/[a-z0-9_]+\.c' 'zlib\.h'
    only_in 'tests/.*'              'criterion/'
}

# shellcheck disable=SC2086 # lists of folders
functions() {
    above_core='formats calib prune lowrank quant verify runtime'
    calls 'printf fprintf vprintf vfprintf dprintf puts fputs putc fputc putchar perror' $libraries |
        because 'only cli/ prints'
    calls 'exit _exit _Exit quick_exit abort assert' $libraries | because 'only cli/ ends the program'
    calls 'malloc calloc realloc reallocarray aligned_alloc posix_memalign strdup strndup asprintf alloca' \
        $above_core cli | because 'memory comes from core/'
    calls 'free' ${above_core%verify*} runtime | because 'only texts that core/ made are freed, in verify/ and cli/'
    calls 'pthread_create thrd_create' $libraries cli | grep -v '^core/pool\.c:' |
        because 'threads start in core/pool.c'
}

broken=$(folders; spelling; headers; functions)
[ -n "$broken" ] || exit 0
printf '%s\n' "$broken"
exit 1
