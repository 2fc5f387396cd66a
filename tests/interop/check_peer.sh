#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_peer.sh python|go server|client PEER FOLDER: our client against agenkit's servers in that language, or its
# client against our servers, over Unix sockets, TCP and HTTP.
set -u
here=$(dirname "$(readlink -f "$0")")
language=$1
way=$2
peer=$3
"$here/setup_$language.sh" "$4" || exit
if [ "$language" = python ]; then
    their_server=("$4/python/bin/python" "$here/serve.py")
    their_client=("$4/python/bin/python" "$here/ask.py")
else
    their_server=("$4/go/peer" serve)
    their_client=("$4/go/peer" ask)
fi
scratch=$(mktemp -d)
served=
trap '[ -z "$served" ] || kill "$served" 2>/dev/null; rm -rf "$scratch"' EXIT

if [ "$way" = server ]; then
    server=("${their_server[@]}")
    client=("$peer" ask "$language")
else
    server=("$peer" serve)
    client=("${their_client[@]}")
fi

# The server's first line is where it listens; it ends by itself in the end, should nobody end it.
mkfifo "$scratch/line"
"${server[@]}" "$scratch/socket" >"$scratch/line" 2>"$scratch/server" &
served=$!
read -r -t 60 -a urls <"$scratch/line" || urls=()
if [ ${#urls[@]} -ne 3 ]; then
    echo "failed: the server did not say where it listens: ${urls[*]}"
    cat "$scratch/server"
    exit 1
fi
failures=0
for url in "${urls[@]}"; do
    timeout 120 "${client[@]}" "$url" || { echo "failed: $url"; failures=$((failures + 1)); }
done
[ $failures -eq 0 ] || tail -n 40 "$scratch/server"
exit $((failures != 0))
