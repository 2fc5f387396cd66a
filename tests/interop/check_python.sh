#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_python.sh server|client PEER FOLDER: our client against agenkit's servers in Python, or its client against our
# servers, over Unix sockets, TCP and HTTP.
set -u
here=$(dirname "$(readlink -f "$0")")
way=$1
peer=$2
"$here/setup_python.sh" "$3" || exit
python=$3/python/bin/python
scratch=$(mktemp -d)
served=
trap '[ -z "$served" ] || kill "$served" 2>/dev/null; rm -rf "$scratch"' EXIT

if [ "$way" = server ]; then
    server=("$python" "$here/serve.py")
    client=("$peer" ask)
else
    server=("$peer" serve)
    client=("$python" "$here/ask.py")
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
