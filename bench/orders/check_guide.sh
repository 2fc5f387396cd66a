#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_guide.sh PROGRAM GUIDE: the guide's blocks of figures (```orders), one after the other, are what the program
# prints, but for empty lines.
set -eu
measured=$("$1" | grep .)
[ "$(wc -l <<<"$measured")" -ge 12 ] || {
    echo "orders: printed hardly anything"
    exit 1
}
quoted=$(awk '/^```orders$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$2" | grep . || true)
diff <(echo "$quoted") <(echo "$measured") || {
    echo "orders: docs/guide.md (<) does not quote what is measured (>)"
    exit 1
}
