#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_size.sh LIBRARY BYTES: the shared library, stripped, is no larger than that.
set -eu
stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip -o "$stripped" "$1"
bytes=$(wc -c <"$stripped")
[ "$bytes" -le "$2" ] || {
    echo "symbols: $1 has $bytes bytes when stripped, more than $2"
    exit 1
}
echo "$bytes bytes"
