#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs.sh OUTPUT: the reference of the public headers by Doxygen, OUTPUT/html/index.html. Fails where Doxygen has
# anything to say, and where a public function is missing from the output or stands there without a word.
set -eu
[ $# -eq 1 ] || {
    echo "usage: scripts/docs.sh OUTPUT" >&2
    exit 2
}
mkdir -p "$1"
output=$(realpath "$1")
cd "$(dirname "$0")/.."
version=$(sed -n 's/^project(duress VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)

{
    cat docs/api/Doxyfile
    echo "OUTPUT_DIRECTORY = $output"
    echo "PROJECT_NUMBER = $version"
} | doxygen - >"$output/log" 2>&1 || {
    cat "$output/log" >&2
    exit 1
}
[ ! -s "$output/log" ] || {
    cat "$output/log" >&2
    exit 1
}

# As tests/symbols finds them: a declaration ends with a semicolon, its name is the word before the parenthesis.
headers=$(sed -n '/^INPUT/,/[^\\]$/p' docs/api/Doxyfile | grep -oE '(src|include)[a-z_/]*')
# shellcheck disable=SC2086 # several folders
promised=$(find $headers -name '*.h' ! -name '*_loop.h' ! -name '*_private.h' -print0 | xargs -0 cat |
    sed -e '/^ *#/d' -e 's://.*$::' | tr '\n' ' ' | sed -e 's:/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/: :g' -e 's/[;{}]/\n/g' |
    sed -nE 's/^.*DURESS_API//p' | grep -oE "^[^(]*\(" | grep -oE "[a-z0-9_]+\($" | tr -d '(' | grep -v '^duress__' |
    sort -u)
# Functions of the output that have a description, one a line.
described=$(awk '
    /<memberdef kind="function"/ { inside = 1; name = ""; text = 0 }
    inside && name == "" && match($0, /<name>[a-z0-9_]+<\/name>/) { name = substr($0, RSTART + 6, RLENGTH - 13) }
    inside && /<para>/ { text = 1 }
    inside && /<\/memberdef>/ { inside = 0; if (text) print name }' "$output"/xml/*.xml | sort -u)
silent=$(comm -23 <(printf '%s\n' "$promised") <(printf '%s\n' "$described"))
[ -z "$silent" ] || {
    echo "docs: public functions without a word about them:" $silent >&2
    exit 1
}
count=$(wc -w <<<"$promised")
[ "$count" -gt 200 ] || {
    echo "docs: found only $count public functions in the headers" >&2
    exit 1
}
echo "$count public functions in $output/html/index.html"
