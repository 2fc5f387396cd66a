#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_signals.sh DURESS: ^C and other ends in the middle of ask and serve.
. "$(dirname "$0")/common.sh"
mkfifo "$folder/go"
hang="sleep 3600 & echo \$! \$\$ >$folder/pids.new; mv $folder/pids.new $folder/pids; wait"
wait_for="echo \$\$ >$folder/pids; read -r go <$folder/go; echo \"done\""

begin() { # begin OPTION...: asks in the background, and waits until the program is at work
    rm -f "$folder/pids"
    "$duress" agent ask "$@" "$url" hello >"$folder/out" 2>"$folder/err" &
    asked=$!
    expect 'the program is at work' until_true [ -s "$folder/pids" ]
    read -r -a pids <"$folder/pids"
}

# ^C of the one who asks: the call is cancelled down to the program, and the table is printed.
for number in INT TERM; do
    serve --listen http://127.0.0.1:0 command sh -c "$hang"
    begin --repeat 3 --retries 5 --breaker 3 --deadline none
    kill -$number $asked
    ended $asked
    [ $number = INT ] && expected=130 || expected=143
    expect "ask ends by $number with $expected, and not with $code" [ "$code" -eq $expected ]
    expect "cancelled ($number)" complains '^cancelled +1 +100.00 %$'
    expect "no further call ($number)" complains '^1 call in '
    expect "the program is gone ($number)" until_true gone "${pids[@]}"
    expect "no zombie ($number)" until_true childless "$server"
    stop
    expect "the server knows ($number)" server_says ' 1 requests, 0 answered, 1 given up by their callers'
done

# ^C of the one who serves: what has begun is answered.
for listen in http://127.0.0.1:0 tcp://127.0.0.1:0; do
    serve --listen $listen command sh -c "$wait_for"
    begin --deadline none
    kill -INT "$server"
    expect "it says so ($listen)" until_true server_says '\^C: stopping$'
    expect "it waits ($listen)" [ -d "/proc/$server" ]
    echo go >"$folder/go"
    ended "$server"
    expect "it stops well ($listen), and not with $code" [ "$code" -eq 0 ]
    ended $asked
    expect "the call is answered ($listen)" [ "$code" -eq 0 ]
    expect "its answer ($listen)" is 'done
'
done

# What does not end in time is given up.
serve --listen tcp://127.0.0.1:0 --drain 50ms command sh -c "$hang"
begin --deadline none
kill -TERM "$server"
ended "$server"
expect "a stop that could not wait ends with 1, and not with $code" [ "$code" -eq 1 ]
expect 'the program is gone' gone "${pids[@]}"
ended $asked
expect 'the call fails' [ "$code" -eq 1 ]

# The second signal, and SIGKILL: nothing of the program is left, whatever becomes of the server.
for end in INT KILL; do
    serve --listen unix://"$folder/socket" --drain 1h command sh -c "$hang"
    begin --deadline none
    if [ $end = INT ]; then
        kill -INT "$server"
        expect 'the first ^C' until_true server_says 'stopping$'
        expect 'the program runs on' [ -d "/proc/${pids[0]}" ]
    fi
    kill -$end "$server"
    ended "$server"
    expect "it ends at once ($end), by the signal, and not with $code" [ "$code" -ge 129 ]
    expect "nothing of the program is left ($end)" until_true gone "${pids[@]}"
    ended $asked
    expect "the call fails ($end)" [ "$code" -eq 1 ]
    expect "as a connection that ended ($end)" complains 'call 1: (TRUNCATED|RESET) '
done

# Should somebody kill the keeper alone, the program goes with it, and the call fails.
serve --listen tcp://127.0.0.1:0 command sh -c "$wait_for"
begin --deadline none
keeper=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/${pids[0]}/status")
expect 'the keeper is the child of the server' [ "$keeper" = "$(tr -d ' ' <"/proc/$server/task/$server/children")" ]
kill -KILL "$keeper"
ended $asked
expect 'the call fails' [ "$code" -eq 1 ]
expect 'it says how' complains 'killed by signal 9 \(Killed\)'
expect 'the program is gone' until_true gone "${pids[@]}"
stop

# Standard output that nobody reads, or that is full.
serve --listen tcp://127.0.0.1:0 echo
"$duress" agent ask --repeat 100000000 "$url" hello 2>"$folder/err" | head -n 1 >"$folder/out"
expect 'a pipe that is closed ends it' [ "${PIPESTATUS[0]}" -eq 1 ]
expect 'and says so' complains 'cannot write to standard output$'
code=0
"$duress" agent ask "$url" hello >/dev/full 2>"$folder/err" || code=$?
expect 'a full disk' [ $code -eq 1 ]
stop
finish 'signals and broken pipes end what they should, and leave nothing'
