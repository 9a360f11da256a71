"""One run of one row, rounds of runs, and ratios with their spread."""

import statistics
from bisect import bisect
from dataclasses import dataclass, replace

from load import drive
from process import Watch, cpu_seconds, memory_mb, settle

WARM_UP = 1


@dataclass(frozen=True)
class Row:
    """Something that is asked: its address, and the process whose CPU time counts, if it is known."""

    name: str
    title: str
    url: str
    pid: int | None = None
    headers: tuple = ()
    # For gateways so slow that the usual number would leave many requests unanswered at the end of a run.
    clients: int | None = None
    # Seconds at the beginning of a run that do not count: see Load.
    lead: float = 0


def polls(port, id_="video_{n}"):
    """The address of a poll; {n} is a number that goes up."""
    return f"http://127.0.0.1:{port}/v1/videos/{id_}"


@dataclass(frozen=True)
class Sample:
    """One run. CPU in microseconds per request, latencies in microseconds, memory in MB after it."""

    requests: int
    failed: int
    per_second: float
    p50: float
    p99: float
    p999: float
    cpu: float | None
    memory: float | None


@dataclass(frozen=True)
class Spread:
    """The median of several rounds, the least and the most."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values):
        values = list(values)
        return Spread(statistics.median(values), min(values), max(values)) if values else None

    def text(self, digits=2):
        if self.low == self.high:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} [{self.low:,.{digits}f}–{self.high:,.{digits}f}]"


def take(row, load):
    """Drives a row once."""
    if row.clients:
        load = replace(load, clients=min(row.clients, load.clients))
    load = replace(load, lead=row.lead)
    if row.pid is None:
        return sample_of(row, drive(load, row.url, row.headers), None)
    try:
        return take_watched(row, load)
    except (FileNotFoundError, ProcessLookupError):
        raise SystemExit(f"{row.title}: its process {row.pid} has ended while it was driven") from None


def take_watched(row, load):
    before = cpu_seconds(row.pid)
    with Watch(row.pid, cpu_seconds) as watch:
        said = drive(load, row.url, row.headers)
    spent, requests = cpu_seconds(row.pid) - before, said["requests"]
    if load.lead:
        spent, requests = in_window(watch.seen, said)
    sample = sample_of(row, said, spent / requests * 1e6 if requests else None)
    settle(row.pid)
    return sample


def in_window(seen, said):
    """CPU time between two looks after the lead, and the requests that ended between them."""
    end = said["begun"] + said["seconds"]
    inside = [(when, spent) for when, spent in seen if said["begun"] <= when <= end]
    (first, before), (last, after) = inside[0], inside[-1]
    return after - before, bisect(said["ended"], last) - bisect(said["ended"], first)


def sample_of(row, said, cpu):
    return Sample(
        said["requests"], said["failed"], said["requests"] / said["seconds"], said["p50"], said["p99"], said["p999"],
        cpu, memory_mb(row.pid) if row.pid else None)


class Table:
    """Rows that were driven in turn: A B A B. Ratios are taken within a round, as the machine changes its speed."""

    def __init__(self, rows):
        self.rows = {row.name: row for row in rows}
        self.samples = {row.name: [] for row in rows}

    def drive(self, load, rounds, say):
        for row in self.rows.values():
            # A lead is a warm-up, too.
            if not row.lead:
                take(row, replace(load, seconds=WARM_UP))
        for round_ in range(rounds):
            for row in self.rows.values():
                say(f"round {round_ + 1} of {rounds}: {row.title}")
                self.samples[row.name].append(take(row, load))
        return self

    def spread(self, name, what):
        values = [getattr(sample, what) for sample in self.samples.get(name, ())]
        return Spread.of(value for value in values if value is not None)

    def ratios(self, name, base, what):
        """`name` by `base`, round by round; none where one of them was not driven or has no such figure."""
        pairs = [(getattr(a, what), getattr(b, what))
                 for a, b in zip(self.samples.get(name, ()), self.samples.get(base, ()))]
        return [a / b for a, b in pairs if a is not None and b]

    def ratio(self, name, base, what):
        return Spread.of(self.ratios(name, base, what))

    def added(self, name, base, what):
        """`name` less `base`, round by round."""
        pairs = zip(self.samples.get(name, ()), self.samples.get(base, ()))
        return [getattr(a, what) - getattr(b, what) for a, b in pairs]

    def failures(self):
        """What was not answered well, as sentences."""
        for name, samples in self.samples.items():
            failed = sum(sample.failed for sample in samples)
            if failed:
                asked = sum(sample.requests for sample in samples)
                yield f"{self.rows[name].title}: {failed:,} of {asked:,} requests failed"
