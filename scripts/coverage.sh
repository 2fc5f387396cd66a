#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# coverage.sh [CTEST-ARGUMENT...]: runs all tests, or those selected by the arguments, in the coverage preset. Prints
# the share of lines that ran in each file of src/, in each room and in all. Fails where a test does, and where less
# than 95 % of the lines of policy/, middleware/ or compose/ ran.
set -eu -o pipefail
cd "$(dirname "$0")/.."
scripts/build.sh coverage
find build/coverage -name '*.gcda' -delete
status=0
ctest --preset coverage -j "$(nproc)" "$@" >build/coverage/tests.log || status=$?
tail -n 12 build/coverage/tests.log

find "$PWD/build/coverage/src" -name '*.gcda' -print0 |
    (cd build/coverage && xargs -0 gcov -n 2>/dev/null) |
    awk -v root="$PWD/src/" '
        /^File / { file = substr($0, 7); gsub("\x27", "", file)
            sub(/^\.\.\/\.\.\/src\//, root, file) # seen from the build folder, as ccache may have it
            next }
        /^Lines executed:/ && index(file, root) == 1 {
            split($0, part, /[:% ]+/)
            name = substr(file, length(root) + 1)
            if (!(name in lines) || part[3] + 0 > share[name]) { share[name] = part[3] + 0; lines[name] = part[5] }
            file = ""
        }
        END {
            for (name in lines) {
                printf "%6.1f %%  %5d  %s\n", share[name], lines[name], name | "sort -n"
                room = substr(name, 1, index(name, "/"))
                here = lines[name] * share[name] / 100
                room_lines[room] += lines[name]; room_ran[room] += here
                all += lines[name]; ran += here
            }
            close("sort -n")
            if (!all) { print "coverage: gcov has nothing to say of src/"; exit 1 }
            print ""
            for (room in room_lines) {
                percent[room] = 100 * room_ran[room] / room_lines[room]
                printf "%6.1f %%  %5d  %s\n", percent[room], room_lines[room], room | "sort -n"
            }
            close("sort -n")
            printf "\n%6.1f %%  %5d  all of src/\n", 100 * ran / all, all
            count = split("policy/ middleware/ compose/", floored, " ")
            for (i = 1; i <= count; i++)
                if (percent[floored[i]] < 95) { # also where nothing of it ran
                    print "coverage: " floored[i] " is below 95 %"
                    is_below = 1
                }
            exit is_below
        }' || status=1
exit $status
