"""Load by public tools: wrk for HTTP/1.1 at full speed, h2load for HTTP/2 and for a fixed rate."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


@dataclass
class Load:
    """How a gateway is asked. `rate` is in requests per second of all clients; None is as fast as it answers."""

    clients: int = 64
    seconds: float = 4
    http2: bool = False
    rate: float | None = None
    # Streams of one connection, over HTTP/2 only.
    streams: int = 8


def drive(load, url, headers=()):
    """Requests, seconds, how many failed, and latencies in microseconds."""
    if load.http2 or load.rate:
        return with_h2load(load, url, headers)
    return with_wrk(load, url, headers)


def with_wrk(load, url, headers):
    origin, _, path = url.removeprefix("http://").partition("/")
    threads = min(2, load.clients)
    command = ["wrk", f"-t{threads}", f"-c{load.clients}", f"-d{round(load.seconds)}s", "--timeout", "10s",
               "-s", str(HERE / "conf" / "load.lua"), f"http://{origin}", "--", f"/{path}", *headers]
    said = run(command, load)
    return json.loads(said.splitlines()[-1])


def with_h2load(load, url, headers):
    connections = load.clients // load.streams if load.http2 else load.clients
    with tempfile.TemporaryDirectory() as folder:
        log, urls = Path(folder) / "log", Path(folder) / "urls"
        count = 200_000 if "{n}" in url else 1
        urls.write_text("".join(url.replace("{n}", str(n)) + "\n" for n in range(count)))
        command = ["h2load", f"-c{connections}", f"-D{round(load.seconds)}", f"--log-file={log}",
                   f"--input-file={urls}", f"-m{load.streams if load.http2 else 1}"]
        command += ["--h1"] * (not load.http2) + [f"--header={header}" for header in headers]
        if load.rate:
            command.append(f"--rps={max(1, round(load.rate / connections))}")
        run(command, load)
        # When it began (in microseconds), the status, and how long it took (in microseconds).
        lines = [line.split() for line in log.read_text().splitlines()]
    took = sorted(int(line[2]) for line in lines)
    if not took:
        raise SystemExit(f"h2load got no answer from {url}")
    at = lambda share: float(took[min(len(took) - 1, int(len(took) * share))])
    failed = sum(not line[1].startswith("2") for line in lines)
    return {"requests": len(took), "seconds": load.seconds, "failed": failed,
            "p50": at(0.5), "p99": at(0.99), "p999": at(0.999)}


def run(command, load):
    done = subprocess.run(command, capture_output=True, text=True, timeout=load.seconds + 120)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
