#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_suite.sh PROGRAM FAILING_SUITE: chaos tests over the proxies of the daemon at API_PORT. Those that an API can
# order and show must pass, and not be skipped; the others must be skipped, and say why.
set -u
program=$1
failing=$2
url=http://127.0.0.1:$API_PORT
failed=0
output=
status=

suite() {
    output=$("$program" suite --proxy "$url" "$@" 2>&1)
    status=$?
}
fail() {
    echo "failed: $1; the exit code was $status, and the output:"
    echo "$output"
    failed=1
}
# is_well WHAT CODE TEXT
is_well() {
    [ "$status" -eq "$2" ] && grep -q -- "$3" <<<"$output" || fail "$1"
}
passes() {
    suite --filter "$1"
    is_well "$1 passes" 0 '^1 passed, 0 failed'
}
skips() {
    suite --filter "$1"
    is_well "$1 is skipped: $2" 0 "^skipped: $1 (live): .*$2"
}
nothing_is_left() {
    output=$("$program" list --host "$url" --json 2>&1)
    status=$?
    [ "$status" -eq 0 ] && [ "$(tr -d ' \n' <<<"$output")" = '{}' ] || fail "$1 leaves no proxy behind"
}

passes network.latency_100ms_inside
passes network.latency_100ms_outside
passes network.connection_refused
passes network.link_down_while_waiting
passes network.drop_before_reply
passes network.bytes_slow
passes network.bytes_vanish
passes toxic.timeout
passes toxic.limit_data
skips network.connect_timeout 'a silence or a partition cannot be ordered through an API'
skips network.link_cut_while_waiting 'a cut of all connections cannot be ordered through an API'
skips network.bytes_sliced 'cannot be shown through an API'
skips network.drop_mid_body 'when a toxic acted cannot be shown through an API'
skips toxic.refuse 'how many connections were accepted cannot be shown through an API'
skips toxic.time_to_live 'a time to live or a schedule of a bandwidth toxic cannot be ordered through an API'
nothing_is_left 'a suite'

# Faults that never happen, in a program that is a suite by itself.
sample_skips() {
    output=$("$failing" --proxy "$url" --filter "sample.$1" 2>&1)
    status=$?
    is_well "sample.$1 is skipped" 0 "^skipped: sample.$1 (live): .* cannot be shown through an API"
}
sample_skips proves_nothing
sample_skips proves_no_latency
sample_skips proves_the_first_toxic_only
sample_skips proves_the_second_toxic_only

suite --filter network.latency_5s_inside --limit 1
is_well 'a test that hangs is killed' 1 '^hung: '
is_well 'how it is run again' 1 "again: .* --proxy $url --filter network.latency_5s_inside\$"
nothing_is_left 'a test that was killed'

suite --world sim --filter network.latency_100ms_inside
is_well 'the simulated world has no daemon' 2 '--proxy given, --world live allowed with it'
url=http://127.0.0.1:1
suite --filter network.latency_100ms_inside
is_well 'no daemon' 1 "--proxy: no daemon answers at '$url'"
exit $failed
