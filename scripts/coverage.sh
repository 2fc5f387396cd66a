#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# coverage.sh: runs all tests in the coverage preset, and prints the share of lines that ran in each file of src/.
set -eu -o pipefail
cd "$(dirname "$0")/.."
scripts/build.sh coverage
find build/coverage -name '*.gcda' -delete
status=0
ctest --preset coverage -j "$(nproc)" >build/coverage/tests.log || status=$?
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
                printf "%6.1f %%  %5d  %s\n", share[name], lines[name], name
                all += lines[name]; ran += lines[name] * share[name] / 100
            }
            if (!all) { print "coverage: gcov has nothing to say of src/"; exit 1 }
            printf "%6.1f %%  %5d  all of src/\n", 100 * ran / all, all
        }' | sort -n || status=1
exit $status
