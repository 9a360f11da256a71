"""Resident memory of vidgate, idle and with many clients. Each in a process of its own."""

import socket
from contextlib import ExitStack
from dataclasses import dataclass, replace

from measure import Row, polls, take
from process import Watch, memory_mb, settle

CLIENTS = 10_000


@dataclass(frozen=True)
class Memory:
    title: str
    mb: float
    detail: str
    # Whether it is as much load as the goal asks for; a quick run has less.
    full: bool = True


def measure(at, results):
    idle(at, results)
    held(at, results)
    asking(at, results, "hot", "one hot job", "video_1:hot", one_side(at.files))
    # With the poll cache off each client may need a connection to the upstream, too.
    asking(at, results, "off", "poll cache off", "video_{n}:off", both_sides(at.files))


def one_side(files):
    """For how many clients the allowed open files suffice; a few hundred are for all else."""
    return min(CLIENTS, files - 500)


def both_sides(files):
    """The same if each of them takes two."""
    return min(CLIENTS, (files - 500) // 2)


def idle(at, results):
    with at.house.vidgate("idle") as program:
        settle(program.pid)
        results.memory["idle"] = Memory("idle", memory_mb(program.pid), "started, and not asked yet")
        take(Row("asked", "one client", polls(program.port, "video_1:off"), program.pid),
             replace(at.load, clients=1, seconds=1))
        results.memory["asked"] = Memory("one client", memory_mb(program.pid), "which has asked for a second")


def held(at, results):
    count = one_side(at.files)
    at.say(f"{count:,} clients that stay")
    with at.house.vidgate("held") as program, ExitStack() as stack:
        for _ in range(count):
            ask_once(stack.enter_context(socket.create_connection(("127.0.0.1", program.port), 10)))
        results.memory["held"] = Memory(
            f"{count:,} keep-alive clients, poll cache off", memory_mb(program.pid),
            "connected, after each has asked once, one after the other", full=count == CLIENTS)


def ask_once(connection):
    connection.sendall(b"GET /v1/videos/video_1:off HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = connection.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"a client that stays was answered {answer[:100]!r}")


def asking(at, results, name, title, id_, count):
    at.say(f"{count:,} clients, {title}")
    with at.house.vidgate(f"asking-{name}") as program:
        row = Row(name, f"{count:,} clients, {title}", polls(program.port, id_), program.pid)
        with Watch(program.pid, memory_mb) as watch:
            sample = take(row, replace(at.load, clients=count, seconds=max(4, at.load.seconds)))
        results.blame_sample("memory", row, sample)
        results.memory[f"asking_{name}"] = Memory(
            f"{count:,} keep-alive clients, {title}", watch.most(),
            f"peak while all of them ask at once, as fast as they are answered ({sample.requests:,} requests)",
            full=count == CLIENTS)
