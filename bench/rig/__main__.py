"""The load rig: starts everything, drives it, says what came out, and writes it to bench/results."""

import datetime
import signal
import sys
import time

import arguments
import machine
import peers
import report
from gateways import Gateways, House
from load import Load
from plan import SECTIONS, At, Results
from process import raise_file_limit


def main():
    options = arguments.parse()
    # So that what was started is stopped then, too. A shell that starts this in the background has SIGINT ignored.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    files = raise_file_limit()
    begun, when = time.monotonic(), datetime.datetime.now(datetime.timezone.utc)
    say = lambda text: print(f"{time.monotonic() - begun:6.0f} s  {text}", file=sys.stderr, flush=True)
    if options.peers:
        peers.install(options.peers_folder, say)
    load = Load(clients=options.clients, seconds=options.seconds)
    results = Results()
    with House(options) as house:
        at = At(Gateways(house), load, options.rounds, options.quick, files, say)
        for name in options.only or SECTIONS:
            say(f"== {name}")
            SECTIONS[name](at, results)
    took = time.monotonic() - begun
    drawn = report.svg(results)
    page = options.results / f"{when:%Y-%m-%d}.md"
    options.results.mkdir(parents=True, exist_ok=True)
    if drawn:
        page.with_suffix(".svg").write_text(drawn)
    chart_file = page.with_suffix(".svg").name if drawn else None
    text = report.markdown(
        results, machine.facts(options), (load, options.rounds), chart_file, when, took)
    page.write_text(text)
    print(text)
    say(f"{page} is written; it took {took:.0f} s")
    if results.failures:
        said = "\nREQUESTS FAILED, so these figures are not to be trusted:"
        print(said, *results.failures, sep="\n  ", file=sys.stderr)
        return 1
    return 0


try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit("stopped")
