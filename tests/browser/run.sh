#!/bin/sh
# Chromium plays videos of the demo through the proxy and seeks in them. Installs playwright-core below target/browser
# once, which drives the Chromium of the machine; later runs need no network. CHROMIUM names another one.
# The last line is "N passed, N failed".
set -eu
cd "$(dirname "$0")/../.."

name=test-browser
. tests/demo.sh
need cargo node npm
chromium=$(scripts/chromium.sh) || give_up "no Chromium runs here; install one, set CHROMIUM, or run scripts/setup.sh browser"
mkdir -p "$target/browser"
place=$(cd "$target/browser" && pwd)

# The last version which runs on Node 18, as distributions have it.
node_tools playwright-core tests/browser/package.json "$place"

cargo build --quiet
start_demo
node "$place/tests/play.mjs" "$work" "$chromium" "$target/debug/vidgate" src/sandbox/media/video.mp4 </dev/null
