#!/bin/sh
# Installs what building needs besides Rust: a C compiler and cmake. With the argument "sdk" also what the SDK tests
# need: Python 3 with venv, Node.js and npm; with "openapi" the Python part of that; with "browser" Chromium, Node.js
# and npm; with "metrics" curl and promtool, the linter of Prometheus; with "bench" that Python, nginx, wrk, h2load and
# openssl; with "counts" that Python and valgrind. Takes several of these at once. Says nothing and changes nothing when
# all of it is there, else how long it took.
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

give_up() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

has_compiler() { has cc || has gcc || has clang; }
# Debian ships python3 without what venv needs.
has_venv() { has python3 && python3 -c 'import venv, ensurepip' 2>/dev/null; }

# Debian has promtool and nginx only in packages whose service would be started: the programs alone are put here.
tools=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/tools
has_promtool() { has promtool || [ -x "$tools/promtool" ]; }
# It may be where only root looks for programs; and one that was put here may lack a library.
has_nginx() { has nginx || [ -x /usr/sbin/nginx ] || "$tools/nginx" -v >/dev/null 2>&1; }

has_browser() { "$(dirname "$0")/chromium.sh" >/dev/null; }

# Whether any argument after the first is the first one.
among() {
    word=$1
    shift
    for other in "$@"; do [ "$word" != "$other" ] || return 0; done
    return 1
}

missing() {
    has_compiler || printf 'compiler '
    has cmake || printf 'cmake '
    { among sdk "$@" || among openapi "$@" || among bench "$@" || among counts "$@"; } && { has_venv || printf 'python '; }
    { among sdk "$@" || among browser "$@"; } && { { has node && has npm; } || printf 'node '; }
    among browser "$@" && { has_browser || printf 'browser '; }
    among metrics "$@" && { has curl || printf 'curl '; }
    among metrics "$@" && { has_promtool || printf 'promtool '; }
    among bench "$@" && { has_nginx || printf 'nginx '; }
    for tool in wrk h2load openssl; do
        among bench "$@" && { has "$tool" || printf '%s ' "$tool"; }
    done
    among counts "$@" && { has valgrind || printf 'valgrind '; }
    return 0
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        give_up "run this as root: $*"
    fi
}

# The names of packages for what is missing: packages COMPILER CMAKE PYTHON NODE BROWSER PROMTOOL H2LOAD NGINX
packages() {
    for need in $needs; do
        case $need in
            compiler) printf '%s ' "$1" ;;
            cmake) printf '%s ' "$2" ;;
            python) printf '%s ' "$3" ;;
            node) printf '%s ' "$4" ;;
            browser) printf '%s ' "$5" ;;
            promtool) printf '%s ' "$6" ;;
            h2load) printf '%s ' "$7" ;;
            nginx) printf '%s ' "$8" ;;
            curl | valgrind | wrk | openssl) printf '%s ' "$need" ;;
        esac
    done
}

# Runs a command of apt where the lists are fresh enough, else after an update, which is tried twice.
with_lists() {
    "$@" >/dev/null 2>&1 && return
    as_root apt-get update -qq || as_root apt-get update -qq
    "$@"
}

apt_install() {
    [ $# -gt 0 ] || return 0
    with_lists as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# Takes a program out of its package, without installing that: unpack PACKAGE FILE
unpack() {
    folder=$(mktemp -d)
    (cd "$folder" && with_lists apt-get download "$1" && dpkg -x "$1"_*.deb .)
    mkdir -p "$tools"
    mv "$folder/$2" "$tools/"
    libraries=$(dpkg-deb -f "$folder/$1"_*.deb Depends | tr ',' '\n' | sed -n 's/^ *\(lib[^ ]*\).*/\1/p')
    rm -rf "$folder"
}

# nginx needs a few libraries that a small system may lack.
unpack_nginx() {
    unpack nginx usr/sbin/nginx
    # shellcheck disable=SC2086
    has_nginx || apt_install $libraries
}

install() {
    # Names of packages hold no spaces, so the lists below are split on purpose.
    # shellcheck disable=SC2046,SC2086
    if has apt-get; then
        apt_install $(packages 'gcc libc6-dev' cmake 'python3 python3-venv' 'nodejs npm' chromium '' nghttp2-client '')
        ! among promtool $needs || unpack prometheus usr/bin/promtool
        ! among nginx $needs || unpack_nginx
    elif has dnf; then
        as_root dnf install -y $(packages 'gcc' cmake python3 'nodejs npm' chromium '' nghttp2 nginx)
    elif has apk; then
        as_root apk add $(packages 'gcc musl-dev make' cmake python3 'nodejs npm' chromium prometheus nghttp2 nginx)
    elif [ "$(uname -s)" = Darwin ]; then
        has_compiler || give_up "run: xcode-select --install"
        has brew || give_up "install these by hand, or Homebrew first: $needs"
        ! among valgrind $needs || give_up "valgrind does not run on macOS: count on Linux"
        ! among browser $needs || give_up "install Google Chrome, and set CHROMIUM to the program inside it"
        brew install $(packages '' cmake python node '' prometheus nghttp2 nginx)
    else
        give_up "install these with your package manager: $needs"
    fi
}

has cargo || give_up "install Rust (see https://rustup.rs), then try again"
needs=$(missing "$@")
if [ -n "$needs" ]; then
    printf 'setup: installing what is missing: %s\n' "$needs" >&2
    started=$(date +%s)
    install >&2
    printf 'setup: installed in %s s\n' "$(($(date +%s) - started))" >&2
    needs=$(missing "$@")
    [ -z "$needs" ] || give_up "still missing, install by hand: $needs"
fi
