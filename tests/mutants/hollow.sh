#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hollow.sh [FILE...]: shows that no file of src/toxic, src/proxy, src/policy and src/middleware (or none of those that
# are named) is there for nothing. One file at a time, the bodies of all its functions are taken out of a copy of the
# tree; then a test must fail that it can name: of the simulated chaos suite, or else of the unit tests. Here a crash
# counts, and so does a test that never ends: nobody could have missed either.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/build/hollow
suite_limit_s=60
test_limit_s=60
files=()
for argument in "$@"; do
    [[ $argument == src/*.c && -f $root/$argument ]] || { echo "usage: $0 [src/ROOM/FILE.c...]" >&2; exit 2; }
    files+=("$argument")
done
[ ${#files[@]} -gt 0 ] || mapfile -t files < <(cd "$root" && ls src/{toxic,proxy,policy,middleware}/*.c)

source "$here/tree.sh"

tree_configure() {
    run cmake -S "$work/tree" -B "$work/out" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS=-w \
        >"$work/configure.log" 2>&1
}
tree_build() { run ninja -C "$work/out" "$@" >"$work/build.log" 2>&1; }

# Both set |caught| to the name of the first test that failed, and leave it empty where none did.
suite() {
    rm -f "$work/report.json"
    run timeout -s INT -k 5 "$suite_limit_s" "$work/out/duress" suite --world sim --seeds 3 \
        --json "$work/report.json" >"$work/suite.log" 2>&1 && return
    [ ! -s "$work/report.json" ] || caught=$(awk -F'"' '
        /^   "test":/ { test = $4 }
        /^   "result":/ && $4 != "passed" && $4 != "skipped" { print test; exit }' "$work/report.json")
    [ -n "$caught" ] || caught="no test by name: the suite did not end"
}
unit_tests() {
    run ctest --test-dir "$work/out" -L unit -j "$(nproc)" --timeout "$test_limit_s" --stop-on-failure \
        >"$work/unit.log" 2>&1 && return
    caught=$(sed -n 's/^.*Test *#[0-9]*: \([^ ]*\) .*\*\*\*.*/\1/p' "$work/unit.log" | head -1)
    [ -n "$caught" ] || { tail -20 "$work/unit.log" >&2; leave 1; }
}

hollow() {
    local file=$1
    caught=
    cp "$work/hollow.c" "$work/tree/$file"
    if ! tree_build duress_program; then
        caught="no test: it does not build"
    else
        suite
        [ -n "$caught" ] || { tree_build && unit_tests; } || caught="no test: it does not build"
    fi
    cp "$root/$file" "$work/tree/$file"
}

tree_lock
tree_sync CMakeLists.txt LICENSE README.md cmake include src tests bench examples docs fuzz scripts
tree_configure || { cat "$work/configure.log"; exit 1; }
tree_build || { tail -30 "$work/build.log"; exit 1; }
caught=
suite
[ -n "$caught" ] || unit_tests
[ -z "$caught" ] || { echo "the whole tree is not green: $caught"; exit 1; }
echo "the whole tree is green"

caught_count=0
missed=()
for file in "${files[@]}"; do
    if ! awk -f "$here/hollow.awk" "$root/$file" >"$work/hollow.c"; then
        printf '%-36s has no function\n' "$file"
        continue
    fi
    hollow "$file"
    case $caught in
        '' | 'no test'*)
            missed+=("$file")
            printf '%-36s NOT CAUGHT: %s\n' "$file" "${caught:-all tests pass}"
            ;;
        *)
            caught_count=$((caught_count + 1))
            printf '%-36s caught by %s\n' "$file" "$caught"
            ;;
    esac
done
echo "$caught_count caught, ${#missed[@]} not caught"
[ ${#missed[@]} -eq 0 ]
