#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# load.sh RUNS: runs the live suite so many times beside a busy machine (stress-ng, two busy processes a core). Stops at
# the first run that fails.
set -eu
cd "$(dirname "$0")/.."
runs=$1

stress-ng --quiet --cpu "$(($(nproc) * 2))" &
load=$!
trap 'kill "$load" 2>/dev/null; wait "$load" 2>/dev/null' EXIT
trap 'exit 130' INT TERM

for run in $(seq "$runs"); do
    began=$SECONDS
    build/release/duress suite --world live >build/release/load.log 2>&1 || {
        cat build/release/load.log
        echo "load: run $run of $runs failed"
        exit 1
    }
    kill -0 "$load" 2>/dev/null || {
        echo "load: stress-ng has ended"
        exit 1
    }
    echo "run $run of $runs: $(tail -n 1 build/release/load.log), $((SECONDS - began)) s"
done
