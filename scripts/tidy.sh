#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tidy.sh [FILE...]: clang-tidy with .clang-tidy's checks over the C files of src/, or those given. Any finding fails.
set -eu
cd "$(dirname "$0")/.."
DURESS_CMAKE=${DURESS_CMAKE:-} cmake --preset clang >/dev/null # for compile_commands.json

files=("$@")
[ ${#files[@]} -gt 0 ] || mapfile -t files < <(find src -name '*.c' | sort)
# Only what is compiled: clang-tidy would guess the flags of another file.
listed=()
for file in "${files[@]}"; do
    if grep -qF "/$file\"" build/clang/compile_commands.json; then
        listed+=("$file")
    else
        echo "tidy: $file is not built, left out" >&2
    fi
done
[ ${#listed[@]} -gt 0 ] || {
    echo "tidy: no file to look at" >&2
    exit 1
}
printf '%s\0' "${listed[@]}" |
    xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet -p build/clang --warnings-as-errors='*' 2>&1 |
    { grep -v ' warnings generated\.$' || true; }
[ "${PIPESTATUS[1]}" -eq 0 ] || exit 1
echo "tidy: ${#listed[@]} files are clean"
