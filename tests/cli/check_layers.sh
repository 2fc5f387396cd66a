#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_layers.sh DURESS: what each layer's option does, by the server's word where that tells more than the caller's.
. "$(dirname "$0")/common.sh"
served() { # served N: the server was asked so often; stops it
    stop
    expect "asked $1 times ($2), and not as in: $(cat "$folder/serve.err")" server_says ": $1 requests, "
}

serve --listen http://127.0.0.1:0 echo
ask 0 --repeat 1000 --concurrency 64 "$url" hello
expect 'a thousand answers' lines 1000 '^hello$'
expect 'a thousand in the table' complains '^answered +1000 +100.00 %'
served 1000 'a thousand calls'

# Each seed fails in its own way, and in the same one again.
outcomes() { # outcomes SEED: a line for each of 200 calls
    serve --listen tcp://127.0.0.1:0 --fail-rate 30% --seed "$1" echo
    ask 1 --repeat 200 --json --quiet "$url" hello
    sed -E 's/^\{("call":[0-9]+,"(answer|error)").*/\1/' "$folder/out"
    stop
}
outcomes 7 >"$folder/first"
outcomes 7 >"$folder/again"
outcomes 8 >"$folder/other"
expect 'the same seed, the same outcomes' cmp "$folder/first" "$folder/again"
expect 'another seed, other ones' eval '! cmp -s "$folder/first" "$folder/other"'
failed_count=$(grep -c error "$folder/first")
expect "about a third fails, and not $failed_count" eval '[ $failed_count -gt 30 ] && [ $failed_count -lt 90 ]'
expect 'two hundred outcomes' [ "$(wc -l <"$folder/first")" -eq 200 ]
serve --listen tcp://127.0.0.1:0 --fail-rate 0.3 echo
expect 'a drawn seed is said' server_says ': --seed [0-9]+$'
stop

# Retries, where they are allowed: the server's errors leave open whether the request was executed.
serve --listen http://127.0.0.1:0 --fail-rate 0.5 --seed 1 echo
ask 0 --repeat 50 --idempotent --retries 30,1ms "$url" hello
expect 'retried until answered' complains '^answered +50 +100.00 %'
expect 'retries are counted' complains '^retry: [0-9]{2,} attempts, [0-9]{2,} of them retries; [0-9]+ calls answered on'
stop
serve --listen http://127.0.0.1:0 --fail-rate 1 echo
ask 1 --repeat 5 --retries 30,1ms "$url" hello
served 5 'not idempotent, so not retried'
serve --listen http://127.0.0.1:0 --fail-rate 1 --fail-as overloaded echo
ask 1 --retries 1,1ms "$url" hello
expect 'overloaded' complains 'call 1: OVERLOADED \(peer\): .*; 2 attempts$'
served 2 'refused before it was begun, so retried'
serve --listen http://127.0.0.1:0 --fail-rate 1 echo
ask 1 --repeat 30 --idempotent --retries 9,1ms --retry-budget 10 "$url" hello
expect 'the budget' complains ' [1-9][0-9]* retries refused by the budget$'
served 42 '30 calls, 10 retries at once, one more for each ten calls after the first'

serve --listen tcp://127.0.0.1:0 --fail-rate 100% echo
ask 1 --repeat 50 --breaker 3,1h "$url" hello
expect 'the circuit is open' complains '^  CIRCUIT_OPEN +47 '
expect 'the breaker in the table' complains '^breaker: open; opened 1, half-opened 0, closed again 0 times; 47 attempts'
expect 'ten failures are told' [ "$(grep -c ': call ' "$folder/err")" -eq 10 ]
served 3 'then the breaker opened'

serve --listen tcp://127.0.0.1:0 --fail-rate 1 --fail-as hang echo
ask 1 --timeout 50ms --breaker 2,1h --repeat 3 "$url" hello
expect 'attempts time out' complains 'call 1: DEADLINE \(timeout\): 50 ms passed'
expect 'and count for the breaker' complains '^  CIRCUIT_OPEN +1 '
expect 'the timeouts in the table' complains '^timeout: 2 of 2 attempts$'
ask 1 --deadline 50ms "$url" hello
expect 'a deadline' complains 'call 1: DEADLINE \(caller\): '
stop
expect 'the server was told' server_says ' 3 requests, 0 answered, 3 given up by their callers'

