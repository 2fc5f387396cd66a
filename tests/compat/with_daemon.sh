#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# with_daemon.sh PROGRAM COMMAND...: runs the command while a daemon of ours listens on a port that the kernel picked,
# which is in API_PORT. DAEMON_FLAGS holds further flags. The daemon must end with status 0 when it is told to.
set -u
program=$1
shift
scratch=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null; rm -rf "$scratch"' EXIT

: >"$scratch/log"
# shellcheck disable=SC2086 # several flags
LOG_LEVEL=info "$program" proxy -port=0 ${DAEMON_FLAGS:-} >>"$scratch/log" 2>&1 &
daemon=$!
API_PORT=
for ((tries = 0; tries < 2000; tries++)); do
    API_PORT=$(sed -n 's/.*"port":"\([0-9]*\)".*HTTP server.*/\1/p' "$scratch/log")
    [ -z "$API_PORT" ] || break
    kill -0 "$daemon" 2>/dev/null || break
    read -r -t 0.01 <> <(:) || true
done
if [ -z "$API_PORT" ]; then
    echo "failed: the daemon does not say where it listens"
    cat "$scratch/log"
    exit 1
fi
export API_PORT
"$@"
status=$?
kill -TERM "$daemon" 2>/dev/null || { echo "failed: the daemon is gone"; status=1; }
wait "$daemon"
ended=$?
daemon=
[ $ended -eq 0 ] || { echo "failed: the daemon ended with status $ended"; status=1; }
[ $status -eq 0 ] || [ $status -eq 77 ] || tail -n 40 "$scratch/log"
exit $status
