"""Load by public tools: wrk for HTTP/1.1, h2load for HTTP/2 and where each answer's time is needed."""

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

CONF = Path(__file__).resolve().parent.parent / "conf"

# The client shares the cores with what it asks, so it gets few threads.
CLIENT_THREADS = max(2, (os.cpu_count() or 2) // 4)

# Every run asks for jobs of its own: with this distance no two threads of any two runs meet.
RUNS = itertools.count(1)
JOBS_OF_A_RUN = 10**10

# Different paths that h2load goes through; it keeps them all in memory.
H2_PATHS = 20_000

# A machine that others use stands still at times, for as long as a short run.
ATTEMPTS = 3

NUMBER = re.compile(r"\{n(?::(\d+))?\}")


@dataclass(frozen=True)
class Load:
    """How a gateway is asked. `rate` is in requests per second of all clients, so that they wait before they ask, each
    for as long as chance has it; None is as fast as they are answered."""

    clients: int = 64
    seconds: float = 4
    http2: bool = False
    rate: float | None = None
    # Streams of one connection, over HTTP/2 only.
    streams: int = 8
    # Seconds at the beginning that do not count, for what takes as long to connect as it is then driven.
    lead: float = 0


def drive(load, url, headers=()):
    """Requests, seconds, how many failed, and latencies in microseconds. From h2load also when each ended."""
    by = with_h2load if load.http2 or load.lead else with_wrk
    for _ in range(ATTEMPTS):
        said = by(load, url, headers)
        if said["requests"]:
            return said
        print(f"no answer at all from {url}", file=sys.stderr)
    raise SystemExit("gave up")


def with_wrk(load, url, headers):
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    threads = min(CLIENT_THREADS, load.clients)
    wait = 1000 * load.clients / load.rate if load.rate else 0
    command = ["wrk", f"-t{threads}", f"-c{load.clients}", f"-d{max(1, round(load.seconds))}s", "--timeout", "10s",
               "-s", str(CONF / "load.lua"), f"{parts.scheme}://{parts.netloc}", "--",
               path, str(next(RUNS) * JOBS_OF_A_RUN), str(threads), f"{wait:.3f}", *headers]
    return json.loads(run(command, load).splitlines()[-1])


def with_h2load(load, url, headers):
    connections = max(1, load.clients // load.streams) if load.http2 else load.clients
    with tempfile.TemporaryDirectory() as folder:
        log, urls = Path(folder) / "log", Path(folder) / "urls"
        urls.write_text("".join(f"{numbered(url, n)}\n" for n in range(H2_PATHS if "{n" in url else 1)))
        command = ["h2load", f"-c{connections}", f"-D{load.lead + load.seconds:g}", f"--log-file={log}",
                   f"--input-file={urls}", f"-m{load.streams if load.http2 else 1}"]
        command += ["--h1"] * (not load.http2) + [f"--header={header}" for header in headers]
        run(command, load)
        # When it began (in microseconds), the status (-1: none), and how long it took (in microseconds).
        answers = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
    if not any(good(answer) for answer in answers):
        return {"requests": 0}
    begun = min(began for began, _, _ in answers) / 1e6 + load.lead
    counted = [answer for answer in answers if ended(answer) >= begun]
    took = sorted(answer[2] for answer in counted if good(answer)) or [0]
    at = lambda share: float(took[min(len(took) - 1, int(len(took) * share))])
    return {"requests": len(counted), "seconds": load.seconds, "failed": sum(not good(one) for one in answers),
            "p50": at(0.5), "p99": at(0.99), "p999": at(0.999),
            "begun": begun, "ended": sorted(ended(answer) for answer in counted)}


def good(answer):
    return 200 <= answer[1] < 300


def ended(answer):
    """In seconds since the epoch."""
    return (answer[0] + answer[2]) / 1e6


def numbered(url, number):
    """The URL with its numbers, as load.lua counts them."""
    return NUMBER.sub(lambda found: str(number % int(found[1]) if found[1] else number), url)


def run(command, load):
    done = subprocess.run(command, capture_output=True, text=True, timeout=load.seconds + 120)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
