#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# compare.sh OURS SOURCE WORK: breaker and retry around an empty function, ours (the program OURS) and well-known ones
# of Go and Python, one after the other in one run. Prints a figure each (bench/README.md), the others' against ours.
# Where a toolchain or its registry is missing says so on standard error and leaves that one out; what is there must
# work. Their packages are pinned in go/go.mod and python/requirements.txt, and stay in WORK.
set -eu
ours=$1
source=$2
work=$3
runs=${DURESS_BENCH_RUNS:-7}
[ "$runs" -ge 5 ] || runs=5
mkdir -p "$work"
samples=$work/samples
skip() { echo "bench: skipped $1: $2" >&2; }

"$ours" >"$samples"

go_peers() {
    local wanted=gobreaker,failsafe-go
    command -v go >/dev/null || {
        skip $wanted "no go here"
        return 0
    }
    # A go that is too old must say so, and not fetch another one.
    export GOTOOLCHAIN=local GOFLAGS=-mod=readonly
    local minimum=1.21 version
    version=$(go env GOVERSION)
    [ "$(printf '%s\n' "go$minimum" "$version" | sort -V | head -n 1)" = "go$minimum" ] || {
        skip $wanted "$version is older than $minimum"
        return 0
    }
    (cd "$source/go" && timeout 120 go mod download) >"$work/go.log" 2>&1 || {
        skip $wanted "their modules cannot be fetched: $(tail -n 1 "$work/go.log")"
        return 0
    }
    (cd "$source/go" && go test -run '^$' -bench . -benchtime 200ms -count "$runs") >"$work/go.log" 2>&1 || {
        cat "$work/go.log" >&2
        return 1
    }
    awk '/^Benchmark/ {
        sub(/-[0-9]+$/, "", $1)
        name = tolower($1)
        sub(/^benchmarkbreaker/, "breaker:", name)
        sub(/^benchmarkretry/, "retry:", name)
        sub(/failsafe$/, "failsafe-go", name)
        print name, $3
    }' "$work/go.log" >>"$samples"
}

python_peers() {
    local wanted=pybreaker,tenacity venv=$work/venv
    command -v python3 >/dev/null || {
        skip $wanted "no python3 here"
        return 0
    }
    if ! [ -e "$venv/ready" ] || ! cmp -s "$venv/ready" "$source/python/requirements.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv" >"$work/python.log" 2>&1 || {
            skip $wanted "python3 has no venv"
            return 0
        }
        timeout 120 "$venv/bin/pip" --quiet install -r "$source/python/requirements.txt" >"$work/python.log" 2>&1 || {
            skip $wanted "their packages cannot be fetched: $(tail -n 1 "$work/python.log")"
            return 0
        }
        cp "$source/python/requirements.txt" "$venv/ready"
    fi
    "$venv/bin/python" "$source/python/peers.py" "$runs" >>"$samples"
}

go_peers
python_peers

# The figures: medians; those of others against ours, which came first.
sort -s -k1,1 -k2,2g "$samples" | awk '
    $1 != name { names[++count] = name = $1 }
    { value[name, ++runs[name]] = $2 }
    function median(name, half) {
        half = int((runs[name] + 1) / 2)
        return runs[name] % 2 ? value[name, half] : (value[name, half] + value[name, half + 1]) / 2
    }
    END {
        for (i = 1; i <= count; i++) {
            name = names[i]
            split(name, part, ":")
            printf "{\"name\":\"%s around an empty function, %s\",\"unit\":\"ns\",\"value\":%.6g", part[1], part[2],
                median(name)
            printf ",\"min\":%.6g,\"max\":%.6g,\"runs\":%d", value[name, 1], value[name, runs[name]], runs[name]
            ours = part[1] ":duress"
            if (name != ours)
                printf ",\"against\":\"%s around an empty function, duress\",\"ratio\":%.4g", part[1],
                    median(name) / median(ours)
            print "}"
        }
    }'
