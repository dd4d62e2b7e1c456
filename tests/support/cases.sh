# Cases of a shell test, one TAP line each. Source this, report cases, end with `finish`.
# shellcheck shell=sh

case_failures=0
case_count=0

# A folder of its own, gone when the script ends however it ends.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mcompress-test.XXXXXX") || exit 1
at_exit() { rm -rf "$scratch"; } # a test with more to undo defines it again
trap 'at_exit' EXIT
trap 'exit 1' INT TERM HUP

pass() {
    case_count=$((case_count + 1))
    echo "ok - $1"
}

skip() { # skip NAME WHY
    case_count=$((case_count + 1))
    echo "ok - $1 # SKIP $2"
}

fail() { # fail NAME [WHAT WAS SEEN]
    case_count=$((case_count + 1))
    case_failures=$((case_failures + 1))
    echo "not ok - $1"
    [ -z "${2-}" ] || printf '%s\n' "$2" | sed 's/^/#   /'
}

# holds NAME COMMAND...: the case is that the command succeeds.
holds() {
    case_name=$1
    shift
    if case_seen=$("$@" 2>&1); then
        pass "$case_name"
    else
        fail "$case_name" "$* gave $?: $case_seen"
    fi
}

# exits NAME CODE PATTERN COMMAND...: exits with that code and says on stderr what the pattern matches.
exits() {
    case_name=$1 case_code=$2 case_pattern=$3
    shift 3
    case_seen=$("$@" 2>&1 >/dev/null)
    case_got=$?
    if [ "$case_got" -ne "$case_code" ]; then
        fail "$case_name" "exit $case_got instead of $case_code: $case_seen"
    elif ! printf '%s\n' "$case_seen" | grep -Eq -- "$case_pattern"; then
        fail "$case_name" "no /$case_pattern/ in: $case_seen"
    else
        pass "$case_name"
    fi
}

finish() {
    echo "1..$case_count"
    [ "$case_failures" -eq 0 ]
    exit
}
