#!/bin/sh
# Installs what building needs besides Rust: a C compiler and cmake. With the argument "sdk" also what the SDK tests
# need: Python 3 with venv, Node.js and npm; with "openapi" the Python part of that. Says nothing and changes nothing
# when all of it is there.
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

give_up() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

has_compiler() { has cc || has gcc || has clang; }
# Debian ships python3 without what venv needs.
has_venv() { has python3 && python3 -c 'import venv, ensurepip' 2>/dev/null; }

missing() {
    has_compiler || printf 'compiler '
    has cmake || printf 'cmake '
    case ${1-} in sdk | openapi) has_venv || printf 'python ' ;; esac
    case ${1-} in sdk) { has node && has npm; } || printf 'node ' ;; esac
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

# The names of packages for what is missing: packages COMPILER CMAKE PYTHON NODE
packages() {
    for need in $needs; do
        case $need in
            compiler) printf '%s ' "$1" ;;
            cmake) printf '%s ' "$2" ;;
            python) printf '%s ' "$3" ;;
            node) printf '%s ' "$4" ;;
        esac
    done
}

apt_install() {
    # Alone where the lists are fresh enough, else after an update, which is tried twice.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null 2>&1 && return
    as_root apt-get update -qq || as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

install() {
    # Names of packages hold no spaces, so the lists below are split on purpose.
    # shellcheck disable=SC2046
    if has apt-get; then
        apt_install $(packages 'gcc libc6-dev' cmake 'python3 python3-venv' 'nodejs npm')
    elif has dnf; then
        as_root dnf install -y $(packages 'gcc' cmake python3 'nodejs npm')
    elif has apk; then
        as_root apk add $(packages 'gcc musl-dev make' cmake python3 'nodejs npm')
    elif [ "$(uname -s)" = Darwin ]; then
        has_compiler || give_up "run: xcode-select --install"
        has brew || give_up "install these by hand, or Homebrew first: $needs"
        brew install $(packages '' cmake python node)
    else
        give_up "install these with your package manager: $needs"
    fi
}

has cargo || give_up "install Rust (see https://rustup.rs), then try again"
needs=$(missing "$@")
if [ -n "$needs" ]; then
    printf 'setup: installing what is missing: %s\n' "$needs" >&2
    install >&2
    needs=$(missing "$@")
    [ -z "$needs" ] || give_up "still missing, install by hand: $needs"
fi
