#!/bin/sh
# Each lint passes over a clean tree and refuses each thing it is there to refuse.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/support/cases.sh
. "$here/../support/cases.sh"

tree() { # a small clean tree
    rm -rf "$scratch/tree"
    mkdir -p "$scratch/tree/core" "$scratch/tree/formats" "$scratch/tree/quant" "$scratch/tree/runtime" \
        "$scratch/tree/verify" "$scratch/tree/cli" "$scratch/tree/tests"
    cat >"$scratch/tree/quant/good.c" <<'C'
/* printf("in a comment"); #include <zlib.h> */
#include "core/err.h"
#include "quant/quant.h"
#include <string.h>
int good(struct s *x) { mc_free(x); x->exit(1); return snprintf(x->text, 4, "malloc(3)"); }
C
    printf '#include <cjson/cJSON.h>\nvoid *p(void) { return malloc(3); }\n' >"$scratch/tree/core/json.c"
    printf '#include "core/err.h"\nint f(void) { free(text); exit(printf("x")); }\n' >"$scratch/tree/cli/talk.c"
    printf '#include "runtime/mcpk.h"\n#include <stdint.h>\n' >"$scratch/tree/runtime/small.c"
}

passes() {
    tree
    holds "$1 passes over a clean tree" sh "$here/$1.sh" "$scratch/tree"
}

refuses() { # refuses LINT NAME FILE TEXT: the text becomes the file's second line
    tree
    mkdir -p "$(dirname "$scratch/tree/$3")"
    printf '\n%b\n' "$4" >>"$scratch/tree/$3"
    if seen=$(sh "$here/$1.sh" "$scratch/tree" 2>&1); then
        fail "$1 refuses $2" "it passed"
    elif printf '%s\n' "$seen" | grep -q "${3##*/}"; then
        pass "$1 refuses $2"
    else
        fail "$1 refuses $2" "$seen"
    fi
}

passes layers
refuses layers 'quant including formats'       quant/a.c   '#include "formats/container.h"'
refuses layers 'quant including calib beyond stats.h' quant/a.c '#include "calib/dataset.h"'
refuses layers 'core including formats'        core/a.h    '#include "formats/formats.h"'
refuses layers 'formats including verify'      formats/a.c '#include "verify/report.h"'
refuses layers 'formats including runtime beyond mcpk.h' formats/a.c '#include "runtime/kernels.h"'
refuses layers 'verify including quant'        verify/a.c  '# include "quant/quant.h"'
refuses layers 'runtime including core'        runtime/a.c '#include "core/err.h"'
refuses layers 'runtime including stdio.h'     runtime/a.c '#include <stdio.h>'
refuses layers 'cli including tests'           cli/a.c     '#include "tests/support/x.h"'
refuses layers 'an include of a macro'         core/a.c    '#include HEADER'
refuses layers 'our header in angle brackets'  quant/a.c   '#include <formats/container.h>'
refuses layers 'a way around by ..'            quant/a.c   '#include "quant/../formats/container.h"'
refuses layers 'cblas outside linalg'          quant/a.c   '#include <cblas.h>'
refuses layers 'cJSON outside core/json.c'     core/a.c    '#include <cjson/cJSON.h>'
refuses layers 'openssl outside core/hash.c'   formats/a.c '#include <openssl/evp.h>'
refuses layers 'libarchive outside formats/archive.c' formats/a.c '#include <archive.h>'
refuses layers 'zlib outside formats'          core/a.c    '#include <zlib.h>'
refuses layers 'Criterion outside tests'       core/a.c    '#include <criterion/criterion.h>'
refuses layers 'printing below cli'            verify/a.c  'void f(void) { printf("x"); }'
refuses layers 'printing behind a comment'     verify/a.c  'void f(void) { /* x */ fputs("x", f); }'
refuses layers 'exit below cli'                core/a.c    'void f(void) { exit (1); }'
refuses layers 'abort in the runtime'          runtime/a.c 'void f(void) { abort(); }'
refuses layers 'malloc outside core'           formats/a.c 'void *f(void) { return malloc(1); }'
refuses layers 'malloc in cli'                 cli/a.c     'void *f(void) { return calloc(1, 1); }'
refuses layers 'free below verify'             quant/a.c   'void f(void *p) { free(p); }'
refuses layers 'a thread outside the pool'     quant/a.c   'int f(void) { return pthread_create(0); }'

passes unique_names
refuses unique_names 'two files of one name'   tests/good.c 'x'

passes size
long=$(yes 'x;\n' | head -n 61 | tr -d '\n')
refuses size 'a function of 61 lines'          core/a.c    "int f(void)\n{\n$long}"
refuses size 'the brace on the same line'      core/a.c    "int f(void) {\n$long}"
refuses size 'a file of 601 lines'             core/a.c    "$(yes '\n' | head -n 600 | tr -d '\n')"

refuses size 'a line of 101 bytes'             core/a.h    "/* $(yes x | head -n 95 | tr -d '\n') */"
refuses size 'a line of 100 letters, one of them of two bytes' core/a.c "/* $(yes x | head -n 93 | tr -d '\n')é */"
tree
printf '/* %s */\n' "$(yes x | head -n 94 | tr -d '\n')" >"$scratch/tree/core/a.c"
printf '# %s\n' "$(yes x | head -n 110 | tr -d '\n')" >"$scratch/tree/tests/a.sh"
holds 'size passes over lines of 100 bytes, and longer ones of scripts' sh "$here/size.sh" "$scratch/tree"

passes no_paths
refuses no_paths 'a path of one machine'       core/a.c    '/* see /ho''me/me/file */'
refuses no_paths 'work left to do'             core/a.c    '/* TO''DO: later */'
refuses no_paths 'a word for a stub'           core/a.c    'return fail("not impl''emented");'
finish
