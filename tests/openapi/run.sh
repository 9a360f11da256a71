#!/bin/sh
# Schemathesis against the demo: requests made from docs/openapi.json, as the admin address serves it, and answers held
# against it. Installs it below target/openapi once; later runs need no network. Bounded by the number of examples.
set -eu
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/openapi"
place=$(cd "$target/openapi" && pwd)

say() { printf 'test-openapi: %s\n' "$*" >&2; }
give_up() { say "$*"; exit 1; }

for tool in cargo python3; do
    command -v "$tool" >/dev/null 2>&1 || give_up "$tool is missing; install it"
done

# Installed anew only when the pinned version changes.
if ! cmp -s tests/openapi/requirements.txt "$place/requirements.txt"; then
    say "installing Schemathesis"
    rm -rf "$place/venv"
    python3 -m venv "$place/venv" || give_up "python3 cannot make a virtual environment; install its venv module (Debian: python3-venv)"
    "$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/openapi/requirements.txt
    cp tests/openapi/requirements.txt "$place/requirements.txt"
fi

cargo build --quiet

work=$(mktemp -d)
: >"$work/demo"
"$target/debug/vidgate" demo --listen 127.0.0.1:0 --admin 127.0.0.1:0 >"$work/demo" 2>"$work/log" </dev/null &
demo=$!
# An interrupt ends it at once; on SIGTERM it would drain first.
trap 'kill -INT "$demo" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

admin() { sed -n 's|^The admin address is http://\(.*\)\.$|\1|p' "$work/demo"; }
tries=0
until grep -q 'Ctrl-C stops it' "$work/demo" && "$target/debug/vidgate" health --admin "$(admin)" >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge 100 ] || ! kill -0 "$demo" 2>/dev/null; then
        cat "$work/demo" "$work/log" >&2
        give_up "the demo did not start"
    fi
    sleep 0.1
done
proxy=$(sed -n 's|^The proxy is at \(http://[^, ]*\),.*|\1|p' "$work/demo")

# Its own reports and caches belong below target, not beside the sources.
checks=status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance
checks=$checks,unsupported_method,no_fault_of_the_proxy,the_envelope_says_the_status
hooks=$PWD/tests/openapi
cd "$place"
VIDGATE_DEMO="$work/demo" PYTHONPATH="$hooks" PYTHONDONTWRITEBYTECODE=1 SCHEMATHESIS_HOOKS=hooks \
    "$place/venv/bin/schemathesis" run "http://$(cd - >/dev/null && admin)/openapi.json" --url "$proxy" \
    --checks "$checks" --phases examples,coverage,fuzzing --mode all --max-examples "${EXAMPLES:-200}" \
    --generation-deterministic --request-timeout 20 --warnings off --no-color
