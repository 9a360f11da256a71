"""The arguments of `python3 bench/rig`."""

import argparse
import os
from pathlib import Path
from shutil import which

from machine import ROOT
from measure import Row
from plan import SECTIONS

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def parse(arguments=None):
    parser = argparse.ArgumentParser(prog="bench/rig", description="Measures vidgate against nginx and bare Pingora.")
    add = parser.add_argument
    add("--quick", action="store_true", help="two rounds of one second, and fewer jobs: to see that the rig works")
    add("--rounds", type=int, help="how often each row is driven (default 5)")
    add("--seconds", type=float, help="how long each time (default 4)")
    add("--clients", type=int, default=64, help="connections (default 64)")
    add("--threads", type=int, default=os.cpu_count(), help="worker threads of each proxy (default: cores)")
    add("--only", action="append", choices=list(SECTIONS), metavar="SECTION",
        help=f"only this section; may be repeated: {', '.join(SECTIONS)}")
    add("--peers", action="store_true", help="measure LiteLLM, too; it is installed into target/bench-peers")
    add("--peer", action="append", type=peer, default=[], metavar="NAME=URL[,PID][,HEADER]",
        help="another gateway that runs already; {n} in the URL is a number that goes up; without PID no CPU time")
    add("--vidgate", type=Path, default=TARGET / "release" / "vidgate", metavar="PATH")
    add("--passthrough", type=Path, default=TARGET / "release" / "examples" / "passthrough", metavar="PATH")
    add("--results", type=Path, default=ROOT / "bench" / "results", metavar="FOLDER", help="default bench/results")
    options = parser.parse_args(arguments)
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("what a process costs is read from /proc, so this needs Linux")
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 4)
    options.nginx = first_of("nginx", "/usr/sbin/nginx", TARGET / "tools" / "nginx")
    options.peers_folder = TARGET / "bench-peers"
    options.litellm = options.peers_folder / "bin" / "litellm"
    needed = {"nginx": options.nginx, "wrk": which("wrk"), "h2load": which("h2load"), "openssl": which("openssl"),
              "vidgate": which(options.vidgate), "passthrough": which(options.passthrough)}
    missing = [name for name, path in needed.items() if not path]
    if missing:
        parser.error(f"not found: {', '.join(missing)}; `make bench` installs and builds what is needed")
    return options


def first_of(*places):
    return next((found for place in places if (found := which(place))), None)


def peer(text):
    """NAME=URL[,PID][,HEADER]"""
    name, _, rest = text.partition("=")
    url, _, rest = rest.partition(",")
    pid, _, header = rest.partition(",") if rest.partition(",")[0].isdigit() else ("", "", rest)
    if not name or not url.startswith(("http://", "https://")) or header and ":" not in header:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=URL[,PID][,HEADER]")
    return Row(name, name, url, int(pid) if pid else None, (header,) if header else ())
