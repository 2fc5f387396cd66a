#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_arguments.sh DURESS: helps, and every option given wrong: which one, what was given, what is allowed. Nothing is
# listened at or asked here.
. "$(dirname "$0")/common.sh"
run() { # run CODE ARGS...
    local expected=$1 seen=0
    shift
    timeout 20 "$duress" "$@" >"$folder/out" 2>"$folder/err" </dev/null || seen=$?
    [ $seen -eq "$expected" ] || {
        failed "exit code $seen, expected $expected: $*"
        cat "$folder/out" "$folder/err"
    }
}
serve_wrong() { # serve_wrong MESSAGE ARGS...
    local message=$1
    shift
    run 2 agent serve "$@"
    expect "serve $*: $message; seen: $(head -n 1 "$folder/err")" complains "duress agent serve: $message"
    expect "where to look (serve $*)" complains "^Try '.*duress agent serve --help'\.$"
    expect "nothing is printed (serve $*)" [ ! -s "$folder/out" ]
}
ask_wrong() { # ask_wrong MESSAGE ARGS...
    local message=$1
    shift
    run 2 agent ask "$@"
    expect "ask $*: $message; seen: $(head -n 1 "$folder/err")" complains "duress agent ask: $message"
    expect "where to look (ask $*)" complains "^Try '.*duress agent ask --help'\.$"
    expect "nothing is printed (ask $*)" [ ! -s "$folder/out" ]
}

run 0 --help
expect 'agent is among the commands' says '^  agent +serve an agent, or ask one$'
for words in '' 'serve ' 'ask '; do
    # shellcheck disable=SC2086 # one word or none
    run 0 agent $words--help
    expect "the help of agent $words" says "^Usage: .*duress agent $words?"
    # shellcheck disable=SC2086
    run 0 agent $words-h
done
run 2 agent
expect 'the commands' complains '^  serve +'
run 2 agent serf
expect 'no such command' complains "duress agent: 'serf' given, serve or ask allowed"

# Each option that the help of a command names is tried here, or it has no value.
for command in serve ask; do
    run 0 agent $command --help
    grep -oE '^  --[a-z-]+ [A-Z'"'"'N|]' "$folder/out" | grep -oE -- '--[a-z-]+' >"$folder/options"
    expect "options of $command" [ "$(wc -l <"$folder/options")" -ge 9 ]
    while read -r option; do
        expect "$command $option is tried" grep -qE -- "^(${command}_wrong|refused| ) .*$option " "$0"
    done <"$folder/options"
done

time='a number with its unit \(ns, us, ms, s, m, h\) from'
serve_wrong 'what to serve is missing: echo, reverse, command or proxy'
serve_wrong "'parrot' given, echo, reverse, command or proxy allowed" parrot
serve_wrong "'twice' given, no further argument is allowed" echo twice
serve_wrong "'twice' given, no further argument is allowed" -- echo twice
serve_wrong 'command: the program is missing' command
serve_wrong 'proxy: the URL is missing' proxy
serve_wrong "'again' given, no further" proxy http://127.0.0.1:1 again
serve_wrong "--listen: 'ftp://::1' given, must begin with http://, tcp:// or unix://" --listen ftp://::1 echo
serve_wrong "--listen: 'http://example.org:80' given, a numeric host" --listen http://example.org:80 echo
serve_wrong "--listen: 'tcp://127.0.0.1:65536' given, a numeric host" --listen tcp://127.0.0.1:65536 echo
serve_wrong "--listen: 'tcp://127.0.0.1' given" --listen tcp://127.0.0.1 echo
serve_wrong "--listen: 'unix://relative' given, an absolute path of at most 107 bytes" --listen unix://relative echo
serve_wrong "--listen: 'unix:///x{108}' given" --listen "unix:///$(printf 'x%.0s' {1..108})" echo
serve_wrong "--delay: '100' given, $time 1 ns to 24\.0 h allowed" --delay 100 echo
serve_wrong "--delay: '1d' given, $time" --delay 1d echo
serve_wrong "--delay: '2s\.\.1s' given, the shorter time first allowed" --delay 2s..1s echo
serve_wrong "--delay: '' given" --delay 1s.. echo
serve_wrong "--delay: '0s' given" --delay 0s echo
serve_wrong "--fail-rate: '1\.01' given, a share from 0 to 1, or from 0% to 100%, allowed" --fail-rate 1.01 echo
serve_wrong "--fail-rate: '101%' given" --fail-rate 101% echo
serve_wrong "--fail-rate: 'half' given" --fail-rate half echo
serve_wrong "--fail-as: 'badly' given, error, overloaded, hang, corrupt or truncate allowed" --fail-as badly echo
serve_wrong '--fail-as: only with --fail-rate' --fail-as hang echo
serve_wrong "--seed: '-1' given, a number from 0 to 9223372036854775807 allowed" --seed -1 echo
serve_wrong "--seed: '9223372036854775808' given" --seed 9223372036854775808 echo
serve_wrong "--seed: '99999999999999999999999' given" --seed 99999999999999999999999 echo
serve_wrong "--concurrency: '0' given, a number from 1 to 10000 allowed" --concurrency 0 echo
serve_wrong "--requests: '0' given, a number from 1 to 1000000 allowed" --requests 0 echo
serve_wrong "--timeout: '0ms' given" --timeout 0ms echo
serve_wrong "--timeout: '25h' given, $time 1 ns to 24\.0 h allowed" --timeout 25h echo
serve_wrong "--output: '0' given, a number of bytes, or of KiB, MiB or GiB, from 1 to 1073741824 bytes allowed" \
    --output 0 command cat
