#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# table.sh --check|--write PROGRAM FOLDER: docs/compatibility.md from what the tests here come to: the script's calls
# (replay.c), acceptance.c, and the client libraries. FOLDER holds compat_replay and compat_acceptance; clients are
# installed below build/compat. --check compares; the row of a client that cannot be had here is left as it stands.
set -u
here=$(dirname "$(readlink -f "$0")")
root=$here/../..
document=$root/docs/compatibility.md
mode=$1
program=$2
folder=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A row for each endpoint or type of toxic: its calls, and how many of them were answered otherwise than the script
# says. Each difference that the replay prints begins with "line N:".
tally='
FNR == NR { if (match($0, /^line [0-9]+:/)) bad[substr($0, 6, RLENGTH - 6)] = 1; next }
/^[A-Z]+ / { line = FNR; method = $1; target = $2; body = "" }
/^= / { body = body substr($0, 3) }
/^[0-9]/ {
    count_all++
    sub(/\?.*/, "", target)
    parts = split(target, part, "/")
    known = part[1] == "" && part[parts] != "" && target !~ /\/\.|%00|\/\//
    key = "~|others: unknown and malformed paths"
    if (known && parts == 2 && part[2] ~ /^(proxies|populate|reset|version)$/) key = target
    else if (known && parts == 3 && part[2] == "proxies") key = "/proxies/{proxy}"
    else if (known && parts == 4 && part[2] == "proxies" && part[4] == "toxics") key = "/proxies/{proxy}/toxics"
    else if (known && parts == 5 && part[4] == "toxics") key = "/proxies/{proxy}/toxics/{toxic}"
    if (key ~ /^\//) key = key "|`" method " " key "`"
    endpoints[key]++; endpoints_bad[key] += line in bad
    while (match(body, /"type": *"[a-z_]+"/)) {
        type = substr(body, RSTART, RLENGTH); body = substr(body, RSTART + RLENGTH)
        gsub(/"type": *"|"/, "", type)
        if (types ~ " " type " ") { toxics[type]++; toxics_bad[type] += line in bad }
    }
}
END {
    print count_all >count_file
    for (key in endpoints)
        printf "%s | %d | %s |\n", key, endpoints[key], said(endpoints_bad[key]) >endpoint_file
    count = split(types, type_list, " ")
    for (i = 1; i <= count; i++)
        printf "| `%s` | %d | %s |\n", type_list[i], toxics[type_list[i]], said(toxics_bad[type_list[i]]) >toxic_file
}
function said(wrong) { return wrong ? wrong " differ" : "all as written" }'

"$folder/compat_replay" "$here/script.txt" "$program" proxy -port=0 >"$scratch/replay" 2>&1
[ $? -ne 77 ] || { cat "$scratch/replay"; exit 77; }
awk -v count_file="$scratch/count" -v endpoint_file="$scratch/endpoints" -v toxic_file="$scratch/toxics" \
    -v types=" latency bandwidth slow_close timeout reset_peer slicer limit_data noop " \
    "$tally" "$scratch/replay" "$here/script.txt"
count=$(cat "$scratch/count")
grep -q "^$count exchanges, " "$scratch/replay" || {
    echo "failed: the replay has not made the script's $count calls:"
    tail -n 3 "$scratch/replay"
    exit 1
}
"$here/with_daemon.sh" "$program" "$folder/compat_acceptance" >"$scratch/acceptance" 2>&1

clients() {
    local language name
    for language in python node go java; do
        name="\`$(sed -n "s/^${language}_package=//p" "$here/check_client.sh")\`"
        "$here/check_client.sh" "$language" "$program" "$root/build/compat" >"$scratch/client" 2>&1 </dev/null
        case $? in
            0) echo "| $name | passes |" ;;
            77) grep -F "| $name | " "$document" || echo "| $name | not tried |" ;;
            *) echo "| $name | fails |" ;;
        esac
    done
}

{
    cat <<'TEXT'
# Compatibility with Toxiproxy

Made by `tests/compat/table.sh --write` from what the tests in `tests/compat` come to; the test `compat.table` compares.

## Endpoint by endpoint

Calls of `tests/compat/script.txt`, whose answers were written by hand, and how `duress proxy` answers them: status,
headers that clients see, and body, to the byte.

| endpoint | calls | answers |
| --- | --- | --- |
TEXT
    LC_ALL=C sort "$scratch/endpoints" | sed 's/^[^|]*|/| /' # by path, which stands in front of each row
    cat <<'TEXT'

## Toxic by toxic

Calls of the same script that name the type.

| toxic | calls | answers |
| --- | --- | --- |
TEXT
    cat "$scratch/toxics"
    cat <<'TEXT'

What connections then meet, of `tests/compat/acceptance.c`:

| | |
| --- | --- |
TEXT
    sed -n 's/^\[  *OK \] \([a-z_0-9]*\).*/| \1 | holds |/p; s/^\[  FAILED  \] \([a-z_0-9]*\)$/| \1 | fails |/p' \
        "$scratch/acceptance" | awk '!seen[$0]++' | tr _ ' '
    cat <<'TEXT'

## Client by client

Libraries that others wrote, through create, toggle, every toxic, update, populate, reset and errors.

| client | |
| --- | --- |
TEXT
    clients
} >"$scratch/document"

if [ "$mode" = --write ]; then
    cp "$scratch/document" "$document"
    exit 0
fi
diff -u "$document" "$scratch/document" || {
    echo "failed: docs/compatibility.md is not what the tests come to; tests/compat/table.sh --write makes it"
    exit 1
}