serve --listen http://127.0.0.1:0 --delay 200ms echo
ask 0 --repeat 3 --idempotent --hedge 20ms "$url" hello
expect 'hedges' complains '^hedge: 3 second attempts, '
ask 1 --repeat 8 --concurrency 8 --bulkhead 2,0 "$url" hello
expect 'the bulkhead refuses' complains '^  BULKHEAD_FULL +6 '
expect 'the bulkhead in the table' complains '^bulkhead: 0 calls waited, .*; 6 refused$'
ask 0 --repeat 4 --concurrency 4 --bulkhead 2 "$url" hello
expect 'the bulkhead lets wait' complains '^bulkhead: 2 calls waited, '
served 12 'six by hedging, two past the full bulkhead, four in two rounds'

serve --listen tcp://127.0.0.1:0 echo
ask 0 --repeat 20 --idempotent --cache 1h "$url" hello
expect 'answers from the cache' lines 20 '^hello$'
expect 'the cache in the table' complains '^cache: 19 hits, 1 misses, '
begun=$(date +%s%N)
ask 0 --repeat 6 --concurrency 6 --rate 100/1s,1 "$url" hello
expect 'the rate is kept' [ $(($(date +%s%N) - begun)) -ge 50000000 ]
expect 'the rate limiter in the table' complains '^rate limiter: 5 calls waited, '
served 7 'one for the cache, six at a rate'

serve --listen http://127.0.0.1:0 --requests 1 --delay 500ms echo
ask 1 --repeat 4 --concurrency 4 "$url" hello
expect 'beyond its requests a server sheds' complains '^  OVERLOADED +3 '
stop
serve --listen tcp://127.0.0.1:0 --fail-rate 1 --fail-as truncate --seed 3 echo
ask 0 "$url" hello
expect 'a truncated reply' eval '[ "$(wc -c <"$folder/out")" -lt 6 ]'
stop
serve --listen tcp://127.0.0.1:0 --fail-rate 1 --fail-as corrupt --seed 3 echo
ask 1 "$url" hello
expect 'a corrupt reply' complains 'EXECUTION_ERROR: .* no UTF-8'
stop

# The service is killed while it is asked, and comes back: retries bridge the gap; a breaker opens, and closes again.
answers_stall() { # no answer came while it was looked at twenty times
    local now
    now=$(wc -l <"$folder/out")
    [ "$now" -eq "${before:--1}" ] && still=$((still + 1)) || still=0
    before=$now
    [ $still -ge 20 ]
}
killed() { # killed CONDITION OPTION...: the service is back when the condition holds; sets $asked_code
    local condition=$1
    shift
    serve --listen tcp://127.0.0.1:0 echo
    "$duress" agent ask --repeat 600 --rate 400,1 --concurrency 8 --idempotent "$@" "$url" hello >"$folder/out" \
        2>"$folder/err" &
    asked=$!
    expect 'answers' until_true eval '[ "$(wc -l <"$folder/out")" -ge 50 ]'
    kill -KILL "$server"
    ended "$server"
    expect "$condition" until_true eval "$condition"
    serve --listen "$url" echo
    ended $asked
    asked_code=$code
    stop
}
killed answers_stall --retries 900,5ms --timeout 1s
expect 'retries bridge the gap' complains '^answered +600 +100.00 %'
expect 'there was a gap' complains '^retry: [0-9]+ attempts, [1-9][0-9]* of them retries'
expect 'which is a success' [ "$asked_code" -eq 0 ]
killed "complains ': CIRCUIT_OPEN '" --breaker 5,50ms --timeout 1s
expect 'the breaker opened, and closed again' complains '^breaker: closed; opened [1-9][0-9]*, .*closed again [1-9]'
expect 'calls were spared' complains '^  CIRCUIT_OPEN +[1-9]'
expect 'every call ended' complains '^600 calls in '
expect 'which is none' [ "$asked_code" -eq 1 ]
finish 'each layer does what its option says'