serve_wrong "--output: '2GiB' given" --output 2GiB command cat
serve_wrong "--output: '1\.5' given" --output 1.5 command cat
serve_wrong '--output: only with command' --output 1MiB echo
serve_wrong "--drain: 'soon' given" --drain soon echo
serve_wrong "unrecognized option '--parrot'" --parrot echo
serve_wrong "option '--seed' requires an argument" --seed
serve_wrong "unrecognized option '--parrot'" echo --parrot

url=http://127.0.0.1:1
ask_wrong 'the URL is missing'
ask_wrong 'the message is missing' $url
ask_wrong "'too' given, no argument is allowed after the message" $url hello too
ask_wrong "--timeout: '1' given, $time 1 ns to 24\.0 h allowed" --timeout 1 $url hello
ask_wrong "--timeout: '1e3s' given" --timeout 1e3s $url hello
ask_wrong "--deadline: '-1s' given" --deadline -1s $url hello
ask_wrong "--deadline: 'never' given" --deadline never $url hello
ask_wrong "--retries: '1000' given, a number from 0 to 999 allowed" --retries 1000 $url hello
ask_wrong "--retries: '5' given, $time" --retries 3,5 $url hello
ask_wrong "--retry-budget: '0' given, a number from 1 to 1000 allowed" --retries 1 --retry-budget 0 $url hello
ask_wrong '--retry-budget: only with --retries' --retry-budget 1 $url hello
ask_wrong "--breaker: '0' given, a number from 1 to 1000 allowed" --breaker 0 $url hello
ask_wrong "--breaker: '' given" --breaker 5, $url hello
ask_wrong "--rate: '0' given, a number from 1 to 1000000 allowed" --rate 0 $url hello
ask_wrong "--rate: '1ns' given, $time 1\.00 us to 24\.0 h allowed" --rate 5/1ns $url hello
ask_wrong "--rate: '0' given" --rate 5/1s,0 $url hello
ask_wrong "--bulkhead: 'all' given, a number from 1 to 1000000 allowed" --bulkhead all $url hello
ask_wrong "--bulkhead: '-1' given, a number from 0 to 1000000 allowed" --bulkhead 5,-1 $url hello
ask_wrong "--hedge: 'p49' given, p50 to p99\.9999 allowed" --hedge p49 --idempotent $url hello
ask_wrong "--hedge: 'p100' given" --hedge p100 --idempotent $url hello
ask_wrong "--hedge: '5' given, $time" --hedge 5 --idempotent $url hello
ask_wrong '--hedge: only with --idempotent' --hedge 5ms $url hello
ask_wrong "--cache: 'x' given" --cache x --idempotent $url hello
ask_wrong '--cache: only with --idempotent' --cache 5s $url hello
ask_wrong '--cache: not with --stream' --cache 5s --idempotent --stream $url hello
ask_wrong "--repeat: '0' given, a number from 1 to 100000000 allowed" --repeat 0 $url hello
ask_wrong "--concurrency: '10001' given, a number from 1 to 10000 allowed" --concurrency 10001 $url hello
ask_wrong '--stream: with --concurrency above 1 only with --json' --stream --concurrency 2 $url hello
ask_wrong "--connect-timeout: '1x' given" --connect-timeout 1x $url hello
ask_wrong "unrecognized option '--parrot'" --parrot $url hello

# docs/cli.md has every option and every value that an option may name.
documented=$(dirname "$0")/../../docs/cli.md
for command in 'agent serve' 'agent ask' suite; do
    # shellcheck disable=SC2086 # two words
    run 0 $command --help
    while read -r option; do
        expect "docs/cli.md: $command $option" eval \
            'sed -n "/^## duress $command/,/^## duress [^$]/p" "$documented" | grep -qF -- "\`$option"'
    done < <(grep -oE '^  --[a-z-]+' "$folder/out" | grep -v -- --help | tr -d ' ')
done

# What the agent itself refuses.
refused() { # refused MESSAGE ARGS...
    local message=$1
    shift
    run 2 agent "$@"
    expect "$*: $message; seen: $(cat "$folder/err")" complains "$message"
}
refused 'ask: ftp://127.0.0.1: must begin with http://, https://, tcp:// or unix://' ask ftp://127.0.0.1 hello
refused 'ask: tcp://127.0.0.1: .*a port from 1 to 65535' ask tcp://127.0.0.1 hello
refused 'ask: tcp://127.0.0.1:1: headers and certificates are HTTP' ask --header 'A: b' tcp://127.0.0.1:1 hello
refused 'ask: http://127.0.0.1:1: headers' ask --header 'no header' $url hello
refused 'ask: .*headers' ask --header 'Host: b' $url hello
refused 'ask: .*ca_file: cannot be read' ask --ca-file "$folder/none" https://127.0.0.1:1 hello
run 1 agent ask --insecure $url hello
refused 'serve: proxy gopher://x: must begin with http://' serve proxy gopher://x
run 1 agent ask $url - </dev/null
finish 'every option says what is wrong with its value'
