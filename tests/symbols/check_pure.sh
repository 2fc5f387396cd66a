#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_pure.sh ALLOWED ROOM=ARCHIVE...: every symbol that an object of a pure room leaves undefined is defined in that
# room or stands in ALLOWED. Names the object and the symbol otherwise.
set -eu
allowed=$1
shift
status=0
for pair in "$@"; do
    room=${pair%%=*}
    archive=${pair#*=}
    count=$(nm -A -u "$archive" | wc -l)
    [ "$count" -gt 0 ] || {
        echo "symbols: $archive leaves nothing undefined; that cannot be" >&2
        exit 1
    }
    awk -v room="$room" '
        FILENAME == ARGV[1] {
            if ($0 ~ /^#/ || NF < 2) next
            count = split($1, rooms, ",")
            for (i = 1; i <= count; i++) if (rooms[i] == "all" || rooms[i] == room) allowed[$2] = 1
            next
        }
        FILENAME == ARGV[2] { own[$NF] = 1; next }
        {
            symbol = $NF
            if (symbol in allowed || symbol in own) next
            object = $1
            sub(/:$/, "", object)
            sub(/^.*\.a:/, "", object)
            printf "symbols: src/%s must not use %s (%s)\n", room, symbol, object
            found = 1
        }
        END { exit found }
    ' "$allowed" <(nm --defined-only "$archive" | awk 'NF == 3') <(nm -A -u "$archive") || status=1
done
exit $status
