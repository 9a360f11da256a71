#!/bin/sh
# The official OpenAI SDKs, as they are, against the demo. Installs them below target/sdk once; later runs need no network.
# The last line is "N passed, N failed".
set -eu
cd "$(dirname "$0")/../.."

name=test-sdk
. tests/demo.sh
need cargo python3 node npm
mkdir -p "$target/sdk"
sdk=$(cd "$target/sdk" && pwd)

# For Node the last major version which runs on Node 18, as distributions have it.
python_tools "the Python SDK" tests/sdk/requirements.txt "$sdk"
node_tools "the Node SDK" tests/sdk/package.json "$sdk/node"

cargo build --quiet

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

python() { PYTHONDONTWRITEBYTECODE=1 "$sdk/venv/bin/python" "$@"; }

# What the demo says decides what is tested: every example job it prints.
# Each of these has a demo of its own, so that each sees its jobs from the start.
start_demo
for kind in $("$target/debug/vidgate" providers | sed -n 's/^\([a-z][^ ]*\) .*/\1/p'); do
    grep -q ":$kind\$" "$work/demo" || give_up "the demo has no example job of $kind"
done
say "Python SDK"
count python tests/sdk/poll.py "$work/demo"
stop_demo

start_demo
say "Node SDK"
count node "$sdk/node/tests/retrieve.mjs" "$work/demo"
stop_demo

start_demo
say "downloads with both"
count python tests/sdk/download.py "$work/demo" src/sandbox/media "$work"
count node "$sdk/node/tests/download.mjs" "$work/demo" src/sandbox/media

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
