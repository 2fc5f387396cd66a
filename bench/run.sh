#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD [GLOB]: runs every benchmark program of a build folder (bench_*, or those whose name matches bench_GLOB),
# one at a time, checks each line, and leaves them in BUILD/bench.jsonl. bench/README.md says what a line holds.
set -eu
build=$1
glob=${2:-*}
out=$build/bench.jsonl
new=$out.new
trap 'rm -f "$new"' EXIT
: >"$new"

# What a figure must be: the keys of bench/README.md and no others, with sensible values.
rule='
type == "object"
and ((keys - ["against", "max", "min", "name", "ratio", "runs", "unit", "value"]) == [])
and (.name | type == "string" and length > 0)
and (.unit | type == "string" and length > 0)
and ([.value, .min, .max, .runs] | all(type == "number"))
and .min <= .value and .value <= .max and .runs >= 5
and (has("against") == has("ratio"))
and (if has("ratio") then (.against | type == "string") and (.ratio | type == "number" and . > 0) else true end)'

# And how people read it.
sentence='
def short: . * 100 | round / 100;
"  \(.name): \(.value | short) \(.unit) (\(.min | short) to \(.max | short), \(.runs) runs)"
+ if has("against") then ", \(.ratio | short) of \(.against)" else "" end'

ran=0
for program in $(find "$build/bench" -type f -perm -u+x -name "bench_$glob" | sort); do
    echo "# ${program##*/}"
    "$program" >"$new.one" || {
        echo "bench: ${program##*/} failed" >&2
        rm -f "$new.one"
        exit 1
    }
    while IFS= read -r line; do
        jq -e "$rule" <<<"$line" >/dev/null 2>&1 || {
            echo "bench: ${program##*/} printed what is no figure: $line" >&2
            rm -f "$new.one"
            exit 1
        }
        jq -r "$sentence" <<<"$line"
    done <"$new.one"
    [ -s "$new.one" ] || {
        echo "bench: ${program##*/} printed no figure" >&2
        exit 1
    }
    cat "$new.one" >>"$new"
    rm -f "$new.one"
    ran=$((ran + 1))
done
[ "$ran" -gt 0 ] || {
    echo "bench: no program matches bench_$glob in $build/bench" >&2
    exit 1
}
twice=$(jq -r .name "$new" | sort | uniq -d)
[ -z "$twice" ] || {
    echo "bench: more than one figure is called: $twice" >&2
    exit 1
}
mv "$new" "$out"
echo "$(wc -l <"$out") figures in $out"
