#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# setup_go.sh FOLDER: agenkit's Go module of a pinned version, and go/peer.go built with it as FOLDER/go/peer. Quick
# where it is there already, and where the registry does not have it. Ends with 77, and the reason, where it cannot be
# had.
#
# DURESS_AGENKIT_GO=PATH takes a checkout of that module instead of the registry's, for those who have one.
set -u
module=github.com/scttfrdmn/agenkit-go
version=v0.92.0
minimum=1.25.12 # what that version asks for
here=$(dirname "$(readlink -f "$0")")
folder=$1/go
checkout=${DURESS_AGENKIT_GO:-}
made="$module@$version ${checkout:-registry} $(cksum <"$here/go/peer.go")"

skip() {
    echo "skipped: $*"
    exit 77
}
mkdir -p "$folder"
exec 9>"$folder.lock"
flock -w 400 9 || skip "another run sets up $folder"
[ -x "$folder/peer" ] && [ "$(cat "$folder/made" 2>/dev/null)" = "$made" ] && exit 0

command -v go >/dev/null || skip "$module@$version needs Go, and there is none"
# A Go that is too old must say so, and not fetch another one.
export GOTOOLCHAIN=local GOFLAGS=-mod=mod GO111MODULE=on GOWORK=off
present=$(go env GOVERSION)
[ "$(printf '%s\n' "go$minimum" "$present" | sort -V | head -n 1)" = "go$minimum" ] ||
    skip "$module@$version needs Go $minimum, and this is $present"
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder" || exit 1
cp "$here/go/peer.go" .
go mod init interop >log 2>&1 || skip "no module: $(tail -n 1 log)"
if [ -n "$checkout" ]; then
    go mod edit -require="$module@$version" -replace="$module=$checkout"
else
    timeout 20 go list -m "$module@$version" >log 2>&1 || skip "$module@$version cannot be had: $(head -n 1 log)"
fi
timeout 300 go get "$module@$version" >log 2>&1 || skip "$module@$version cannot be fetched: $(tail -n 1 log)"
timeout 300 go mod tidy >log 2>&1 || skip "what $module@$version needs cannot be fetched: $(tail -n 1 log)"
timeout 400 go build -o peer . >log 2>&1 || {
    echo "failed: peer.go does not build with $module@$version"
    tail -n 20 log
    exit 1
}
echo "$made" >made
