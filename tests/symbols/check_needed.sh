#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_needed.sh LIBRARY NAME... -- NAME...: the shared library asks the loader for each of the first libraries, and
# for none of the second.
set -eu
library=$1
shift
status=0
wanted=1
needed=$(readelf -d "$library" | sed -n 's/.*NEEDED.*\[\(.*\)\.so.*\].*/\1/p')
for name in "$@"; do
    if [ "$name" = -- ]; then
        wanted=
    elif grep -qxE "$name(-[a-z]+)?" <<<"$needed"; then
        [ -n "$wanted" ] || {
            echo "symbols: $library needs $name"
            status=1
        }
    elif [ -n "$wanted" ]; then
        echo "symbols: $library does not need $name; has this test lost its eyes?"
        status=1
    fi
done
exit $status
