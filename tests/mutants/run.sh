#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh [--table FILE] [PATCH...]: shows that the simulated chaos suite has teeth.
#
# First the tree as it is must be green. Then each patch of this folder (or each that is named) breaks a copy of the
# tree in one place; it is built incrementally, and the suite runs with more and more seeds until an expectation fails.
# Only that counts, or a fault that was not proven: a mutant that survives, or does not apply, or does not build, or
# crashes or hangs before any expectation fails, is a failure of this script. --table writes the result into FILE, below
# what stands there above its table.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/build/mutants
seed_steps=(1 20 200)
suite_limit_s=60
table=
patches=()

usage() {
    echo "usage: $0 [--table FILE] [PATCH...]" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --table)
            [ $# -ge 2 ] || usage
            table=$(realpath -m "$2")
            shift 2
            ;;
        -*) usage ;;
        *)
            [ -f "$1" ] || { echo "no such patch: $1" >&2; exit 2; }
            patches+=("$(realpath "$1")")
            shift
            ;;
    esac
done
[ ${#patches[@]} -gt 0 ] || patches=("$here"/*.patch)

source "$here/tree.sh"

tree_configure() {
    [ -f "$work/out/build.ninja" ] && return
    run cmake -S "$work/tree" -B "$work/out" -G Ninja -DCMAKE_BUILD_TYPE=Release -DDURESS_TESTS=OFF \
        >"$work/configure.log" 2>&1
}
tree_build() { run ninja -C "$work/out" duress_program >"$work/build.log" 2>&1; }
tree_patch() { patch -d "$work/tree" -p1 --no-backup-if-mismatch -r - -s "$@" >"$work/patch.log" 2>&1; }

# --- the suite ---

# Runs it with the seeds from 0 to $1 - 1 and sets result, test_name and seed: "passed"; or the first expectation that
# failed (or fault not proven), that of the lowest seed and then of the suite's order; or, where none did, what else
# went wrong.
suite() {
    local status=0
    rm -f "$work/report.json"
    run timeout -k 5 "$suite_limit_s" "$work/out/duress" suite --world sim --seeds "$1" --json "$work/report.json" \
        >"$work/suite.log" 2>&1 || status=$?
    result=hung test_name=- seed=0
    [ "$status" -ne 124 ] && [ "$status" -ne 137 ] || return 0
    result=crashed
    [ -s "$work/report.json" ] || return 0
    read -r result test_name seed < <(awk -F'"' '
        /^   "test":/ { test = $4 }
        /^   "seed":/ { seed = $3; gsub(/[^0-9]/, "", seed) }
        /^   "result":/ {
            if ($4 == "failed" || $4 == "not_proven") { if (best == "" || seed + 0 < best_seed) {
                best = $4; best_test = test; best_seed = seed + 0 } }
            else if ($4 == "passed" || $4 == "skipped") passed++
            else if (other == "") { other = $4; other_test = test; other_seed = seed + 0 }
        }
        END {
            if (best != "") print best, best_test, best_seed
            else if (other != "") print other, other_test, other_seed
            else if (passed > 0) print "passed", "-", 0
            else print "empty", "-", 0
        }' "$work/report.json")
}
suite_until_caught() {
    local seeds
    for seeds in "${seed_steps[@]}"; do
        suite "$seeds"
        [ "$result" = passed ] || return 0
    done
}

# --- one mutant ---

mutant() {
    local patch=$1
    if ! tree_patch --forward --dry-run <"$patch"; then
        result=does-not-apply test_name=- seed=0
        return
    fi
    tree_patch --forward <"$patch" || { echo "$patch applies only in part"; exit 1; }
    if tree_build; then
        suite_until_caught
    else
        result=does-not-build test_name=- seed=0
    fi
    tree_patch --reverse <"$patch" || { echo "$patch cannot be undone"; exit 1; }
}

# --- all of them ---

tree_lock
tree_sync CMakeLists.txt LICENSE cmake include src tests/chaos
tree_configure || { cat "$work/configure.log"; exit 1; }
tree_build || { tail -30 "$work/build.log"; exit 1; }
suite "${seed_steps[-1]}"
if [ "$result" != passed ]; then
    echo "the unmutated tree is not green: $test_name $result with seed $seed"
    cat "$work/suite.log"
    exit 1
fi
echo "the unmutated tree is green with ${seed_steps[-1]} seeds a test"

rows=()
missed=()
for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch)
    what=$(sed -n '1s/^Mutant: //p' "$patch")
    result=does-not-say-what-is-broken
    [ -z "$what" ] || mutant "$patch"
    case $result in
        failed | not_proven)
            rows+=("| $name | $what | \`$test_name\` | $((seed + 1)) |")
            printf '%-42s caught by %s (%s)\n' "$name" "$test_name" "$((seed + 1))"
            ;;
        *)
            missed+=("$name: $result${test_name:+ $test_name}")
            printf '%-42s NOT CAUGHT: %s\n' "$name" "$result"
            ;;
    esac
done

if [ -n "$table" ]; then
    intro=$([ ! -f "$table" ] || sed '/^| mutant /,$d' "$table")
    {
        [ -z "$intro" ] || printf '%s\n\n' "$intro"
        echo "| mutant | what is broken | caught by | seeds needed |"
        echo "| --- | --- | --- | --- |"
        printf '%s\n' ${rows[@]+"${rows[@]}"}
    } >"$table.new"
    mv "$table.new" "$table"
fi
echo "${#rows[@]} caught, ${#missed[@]} not caught"
for each in ${missed[@]+"${missed[@]}"}; do
    echo "  $each"
done
[ ${#missed[@]} -eq 0 ]
