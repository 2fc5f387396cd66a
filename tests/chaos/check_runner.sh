#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_runner.sh FAILING_SUITE: the runner tells every end of a test apart, by exit code, table, JSON and JUnit.
set -u
suite=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

expect() { # expect WHAT CONDITION...
    local what=$1
    shift
    "$@" || { echo "failed: $what"; failures=$((failures + 1)); }
}
code() { # code EXPECTED ARGS...: runs the suite, output in $folder/out
    local expected=$1 seen=0
    shift
    ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" "$suite" "$@" >"$folder/out" 2>"$folder/err" || seen=$?
    [ "$seen" -eq "$expected" ] || {
        echo "failed: exit code $seen, expected $expected: $suite $*"
        cat "$folder/out" "$folder/err"
        failures=$((failures + 1))
    }
}
says() { grep -qE -- "$1" "$folder/out"; }
complains() { grep -qE -- "$1" "$folder/err"; }

for world in sim live; do
    code 0 --world $world --filter 'sample.passes' --seeds 5
    expect "a summary ($world)" says '^1 passed, 0 failed, 0 skipped$'

    code 1 --world $world --filter 'sample.fails' --seeds 5
    expect "the expectation ($world)" says 'expected: answer is the reply "another"; seen: the reply "hello" of 5 bytes'
    expect "the place ($world)" says 'tests/chaos/failing_suite.c:[0-9]+:'
    expect "the timeline ($world)" says '[0-9.]+  attempt 1 on link 1 begins'
    expect "the arrival ($world)" says 'echo: request 1 "hello"'
    expect "the replay command ($world)" says "again: .*failing_suite --world $world --filter sample.fails"
    expect "a summary of a failure ($world)" says '^0 passed, 1 failed, 0 skipped$'

    code 1 --world $world --filter 'sample.proves_nothing' --seeds 5
    expect "not proven ($world)" says 'not proven: no evidence that the cut toxic cut a connection'

    code 1 --world $world --filter 'sample.proves_no_latency' --seeds 5
    expect "not proven where a toxic let all pass ($world)" says 'not proven: no evidence that a toxic acted'

    for what in toxic refusal name; do
        code 1 --world $world --filter "sample.proves_the_first_${what}_only" --seeds 5
        expect "not proven by an earlier $what ($world)" says 'not proven: no evidence that '
    done
    code 1 --world $world --filter 'sample.proves_the_second_toxic_only' --seeds 5
    expect "not proven by a later toxic ($world)" says 'not proven: no evidence that a toxic acted'

    code 1 --world $world --filter 'sample.proves_no_chunks' --seeds 5
    expect "not proven without chunks ($world)" says 'not proven: no evidence that a request was answered in chunks'
    code 1 --world $world --filter 'sample.proves_no_crash' --seeds 5
    expect "no crash ($world)" says 'not proven: no evidence that the service died of SIGSEGV'
    code 1 --world $world --filter 'sample.proves_no_slowness' --seeds 5
    expect "no slowness ($world)" says 'not proven: no evidence that a request was answered as slowly as ordered'
    code 1 --world $world --filter 'sample.dies_otherwise_than_ordered' --seeds 5
    expect "another crash ($world)" says 'not proven: no evidence that the service died of SIGSEGV'

    code 0 --world $world --filter 'sample.skips' --seeds 5
    expect "the reason for skipping ($world)" says 'needs a unicorn; get one from the stable'
    expect "a summary of a skip ($world)" says '^0 passed, 0 failed, 1 skipped$'

    code 1 --world $world --filter 'sample.crashes' --seeds 5
    expect "a crash ($world)" says 'crashed: sample.crashes'

    code 1 --world $world --filter 'sample.fails_in_callback' --seeds 5
    expect "a callback's expectation ($world)" says 'expected: chaos == NULL'

    code 1 --world $world --filter 'sample.leaks' --seeds 5
    expect "a leak ($world)" says 'leaves no memory behind; seen: 1 blocks'
done

code 1 --world live --filter 'sample.shows_output'
expect 'the end of a command' says 'seen: it ended by itself with code 3'
expect 'the output of a command' says '^out of sorts on [0-9]+$'
code 1 --world live --filter 'sample.cannot_run'
expect 'a command that cannot run' says '^cannot run /nonexistent/server: '
code 1 --world live --filter 'sample.orders_too_much'
expect 'an order that a command cannot follow' says 'the command simple, which knows nothing of requests'
code 0 --world sim --filter 'sample.orders_too_much' --seeds 1
expect 'a command in the simulated world' says 'runs a command, which cannot be simulated; use --world live'

code 1 --world sim --filter 'sample.fails_from_seed_three' --seeds 10
expect 'the seed' says 'seed 3, trace hash [0-9a-f]{16}'
expect 'the seed in the command' says '--seed 3$'

