#!/bin/sh
# The official OpenAI SDKs, as they are, against the demo. Installs them below target/sdk once; later runs need no network.
# The last line is "N passed, N failed".
set -eu
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/sdk"
sdk=$(cd "$target/sdk" && pwd)

say() { printf 'test-sdk: %s\n' "$*" >&2; }
give_up() { say "$*"; exit 1; }

for tool in cargo python3 node npm; do
    command -v "$tool" >/dev/null 2>&1 || give_up "$tool is missing; install it (the SDKs need Python 3 with venv, Node.js and npm)"
done

# Each SDK is installed anew only when its pinned version changes. For Node that is the last major version which
# runs on Node 18, as distributions have it. There is no lock file: it would name a registry.
if ! cmp -s tests/sdk/requirements.txt "$sdk/requirements.txt"; then
    say "installing the Python SDK"
    rm -rf "$sdk/venv"
    python3 -m venv "$sdk/venv" || give_up "python3 cannot make a virtual environment; install its venv module (Debian: python3-venv)"
    "$sdk/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/sdk/requirements.txt
    cp tests/sdk/requirements.txt "$sdk/requirements.txt"
fi
mkdir -p "$sdk/node"
if ! cmp -s tests/sdk/package.json "$sdk/node/installed.json"; then
    say "installing the Node SDK"
    cp tests/sdk/package.json "$sdk/node/package.json"
    (cd "$sdk/node" && npm install --silent --no-audit --no-fund --no-package-lock)
    cp tests/sdk/package.json "$sdk/node/installed.json"
fi
# A module finds its dependencies beside itself.
cp tests/sdk/retrieve.mjs "$sdk/node/retrieve.mjs"

cargo build --quiet

work=$(mktemp -d)
demo=
stop_demo() {
    [ -n "$demo" ] || return 0
    # An interrupt ends it at once; on SIGTERM it would drain first.
    kill -INT "$demo" 2>/dev/null || true
    wait "$demo" 2>/dev/null || true
    demo=
}
trap 'stop_demo; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Whether the address that the demo has printed takes connections.
answers() {
    address=$(sed -n 's|^The proxy is at http://\([^, ]*\).*|\1|p' "$work/demo")
    python3 -c 'import socket, sys; socket.create_connection(sys.argv[1].rsplit(":", 1), 1)' "$address" 2>/dev/null
}

start_demo() {
    : >"$work/demo"
    "$target/debug/vidgate" demo --listen 127.0.0.1:0 >"$work/demo" 2>"$work/log" </dev/null &
    demo=$!
    tries=0
    until grep -q 'Ctrl-C stops it' "$work/demo" && answers; do
        tries=$((tries + 1))
        if [ "$tries" -ge 100 ] || ! kill -0 "$demo" 2>/dev/null; then
            cat "$work/demo" "$work/log" >&2
            give_up "the demo did not start"
        fi
        sleep 0.1
    done
}

passed=0
failed=0
# Runs a command whose last line is "N passed, N failed", and adds that up.
count() {
    status=0
    "$@" >"$work/out" 2>&1 </dev/null || status=$?
    cat "$work/out"
    line=$(tail -n 1 "$work/out")
    case $line in
        *' passed, '*' failed')
            passed=$((passed + ${line%% *}))
            rest=${line#*, }
            failed=$((failed + ${rest%% *}))
            # A program that counts no failure and still ends badly has failed.
            if [ "$status" -ne 0 ] && [ "${rest%% *}" = 0 ]; then failed=$((failed + 1)); fi
            ;;
        *) failed=$((failed + 1)) ;;
    esac
}

# What the demo says decides what is tested: every example job it prints.
# Each SDK has a demo of its own, so that each sees its jobs from the start.
start_demo
say "Python SDK"
count "$sdk/venv/bin/python" tests/sdk/poll.py "$work/demo"
stop_demo

start_demo
say "Node SDK"
count node "$sdk/node/retrieve.mjs" "$work/demo"

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
