#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_daemon.sh PROGRAM: the daemon as a process: its flags, configuration, state, signals, limits and log.
set -u
program=$1
scratch=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null; rm -rf "$scratch"' EXIT
failures=0
log=$scratch/log

fail() {
    failures=$((failures + 1))
    echo "failed: $*"
}
# same WHAT WANTED GOT
same() { [ "$2" = "$3" ] || fail "$1"$'\n'"  wanted: $2"$'\n'"  got:    $3"; }

# start FLAG...: starts a daemon; standard input and LOG_LEVEL are handed on. Sets $port.
start() {
    : >"$log" # the one before has said where it listened, too
    "$program" proxy -port=0 "$@" <&0 >>"$log" 2>"$scratch/errors" &
    daemon=$!
    port=
    for ((tries = 0; tries < 2000; tries++)); do
        port=$(sed -nE 's/.*"port":"([0-9]+)".*HTTP server.*/\1/p; s/.*HTTP server .*port=([0-9]+).*/\1/p' "$log")
        [ -z "$port" ] || return 0
        kill -0 "$daemon" 2>/dev/null || break
        pause
    done
    fail "the daemon does not start: $*"
    cat "$log" "$scratch/errors"
    exit 1
}
pause() { read -r -t 0.01 <> <(:) || true; }

# stop SIGNAL: ends it and sets $ended to its status.
stop() {
    kill "-$1" "$daemon"
    wait "$daemon" 2>/dev/null
    ended=$?
    daemon=
}

