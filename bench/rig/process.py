"""A started program, and what it costs: CPU time and memory from /proc, its children's included."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def children(pid):
    """The ids of a process and of all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*"):
        for child in (task / "children").read_text().split():
            found += children(int(child))
    return found


def cpu_seconds(pid):
    """User and system time so far."""
    total = 0
    for one in children(pid):
        # The second field, the name, may hold anything; those counted here stand behind its bracket.
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def memory_mb(pid):
    """Resident memory in MB (10^6 bytes); what workers share counts once (PSS) where there are several."""
    pids = children(pid)
    kind = "Rss:" if len(pids) == 1 else "Pss:"
    total = 0
    for one in pids:
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith(kind))
    return total * 1024 / 1e6


class Program:
    """Runs until it is stopped; only this process and its children are ever signalled."""

    def __init__(self, name, command, port, log, env=None, patience=20):
        self.name = name
        self.port = port
        self.log = log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, **(env or {})}, start_new_session=True,
            )
        self.pid = self.process.pid
        self.wait_for_port(patience)

    def wait_for_port(self, patience):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise SystemExit(f"{self.name} does not listen on port {self.port}; it said:\n{self.said()}")

    def said(self):
        return Path(self.log).read_text(errors="replace")[-2000:]

    def cpu_seconds(self):
        return cpu_seconds(self.pid)

    def memory_mb(self):
        return memory_mb(self.pid)

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.pid, signal.SIGINT)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
