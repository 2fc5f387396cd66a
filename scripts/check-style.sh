#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check-style.sh [FOLDER]: the house rules that a machine can check, over the checkout (or another folder with the same
# shape). One finding a line, with what to do instead; status 1 where there is one.
set -u
cd "${1:-$(dirname "$0")/..}" || exit 2
export LC_ALL=C.UTF-8
findings=$(mktemp)
trap 'rm -f "$findings"' EXIT

# report ADVICE: adds the places on standard input, one a line.
report() { sed "s|\$|: $1|" >>"$findings"; }

# What git does not track yet is meant too; what it ignores is not. An archive of the sources has no git.
if [ -e .git ]; then
    mapfile -t files < <(git ls-files --cached --others --exclude-standard)
else
    mapfile -t files < <(find . -path ./build -prune -o -type f -printf '%P\n')
fi
c_files=()
texts=()
scripts=()
for file in "${files[@]}"; do
    [ -f "$file" ] || continue
    case $file in
        *.[ch]) c_files+=("$file") texts+=("$file") ;;
        *.sh) scripts+=("$file") texts+=("$file") ;;
        .ci/run | Makefile | *.cmake | *CMakeLists.txt | *.yml | *.md) texts+=("$file") ;;
    esac
done
[ ${#c_files[@]} -gt 0 ] || {
    echo "style: no C file found" >&2
    exit 2
}

# in_code REGEX FILE...: the places where code (no comment) matches, as file:line. A leading ^ is the line's begin.
in_code() {
    local regex=$1 place='^[^:]+:[0-9]+:'
    shift
    [ $# -gt 0 ] || return 0
    [[ $regex == ^* ]] && place+=${regex#^} || place+=".*$regex"
    grep -nHE -- "$regex" "$@" | sed 's:/\*.*\*/::' | grep -vE '^[^:]+:[0-9]+: *(\*|//|/\*)' | grep -E -- "$place" |
        cut -d: -f1,2
}
# below FOLDER...: sets $chosen to the C files below these.
below() {
    local file folder
    chosen=()
    for file in "${c_files[@]}"; do
        for folder in "$@"; do
            [[ $file != $folder/* ]] || chosen+=("$file")
        done
    done
}

# --- form ---
grep -nHE '^.{121,}' "${texts[@]}" | grep -v '^[^:]*\.md:' | cut -d: -f1,2 | report 'longer than 120 characters'
grep -nHE '[[:space:]]+$' "${texts[@]}" | cut -d: -f1,2 | report 'white space at the end'
grep -nHP '\t' "${c_files[@]}" | cut -d: -f1,2 | report 'a tab; indent by four spaces'
grep -nHwE 'FIXME|XXX|HACK|TODO' "${texts[@]}" | grep -v '^scripts/check-style.sh:' | cut -d: -f1,2 |
    report 'left over; do it or open an issue'
for file in "${c_files[@]}"; do
    [[ $(head -n 1 "$file") == '/* SPDX-License-Identifier: Apache-2.0'* ]] ||
        echo "$file:1" | report 'begins without its SPDX line'
done
for file in ${scripts[@]+"${scripts[@]}"}; do
    sed -n '2{/^# SPDX-License-Identifier: Apache-2.0$/q1}' "$file" && echo "$file:2" | report 'lacks its SPDX line'
done
wc -l "${c_files[@]}" | awk '$2 != "total" && $1 > 600 { print $2 ":601" }' | report 'the 601st line; split by noun'
# Our format puts a function's braces, and nothing else, into the first column.
awk 'FNR == 1 { begin = 0 }
     /^\{/ { begin = FNR }
     /^\}/ { if (begin && FNR - begin - 1 > 70) print FILENAME ":" begin; begin = 0 }' "${c_files[@]}" |
    report 'a function of more than 70 lines; split it'

# --- names ---
in_code '^typedef (struct|enum|union)\b[^(]*$' "${c_files[@]}" | report 'no typedef for structs, enums and unions'
number='\b(u?int(8|16|32|64)_t|unsigned|int|long|double|size_t)'
span='[a-z_]*(timeout|deadline|delay|duration|interval|backoff|latency|elapsed)'
in_code "$number +$span *[;,=)[]" "${c_files[@]}" | report 'a time without its unit; append _ns (_ms at the edges only)'

# --- calls ---
below src include tests bench fuzz examples
in_code '\b(strcpy|stpcpy|strcat|strncat|strncpy)\(' "${chosen[@]}" | report 'use memcpy with a length, or snprintf'
in_code '\bv?sprintf\(' "${chosen[@]}" | report 'use snprintf'
in_code '\b(gets|strtok|atoi|atol|atof|alloca)\(' "${chosen[@]}" | report 'banned; use fgets, strtoull, an allocator'
in_code '\b(s?rand|s?random|drand48|rand_r)\(' "${chosen[@]}" | report 'use duress/prng.h'
in_code '\b(uv_replace_allocator|json_set_alloc_funcs|curl_global_init_mem)\(' "${chosen[@]}" |
    report "a library's process-wide setting is not ours to change"
below src/policy src/toxic src/wire
in_code '\b(malloc|calloc|realloc|free|strdup|strndup)\(' "${chosen[@]}" | report 'use the allocator that was handed in'
in_code '# *include +[<"](uv|ares|time|sys/|pthread|threads|unistd|poll|jansson)' "${chosen[@]}" |
    report 'a pure room knows no I/O, clock or thread'
below src/policy src/toxic src/wire src/agent src/agent_http src/middleware src/compose src/campaign src/chaos/sim
in_code '\b(clock_gettime|gettimeofday|time|getrandom|uv_hrtime|uv_now|uv_update_time)\(' "${chosen[@]}" |
    report 'time and chance come from the world, or as arguments'
below src/agent src/middleware src/compose
in_code '# *include +[<"]duress/world/(live|sim)' "${chosen[@]}" | report 'the world is seen through world.h alone'
below tests/unit tests/chaos
in_code '\b(sleep|usleep|nanosleep|clock_nanosleep|uv_sleep|thrd_sleep)\(' "${chosen[@]}" |
    report 'tests do not sleep; wait for a condition with a deadline'

sort -t: -k1,1 -k2,2n "$findings"
count=$(wc -l <"$findings")
[ "$count" -eq 0 ] || {
    echo "style: $count findings" >&2
    exit 1
}
echo "style: ${#c_files[@]} C files and $((${#texts[@]} - ${#c_files[@]})) others keep the house rules"
