#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_quotes.sh SOURCE: what docs/writing-a-toxic.md quotes of the tree stands there: the lines of a block that begins
# with ```c FILE are lines of that file, one after the other. The page has no other C block, and at least one.
set -u
cd "$1" || exit 2
document=docs/writing-a-toxic.md
status=0
finding() {
    echo "$1"
    status=1
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mapfile -t files < <(awk -v folder="$folder" '
    /^```c/ { inside = 1; block = folder "/" ++count; printf "" >block; print $2 == "" ? "-" : $2; next }
    /^```/ { if (inside) close(block); inside = 0; next }
    inside { print >block }' "$document")
[ ${#files[@]} -gt 0 ] || finding "$document: quotes nothing"
for index in "${!files[@]}"; do
    file=${files[index]}
    block=$folder/$((index + 1))
    if ! [ -f "$file" ]; then
        finding "$document: C block $((index + 1)) quotes $file, which is not there"
        continue
    fi
    awk 'NR == FNR { block[++lines] = $0; next }
         { file[++total] = $0 }
         END {
            for (at = 1; at + lines - 1 <= total; at++) {
                for (i = 1; i <= lines && file[at + i - 1] == block[i]; i++)
                    ;
                if (i > lines) exit lines == 0
            }
            exit 1
         }' "$block" "$file" || finding "$document: C block $((index + 1)) is not what stands in $file"
done
exit $status
