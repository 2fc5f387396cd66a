#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# check_install.sh WAY BUILD SOURCE CC: installs BUILD into a fresh folder with DESTDIR, moves it elsewhere, and builds
# and runs a user's programs against it. WAY: pkg_config, find_package, headers; or add_subdirectory, which installs
# nothing.
set -eu
way=$1
build=$2
source=$3
cc=$4
here=$source/tests/install
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
flags=(-std=c17 -Wall -Wextra -Wpedantic -Werror)

fail() {
    echo "install: $*" >&2
    exit 1
}
quietly() { "$@" >"$folder/log" 2>&1 || {
    cat "$folder/log"
    fail "failed: $*"
}; }

install_and_move() {
    quietly env DESTDIR="$folder/destdir" cmake --install "$build"
    local installed
    installed=$(find "$folder/destdir" -type d -path '*/include/duress' | head -1)
    [ -n "$installed" ] || fail "no headers were installed"
    mv "${installed%/include/duress}" "$folder/prefix"
    [ -z "$(find "$folder/destdir" ! -type d)" ] || fail "files outside the prefix: $(find "$folder/destdir" -type f)"
    library_dir=$(dirname "$(find "$folder/prefix" -name libduress.so)")
    export PKG_CONFIG_PATH=$library_dir/pkgconfig
}

# run APP HTTP_APP CHAOS_APP: all work, and the last shows its faults in both worlds.
run() {
    [ "$("$1")" = hello ] || fail "$1 did not say hello"
    [ "$("$2")" = hello ] || fail "$2 did not say hello"
    quietly "$3" --seeds 5
    grep -q '^2 passed, 0 failed, 0 skipped$' "$folder/log" || {
        cat "$folder/log"
        fail "$3 has another verdict"
    }
}

check_pkg_config() {
    install_and_move
    "$folder/prefix/bin/duress" version | grep -q '^duress [0-9]' || fail "the installed program does not run"
    pkg-config --validate duress
    pkg-config --validate duress-http
    pkg-config --validate duress-chaos
    # shellcheck disable=SC2046 # flags are words
    quietly "$cc" "${flags[@]}" "$here/app.c" -o "$folder/app" $(pkg-config --cflags --libs duress)
    # shellcheck disable=SC2046
    quietly "$cc" "${flags[@]}" "$here/http_app.c" -o "$folder/http_app" $(pkg-config --cflags --libs duress-http)
    # shellcheck disable=SC2046
    quietly "$cc" "${flags[@]}" "$here/chaos_app.c" -o "$folder/chaos_app" $(pkg-config --cflags --libs duress-chaos)
    LD_LIBRARY_PATH=$library_dir run "$folder/app" "$folder/http_app" "$folder/chaos_app"

    rm "$library_dir"/*.so*
    # shellcheck disable=SC2046
    quietly "$cc" "${flags[@]}" "$here/app.c" -o "$folder/app_static" \
        $(pkg-config --static --cflags --libs duress)
    # shellcheck disable=SC2046
    quietly "$cc" "${flags[@]}" "$here/http_app.c" -o "$folder/http_app_static" \
        $(pkg-config --static --cflags --libs duress-http)
    # shellcheck disable=SC2046
    quietly "$cc" "${flags[@]}" "$here/chaos_app.c" -o "$folder/chaos_app_static" \
        $(pkg-config --static --cflags --libs duress-chaos)
    run "$folder/app_static" "$folder/http_app_static" "$folder/chaos_app_static"
}

check_find_package() {
    install_and_move
    for kind in shared static; do
        quietly cmake -S "$here/find_package" -B "$folder/$kind" -G Ninja -DCMAKE_C_COMPILER="$cc" -DKIND=$kind \
            -DCMAKE_PREFIX_PATH="$folder/prefix"
        quietly cmake --build "$folder/$kind"
        run "$folder/$kind/app" "$folder/$kind/http_app" "$folder/$kind/chaos_app"
    done
    ! ldd "$folder/static/chaos_app" | grep -q libduress || fail "the static program needs a shared libduress"
    ldd "$folder/shared/chaos_app" | grep -q libduress-chaos || fail "the shared program uses no libduress-chaos.so"
}

check_add_subdirectory() {
    quietly cmake -S "$here/add_subdirectory" -B "$folder/inside" -G Ninja -DCMAKE_C_COMPILER="$cc" \
        -DCMAKE_BUILD_TYPE=Debug -DDURESS_SOURCE="$source"
    quietly cmake --build "$folder/inside"
    [ -z "$(find "$folder/inside" -name duress_suite.dir -prune -o -name 'test_*' -print)" ] ||
        fail "duress's own tests were built in a user's tree"
    run "$folder/inside/app" "$folder/inside/http_app" "$folder/inside/chaos_app_static"
}

# Each header stands alone, in strict C17 and in C++ where there is a compiler for it; none of the inner ones is there.
check_headers() {
    install_and_move
    local count=0 header languages=("$cc -std=c17 -x c")
    if command -v c++ >/dev/null; then
        languages+=("c++ -std=c++17 -x c++")
    fi
    while IFS= read -r header; do
        for language in "${languages[@]}"; do
            # shellcheck disable=SC2086 # a command and its options
            quietly $language -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$folder/prefix/include" - \
                <<<"#include <$header>"
        done
        count=$((count + 1))
    done < <(cd "$folder/prefix/include" && find duress -name '*.h' | sort)
    [ "$count" -gt 20 ] || fail "only $count headers were installed"
    for inner in base loop proxy; do
        [ ! -e "$folder/prefix/include/duress/$inner" ] || fail "headers of $inner/ were installed"
    done
    [ -z "$(find "$folder/prefix/include" -name '*_loop.h')" ] || fail "an inner header was installed"
    for shared in man/man1/{duress,duress-proxy,duress-agent,duress-suite,toxiproxy-server,toxiproxy-cli}.1 \
        bash-completion/completions/{duress,toxiproxy-server,toxiproxy-cli}; do
        [ -s "$folder/prefix/share/$shared" ] || fail "share/$shared was not installed"
    done
    echo "$count headers"
}

"check_$way"
