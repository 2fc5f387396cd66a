#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_exports.sh SONAME LIBRARY PREFIXES HEADER_FOLDER...: the shared library exports names with our prefixes
# (a regular expression) and no others, every function that its headers promise, and carries its soname.
set -eu
soname=$1
library=$2
prefixes=$3
shift 3
status=0
exported=$(nm -D --defined-only "$library" | awk '{ print $NF }' | sort -u)

foreign=$(grep -vE "^($prefixes)_" <<<"$exported" || true)
[ -z "$foreign" ] || {
    echo "symbols: $library exports what is not ours:" $foreign
    status=1
}

# A declaration ends with a semicolon; its name is the first word before a parenthesis.
promised=$(find "$@" -name '*.h' ! -name '*_loop.h' -print0 | xargs -0 cat |
    sed -e '/^ *#/d' -e 's://.*$::' | tr '\n' ' ' | sed -e 's:/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/: :g' -e 's/[;{}]/\n/g' |
    sed -nE 's/^.*DURESS_API//p' | grep -oE "^[^(]*\(" | grep -oE "[a-z0-9_]+\($" | tr -d '(' | sort -u)
[ "$(wc -w <<<"$promised")" -ge 5 ] || {
    echo "symbols: found hardly a public function in the headers: $promised"
    status=1
}
lacking=$(comm -13 <(printf '%s\n' "$exported") <(printf '%s\n' "$promised"))
[ -z "$lacking" ] || {
    echo "symbols: public headers promise what $library does not export:" $lacking
    status=1
}

seen=$(readelf -d "$library" | sed -n 's/.*SONAME.*\[\(.*\)\].*/\1/p')
[ "$seen" = "$soname" ] || {
    echo "symbols: the soname of $library is '$seen', not '$soname'"
    status=1
}
exit $status
