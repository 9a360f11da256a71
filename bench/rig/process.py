"""A started program, and what it costs: CPU time and memory from /proc, its children's included."""

import os
import random
import resource
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")

# Below those that the kernel gives to outgoing connections, which may lie in the way for a minute after a run.
PORTS = (20_000, 32_000)


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
    return total * TICK_SECONDS


def memory_mb(pid):
    """Resident memory in MB (10^6 bytes); what workers share counts once (PSS) where there are several."""
    pids = children(pid)
    kind = "Rss:" if len(pids) == 1 else "Pss:"
    total = 0
    for one in pids:
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith(kind))
    return total * 1024 / 1e6


class Watch:
    """Looks at a process again and again while the block runs."""

    def __init__(self, pid, look, every=0.1):
        # What was seen, and when, in seconds since the epoch.
        self.seen = []
        self.look = lambda: self.seen.append((time.time(), look(pid)))
        self.every = every
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while not self.ended.is_set():
            try:
                self.look()
            except OSError:
                return
            self.ended.wait(self.every)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def most(self):
        return max((value for _, value in self.seen), default=0.0)


def settle(pid, patience=20):
    """Waits until a process does nothing: after a run it may still work on what was asked last."""
    end = time.monotonic() + patience
    before = cpu_seconds(pid)
    while time.monotonic() < end:
        time.sleep(0.1)
        now = cpu_seconds(pid)
        if now - before <= TICK_SECONDS:
            return
        before = now


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
        try:
            self.wait_for_port(patience)
        except BaseException:
            self.stop()
            raise

    def wait_for_port(self, patience):
        end = time.monotonic() + patience
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{self.name} does not listen on port {self.port}; it said:\n{self.said()}")

    def said(self):
        return Path(self.log).read_text(errors="replace")[-2000:]

    def stop(self):
        """Its group, so that workers are met, too; those that outlive it are killed."""
        if self.process.poll() is None:
            self.signal(signal.SIGINT)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        self.signal(signal.SIGKILL)
        self.process.wait()

    def signal(self, number):
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass


def free_port():
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randint(*PORTS)))
            except OSError:
                continue
            return probe.getsockname()[1]


def raise_file_limit():
    """As many open files as are allowed, for this process and all that it starts. Returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
