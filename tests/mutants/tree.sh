#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts of this folder share: processes that end with them, and a copy of the tree that they may break.
# Sourced, with $root (the project) and $work (where the copy is kept, below build/) set.

# --- processes: each in a group of its own, so that whatever ends this script ends all of them ---

set -m
child=
run() {
    "$@" </dev/null &
    child=$!
    local status=0
    wait "$child" || status=$?
    child=
    return "$status"
}
leave() {
    trap '' INT TERM HUP
    if [ -n "$child" ]; then
        kill -TERM -- "-$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    exit "$1"
}
trap 'leave 130' INT
trap 'leave 143' TERM HUP

# --- the tree: a copy, so that the checkout is never broken ---

# A file whose content is the same keeps its time, and so its object. One that an interrupted run left broken is written
# anew, and so is built anew.
tree_sync() { # tree_sync PATH...
    rm -rf "$work/tree.new"
    mkdir -p "$work/tree.new" "$work/tree"
    (cd "$root" && tar cf - "$@") | tar xf - -m -C "$work/tree.new"
    local file
    (cd "$work/tree.new" && find . -type f) | while read -r file; do
        cmp -s "$work/tree.new/$file" "$work/tree/$file" && continue
        mkdir -p "$(dirname "$work/tree/$file")"
        mv "$work/tree.new/$file" "$work/tree/$file"
        touch "$work/tree/$file"
        echo "$file" >>"$work/tree.new/.kept"
    done
    (cd "$work/tree" && find . -type f) | while read -r file; do
        [ -f "$work/tree.new/$file" ] || grep -qxF "$file" "$work/tree.new/.kept" 2>/dev/null || rm "$work/tree/$file"
    done
    rm -rf "$work/tree.new"
}
# One run at a time.
tree_lock() {
    mkdir -p "$work"
    exec 9>"$work/lock"
    flock -n 9 || { echo "another run is using $work" >&2; exit 1; }
}
