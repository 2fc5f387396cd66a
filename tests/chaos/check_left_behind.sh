#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_left_behind.sh FAILING_SUITE: after success, failure, ^C and SIGKILL of the runner nothing of its tests is left:
# no process, no cgroup, no mount, no file.
set -u
suite=$1
folder=$(mktemp -d)
mark=leftovers-$$-$RANDOM
failures=0
export LEFTOVERS_MARK=$mark TMPDIR=$folder/tmp LEFTOVERS_READY=$folder/ready
mkdir "$TMPDIR"
trap 'rm -rf "$folder"' EXIT

# Processes that have our mark in their environment, but for this one and what it runs to look.
processes() {
    local environ pid
    for environ in /proc/[0-9]*/environ; do
        pid=${environ#/proc/}
        pid=${pid%/environ}
        [ "$pid" != $$ ] && [ "$pid" != "$BASHPID" ] || continue
        grep -qa "LEFTOVERS_MARK=$mark" "$environ" 2>/dev/null || continue
        tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qE 'duress|suite|sleep|sh -c' && echo "$pid"
    done
}
cgroups() { find /sys/fs/cgroup -type d -name 'duress-*' 2>/dev/null; }
mounts() { grep -c . /proc/self/mounts; }
files() { find "$TMPDIR" -mindepth 1; }

cgroups_before=$(cgroups)
mounts_before=$(mounts)

# What is killed is gone a moment later: looks for up to ten seconds.
nothing_left() { # nothing_left AFTER_WHAT
    for _ in $(seq 100); do
        [ -z "$(processes)" ] && [ "$(cgroups)" = "$cgroups_before" ] && break
        sleep 0.1
    done
    local left
    left=$(processes)
    [ -z "$left" ] || {
        echo "failed: processes are left after $1:"
        # shellcheck disable=SC2086 # several numbers
        ps -o pid,ppid,stat,args -p $(echo $left | tr ' ' ',')
        failures=$((failures + 1))
    }
    [ "$(cgroups)" = "$cgroups_before" ] || { echo "failed: cgroups are left after $1"; failures=$((failures + 1)); }
    [ "$(mounts)" = "$mounts_before" ] || { echo "failed: mounts are left after $1"; failures=$((failures + 1)); }
    [ -z "$(files)" ] || { echo "failed: files are left after $1: $(files)"; failures=$((failures + 1)); }
}

runner_start() {
    rm -f "$LEFTOVERS_READY"
    setsid "$suite" --world live --filter 'leftovers.of_waiting' >"$folder/out" 2>&1 &
    runner=$!
    for _ in $(seq 300); do
        [ ! -e "$LEFTOVERS_READY" ] || break
        kill -0 "$runner" 2>/dev/null || break
        sleep 0.1
    done
    [ -e "$LEFTOVERS_READY" ] && return
    wait "$runner"
    grep -q '^skipped: ' "$folder/out" && { grep '^skipped: ' "$folder/out"; exit 77; }
    echo 'failed: the test did not come so far'
    cat "$folder/out"
    exit 1
}

runner_start
[ "$(processes | wc -l)" -ge 8 ] || { echo "failed: there was little to leave"; failures=$((failures + 1)); }
kill -KILL "$runner"
wait "$runner" 2>/dev/null
nothing_left 'SIGKILL of the runner'

runner_start
kill -INT "$runner"
wait "$runner"
[ $? -eq 130 ] || { echo 'failed: the exit code after ^C'; failures=$((failures + 1)); }
nothing_left '^C'

complain() { cat "$folder/out"; failures=$((failures + 1)); }
"$suite" --world live --filter 'leftovers.of_success' >"$folder/out" 2>&1 || complain
nothing_left 'success'

"$suite" --world live --filter 'leftovers.of_failure' >"$folder/out" 2>&1 && complain
nothing_left 'failure'

[ $failures -eq 0 ] || exit 1
echo 'nothing is left behind'