# ask METHOD PATH [BODY [HEADER]]: sets $status and $body.
ask() {
    local length=${3-} answer
    exec 9<>"/dev/tcp/127.0.0.1/$port" || { fail "no connection"; return; }
    printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s' "$1" "$2" \
        ${#length} "${4:+$4$'\r\n'}" "$length" >&9
    answer=$(cat <&9)
    exec 9>&-
    status=${answer#* }
    status=${status%% *}
    body=${answer#*$'\r\n\r\n'}
}
proxies() { "$program" list --host "localhost:$port"; }
toxics() { "$program" inspect --host "localhost:$port" "$1"; }

# --- flags ---
same 'the version' 'toxiproxy-server version 2.12.0' "$("$program" proxy -version)"
same 'the version, by the other name' 'toxiproxy-server version 2.12.0' \
    "$("${program%/*}/toxiproxy-server" --version=true)"
"$program" proxy -nonsense >"$scratch/out" 2>"$scratch/errors"
same 'status of an unknown flag' 2 $?
same 'message of an unknown flag' 'flag provided but not defined: -nonsense' "$(head -n 1 "$scratch/errors")"
"$program" proxy -help >"$scratch/out" 2>"$scratch/errors"
same 'status of -help' 0 $?
grep -q '^Usage of ' "$scratch/errors" || fail 'no usage'
"$program" proxy -port >"$scratch/out" 2>"$scratch/errors"
same 'status of a flag without its value' 2 $?
"$program" proxy -seed=x >"$scratch/out" 2>"$scratch/errors"
same 'status of a seed that is no number' 2 $?
"$program" proxy -workers=-1 >"$scratch/out" 2>"$scratch/errors"
same 'status of -1 workers' 2 $?

# --- a port in use; signals ---
start
"$program" proxy -port="$port" >"$scratch/out" 2>"$scratch/errors"
same 'status where the port is in use' 1 $?
grep -q "listen tcp localhost:$port: bind: address already in use" "$scratch/errors" || fail 'it does not say why'
ask POST /proxies '{"name":"a","upstream":"a:1","listen":"127.0.0.1:0"}'
same 'created' 201 "$status"
ask GET /metrics
same 'no metrics' 404 "$status"
stop TERM
same 'status after SIGTERM' 0 $ended
start --seed 7 -proxy-metrics -runtime-metrics
grep -q '"seed":7,' "$log" || fail 'the seed is not logged'
ask GET /metrics
same 'metrics' 200 "$status"
[[ $body == *'# TYPE process_open_fds gauge'* ]] || fail 'no figures of the process'
[[ $body == *toxiproxy_proxy* ]] && fail 'figures of proxies that had no connection'
stop INT
same 'status after SIGINT' 0 $ended

# --- configuration ---
cat >"$scratch/config.json" <<'END'
[{"name":"web","listen":"127.0.0.1:0","upstream":"a:1","toxics":[{"type":"latency","attributes":{"latency":5}}]},
 {"name":"off","listen":"127.0.0.1:7","upstream":"b:1","enabled":false}]
END
cat >"$scratch/config.yaml" <<'END'
# the same
- name: web
  listen: 127.0.0.1:0
  upstream: a:1
  toxics:
    - type: latency
      attributes: {latency: 5}
- {name: "off", listen: "127.0.0.1:7", upstream: "b:1", enabled: false}
END
for config in config.json config.yaml; do
    start -config "$scratch/$config"
    same "proxies of $config" $'off\t127.0.0.1:7\tb:1\tdisabled\t0\nweb\ta:1\tenabled\t1' \
        "$(proxies | sed 's/127\.0\.0\.1:[0-9]\{2,\}\t//')"
    same "toxics of $config" \
        $'latency_downstream\ttype=latency\tstream=downstream\ttoxicity=1.00\tattributes=[\tjitter=0\tlatency=5\t]' \
        "$(toxics web)"
    stop TERM
    same "status after $config" 0 $ended
    start -config - <"$scratch/$config"
    same "proxies of $config from standard input" 2 "$(proxies | wc -l)"
    stop TERM
done
start -config "$scratch/nothing.json"
grep -q 'nothing.json: No such file or directory' "$log" || fail 'a missing file is not told'
same 'no proxies' '' "$(proxies)"
stop TERM
echo '[{"name":"web","listen":"127.0.0.1:0","upstream":"a:1"},{"name":"bad"}]' >"$scratch/bad.json"
start -config "$scratch/bad.json"
grep -q 'missing required field: upstream at proxy 2' "$log" || fail 'a bad file is not told'
same 'nothing of a bad file' '' "$(proxies)"
stop TERM
"$program" proxy -port=0 -strict -config "$scratch/bad.json" >"$scratch/out" 2>"$scratch/errors"
same 'status of a bad file where whole ones are asked for' 1 $?

# --- state ---
state=$scratch/state.json
start -state "$state"
ask POST /proxies '{"name":"web","upstream":"a:1","listen":"127.0.0.1:0"}'
ask POST /proxies/web/toxics '{"type":"latency","name":"slow","toxicity":0.5,"attributes":{"latency":5}}'
ask POST /proxies/web/toxics '{"type":"noop","name":"large","toxicity":1e20}'
ask POST /proxies/web/toxics '{"type":"noop","name":"gone"}'
ask POST /populate '[{"name":"down","upstream":"b:1","listen":"127.0.0.1:0"},
    {"name":"x/y","upstream":"c:1","enabled":false}]'
ask POST /proxies/down '{"enabled":false}'
ask DELETE /proxies/web/toxics/gone
ask GET /proxies
before=$body
stop KILL
start -state "$state"
ask GET /proxies
same 'state after kill -9' "$before" "$body"
ask POST /proxies/down '{"enabled":true}'
ask DELETE /proxies/web
ask GET /proxies
before=$body
stop KILL
start -state "$state" -config "$scratch/config.json"
ask GET /proxies/down
same 'a proxy of the state' 200 "$status"
[[ $before == *"$body"* ]] || fail "down is not as it was: $body"
same 'state and configuration' 4 "$(proxies | wc -l)"
stop TERM
same 'status with a state' 0 $ended
[ -e "$state.new" ] && fail 'a half file is left'
echo 'not JSON' >"$state"
"$program" proxy -port=0 -state "$state" >"$scratch/out" 2>"$scratch/errors"
same 'status of a state that cannot be read' 1 $?
same 'it is left as it was' 'not JSON' "$(cat "$state")"

# --- bytes ---
# The API is its own upstream here: it answers, and keeps a connection that asks nothing.
start -proxy-metrics
api=$port
ask POST /proxies "{\"name\":\"self\",\"upstream\":\"localhost:$api\",\"listen\":\"127.0.0.1:0\"}"
self=$(proxies | sed -n 's/^self\t127\.0\.0\.1:\([0-9]*\)\t.*/\1/p')
port=$self
ask GET /version
same 'through the proxy' '{"version": "2.12.0"}' "$body"
port=$api
ask PATCH /proxies/self "{\"upstream\":\"127.0.0.1:$api\"}"
exec 8<>"/dev/tcp/127.0.0.1/$self"
for ((tries = 0; tries < 2000; tries++)); do
    ask GET /connections
    [[ $body == *'"dialing":false'* ]] && break
    pause
done
# The numbers go on after a move.
[[ $body == '[{"proxy":"self","number":2,"client":"127.0.0.1:'*'"toxics":[]}]' ]] || fail "connections: $body"
exec 8>&-
# Toxics that come with a proxy act on its first connection.
ask POST /proxies "{\"name\":\"closed\",\"upstream\":\"localhost:$api\",\"listen\":\"127.0.0.1:0\",
    \"toxics\":[{\"type\":\"limit_data\",\"attributes\":{\"bytes\":8}}]}"
port=$(proxies | sed -n 's/^closed\t127\.0\.0\.1:\([0-9]*\)\t.*/\1/p')
exec 9<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n' >&9
same 'what the toxic lets through' 'HTTP/1.1' "$(cat <&9)"
exec 9>&-
port=$api
ask GET /metrics
dials='duress_proxy_dial_seconds'
labels="listener=\"127.0.0.1:[0-9]+\",proxy=\"closed\",upstream=\"localhost:$api\""
[[ $body == *"# TYPE $dials histogram"* ]] || fail 'no histogram of dials'
[ "$(grep -cE "^${dials}_bucket\{le=\"(0\.[0-9]+|1|2\.5|5|10|\+Inf)\",$labels\} [01]\$" <<<"$body")" -eq 17 ] ||
    fail 'other buckets of dials'
grep -qE "^${dials}_bucket\{le=\"\+Inf\",$labels\} 1\$" <<<"$body" || fail 'no dial in the last bucket'
grep -qE "^${dials}_bucket\{le=\"10\",$labels\} 1\$" <<<"$body" || fail 'buckets are not cumulative'
grep -qE "^${dials}_count\{$labels\} 1\$" <<<"$body" || fail 'no count of dials'
sum=$(sed -nE "s/^${dials}_sum\{$labels\} //p" <<<"$body")
awk -v sum="$sum" 'BEGIN { exit !(sum > 0 && sum < 10) }' || fail "the sum of dials: $sum"
sent='toxiproxy_proxy_sent_bytes_total{direction="downstream",listener="127.0.0.1:'
[[ $body == *"$sent"*',proxy="closed",upstream="localhost:'*'"} 8'$'\n'* ]] || fail "no bytes in the metrics: $body"
stop TERM

# --- who is let in ---
echo 'secret' >"$scratch/token"
start -token-file "$scratch/token" -unix "$scratch/socket" -allow-host localhost
ask GET /version
same 'without a token' 401 "$status"
same 'and why' '{"error":"bearer token missing or wrong","status":401}' "$body"
ask GET /version '' 'Authorization: Bearer wrong'
same 'with a wrong token' 401 "$status"
ask GET /version '' 'Authorization: Bearer secret'
same 'with the token' 200 "$status"
"$program" list --host "unix://$scratch/socket" --token-file "$scratch/token" >"$scratch/out" 2>&1
same 'by the socket file' 0 $?
same 'its mode' 600 "$(stat -c %a "$scratch/socket")"
stop TERM
[ -e "$scratch/socket" ] && fail 'the socket file is left'
"$program" proxy -port=0 -token-file "$scratch/nothing" >"$scratch/out" 2>"$scratch/errors"
same 'status of a token that is not there' 1 $?

# --- limits, and times to live ---
start -max-proxies 1 -max-body-bytes 200
ask POST /proxies '{"name":"one","upstream":"a:1","listen":"127.0.0.1:0"}'
ask POST /proxies '{"name":"two","upstream":"a:1","listen":"127.0.0.1:0"}'
same 'one proxy too many' 503 "$status"
ask POST /proxies "{\"name\":\"$(printf '%0300d' 0)\"}"
same 'a body too large' 413 "$status"
ask POST /proxies/one/toxics '{"type":"timeout","ttl":100}'
same 'with a time to live' 200 "$status"
for ((tries = 0; tries < 2000; tries++)); do
    ask GET /proxies/one/toxics
    [ "$body" = '[]' ] && break
    pause
done
same 'it has removed itself' '[]' "$body"
stop TERM

# --- the log ---
export LOG_LEVEL=debug
start
ask GET /version
grep -q '"status":200,.*"handler":"Version",' "$log" || fail 'a request is not logged'
stop TERM
if command -v jq >/dev/null; then
    jq -e . "$log" >/dev/null || fail 'the log is no JSON'
fi
LOG_LEVEL=nonsense
start
grep -q '"error":"nonsense"' "$log" || fail 'an unknown level is not told'
stop TERM
# As text: time, level, message, pairs; what would be ambiguous is quoted, and nothing breaks a line.
export LOG_LEVEL=debug
start -log-format=text -seed=7
grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z info Random seed seed=7 caller=daemon\.c:[0-9]+$' "$log" ||
    fail 'the log as text'
ask GET /version '' $'User-Agent: a "b" = \303\274'
grep -qE 'Z debug request_id=[^ ]+ user_agent="a \\"b\\" = ü" status=200 .* handler=Version caller=' "$log" ||
    fail 'a request in the log as text'
ask POST /proxies '{"name":"a\nb","listen":"127.0.0.1:0","upstream":"localhost:1"}'
grep -qE 'Z info Started proxy name="a\\nb" listen=127\.0\.0\.1:[0-9]+ upstream=localhost:1 ' "$log" ||
    fail 'a proxy in the log as text'
for name in 'a b' 'a=b' '\u00fc'; do
    ask POST /proxies "{\"name\":\"$name\",\"listen\":\"127.0.0.1:0\",\"upstream\":\"localhost:1\"}"
    grep -qF " Started proxy name=\"${name/'\u00fc'/ü}\" listen=" "$log" || fail "$name in the log as text"
done
ask GET /version
grep -q ' user_agent="" status=200 ' "$log" || fail 'nothing in the log as text'
stop TERM
grep -vqE '^[-0-9]{10}T[0-9:]{8}Z (debug|info|warn|error) ' "$log" && fail 'a line of the log as text is none'
"$program" proxy -log-format=xml >"$scratch/out" 2>&1
same 'status of an unknown format' 2 $?
same 'an unknown format' '-log-format: xml given, json or text allowed' "$(cat "$scratch/out")"

[ $failures -eq 0 ] && echo "the daemon: passed"
exit $((failures != 0))
