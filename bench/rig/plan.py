"""The sections of a run, each a short function that measures one thing and puts it into the results."""

from dataclasses import dataclass, field, replace

import growth
import jobs
import memory
from load import Load
from measure import Table, take

# Half of what saturates it: neither idle nor in a queue.
SHARE_OF_SATURATION = 0.5

# So many that the time of an answer is little beside the time that a client waits before it asks.
HALF_CLIENTS = 256


@dataclass
class Results:
    """All that was measured. Tables by section; figures of memory and growth by name."""

    tables: dict = field(default_factory=dict)
    memory: dict = field(default_factory=dict)
    growth: dict = field(default_factory=dict)
    # Of the half-load section, in requests per second.
    rate: float | None = None
    failures: list = field(default_factory=list)

    def keep(self, section, table):
        self.tables[section] = table
        self.blame(section, table)

    def blame(self, section, table):
        self.failures += (f"{section}: {failure}" for failure in table.failures())

    def blame_sample(self, section, row, sample):
        if sample.failed:
            self.failures.append(f"{section}: {row.title}: {sample.failed:,} of {sample.requests:,} requests failed")


def http1(at, results):
    names = ("direct", "nginx", "bare", "off", "distinct", "hot")
    rows = at.gateways.rows(*names) + at.gateways.peers
    results.keep("http1", Table(rows).drive(at.load, at.rounds, at.say))


def http2(at, results):
    rows = at.gateways.rows("nginx_h2", "bare", "off", "hot")
    results.keep("http2", Table(rows).drive(replace(at.load, http2=True), at.rounds, at.say))


def tls(at, results):
    rows = at.gateways.rows("nginx_tls", "bare_tls", "tls")
    results.keep("tls", Table(rows).drive(at.load, at.rounds, at.say))


def half(at, results):
    results.rate = SHARE_OF_SATURATION * saturation(at, results)
    rows = at.gateways.rows("direct", "nginx", "bare", "off")
    load = replace(at.load, clients=HALF_CLIENTS, rate=results.rate)
    results.keep("half", Table(rows).drive(load, at.rounds, at.say))


def saturation(at, results):
    """Requests per second of vidgate with the poll cache off, as fast as it goes."""
    if "http1" in results.tables:
        return results.tables["http1"].spread("off", "per_second").median
    [row] = at.gateways.rows("off")
    return take(row, at.load).per_second


@dataclass
class At:
    """What a section needs: the programs, how they are driven, and where to say what is going on."""

    gateways: object
    load: Load
    rounds: int
    quick: bool
    files: int
    say: object

    @property
    def house(self):
        return self.gateways.house


SECTIONS = {
    "http1": http1, "http2": http2, "tls": tls, "half": half,
    "memory": memory.measure, "jobs": jobs.measure, "growth": growth.measure,
}
