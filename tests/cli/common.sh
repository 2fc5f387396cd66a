#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Common to the tests of duress agent; read in by them, with the program as their first argument. Nothing here sleeps:
# conditions are looked at again and again until they hold or their time is over.
set -u
set -m # a job is a process group of its own, in which SIGINT is not ignored
duress=$1
folder=$(mktemp -d)
failures=0
servers=()
mkfifo "$folder/never"
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=1"

end() {
    local server
    for server in ${servers[@]+"${servers[@]}"}; do
        kill -KILL "$server" 2>/dev/null
    done
    rm -rf "$folder"
}
trap end EXIT

failed() {
    echo "failed: $*"
    failures=$((failures + 1))
}
expect() { # expect WHAT CONDITION...
    local what=$1
    shift
    "$@" || failed "$what"
}
until_true() { # until_true CONDITION...: within 20 s
    local end=$((SECONDS + 20))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        read -r -t 0.01 <>"$folder/never"
    done
    return 0
}
gone() { # gone PID...: none of these is there, not as a zombie either
    local pid
    for pid in "$@"; do
        [ ! -d "/proc/$pid" ] || return 1
    done
}
childless() { [ -z "$(cat "/proc/$1/task/$1/children" 2>/dev/null)" ]; }

serve() { # serve ARGS...: sets $server and $url
    rm -f "$folder/ready"
    mkfifo "$folder/ready"
    "$duress" agent serve "$@" >"$folder/ready" 2>"$folder/serve.err" &
    server=$!
    servers+=("$server")
    url=
    read -r -t 20 url <"$folder/ready" || failed "serve $* is not ready: $(cat "$folder/serve.err")"
}
ended() { # ended PID: sets $code when that job ends, which it must within 20 s
    code=
    until_true gone_or_done "$1" || { failed "process $1 does not end"; kill -KILL "$1"; }
    code=0
    wait "$1" 2>/dev/null || code=$?
}
gone_or_done() { ! jobs -rp | grep -qx "$1"; }
stop() { # stops the server, which must end well
    kill -TERM "$server"
    ended "$server"
    expect "the server stops with 0, and not with $code" [ "$code" -eq 0 ]
    grep -q 'Sanitizer' "$folder/serve.err" && failed "$(cat "$folder/serve.err")"
}
ask() { # ask CODE ARGS...: output in $folder/out and $folder/err
    local expected=$1
    shift
    code=0
    timeout 60 "$duress" agent ask "$@" >"$folder/out" 2>"$folder/err" || code=$?
    [ "$code" -eq "$expected" ] && return
    failed "exit code $code, expected $expected: ask $*"
    head -n 5 "$folder/out" "$folder/err" "$folder/serve.err"
}
says() { grep -qE -- "$1" "$folder/out"; }
complains() { grep -qE -- "$1" "$folder/err"; }
server_says() { grep -qE -- "$1" "$folder/serve.err"; }
is() { # is TEXT: the output, to the last byte
    printf '%s' "$1" | cmp -s - "$folder/out" || { echo "seen: $(head -c 200 "$folder/out")"; return 1; }
}
lines() { # lines N REGEX: so many lines of the output match
    [ "$(grep -cE -- "$2" "$folder/out")" -eq "$1" ]
}
finish() {
    [ $failures -eq 0 ] || exit 1
    echo "$1"
}
