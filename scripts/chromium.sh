#!/bin/sh
# Prints the path of a Chromium or Chrome: $CHROMIUM, else whichever of the usual names runs. Ubuntu's package is a stub
# that only asks for a snap, hence the try.
set -eu

for browser in ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome; do
    if "$browser" --version >/dev/null 2>&1; then
        command -v "$browser"
        exit
    fi
done
exit 1
