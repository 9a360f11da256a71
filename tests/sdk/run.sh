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

# Each SDK is installed anew only when its pinned version changes. For Node that is the last major version which
# runs on Node 18, as distributions have it. There is no lock file: it would name a registry.
python_tools "the Python SDK" tests/sdk/requirements.txt "$sdk"
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
