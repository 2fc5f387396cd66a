#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# fuzz.sh SECONDS [GLOB]: builds the fuzz targets, and runs each whose name matches on its corpus, then for so many
# seconds on what libFuzzer makes of it. 0: the corpus alone. What it finds goes to build/fuzz/found; inputs worth
# keeping to build/fuzz/new/NAME, to be looked at and copied to fuzz/corpus/NAME by hand.
set -eu
cd "$(dirname "$0")/.."
seconds=$1
glob=${2:-*}
scripts/build.sh fuzz

ran=0
for program in $(find build/fuzz/fuzz -type f -perm -u+x -name "fuzz_*" | sort); do
    name=${program##*/fuzz_}
    # shellcheck disable=SC2053 # a pattern is meant
    [[ $name == $glob ]] || continue
    corpus=fuzz/corpus/$name
    [ -d "$corpus" ] || {
        echo "fuzz: $name has no corpus in $corpus" >&2
        exit 1
    }
    mkdir -p "build/fuzz/new/$name" build/fuzz/found
    limit=("-max_total_time=$seconds")
    [ "$seconds" -gt 0 ] || limit=(-runs=0)
    echo "fuzz: $name, $(find "$corpus" -type f | wc -l) inputs, $seconds s"
    "$program" "${limit[@]}" -timeout=10 -verbosity=0 -print_final_stats=1 "-artifact_prefix=build/fuzz/found/$name-" \
        "build/fuzz/new/$name" "$corpus" >"build/fuzz/$name.log" 2>&1 || {
        cat "build/fuzz/$name.log"
        exit 1
    }
    sed -n 's/^stat::number_of_executed_units: */  executed: /p' "build/fuzz/$name.log"
    ran=$((ran + 1))
done
[ "$ran" -gt 0 ] || {
    echo "fuzz: no target matches '$glob'" >&2
    exit 1
}
echo "fuzz: $ran targets, nothing found"
