#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_readme.sh SOURCE: the C example in README.md is examples/guard_function.c, which is built and run; and links to
# files lead somewhere.
set -eu
cd "$1"
diff <(sed -n '/^```c$/,/^```$/{/^```/d;p}' README.md) \
    <(sed '1,/^#include/{/^#include/!d}' examples/guard_function.c) || {
    echo "README.md's example and examples/guard_function.c differ (< README.md)"
    exit 1
}
status=0
for document in *.md docs/*.md bench/*.md; do
    while IFS= read -r target; do
        [ -e "$(dirname "$document")/${target%%#*}" ] || {
            echo "$document: links to $target, which is not there"
            status=1
        }
    done < <(grep -oE '\]\([^)#][^)]*\)' "$document" | sed 's/^](//; s/)$//' | grep -vE '^[a-z]+://' || true)
done
exit $status
