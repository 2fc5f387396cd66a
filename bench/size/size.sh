#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# size.sh LIBRARY: the figure (bench/README.md) of a shared library's size once it is stripped, which is always the
# same.
set -eu
stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip -o "$stripped" "$1"
bytes=$(wc -c <"$stripped")
printf '{"name":"libduress.so, stripped","unit":"bytes","value":%d,"min":%d,"max":%d,"runs":5}\n' "$bytes" "$bytes" \
    "$bytes"
