#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_command.sh DURESS: programs as agents: how they end, what they write, and that nothing of them is left.
. "$(dirname "$0")/common.sh"
program() { # program SCRIPT [SERVE-OPTION]...: serves sh -c SCRIPT
    local script=$1
    shift
    serve --listen tcp://127.0.0.1:0 "$@" command sh -c "$script"
}

program 'read -r what; echo "about $what" >&2; echo; echo "  last words" >&2; case $what in
    code) exit 3 ;;
    signal) kill -9 $$ ;;
    esac'
ask 1 "$url" code
expect 'the code and the last line' complains \
    'REMOTE \(peer\): EXECUTION_ERROR: exit code 3:   last words; may have been'
expect 'standard error is passed through' server_says '^about code$'
ask 1 "$url" signal
expect 'the signal' complains 'killed by signal 9 \(Killed\):   last words'
ask 0 "$url" nothing
expect 'well again' is '
'
stop

serve --listen tcp://127.0.0.1:0 command "$folder/no such program" --option
ask 1 "$url" hello
expect 'no such program' complains 'exit code 127: .*no such program: cannot be run: No such file or directory'
stop
serve --listen tcp://127.0.0.1:0 command "$folder"
ask 1 "$url" hello
expect 'a folder is no program' complains 'exit code 126: .*cannot be run: Permission denied'
stop
serve --listen tcp://127.0.0.1:0 command printf '%s-' --help -- a
ask 0 "$url" hello
expect "the program's arguments are its own" is '--help----a-
'
stop

program 'head -c 2000 /dev/zero | tr "\0" x; echo; sleep 3600' --output 1KiB
ask 1 "$url" hello
expect 'too much output' complains 'EXECUTION_ERROR: more than 1024 bytes of output'
expect 'nothing is left of it' until_true childless "$server"
ask 1 --stream "$url" hello
expect 'a line that is too long' complains 'more than 1024 bytes of output'
expect 'no byte of it is told' [ ! -s "$folder/out" ]
stop
program 'printf "%02000d\n" 1; exec sleep 3600' --output 1KiB
ask 1 --stream "$url" hello
expect 'a line that is too long, and comes at once' complains 'more than 1024 bytes of output'
stop
program 'for i in 1 2 3 4; do head -c 900 /dev/zero | tr "\0" $i; echo; done' --output 1KiB
ask 0 --stream "$url" hello
expect 'a stream may be longer than its lines' [ "$(wc -c <"$folder/out")" -eq 3604 ]
stop
program 'printf "\377\376"'
ask 1 "$url" hello
expect 'no UTF-8' complains 'call 1: '
ask 1 "$url" hello
stop

# A program starts with clean signals and no descriptor but its three; nothing of it stays open in the server. Make(1)
# leaves the two signals ignored that the C library keeps to itself, 32 and 33, and lets nobody else touch.
serve --listen tcp://127.0.0.1:0 command grep -E '^Sig(Blk|Ign):' /proc/self/status
ask 0 "$url" hello
expect 'no signal is blocked or ignored' lines 2 '^Sig...:[[:space:]]0000000(00|18)0000000$'
stop
program 'ls /proc/self/fd | wc -l'
ask 0 "$url" hello
expect 'three descriptors, and the one of ls' lines 1 '^4$'
descriptors() { [ "$(ls "/proc/$server/fd" | wc -l)" -eq "$open" ]; }
open=$(ls "/proc/$server/fd" | wc -l)
ask 0 --repeat 20 --concurrency 1 "$url" hello
expect 'nothing stays open' until_true descriptors
stop

# Too few descriptors for all of them fail the ones that have none, and not the server.
limited() { # limited N COMMAND...
    ulimit -n "$1"
    shift
    exec "$@"
}
unlimited=$duress
duress=limited_duress
limited_duress() { limited 64 "$unlimited" "$@"; }
serve --listen tcp://127.0.0.1:0 --concurrency 100 command sh -c 'cat; exec sleep 0.2'
duress=$unlimited
ask 1 --repeat 30 --concurrency 30 "$url" hello
expect 'some are answered' says '^hello$'
expect 'the others are told why' complains 'EXECUTION_ERROR: the program cannot be (started|watched)'
expect 'all programs are gone' until_true childless "$server"
ask 0 --repeat 3 "$url" hello
stop

# Input that nobody reads, output that ends before the program, and the other way round.
head -c 1048576 /dev/zero | tr '\0' 'z' >"$folder/large"
program 'exec <&-; echo read nothing'
ask 0 "$url" - <"$folder/large"
expect 'input that nobody reads' is 'read nothing
'
stop
program 'exec >&-; exit 4'
ask 1 "$url" hello
expect 'output that ends early' complains 'exit code 4; may'
stop
program "echo early; (read -r go <$folder/go; echo late) &"
mkfifo "$folder/go"
"$duress" agent ask --quiet "$url" hello >"$folder/out" 2>"$folder/err" &
asked=$!
echo go >"$folder/go" # blocks until it is read
ended $asked
expect 'output of a process in the background belongs to the reply' is 'early
late
'
stop

# What stays behind without a share in the output is killed, in a session of its own too.
program "sleep 3600 >/dev/null 2>&1 & echo \$! >$folder/one; setsid sh -c 'echo \$\$ >$folder/two; exec sleep 3600' \
    >/dev/null 2>&1 & until [ -s $folder/two ]; do :; done; echo done"
ask 0 "$url" hello
expect 'the reply does not wait for it' is 'done
'
expect 'nothing stays behind' until_true gone "$(cat "$folder/one")" "$(cat "$folder/two")"
expect 'no zombie' until_true childless "$server"
stop

# A call that is given up takes its program with it, whatever that does against it.
program "trap '' TERM INT HUP; sleep 3600 & echo \$! \$\$ >$folder/pids; wait; sleep 3600"
for limit in --timeout --deadline; do
    rm -f "$folder/pids"
    ask 1 $limit 300ms "$url" hello
    expect "$limit" complains 'call 1: DEADLINE \((timeout|caller)\): '
    read -r -a pids <"$folder/pids"
    expect "two processes ($limit)" [ ${#pids[@]} -eq 2 ]
    expect "nothing is left ($limit)" until_true gone "${pids[@]}"
    expect "no zombie ($limit)" until_true childless "$server"
done
stop
program "echo \$\$ >>$folder/many; exec sleep 3600" --timeout 200ms
ask 1 --repeat 8 --concurrency 8 "$url" hello
expect "the server's own limit" complains '^  REMOTE +8 '
expect 'eight programs' [ "$(wc -l <"$folder/many")" -eq 8 ]
# shellcheck disable=SC2046 # several numbers
expect 'none of them is left' until_true gone $(cat "$folder/many")
stop

# No more at once than allowed: each writes + at its begin and - at its end.
program "echo + >>$folder/log; cat; echo - >>$folder/log" --concurrency 3
ask 0 --repeat 60 --concurrency 30 "$url" hello
expect 'sixty answers' lines 60 '^hello$'
expect 'three at once at the most' awk '{ now += $1 == "+" ? 1 : -1; if (now > most) most = now }
    END { exit !(NR == 120 && now == 0 && most >= 2 && most <= 3) }' "$folder/log"
expect 'all programs are gone' until_true childless "$server"
stop
finish 'programs answer, fail and end as they should'
