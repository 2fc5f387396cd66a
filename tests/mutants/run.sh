#!/usr/bin/env bash
# run.sh [--table FILE] [PATCH...]: shows that the suite has teeth.
#
# Builds the tree as it is and shows that its simulated suite is green. Then, for each patch of this folder (or those
# named), breaks the tree, builds it incrementally and runs the simulated suite until the first expectation fails. A
# mutant that survives, does not build, does not apply, crashes or hangs is a failure: only an expectation counts.
# --table writes docs/mutants.md's table to FILE.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/mutants
table=
seeds=200
patches=()
while [ $# -gt 0 ]; do
    case $1 in
        --table)
            table=$2
            shift 2
            ;;
        -*)
            echo "usage: $0 [--table FILE] [PATCH...]" >&2
            exit 2
            ;;
        *)
            patches+=("$(realpath "$1")")
            shift
            ;;
    esac
done
[ ${#patches[@]} -gt 0 ] || patches=("$here"/*.patch)

mkdir -p "$build"
trap 'exit 130' INT TERM

# A copy of the tree, so that the checkout is never broken. rsync would do; tar is everywhere. Files that did not change
# keep their times, so that a second run builds little.
copy_tree() {
    mkdir -p "$build/tree.new"
    (cd "$root" && tar cf - CMakeLists.txt CMakePresets.json LICENSE cmake include src tests bench examples) |
        tar xf - -C "$build/tree.new"
    rm -rf "$build/tree"
    mv "$build/tree.new" "$build/tree"
}
build_tree() { ninja -C "$build/out" duress_program >"$build/build.log" 2>&1; }

# suite SEEDS: the first run that did not pass, as "result test seed", or nothing.
suite() {
    rm -f "$build/report.json"
    "$build/out/duress" suite --world sim --seeds "$1" --stop --json "$build/report.json" >"$build/suite.log" 2>&1 || true
    [ -f "$build/report.json" ] || { echo "no-report - -"; return; }
    awk -F'"' '/"test":/ { test = $4 }
               /"seed":/ { seed = $3; gsub(/[^0-9]/, "", seed) }
               /"result":/ { if ($4 != "passed" && $4 != "skipped" && $4 != "not_run") print $4, test, seed }' \
        "$build/report.json" | sort -k1,1 -k3,3n | head -1
}

copy_tree
[ -f "$build/out/build.ninja" ] ||
    cmake -S "$build/tree" -B "$build/out" -G Ninja -DCMAKE_BUILD_TYPE=Release -DDURESS_TESTS=OFF >"$build/configure.log" 2>&1 ||
    { cat "$build/configure.log"; exit 1; }
build_tree || { tail -30 "$build/build.log"; exit 1; }
found=$(suite "$seeds")
if [ -n "$found" ]; then
    echo "the unmutated tree is not green: $found"
    exit 1
fi
echo "the unmutated tree is green with $seeds seeds a test"

caught=0
rows=()
survivors=()
for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch)
    what=$(sed -n 's/^Mutant: //p' "$patch" | head -1)
    if ! patch -d "$build/tree" -p1 --forward --no-backup-if-mismatch <"$patch" >"$build/patch.log" 2>&1; then
        survivors+=("$name: does not apply")
        patch -d "$build/tree" -p1 --reverse --force --no-backup-if-mismatch <"$patch" >/dev/null 2>&1 || true
        continue
    fi
    if build_tree; then
        found=$(suite 1)
        [ -n "$found" ] || found=$(suite "$seeds")
        read -r result test seed <<<"${found:-survived - -}"
    else
        result=no-build
    fi
    patch -d "$build/tree" -p1 --reverse --no-backup-if-mismatch <"$patch" >/dev/null
    case $result in
        failed | not_proven)
            caught=$((caught + 1))
            rows+=("| $name | $what | \`$test\` | $((seed + 1)) |")
            printf '%-44s caught by %s, %s seeds\n' "$name" "$test" "$((seed + 1))"
            ;;
        *)
            survivors+=("$name: $result ${test:-}")
            printf '%-44s %s\n' "$name" "NOT CAUGHT: $result ${test:-}"
            ;;
    esac
done
build_tree || true

if [ -n "$table" ]; then
    {
        echo "| mutant | what is broken | caught by | seeds needed |"
        echo "| --- | --- | --- | --- |"
        printf '%s\n' "${rows[@]}"
    } >"$table"
fi
echo "$caught passed, ${#survivors[@]} failed"
for survivor in "${survivors[@]}"; do
    echo "  $survivor"
done
[ ${#survivors[@]} -eq 0 ]
