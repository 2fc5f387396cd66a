#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_faults.sh DURESS: stress and service do what they say, end cleanly on ^C, and leave nothing behind.
set -u
duress=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

fail() { echo "failed: $1"; failures=$((failures + 1)); cat "$folder/out" "$folder/err"; }
code() { # code EXPECTED ARGUMENT...
    local expected=$1 seen=0
    shift
    "$duress" "$@" >"$folder/out" 2>"$folder/err" || seen=$?
    [ "$seen" -eq "$expected" ] || fail "exit code $seen, expected $expected: $*"
}
says() { grep -qE -- "$1" "$folder/out" || fail "no '$1' on standard output"; }
complains() { grep -qE -- "$1" "$folder/err" || fail "no '$1' on standard error"; }
nothing_left() { # nothing_left PATTERN: of a command line, that nobody else has
    for _ in $(seq 50); do
        pgrep -f "$1" >/dev/null || return 0
        sleep 0.1
    done
    fail "processes are left: $1"
}

code 0 stress cpu --workers 2 --duty 50% --for 300ms
says '^0\.[0-9]{3} s of processor time$'
grep -q '^0\.0[0-4]' "$folder/out" && fail 'hardly any processor time was burnt'
code 0 stress memory --bytes 32MiB --for 500ms
says '^32\.0 MiB held$'
code 0 stress disk --bytes 2MiB --folder "$folder" --for 300ms
says '^[1-9][0-9.]* MiB written, [1-9][0-9]* syncs, the slowest took '
[ "$(find "$folder" -type f | wc -l)" -eq 2 ] || fail 'files are left'
code 1 stress disk --folder /nonexistent --for 10s
complains '1 workers could not go on$'
code 2 stress
code 2 stress fire
complains "'fire' given, cpu, memory or disk allowed"
code 2 stress cpu --duty 2
code 0 stress --help

# ^C: the exit code of it, the figures, and nobody left.
"$duress" stress cpu --workers 2 >"$folder/out" 2>"$folder/err" &
runner=$!
sleep 0.3
kill -INT $runner
wait $runner
[ $? -eq 130 ] || fail 'stress: the exit code after ^C'
says 's of processor time$'
# SIGKILL: the workers die with it.
"$duress" stress cpu --workers 2 --for 777s >"$folder/out" 2>"$folder/err" &
runner=$!
sleep 0.3
kill -KILL $runner
wait $runner 2>/dev/null
nothing_left 'stress cpu --workers 2 --for 777s'

code 3 service -- sh -c 'exit 3'
complains 'sh: ended with exit code 3$'
code 137 service --kill 100ms -- sleep 1234
complains 'sleep: SIGKILL$'
complains 'sleep: died of signal 9$'
code 0 service --kill 100ms --segv 300ms --restart 50ms --for 600ms -- sleep 1234
[ "$(grep -c 'sleep: started$' "$folder/err")" -eq 3 ] || fail 'it was not started three times'
complains 'sleep: died of signal 11$'
code 0 service --freeze 100ms,200ms --for 500ms -- sleep 1234
complains '^ +0\.1[0-9]+ s  sleep: frozen$'
complains '^ +0\.[3-9][0-9]+ s  sleep: goes on$'
code 127 service -- /nonexistent/program
complains '^cannot run /nonexistent/program: '
code 2 service
code 2 service --freeze 1s -- true
complains "--freeze: '1s' given, two durations: when and for how long allowed"
code 0 service --help

"$duress" service -- sh -c 'sleep 4321 & sleep 4321' >"$folder/out" 2>"$folder/err" &
runner=$!
sleep 0.3
kill -INT $runner
wait $runner
[ $? -eq 130 ] || fail 'service: the exit code after ^C'
nothing_left '^sleep 4321$'
"$duress" service -- sh -c 'sleep 4322 & sleep 4322' >"$folder/out" 2>"$folder/err" &
runner=$!
sleep 0.3
kill -KILL $runner
wait $runner 2>/dev/null
nothing_left '^sleep 4322$'

[ $failures -eq 0 ] || exit 1
echo 'stress and service do what they say'
