#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_null.sh TEST SOURCE: every public function that takes a pointer is either given NULL in TEST, or marked
# DURESS_NONNULL in its header; those that return an error code are not marked.
set -eu
test=$1
status=0
finding() {
    echo "null: $1"
    status=1
}

# A declaration a line, without comments.
declarations=$(find "$2"/include "$2"/src/*/include -name '*.h' ! -name '*_loop.h' ! -name '*_private.h' \
    ! -path '*/loop/*' ! -path '*/base/*' ! -path '*/proxy/*' -print0 | xargs -0 cat |
    sed -e '/^ *#/d' -e 's://.*$::' | tr '\n' ' ' | sed -e 's:/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/: :g' -e 's/[;{}]/\n/g' |
    sed -nE 's/^.*DURESS_API +//p')
tried=$(tr '\n' ' ' <"$test" | tr ';' '\n' | grep NULL)
count=0
while IFS= read -r declaration; do
    head=${declaration%%(*}
    name=$(grep -oE '[a-z0-9_]+$' <<<"$head")
    parameters=${declaration#*(}
    case $name in duress__* | chaos_*) continue ;; esac # what a chaos test cannot have ends it: it never holds a NULL
    [[ $parameters == *'*'* || $parameters == *_fn\ * ]] || continue
    count=$((count + 1))
    if [[ $declaration == *DURESS_NONNULL* ]]; then
        [[ ! $head =~ ^(DURESS_MUST_CHECK )?int\  ]] || finding "$name returns an error code, but is marked"
    elif ! grep -qE "\<$name\(" <<<"$tried"; then
        finding "$name is neither tried with NULL nor marked DURESS_NONNULL"
    fi
done <<<"$declarations"
[ $count -ge 300 ] || finding "found only $count functions"
exit $status
