#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_exchange.sh DURESS http|tcp|unix: each kind of agent behind that transport, asked for whole answers and streams.
. "$(dirname "$0")/common.sh"
scheme=$2
place() { # a place to listen at that nobody else has
    [ "$scheme" = unix ] && echo "unix://$folder/$1.socket" || echo "$scheme://127.0.0.1:0"
}
head -c 786432 /dev/zero | tr '\0' 'z' >"$folder/large"
printf 'grüße 🌍 "\\\n' >>"$folder/large"
head -c 262144 /dev/zero | tr '\0' 'y' >>"$folder/large"
echo >>"$folder/large"

serve --listen "$(place echo)" echo
expect "the URL says the transport: $url" eval '[[ $url == $scheme://* ]]'
ask 0 "$url" 'hello, world'
expect 'echo' is 'hello, world
'
expect 'a table' complains '^answered +1 +100.00 %  +[0-9.]+ (us|ms)'
expect 'no failure in the table' complains '^failed +0 +0.00 %$'
ask 0 --quiet "$url" 'grüße 🌍 "\'
expect 'unicode' is 'grüße 🌍 "\
'
expect 'a quiet one' [ ! -s "$folder/err" ]
ask 0 "$url" ''
expect 'nothing' is '
'
ask 0 "$url" - <"$folder/large"
expect 'a MiB from standard input' cmp -s "$folder/large" "$folder/out"
ask 0 "$url" -- --help
expect 'a message that looks like an option' is '--help
'
ask 0 --json "$url" $'a "b"\t\\\n\x01ü'
answer='"answer":"a \\"b\\"\\u0009\\\\\\n\\u0001ü"'
expect 'a line of JSON' lines 1 "^\{\"call\":1,$answer,\"role\":\"agent\",\"metadata\":\{\},\"duration_ns\":[0-9]+\}$"
expect 'figures as JSON' complains '^\{"agent":.*"succeeded":1,.*\}$'
ask 0 --stream "$url" 'one two  three'
expect 'a stream' is 'one two  three
'
ask 0 --stream --json "$url" 'one two  three'
expect 'a chunk a word' lines 1 '^\{"call":1,"chunk":"two  ","role":"agent","metadata":\{\}\}$'
expect 'three of them' lines 3 '"chunk":'
expect 'the end of a stream' lines 1 '^\{"call":1,"end":true,"duration_ns":[0-9]+\}$'
ask 0 --stream "$url" - <"$folder/large"
expect 'a MiB as a stream' cmp -s "$folder/large" "$folder/out"

# The same address once more is not to be had; a second server behind the first one is.
taken=0
timeout 20 "$duress" agent serve --listen "$url" echo >"$folder/out" 2>"$folder/err" || taken=$?
expect "an address in use ends with 1, and not with $taken" [ $taken -eq 1 ]
expect 'an address in use' complains "cannot listen at $url: .*in use"
expect 'and prints no URL' [ ! -s "$folder/out" ]
first=$server first_url=$url
serve --listen "$(place proxy)" proxy "$first_url"
ask 0 "$url" 'through a proxy'
expect 'a proxy' is 'through a proxy
'
ask 0 --stream --json "$url" 'a b'
expect 'a stream through a proxy' lines 2 '"chunk":'
ask 0 "$url" - <"$folder/large"
expect 'a MiB through a proxy' cmp -s "$folder/large" "$folder/out"
server=$first
stop
ask 1 "$url" 'nobody there'
expect 'an error through a proxy' complains 'call 1: REMOTE \(peer\): EXECUTION_ERROR: '
server=${servers[1]}
stop
ask 1 "$url" 'nobody there'
expect 'nobody there' complains 'call 1: REFUSED \(connect\)'
expect 'in the table' complains '^  REFUSED +1 +100.00 %'

serve --listen "$(place reverse)" reverse
ask 0 "$url" 'grüße 🌍'
expect 'reverse' is '🌍 eßürg
'
stop

serve --listen "$(place command)" command tr a-z A-Z
ask 0 "$url" 'shout'
expect 'a command' is 'SHOUT
'
ask 0 "$url" ''
expect 'a command that is asked nothing' is '
'
stop
serve --listen "$(place cat)" command cat
ask 0 "$url" - <"$folder/large"
expect 'a MiB through a command' cmp -s "$folder/large" "$folder/out"
ask 0 --stream --json "$url" $'one\ntwo\n\nlast'
expect 'a chunk a line' lines 1 '"chunk":"two\\n"'
expect 'four of them' lines 4 '"chunk":'
expect 'the one without an end' lines 1 '"chunk":"last"'
ask 0 --stream "$url" $'one\ntwo\n\nlast'
expect 'a stream of lines' is 'one
two

last
'
stop
[ "$scheme" != unix ] || {
    expect 'no socket is left' [ ! -e "$folder/cat.socket" ]
    serve --listen "$(place stale)" echo
    kill -KILL "$server"
    ended "$server"
    expect 'a killed server leaves its socket' [ -e "$folder/stale.socket" ]
    serve --listen "$(place stale)" echo
    ask 0 "$url" again
    stop
}
finish "each agent answers over $scheme"
