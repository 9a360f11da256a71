# Sourced by the scripts that run real clients against the demo, at the top of the checkout, after they set `name`.
# shellcheck shell=sh

target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
demo=

say() { printf '%s: %s\n' "$name" "$*" >&2; }
give_up() { say "$*"; exit 1; }

# Each argument is a program that must be there.
need() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 || give_up "$tool is missing; install it, or run scripts/setup.sh"
    done
}

# python_tools WHAT REQUIREMENTS FOLDER: a virtual environment at FOLDER/venv, made anew only when the requirements change.
python_tools() {
    cmp -s "$2" "$3/requirements.txt" && return
    say "installing $1"
    rm -rf "$3/venv"
    python3 -m venv "$3/venv" || give_up "python3 cannot make a virtual environment; install its venv module (Debian: python3-venv)"
    "$3/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2"
    cp "$2" "$3/requirements.txt"
}

# node_tools WHAT PACKAGE_JSON FOLDER: its dependencies in FOLDER/node_modules, installed anew only when it changes, and
# the tests beside it in FOLDER/tests, since a module finds its dependencies above itself. There is no lock file: it
# would name a registry.
node_tools() {
    mkdir -p "$3"
    if ! cmp -s "$2" "$3/installed.json"; then
        say "installing $1"
        cp "$2" "$3/package.json"
        (cd "$3" && npm install --silent --no-audit --no-fund --no-package-lock)
        cp "$2" "$3/installed.json"
    fi
    rm -rf "$3/tests"
    mkdir "$3/tests"
    cp tests/demo.mjs "$3/demo.mjs"
    cp "$(dirname "$2")"/*.mjs "$3/tests"
}

stop_demo() {
    [ -n "$demo" ] || return 0
    # An interrupt ends it at once; on SIGTERM it would drain first.
    kill -INT "$demo" 2>/dev/null || true
    wait "$demo" 2>/dev/null || true
    demo=
}
trap 'stop_demo; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Where the demo that runs now serves, and its admin listener.
proxy() { sed -n 's|^The proxy is at http://\([^, ]*\),.*|\1|p' "$work/demo"; }
admin() { sed -n 's|^The admin address is http://\(.*\)\.$|\1|p' "$work/demo"; }

# Waits until it is ready. What it printed is in $work/demo, its log in $work/log.
start_demo() {
    : >"$work/demo"
    "$target/debug/vidgate" demo --listen 127.0.0.1:0 --admin 127.0.0.1:0 >"$work/demo" 2>"$work/log" </dev/null &
    demo=$!
    tries=0
    until grep -q 'Ctrl-C stops it' "$work/demo" && "$target/debug/vidgate" health --admin "$(admin)" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -ge 100 ] || ! kill -0 "$demo" 2>/dev/null; then
            cat "$work/demo" "$work/log" >&2
            give_up "the demo did not start"
        fi
        sleep 0.1
    done
}
