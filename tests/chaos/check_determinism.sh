#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_determinism.sh DURESS DURESS...: runs the simulated suite with every given build of the program and compares the
# trace hash of each test and seed. Two runs of one build, gcc and clang, debug, release and sanitizers must all agree.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 DURESS DURESS..." >&2; exit 2; }
seeds=${DURESS_SEEDS:-6}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# One line a run: test, seed, hash.
traces() {
    "$1" suite --world sim --seeds "$seeds" --json "$folder/report.json" >"$folder/log" 2>&1 || {
        cat "$folder/log"
        exit 1
    }
    awk -F'"' '/"test":/ { test = $4 } /"seed":/ { seed = $3 } /"trace_hash":/ { print test, seed, $4 }' \
        "$folder/report.json" | sort
}

traces "$1" >"$folder/first"
count=$(wc -l <"$folder/first")
[ "$count" -gt 0 ] || { echo "no trace hash in the report"; exit 1; }
first=$1
shift
for other in "$@"; do
    traces "$other" >"$folder/other"
    if ! diff "$folder/first" "$folder/other" >"$folder/diff"; then
        echo "the traces of $first and $other differ (test, seed, hash):"
        head -20 "$folder/diff"
        exit 1
    fi
done
echo "$count traces are equal"