code 1 --world both --filter 'sample.*' --seeds 4 --json "$folder/report.json" --junit "$folder/report.xml"
expect 'JSON: failed' grep -q '"result": "failed"' "$folder/report.json"
expect 'JSON: not proven' grep -q '"result": "not_proven"' "$folder/report.json"
expect 'JSON: crashed' grep -q '"result": "crashed"' "$folder/report.json"
expect 'JSON: trace hash' grep -qE '"trace_hash": "[0-9a-f]{16}"' "$folder/report.json"
expect 'JUnit: failure' grep -q '<failure type="failed"' "$folder/report.xml"
expect 'JUnit: skipped' grep -q '<skipped message="needs a unicorn' "$folder/report.xml"
expect 'JUnit: escapes' grep -q '&quot;another&quot;' "$folder/report.xml"
expect 'JSON: half a character' grep -qE '"message": ".*"-é{29}\?.*of 61 bytes' "$folder/report.json"
expect 'JUnit: half a character' grep -qE '&quot;-é{29}\?&quot; of 61 bytes' "$folder/report.xml"
expect 'JUnit: UTF-8' iconv -f utf-8 -t utf-8 -o /dev/null "$folder/report.xml"

# Tests whose turn did not come are in both reports, after --stop and after ^C.
code 1 --world sim --filter 'sample.*' --seeds 2 --jobs 1 --stop --json "$folder/report.json" \
    --junit "$folder/report.xml"
expect 'JSON: stopped' grep -q '"result": "not_run"' "$folder/report.json"
expect 'JUnit: stopped' grep -q '<skipped message=""/>' "$folder/report.xml"
for world in sim live; do
    code 130 --world $world --filter 'interrupt.*' --seeds 2 --jobs 1 --json "$folder/report.json" \
        --junit "$folder/report.xml"
    expect "interrupted ($world)" says 'interrupted$'
    expect "a summary of what was not run ($world)" says '^0 passed, 0 failed, 2 skipped$'
    expect "JSON: interrupted ($world)" test "$(grep -c '"result": "not_run"' "$folder/report.json")" -eq 2
    expect "JUnit: interrupted ($world)" test "$(grep -c '<skipped ' "$folder/report.xml")" -eq 2
done

# One that hangs is killed at its limit with all its processes, and the others have their turn. They are those of a
# copy, so that no other run's are taken for them.
cp "$suite" "$folder/hanging_suite"
processes() { readlink /proc/[0-9]*/exe | grep -cF "$folder/hanging_suite"; }
is_left_alone() { # waits for the kernel, which ends orphans of its own accord
    for _ in {1..100}; do
        [ "$(processes)" -ne 0 ] || return 0
        sleep 0.1
    done
    return 1
}
suite=$folder/hanging_suite
for world in sim live; do
    again="again: .*hanging_suite --world $world --filter hang.for_ever"
    [ $world = live ] || again+=' --seed 2'
    code 1 --world $world --filter 'hang.*' --seeds 5 --jobs 1 --limit 2 --json "$folder/report.json" \
        --junit "$folder/report.xml"
    expect "a hang ($world)" says '^hung: hang.for_ever'
    expect "a hang's limit ($world)" says 'did not end in time and was killed after 2\.[0-9]+ s'
    expect "a hang's replay command ($world)" says "$again\$"
    expect "the others ($world)" says '^hang.turn_comes_all_the_same +[a-z]+ +[15]  passed'
    expect "a summary of a hang ($world)" says '^1 passed, 1 failed, 0 skipped$'
    expect "JSON: hung ($world)" test "$(grep -c '"result": "hung"' "$folder/report.json")" -eq 1
    expect "JUnit: hung ($world)" grep -q '<failure type="hung"' "$folder/report.xml"
    expect "no process is left ($world)" is_left_alone
done
suite=$1

code 0 --list
expect 'the list' says '^sample.passes	sim	asks once$'
code 0 --help
expect 'the help' says '^Usage: '
code 2 --filter 'nothing.at_all'
expect 'no match' complains "no test matches 'nothing.at_all'"
code 2 --seeds 0
expect 'a bad number' complains "--seeds: '0' given, a number from 1 to 1000000 allowed"
code 2 --seeds 0x10
code 2 --seed 9223372036854775808
expect 'a seed that JSON cannot say' complains "--seed: '9223372036854775808' given, a number from 0 to 92233"
code 0 --world sim --filter sample.passes --seed 010 --json "$folder/report.json"
expect 'a decimal seed' grep -q '"seed": 10,' "$folder/report.json"
code 2 --seed 5 --seeds 3
expect 'one seed or several' complains '--seed and --seeds given, one of them allowed'
code 2 --limit 0
expect 'a bad limit' complains "--limit: '0' given, a number from 1 to 86400 allowed"
code 2 --world mars
expect 'a bad world' complains "--world: 'mars' given, live, sim or both allowed"
code 2 stray
expect 'a stray argument' complains "'stray' given"
code 2 --unknown
code 2 _launch
code 2 _launch service
for option in json junit; do
    code 2 --world sim --filter sample.passes --seeds 1 --$option /nonexistent/report
    expect "an unwritable report ($option)" complains "--$option: cannot write '/nonexistent/report'"
    expect "no test is run for it ($option)" test ! -s "$folder/out"
    code 1 --world sim --filter sample.passes --seeds 1 --$option /dev/full
    expect "a full disk ($option)" complains "--$option: cannot write '/dev/full'"
done
for what in --list '--world=sim --filter=sample.passes --seeds=1'; do
    # shellcheck disable=SC2086 # several arguments
    "$suite" $what >/dev/full 2>"$folder/err"
    expect "exit code with nowhere to print: $what" test $? -eq 1
    expect "nowhere to print: $what" complains 'cannot write to standard output'
done

[ $failures -eq 0 ] || exit 1
echo "the runner tells every end apart"
