#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_includes.sh ROOMS FOLDER: no file below FOLDER/src and FOLDER/include includes a room's header or a library that
# its line in ROOMS does not name. What a room links publicly reaches further than its line, so the compiler does not
# see this.
set -eu
rooms=$(realpath "$1")
cd "$2"
found=$(mktemp)
trap 'rm -f "$found"' EXIT
grep -rnoE '^# *include +[<"](duress/[a-z_]+/[a-z_]+|uv|ares[a-z_]*|jansson|curl/[a-z]+|microhttpd|yaml)\.h[>"]' \
    --include='*.[ch]' include src >"$found" || true
awk -F: '
    FILENAME == ARGV[1] {
        if ($0 ~ /^#/ || $0 == "") next
        count = split($0, word, / +/)
        rules[word[1]] = " "
        for (i = 2; i <= count; i++) rules[word[1]] = rules[word[1]] word[i] " "
        next
    }
    {
        seen++
        file = $1
        target = $3
        sub(/^# *include +[<"]/, "", target)
        sub(/\.h[>"]$/, "", target)
        best = ""
        for (prefix in rules)
            if (index(file, prefix) == 1 && length(prefix) > length(best)) best = prefix
        if (target ~ /^duress\//) {
            sub(/^duress\//, "", target)
            room = target
            sub(/\/.*/, "", room)
            ok = index(rules[best], " " room " ") || index(rules[best], " " target " ")
        } else {
            sub(/\/.*/, "", target)
            ok = index(rules[best], " <" target "> ")
        }
        if (best == "") { printf "%s:%s: of no room that the table knows\n", file, $2; found = 1 }
        else if (!ok) { printf "%s:%s: %s must not include %s\n", file, $2, best, target; found = 1 }
    }
    END {
        if (!seen) { print "no include was found"; found = 1 }
        exit found
    }
' "$rooms" "$found"
