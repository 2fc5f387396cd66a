#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_completion.sh DURESS: what bash completes, with a daemon whose port is in API_PORT.
. "$(dirname "$0")/common.sh"
for name in duress toxiproxy-cli toxiproxy-server; do
    ln -s "$(realpath "$duress")" "$folder/$name"
done
PATH=$folder:$PATH
here=$PWD/$(dirname "$0")
[[ $0 != /* ]] || here=$(dirname "$0")
. "$here/../../src/cli/completion/duress.bash"
cd "$folder" || exit 1

# completes LINE WORD...: what the line, with the cursor at its end, can become.
completes() {
    local line=$1 wanted
    shift
    COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
    _duress
    wanted=$(printf '%s\n' "$@" | sort -u)
    [ "$(printf '%s\n' "${COMPREPLY[@]}" | sort -u)" = "$wanted" ] ||
        failed "'$line': wanted" $wanted", got ${COMPREPLY[*]}"
}

for name in duress toxiproxy-cli toxiproxy-server; do
    expect "$name is completed" eval "complete -p $name | grep -q -- '-F _duress'"
done
completes 'duress to' toggle toxic
completes 'duress s' suite service stress
completes 'duress agent ' serve ask
completes 'duress agent serve ' echo reverse command proxy
completes 'duress agent serve --fail' --fail-rate --fail-as
completes 'duress agent serve --fail-as t' truncate
completes 'duress agent serve --fail-as=e' error
completes 'duress toxic ' add update remove
completes 'duress toxic add --to' --toxicName --toxicity --tox --token-file
completes 'toxiproxy-cli t' toggle toxic
completes 'toxiproxy-cli --host localhost:1 toxic a' add
completes 'toxiproxy-server -pr' -proxy-metrics
completes 'toxiproxy-server -max-p' -max-proxies
completes 'duress suite --world ' live sim both
completes 'duress stress ' cpu memory disk
completes 'duress service --ki' --kill
touch one.yaml one.json two.yaml
completes 'duress proxy -config=one' one.yaml one.json
completes 'duress proxy -log-format=t' text
completes 'duress proxy -state two' two.yaml
completes 'duress suite --json one.j' one.json
completes 'nothing of the kind '

# Each option of each command.
count=0
for command in proxy list create 'toxic add' 'toxic update' 'toxic remove' suite 'agent serve' 'agent ask' service \
    stress; do
    # shellcheck disable=SC2086 # two words
    for option in $(duress $command --help 2>&1 | grep -oE '^  --?[a-zA-Z][a-zA-Z-]*'); do
        COMP_LINE="duress $command $option"
        COMP_POINT=${#COMP_LINE}
        _duress
        expect "$COMP_LINE" eval 'printf "%s\n" "${COMPREPLY[@]}" | grep -qxF -- "$option"'
        count=$((count + 1))
    done
done
expect "$count options" [ $count -ge 80 ]

# Names are the daemon's, types those that it has and that docs/toxics.md describes.
export TOXIPROXY_URL=localhost:$API_PORT
for name in web redis red; do
    duress create --listen localhost:0 --upstream localhost:1 "$name" >/dev/null || failed "create $name"
done
completes 'duress inspect re' red redis
completes 'toxiproxy-cli toggle ' red redis web
completes 'duress toxic remove --toxicName x w' web
TOXIPROXY_URL=localhost:1 completes 'duress inspect '
TOXIPROXY_URL=localhost:1 completes "duress inspect --host $TOXIPROXY_URL w" web
described=$(sed -n '/^## One by one/,$s/^### //p' "$here/../../docs/toxics.md")
# shellcheck disable=SC2086 # several words
completes 'duress toxic add --type ' $described
for type in $described; do
    duress toxic add --type "$type" --toxicName "$type" red >"$folder/out" 2>&1
    expect "$type is known: $(cat "$folder/out")" eval '! says "invalid toxic type"'
done
duress toxic add --type parrot red >"$folder/out" 2>&1
expect 'parrot is not' says 'invalid toxic type'
finish 'bash completes commands, options, values and names'
