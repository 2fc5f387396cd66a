#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# build.sh PRESET [TARGET...]: configures (quietly, unless it fails) and builds a preset of CMakePresets.json.
# DURESS_CMAKE in the environment holds further arguments for the configuration.
set -eu
cd "$(dirname "$0")/.."
preset=$1
shift
mkdir -p build
log=build/$preset.configure.log
# shellcheck disable=SC2086 # several arguments
cmake --preset "$preset" ${DURESS_CMAKE:-} >"$log" 2>&1 || {
    cat "$log"
    exit 1
}
grep -A5 '^CMake Warning' "$log" || true
exec cmake --build --preset "$preset" ${1:+--target "$@"}
