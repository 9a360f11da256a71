#!/bin/sh
# promtool, the linter of Prometheus, on what /metrics says after traffic of every sort, and on the alert rules.
# The last line is "N passed, N failed".
set -eu
cd "$(dirname "$0")/../.."

name=test-metrics
. tests/demo.sh
need cargo curl
promtool=$(command -v promtool || printf %s "$target/tools/promtool")
[ -x "$promtool" ] || give_up "promtool is missing; install it, or run scripts/setup.sh metrics"

cargo build --quiet
start_demo
sandbox=$(sed -n 's|.*simulated providers at http://\([^ ]*\)\.$|\1|p' "$work/demo")

# The demo has neither keys nor passthrough nor spans: a second proxy before the same providers has all of it. Nobody
# listens on port 1, so that one provider cannot be reached and spans are dropped.
hash=$(printf %s key | sha256sum | cut -d ' ' -f 1)
cat >"$work/config.yaml" <<EOF
listen: 127.0.0.1:0
admin: 127.0.0.1:0
drain: 10ms
traces: {endpoint: "http://127.0.0.1:1", sample: 1}
client_auth: {keys: [{name: web, sha256: "$hash", providers: [openai, runway, gone]}]}
passthrough: {upstreams: ["http://$sandbox"]}
providers:
  openai: {base_url: "http://$sandbox/openai/v1", credentials: {api_key: k}}
  runway: {base_url: "http://$sandbox/runway/v1", credentials: {api_key: k}}
  gone: {kind: openai, base_url: "http://127.0.0.1:1", retries: 0}
  other: {kind: openai, base_url: "http://127.0.0.1:1"}
EOF
"$target/debug/vidgate" serve --config "$work/config.yaml" >"$work/serve" 2>&1 </dev/null &
serve=$!
trap 'kill -INT "$serve" 2>/dev/null || true; stop_demo; rm -rf "$work"' EXIT

# Where it says it listens: address TEXT
address() { sed -n "s|.*\"message\":\"$1\",\"address\":\"\([^\"]*\)\".*|\1|p" "$work/serve" | head -n 1; }
tries=0
until [ -n "$(address 'admin listener')" ] && curl -sf "http://$(address 'admin listener')/readyz" >/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] && kill -0 "$serve" 2>/dev/null || { cat "$work/serve" >&2; give_up "the proxy did not start"; }
    sleep 0.1
done

passed=0
failed=0
result() {
    if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# Whether an answer has one of these statuses: ask STATUSES URL [OPTION…]
ask() {
    wanted=$1 url=$2
    shift 2
    status=$(curl -s -o /dev/null -w '%{http_code}' --max-time 20 "$@" "$url")
    case " $wanted " in
        *" $status "*) result 0 ;;
        *) say "$url answered $status, not $wanted"; result 1 ;;
    esac
}

# Every example of the demo, twice: calls, and answers of the cache.
grep -o 'http://[^ ]*/v1/videos/[^ ]*' "$work/demo" | while read -r url; do
    curl -s -o /dev/null "$url" && curl -s -o /dev/null "$url"
done
public=http://$(address listening)
for code in 00 01 02 07 40 44 48 52 60; do
    ask '200 400 404 429 502' "$public/v1/videos/video_7c3e9a51d2f84b06a1e5c0d94f7b28$code:openai" -H 'x-api-key: key'
done
ask 502 "$public/v1/videos/video_1:gone" -H 'x-api-key: key'
ask 400 "$public/v1/videos/video_1:nobody" -H 'x-api-key: key'
ask 403 "$public/v1/videos/video_1:other" -H 'x-api-key: key'
ask 401 "$public/v1/videos/video_1:openai"
ask '200 404' "$public/elsewhere" -H 'x-api-key: key'

# Its complaints go to standard error; with any, it ends badly.
lint() {
    say "promtool check metrics: $1"
    status=0
    curl -sf "http://$2/metrics" >"$work/metrics"
    "$promtool" check metrics <"$work/metrics" || status=$?
    result "$status"
}
tries=0
until curl -s "http://$(address 'admin listener')/metrics" | grep -q '^vidgate_spans_dropped_total [1-9]'; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || give_up "no span was dropped"
    sleep 0.1
done
lint "the demo" "$(admin)"
lint "a proxy with everything" "$(address 'admin listener')"

say "promtool check rules"
status=0
"$promtool" check rules deploy/prometheus-rules.yaml || status=$?
result "$status"

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
