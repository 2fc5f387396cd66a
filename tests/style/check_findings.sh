#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_findings.sh SOURCE: the checks of style, includes and documents find one planted offence of each rule, and
# nothing in a clean tree.
set -eu
check=$1/scripts/check-style.sh
check_includes=$1/tests/style/check_includes.sh
check_documents=$1/tests/style/check_documents.sh
rooms=$1/tests/style/rooms.txt
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder"/src/policy "$folder"/src/agent "$folder"/src/proxy "$folder"/tests/unit
spdx='/* SPDX-License-Identifier: Apache-2.0 */'

printf '%s\nint policy_answer(void)\n{\n    return 42; /* never sprintf() */\n}\n' "$spdx" >"$folder/src/policy/clean.c"
"$check" "$folder" >"$folder/seen" 2>&1 || {
    cat "$folder/seen"
    echo "a clean tree has findings"
    exit 1
}

failures=0
plant() { # plant RULE FILE LINE: the check must name the file and say the rule
    local file=$folder/$2
    printf '%s\n%b\n' "$spdx" "$3" >"$file"
    if "$check" "$folder" >"$folder/seen" 2>&1 || ! grep -q "^$2:2: .*$1" "$folder/seen"; then
        printf 'not found (%s) in %s: %b\n' "$1" "$2" "$3"
        failures=$((failures + 1))
    fi
    rm "$file"
}
plant 'longer than 120' src/proxy/a.c "/* $(printf '%0120d' 0) */"
plant 'white space' src/proxy/a.c 'int a; '
plant 'a tab' src/proxy/a.c '\tint a;'
plant "left over" src/proxy/a.c "/* FIX""ME */"
plant 'more than 70 lines' src/proxy/a.c "{$(printf '\\n    a;%.0s' {1..71})\\n}"
plant 'no typedef' src/proxy/a.h 'typedef struct a a;'
plant 'without its unit' src/proxy/a.h 'uint64_t connect_timeout;'
plant 'memcpy' src/proxy/a.c '    strcpy(a, b);'
plant 'snprintf' src/proxy/a.c '    sprintf(a, b);'
plant 'banned' src/proxy/a.c '    a = atoi(b);'
plant 'prng' src/proxy/a.c '    a = rand();'
plant 'process-wide' src/proxy/a.c '    uv_replace_allocator(a, b, c, d);'
plant 'allocator that was handed in' src/policy/a.c '    a = malloc(1);'
plant 'no I/O' src/policy/a.c '#include <sys/socket.h>'
plant 'time and chance' src/agent/a.c '    clock_gettime(a, b);'
plant 'world.h alone' src/agent/a.c '#include <duress/world/sim.h>'
plant 'do not sleep' tests/unit/a.c '    usleep(1);'

# Rules about a whole file.
expect() { # expect PATTERN
    "$check" "$folder" 2>&1 | grep -q "$1" && return
    echo "not found: $1"
    failures=$((failures + 1))
}
printf 'int a;\n' >"$folder/src/a.c"
expect '^src/a.c:1: .*SPDX'
{ echo "$spdx"; yes 'int a;' | head -600; } >"$folder/src/a.c"
expect '^src/a.c:601: .*split'
printf '#!/bin/sh\ntrue\n' >"$folder/src/a.sh"
expect '^src/a.sh:2: .*SPDX'

# Includes: a room above, a world by name, a library, half of a room that the other half may not know.
mkdir -p "$folder/include" "$folder/src/world"
include() { # include FILE HEADER: must be found
    printf '#include <%s.h>\n' "$2" >"$folder/src/$1"
    if "$check_includes" "$rooms" "$folder" >"$folder/seen" 2>&1 || ! grep -q "^src/$1:1: .*${2#duress/}" "$folder/seen"
    then
        echo "not found: src/$1 includes $2"
        failures=$((failures + 1))
    fi
    rm "$folder/src/$1"
}
printf '#include <duress/wire/frame.h>\n' >"$folder/src/agent/clean.c"
"$check_includes" "$rooms" "$folder" || failures=$((failures + 1))
include policy/a.c duress/agent/agent
include agent/a.c duress/world/sim
include agent/a.c uv
include world/live_a.c duress/toxic/link
include world/sim_a.c duress/loop/loop

# Documents: what they quote and where they link to.
tree=$folder/documents
mkdir -p "$tree/docs/middleware" "$tree/examples"
link='[examples/a.c](../../examples/a.c):'
page=docs/middleware/page.md
document() { # document PATTERN LINE...: the page of those lines must have that finding; none where PATTERN is empty
    local pattern=$1
    shift
    printf '%s\n' "$@" >"$tree/$page"
    if "$check_documents" "$tree" >"$folder/seen" 2>&1; then
        [ -n "$pattern" ] || return 0
    else
        [ -z "$pattern" ] || ! grep -q "^$page: .*$pattern" "$folder/seen" || return 0
    fi
    echo "documents: not as it should be: ${pattern:-clean}: $(cat "$folder/seen")"
    failures=$((failures + 1))
}
echo 'duress_example(a "x")' >"$tree/examples/CMakeLists.txt"
printf '#include <a.h>\nint a;\nint b;\n' >"$tree/examples/a.c"
printf '%s\n' '[a](examples/a.c):' '```c' '#include <a.h>' '```' >"$tree/README.md"
document '' "$link" '```c' 'int a;' 'int b;' '```' "$link" '```' 'any' '```'
document 'is not what stands' "$link" '' '```c' 'int a;' 'int c;' '```'
document 'is not what stands' "$link" '```c' '#include <a.h>' 'int b;' '```'
document 'is not what stands' "$link" '```c' '```'
document 'quotes no example' 'no code'
document 'C block 2 quotes no example' "$link" '```c' 'int a;' '```' 'And more:' '```c' 'int b;' '```'
document 'not built' '[examples/b.c](../../examples/b.c):' '```c' 'int a;' '```'
document 'links to gone.md' "$link" '```c' 'int a;' '```' '[gone](gone.md)'
document '' "$link" '```c' 'int a;' '```'
page=docs/guide.md
document '' '[examples/a.c](../examples/a.c):' '```c' 'int a;' '```'
document 'quotes no example' 'no code'
document 'C block 1 quotes no example' 'Like this:' '```c' 'int a;' '```'
document 'is not what stands' '[examples/a.c](../examples/a.c):' '```c' 'int c;' '```'
document '' '[examples/a.c](../examples/a.c):' '```c' 'int a;' '```'
page=docs/middleware/page.md
yes 'int z;' | head -80 >>"$tree/examples/a.c"
document '80 lines or more' "$link" '```c' 'int a;' '```'
[ "$failures" -eq 0 ]
