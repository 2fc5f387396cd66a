#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_client.sh python|node|go|java PROGRAM FOLDER: a client library of Toxiproxy's that we did not write, installed
# by its language's ordinary tool below FOLDER, against our daemon. Ends with 77, and the reason, where it cannot be
# had.
set -u
here=$(dirname "$(readlink -f "$0")")
language=$1
program=$2
folder=$3/$1
python_package=toxiproxy-python==0.1.1
node_package=toxiproxy-node-client@4.1.0
java_package=eu.rekawek.toxiproxy:toxiproxy-java:2.1.7
go_package=github.com/Shopify/toxiproxy/v2@v2.12.0

skip() {
    echo "skipped: $*"
    exit 77
}
# quietly COMMAND...: its output goes to the log, whose last line is the reason for a skip.
quietly() { timeout 300 "$@" >"$folder.log" 2>&1 </dev/null; }
reason() { grep -v '^ *$' "$folder.log" | tail -n 1; }
ready() { [ "$(cat "$folder/package" 2>/dev/null)" = "$1" ]; }

setup_python() {
    command -v python3 >/dev/null || skip "there is no Python"
    rm -rf "$folder"
    quietly python3 -m venv "$folder" || skip "no virtual environment: $(reason)"
    quietly "$folder/bin/python" -m pip install -q --disable-pip-version-check --no-input "$python_package" ||
        skip "$python_package cannot be installed: $(reason)"
}
setup_node() {
    command -v npm >/dev/null || skip "there is no npm"
    node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' || skip "$node_package needs Node 18 or later"
    rm -rf "$folder"
    mkdir -p "$folder"
    echo '{"private": true}' >"$folder/package.json"
    quietly npm --prefix "$folder" install --no-audit --no-fund --ignore-scripts "$node_package" ||
        skip "$node_package cannot be installed: $(reason)"
}
setup_go() {
    command -v go >/dev/null || skip "there is no Go"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$here/clients/client.go" "$folder/"
    (
        cd "$folder" || exit 1
        quietly go mod init compat && quietly go get "$go_package" && quietly go build -o client client.go
    ) || skip "$go_package cannot be built: $(reason)"
}

setup_java() {
    command -v mvn >/dev/null && command -v java >/dev/null || skip "there is no Java with Maven"
    java --source 11 --version >"$folder.log" 2>&1 || skip "Java 11 or later is needed: $(reason)"
    rm -rf "$folder"
    mkdir -p "$folder"
    local artifact
    for artifact in "$java_package" com.google.code.gson:gson:2.8.9; do
        quietly mvn -q -B dependency:copy -Dartifact="$artifact" -DoutputDirectory="$folder" -Dmdep.stripVersion=true ||
            skip "$artifact cannot be had: $(reason)"
    done
}

mkdir -p "$3"
exec 9>"$folder.lock"
flock -w 400 9 || skip "another run sets up $folder"
package=${language}_package
wanted="${!package} $(cksum "$here/clients/client.go")"
[ "$language" = go ] || wanted=${!package}
if ! ready "$wanted"; then
    "setup_$language"
    echo "$wanted" >"$folder/package"
fi
exec 9>&-

case $language in
    python) set -- "$folder/bin/python" "$here/clients/client.py" ;;
    node)
        cp "$here/clients/client.js" "$folder/client.js"
        set -- node "$folder/client.js"
        ;;
    go) set -- "$folder/client" ;;
    java) set -- java -cp "$folder/toxiproxy-java.jar:$folder/gson.jar" "$here/clients/Client.java" ;;
esac
"$here/with_daemon.sh" "$program" timeout 120 "$@"
