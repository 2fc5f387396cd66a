#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# toxiproxy.sh FOLDER: builds the official Toxiproxy server into FOLDER/toxiproxy-server, for bench_proxies. Needs Go
# and its module proxy; where one is missing it says so and ends with status 1.
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
command -v go >/dev/null || {
    echo "toxiproxy.sh: no Go here" >&2
    exit 1
}
GOBIN=$folder GOFLAGS=-mod=mod go install github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0
mv "$folder/server" "$folder/toxiproxy-server"
