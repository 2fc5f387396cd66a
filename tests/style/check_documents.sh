#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_documents.sh SOURCE: what README.md and docs/ quote from examples/ stands there, and links to files lead
# somewhere.
#
# A C block that follows a line with a link to examples/NAME.c quotes that file: its lines are lines of the file, one
# after the other, from its first #include on. README.md, docs/guide.md and each page of docs/middleware/ quote at
# least once, and the latter two have no other C block. What is quoted is built and run by the tests, and is shorter
# than 80 lines.
# docs/worlds.md names no test that is not there, and each line of what differs names tests that hold both worlds.
set -u
shopt -s nullglob
cd "$1" || exit 2
status=0
finding() {
    echo "$1"
    status=1
}

# quotes DOCUMENT FOLDER: a line for each C block, with the example it quotes or "-"; the blocks go to FOLDER/1, 2, …
quotes() {
    awk -v folder="$2" '
        /^```c$/ { inside = 1; file = folder "/" ++count; printf "" >file; print example; next }
        /^```/ { if (inside) { inside = 0; close(file); example = "-"; next } }
        inside { print >file; next }
        /[^[:space:]]/ {
            example = "-"
            if (match($0, /\]\([^)]*examples\/[a-z0-9_]+\.c\)/)) {
                example = substr($0, RSTART, RLENGTH)
                sub(/.*examples\//, "", example)
                sub(/\.c\)$/, "", example)
            }
        }' "$1"
}
# is_excerpt BLOCK FILE: the block's lines are a run of the file's
is_excerpt() {
    awk 'NR == FNR { block[++lines] = $0; next }
         { file[++total] = $0 }
         /^#include/ && !begin { begin = total }
         END {
            for (at = begin ? begin : 1; at + lines - 1 <= total; at++) {
                for (i = 1; i <= lines && file[at + i - 1] == block[i]; i++)
                    ;
                if (i > lines) exit lines == 0
            }
            exit 1
         }' "$1" "$2"
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for document in README.md docs/*.md docs/middleware/*.md; do
    mapfile -t names < <(quotes "$document" "$folder")
    quoted=0
    for index in "${!names[@]}"; do
        name=${names[index]}
        if [ "$name" = - ]; then
            [[ $document != docs/middleware/* && $document != docs/guide.md ]] ||
                finding "$document: C block $((index + 1)) quotes no example"
            continue
        fi
        quoted=$((quoted + 1))
        example=examples/$name.c
        if ! [ -f "$example" ] || ! grep -qwF "$name" examples/CMakeLists.txt; then
            finding "$document: quotes $example, which is not there, or not built"
        elif ! is_excerpt "$folder/$((index + 1))" "$example"; then
            finding "$document: C block $((index + 1)) is not what stands in $example"
        elif [ "$(wc -l <"$example")" -ge 80 ]; then
            finding "$document: quotes $example, which has 80 lines or more"
        fi
    done
    case $document in
        README.md | docs/guide.md | docs/middleware/*) [ "$quoted" -gt 0 ] || finding "$document: quotes no example" ;;
    esac
done

for document in *.md docs/*.md docs/middleware/*.md bench/*.md; do
    while IFS= read -r target; do
        [ -e "$(dirname "$document")/${target%%#*}" ] || finding "$document: links to $target, which is not there"
    done < <(grep -oE '\]\([^)#][^)]*\)' "$document" | sed 's/^](//; s/)$//' | grep -vE '^[a-z]+://' || true)
done
# named_test NAME: it is a scenario, a unit test, a test program, or group.name of the chaos tests
named_test() {
    grep -rqE "(X|cmocka_unit_test[a-z_]*|duress_unit_test)\($1\>" tests/unit ||
        grep -rqw "CHAOS_TEST(${1%%.*}, ${1#*.}" tests/chaos
}
# both_worlds CELL: it names a test that runs in both worlds, or one of each, the live ones behind "live:"
both_worlds() {
    local simulated=${1%%live:*} live=
    [[ $1 != *live:* ]] || live=${1#*live:}
    [[ $live == *\`* && $simulated == *\`* ]] && return
    while IFS= read -r name; do
        [[ $name == *.* ]] || grep -qF "X($name)" tests/unit/world/both_worlds.h && return
    done < <(grep -oE '`[a-z0-9._]+`' <<<"$simulated" | tr -d '`')
    return 1
}
while IFS= read -r row; do
    cell=${row% |}
    both_worlds "${cell##*| }" || finding "docs/worlds.md: no test of both worlds for: ${row:0:60}"
done < <(sed -n '/^## Where the simulation differs/,/^## The seed/p' docs/worlds.md | grep '^| ' | tail -n +3)
while IFS= read -r name; do
    named_test "$name" || finding "docs/worlds.md: names $name, which is no test"
done < <(sed -n '/^## The same/,/^## The seed/p' docs/worlds.md | grep -oE '`[a-z0-9]+[._][a-z0-9_]+`' | tr -d '`' |
    sort -u | grep -vE '^(delay_ns_|tcp_syn_retries|duress_sim_)')
exit $status
