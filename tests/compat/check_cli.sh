#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_cli.sh PROGRAM...: what toxiproxy-cli (or duress, with the same commands) prints into a pipe, to the byte, what
# it says of failures, and its status. The daemon's port is in API_PORT. Ports in answers are written as PORT.
set -u
cli=("$@")
export TOXIPROXY_URL=localhost:$API_PORT
failures=0
declare -A whole=([c]=create [new]=create [ls]=list [tog]=toggle [t]=toxic [i]=inspect [ins]=inspect [d]=delete)

# check STATUS OUTPUT ERROR ARGUMENT...: OUTPUT is all of it, or "*"; ERROR the first line of standard error, a pattern.
check() {
    local status=$1 output=$2 error=$3 got got_error got_status
    shift 3
    # duress itself has the commands by their whole names alone.
    if [ "${cli[0]##*/}" = duress ] && [ -n "${whole[${1-}]-}" ]; then
        set -- "${whole[$1]}" "${@:2}"
    fi
    got_error=$({ "${cli[@]}" "$@" | sed 's/127\.0\.0\.1:[0-9]*/127.0.0.1:PORT/' >"$scratch/output"
        echo "${PIPESTATUS[0]}" >"$scratch/status"; } 2>&1)
    got=$(cat "$scratch/output"; echo .)
    got_status=$(cat "$scratch/status")
    [ "$output" = '*' ] && output=${got%.}
    if [ "$got" != "$output." ] || [ "$got_status" != "$status" ] ||
        ! [[ ${got_error%%$'\n'*} == $error ]]; then
        failures=$((failures + 1))
        printf 'failed: %s\n  wanted %s, %q, %q\n  got    %s, %q, %q\n' "$*" "$status" "$output" "$error" \
            "$got_status" "${got%.}" "$got_error"
    fi
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
n=$'\n'
t=$'\t'
alpha="alpha${t}127.0.0.1:PORT${t}localhost:6380"
cache="cache${t}127.0.0.1:PORT${t}10.0.0.4:6379"
slow="slow${t}type=latency${t}stream=downstream${t}toxicity=0.50${t}attributes"
rate="b${t}type=bandwidth${t}stream=downstream${t}toxicity"
up="latency_upstream${t}type=latency${t}stream=upstream${t}toxicity=1.00${t}attributes=[${t}jitter=0${t}latency=0${t}]"

check 0 '' '' list
check 0 "Created new proxy cache$n" '' create --listen localhost:0 --upstream 10.0.0.4:6379 cache
check 0 "Created new proxy alpha$n" '' create -l localhost:0 -u localhost:6380 alpha
check 1 '' 'Failed to create proxy: Create: HTTP 409: proxy already exists' c -l localhost:0 -u a:1 alpha
check 1 '' 'Failed to create proxy: Create: HTTP 500: listen tcp: address x: missing port in address' \
    new -l x -u a:1 beta
check 1 '*' "Required argument 'upstream' was empty." create -l localhost:0 beta
check 1 '*' "Required argument 'listen' was empty." create -u localhost:0 beta
check 1 '*' 'Proxy name is required as the first argument.' create -l localhost:0
check 0 "$alpha${t}enabled${t}0${n}$cache${t}enabled${t}0$n" '' list
check 0 "Proxy cache is now disabled$n" '' toggle cache
check 0 "$alpha${t}enabled${t}0${n}$cache${t}disabled${t}0$n" '' ls
check 0 "Proxy cache is now enabled$n" '' tog cache
check 1 '' 'Failed to retrieve proxy nobody: HTTP 404: proxy not found' toggle nobody
check 1 '*' 'Proxy name is required as the first argument.' toggle

check 0 "Added downstream latency toxic 'slow' on proxy 'cache'$n" '' \
    toxic add --type latency -a latency=90 -a jitter=5 -n slow --tox 0.5 cache
check 0 "Added upstream latency toxic 'latency_upstream' on proxy 'cache'$n" '' t a -t latency --upstream cache
check 0 "Added downstream bandwidth toxic 'b' on proxy 'cache'$n" '' \
    toxic add -t bandwidth -toxicName=b -attribute rate=1000000 -a ignored -d cache
check 1 '' 'Failed to add toxic: failed to add toxic to proxy cache: AddToxic: HTTP 409: toxic already exists' \
    toxic add -t noop -n b cache
check 1 '' 'Failed to add toxic: failed to add toxic to proxy cache: AddToxic: HTTP 400: invalid toxic type' \
    toxic add -t nonsense cache
check 1 '' 'Failed to add toxic: failed to retrieve proxy with name `nobody`: HTTP 404: proxy not found' \
    toxic add -t latency nobody
check 1 '*' "Required argument 'type' was empty." toxic add cache
check 1 '*' 'Proxy name is missing.' toxic add -t latency
check 1 '' 'Only one should be specified: upstream or downstream.' toxic add -t latency -u -d cache
check 1 '' 'toxicity should be a float between 0 and 1.' toxic add -t latency --tox 1.5 cache
check 1 '' 'toxicity should be a float between 0 and 1.' toxic add -t latency --toxicity x cache
check 0 "$up$n$slow=[${t}jitter=5${t}latency=90${t}]$n$rate=1.00${t}attributes=[${t}rate=1e+06${t}]$n" '' inspect cache
check 1 '' 'Failed to retrieve proxy nobody: HTTP 404: proxy not found' ins nobody

# What is not given stays, the toxicity too.
check 0 "Updated toxic 'slow' on proxy 'cache'$n" '' toxic update -n slow -a latency=100 cache
check 0 "Updated toxic 'b' on proxy 'cache'$n" '' t u -n b --tox 0.25 -a rate=10 cache
check 0 "Removed toxic 'latency_upstream' on proxy 'cache'$n" '' toxic remove -n latency_upstream cache
check 0 "$slow=[${t}jitter=5${t}latency=100${t}]$n$rate=0.25${t}attributes=[${t}rate=10${t}]$n" '' i cache
check 1 '' "Failed to update toxic: failed to update toxic 'nothing' of proxy 'cache': HTTP 404: toxic not found" \
    toxic update -n nothing cache
check 1 '' "Failed to remove toxic: failed to remove toxic 'nothing' from proxy 'cache': HTTP 404: toxic not found" \
    t r -n nothing cache
check 0 "Removed toxic 'slow' on proxy 'cache'$n" '' t delete -n slow cache
check 0 "Removed toxic 'b' on proxy 'cache'$n" '' t d -n b cache
check 0 '' '' inspect cache
check 0 "Deleted proxy cache$n" '' delete cache
check 1 '' 'Failed to retrieve proxy cache: HTTP 404: proxy not found' d cache
check 0 "Deleted proxy alpha$n" '' d alpha
check 0 "{}$n" '' list --json
check 0 '' '' list

TOXIPROXY_URL=localhost:1
case ${cli[0]} in
    *toxiproxy-cli)
        check 0 "toxiproxy-cli version 2.12.0$n" '' --version
        check 0 "toxiproxy-cli version 2.12.0$n" '' -v
        check 0 '*' '' help
        check 0 '' '' -h "http://localhost:$API_PORT/" list
        check 0 '' '' --host="localhost:$API_PORT" list
        check 3 '' "No help topic for 'nonsense'" nonsense
        ;;
    *) check 0 '' '' list --host "localhost:$API_PORT" ;;
esac
check 1 '' 'Failed to retrieve proxies: GET http://localhost:1/proxies: *' list
[ $failures -eq 0 ] && echo "the command line: passed"
exit $((failures != 0))
