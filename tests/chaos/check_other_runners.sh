#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_other_runners.sh pytest|go DURESS FAILING_SUITE: the suite as cases of pytest or go test. They pass, fail and
# are skipped as the suite says, each by its name.
set -u
here=$(dirname "$(readlink -f "$0")")
runner=$1 duress=$2 failing=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export DURESS_WORLD=sim DURESS_SEEDS=3 PYTHONDONTWRITEBYTECODE=1 GOFLAGS=-mod=mod GOTOOLCHAIN=local

skip() { echo "skipped: $1"; exit 77; }
case $runner in
    pytest)
        for python in python3 /usr/bin/python3; do
            "$python" -m pytest --version >/dev/null 2>&1 && break
            python=
        done
        [ -n "$python" ] || skip "no pytest for python3; Debian's package is python3-pytest"
        ;;
    go)
        command -v go >/dev/null || skip "no Go; Debian's package is golang-go"
        go vet -C "$here/go" . >"$folder/out" 2>&1 || {
            grep -q 'flag provided but not defined: -C\|requires go >= ' "$folder/out" && skip "this Go is too old"
            cat "$folder/out"
            exit 1
        }
        ;;
    *) exit 2 ;;
esac

# Runs the cases whose test's name contains $1, all where it is empty, and prints how many passed, failed, were skipped.
cases_run() {
    if [ "$runner" = pytest ]; then
        (cd "$folder" && "$python" -m pytest -p no:cacheprovider -v ${1:+-k "$1"} "$here") >"$folder/out" 2>&1
        for result in PASSED FAILED SKIPPED; do grep -cE "\[.* sim\] $result" "$folder/out"; done
    else
        go test -C "$here/go" -count=1 -v ${1:+-run "Failures/$1"} . >"$folder/out" 2>&1
        for result in PASS FAIL SKIP; do grep -cE "^    --- $result: .*_sim " "$folder/out"; done
    fi | paste -sd' '
}
suite_says() { "$@" 2>/dev/null | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p'; }

failures=0
agree() { # agree WHAT EXPECTED SEEN
    [ -n "$2" ] && [ "$2" = "$3" ] && return
    echo "failed: $1: passed, failed, skipped are '$3', and by the suite itself '$2'"
    cat "$folder/out"
    failures=$((failures + 1))
}
agree 'the whole suite' "$(suite_says "$duress" suite --world sim --seeds 3)" \
    "$(DURESS_SUITE="$duress suite" cases_run '')"
agree 'a suite that fails' "$(suite_says "$failing" --world sim --seeds 3 --filter 'sample.*')" \
    "$(DURESS_SUITE="$failing" cases_run sample)"
grep -q 'again: .*failing_suite --world sim --filter sample.fails --seed 0' "$folder/out" || {
    echo "failed: no command that replays"
    failures=$((failures + 1))
}
exit $((failures != 0))
