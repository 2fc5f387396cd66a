#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# format.sh [--check]: formats the C files of the checkout with .clang-format, or says which are not formatted.
set -eu
cd "$(dirname "$0")/.."
mode=(-i)
[ "${1:-}" != --check ] || mode=(--dry-run -Werror)

# What git does not track yet is meant too; what it ignores is not.
if [ -e .git ]; then
    mapfile -d '' -t files < <(git ls-files -z --cached --others --exclude-standard -- '*.c' '*.h')
else
    mapfile -d '' -t files < <(find . -path ./build -prune -o -name '*.[ch]' -print0)
fi
existing=()
for file in "${files[@]}"; do
    [ ! -f "$file" ] || existing+=("$file")
done
[ ${#existing[@]} -gt 0 ] || {
    echo "format: no C file found" >&2
    exit 1
}
printf '%s\0' "${existing[@]}" | xargs -0 -n 16 -P "$(nproc)" clang-format --style=file "${mode[@]}"
[ "${mode[0]}" = -i ] || echo "format: ${#existing[@]} files are formatted"
