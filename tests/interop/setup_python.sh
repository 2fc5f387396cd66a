#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# setup_python.sh FOLDER: agenkit of a pinned version in FOLDER/python, an environment of its own. Quick where it is
# there already. Ends with 77, and the reason, where it cannot be had.
set -u
package=agenkit==0.92.2 # needs Python 3.12
folder=$1
environment=$folder/python

skip() {
    echo "skipped: $*"
    exit 77
}
new_enough() { "$1" -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; }
candidates() { # those on the PATH, then those of pyenv, which may be installed without being on it
    printf '%s\n' python3.12 python3.13 python3 python3.14
    command -v pyenv >/dev/null || return 0
    pyenv versions --bare | sed -n "s|^3\.1[2-9].*|$(pyenv root)/versions/&/bin/python3|p"
}

mkdir -p "$folder"
exec 9>"$folder/python.lock"
flock -w 400 9 || skip "another run sets up $environment"
[ "$(cat "$environment/package" 2>/dev/null)" = "$package" ] && exit 0

python=
while read -r candidate; do
    new_enough "$candidate" && python=$candidate && break
done < <(candidates)
[ -n "$python" ] || skip "$package needs Python 3.12 with venv, and there is none"
rm -rf "$environment"
timeout 60 "$python" -m venv "$environment" >"$folder/python.log" 2>&1 ||
    skip "no virtual environment: $(tail -n 1 "$folder/python.log")"
timeout 300 "$environment/bin/python" -m pip install -q --disable-pip-version-check --no-input "$package" \
    >"$folder/python.log" 2>&1 || skip "$package cannot be installed: $(tail -n 1 "$folder/python.log")"
echo "$package" >"$environment/package"
