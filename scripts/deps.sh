#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# deps.sh [--list] [GROUP...]: installs from Debian's packages what is missing. Groups: build, test, bench, dev, load,
# mutants, docs, http2; without one: build and test. --list prints the packages and does nothing.
#
# This is the one place that names packages. It asks nothing, calls apt only when a package is missing, and ends with
# status 1 and the command to be run where it may not install.
set -u

# Compiler, generator and the libraries that the rooms use.
build=(gcc libc6-dev make cmake ninja-build pkg-config libuv1-dev libc-ares-dev libjansson-dev
    libcurl4-openssl-dev libmicrohttpd-dev libyaml-dev)
# The unit tests' harness, nm(1) for the tests of symbols, openssl(1) for certificates of a day, and the runner in whose
# clothes the chaos suite is tried (go test is tried where there is a Go).
test=(libcmocka-dev binutils openssl python3-pytest)
# A peer that speaks HTTP/2; the tests that need it skip without. By itself, because Debian's package starts a service
# on 127.0.0.1:3000.
http2=(nghttp2-proxy)
# bench/run.sh checks each figure as JSON; bench/peers measures libraries of other languages (those
# of Go where there is a Go of 1.21 or later; Debian 12 has an older one); bench/proxy another proxy.
bench=(jq python3-venv haproxy)
# The second compiler with sanitizers and libFuzzer, readable stack traces, and the checks of .ci/run.
dev=(clang libclang-rt-14-dev llvm clang-format clang-tidy ccache)
# A busy machine beside the live suite.
load=(stress-ng)
# tests/mutants/run.sh applies patches.
mutants=(patch)
# scripts/docs.sh makes the reference of the headers.
docs=(doxygen)

list_only=
wanted=()
for argument in "$@"; do
    case $argument in
        --list) list_only=1 ;;
        build | test | bench | dev | load | mutants | docs | http2)
            declare -n group=$argument
            wanted+=("${group[@]}")
            ;;
        *)
            echo "usage: scripts/deps.sh [--list] [build|test|bench|dev|load|mutants|docs|http2]..." >&2
            exit 2
            ;;
    esac
done
[ ${#wanted[@]} -gt 0 ] || wanted=("${build[@]}" "${test[@]}")

if [ -n "$list_only" ]; then
    printf '%s\n' "${wanted[@]}"
    exit 0
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "deps: this is no Debian system; going on as if the equivalents of these were installed: ${wanted[*]}" >&2
    exit 0
fi

# One call for all packages: "package status" a line, nothing for one that dpkg has never heard of.
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null)
missing=()
for package in "${wanted[@]}"; do
    [[ $'\n'$installed$'\n' == *$'\n'"$package installed"$'\n'* ]] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

may_install() {
    if [ "$(id -u)" -eq 0 ]; then
        become=()
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        become=(sudo) # at a terminal sudo may ask for the password itself
    else
        return 1
    fi
}
if ! may_install; then
    echo "deps: these Debian packages are missing: ${missing[*]}" >&2
    echo "deps: neither root nor sudo here, so please have this run:" >&2
    echo "deps:   apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

apt() {
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 \
        "$@" </dev/null
}
install_missing() { apt install --no-install-recommends "${missing[@]}"; }

echo "deps: installing ${missing[*]}"
# On a machine that has never asked, or not for long, the lists lack the package or name a version that is gone.
if ! { apt-cache show "${missing[@]}" >/dev/null 2>&1 && install_missing; }; then
    apt update && install_missing || {
        echo "deps: could not install: ${missing[*]}" >&2
        exit 1
    }
fi
