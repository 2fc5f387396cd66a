#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_man.sh DURESS: the man pages name the commands and options that --help names, in its order, and no other.
. "$(dirname "$0")/common.sh"
pages=$(dirname "$0")/../../docs/man

# section PAGE [HEADING]: that section, or the whole page.
section() {
    sed -n "/^\.SH \"\?${2:-.*}\"\?\$/,/^\.SH/p" "$pages/$1"
}
# Options are what .TP is followed by, one a line, with their other names behind them.
page_options() { sed -n '/^\.TP$/{n;p}' | sed 's/\\-/-/g' | grep -oE -- '--?[a-zA-Z][a-zA-Z-]*'; }
help_options() { "$duress" "$@" --help 2>&1 | grep -E '^  -' | grep -oE -- '^  --?[a-zA-Z-]+' | tr -d ' '; }
# same PAGE HEADING COMMAND...
same() {
    local page=$1 heading=$2
    shift 2
    section "$page" "$heading" | page_options >"$folder/page"
    help_options "$@" >"$folder/help"
    expect "options of $*" [ -s "$folder/help" ]
    diff "$folder/help" "$folder/page" >"$folder/diff" ||
        failed "$page, $* (<: --help, >: the page): $(cat "$folder/diff")"
}

same duress-agent.1 'OPTIONS OF SERVE' agent serve
same duress-agent.1 'OPTIONS OF ASK' agent ask
same duress-suite.1 OPTIONS suite
same duress-proxy.1 FLAGS proxy
same duress.1 SERVICE service
same duress.1 STRESS stress

# The commands that drive a daemon share a section.
for command in list create inspect toggle delete 'toxic add' 'toxic update' 'toxic remove'; do
    # shellcheck disable=SC2086 # two words
    help_options $command
done | sort -u >"$folder/help"
section duress.1 'DRIVING A DAEMON' | page_options | sort -u >"$folder/page"
expect 'options of the commands that drive a daemon' [ "$(wc -l <"$folder/help")" -ge 14 ]
diff "$folder/help" "$folder/page" || failed 'duress.1, driving a daemon (<: --help, >: the page)'

"$duress" --help | sed -nE 's/^  ([a-z]+) .*/\1/p' >"$folder/help"
section duress.1 COMMANDS | sed -nE '/^\.TP$/{n;s/^\.B ([a-z]+)$/\1/p}' >"$folder/page"
expect 'the commands' [ -s "$folder/help" ]
diff "$folder/help" "$folder/page" || failed 'duress.1, commands (<: --help, >: the page)'

for link in toxiproxy-server:duress-proxy toxiproxy-cli:duress; do
    expect "${link%:*} leads to ${link#*:}" [ "$(cat "$pages/${link%:*}.1")" = ".so man1/${link#*:}.1" ]
done
if command -v groff >/dev/null; then
    for page in "$pages"/duress*.1; do
        complaints=$(groff -man -Tutf8 -ww -z "$page" 2>&1)
        expect "$page: $complaints" [ -z "$complaints" ]
    done
fi
finish 'the man pages and --help name the same'
