"""What vidgate is to reach, each a ratio within one run or a size, and whether it did."""

from dataclasses import dataclass
from statistics import median
from typing import Callable

from measure import Spread

# CPU per request in microseconds of a poll by others, and of nginx, on the machine where these were taken.
AISIX, LITELLM, NGINX_THERE = 57, 10_800, 16

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Goal:
    text: str
    at_most: bool
    limit: float
    # From the results to a Spread, or None where it was not measured, or not in full.
    of: Callable
    unit: str = ""

    def target(self):
        return f"{'at most' if self.at_most else 'at least'} {self.limit:g}{self.unit}"

    def judge(self, results):
        """The figure as text, and the verdict on its median."""
        found = self.of(results)
        if found is None:
            return "", NOT_MEASURED
        met = found.median <= self.limit if self.at_most else found.median >= self.limit
        return found.text(0 if self.unit else 2) + self.unit, "met" if met else "**not met**"


def ratio(table, name, base, what):
    return lambda results: results.tables[table].ratio(name, base, what) if table in results.tables else None


def times_less(than):
    """How many times less CPU than a gateway that was measured elsewhere: nginx stands on both sides."""
    def of(results):
        ours = ratio("http1", "off", "nginx", "cpu")(results)
        theirs = than / NGINX_THERE
        return ours and Spread(theirs / ours.median, theirs / ours.high, theirs / ours.low)
    return of


def added_p99(results):
    """What vidgate adds to a direct call, by what nginx adds. Of medians: within one round both are near nothing."""
    table = results.tables.get("half")
    if not table:
        return None
    ours, theirs = (median(table.added(name, "direct", "p99")) for name in ("off", "nginx"))
    return Spread.of([max(ours, 0) / theirs]) if theirs > 0 else None


def memory(name):
    def of(results):
        found = results.memory.get(name)
        return Spread.of([found.mb]) if found and found.full else None
    return of


def growth(name):
    def of(results):
        found = results.growth.get(name)
        return found.ratio if found and found.full else None
    return of


GOALS = [
    Goal("poll cache off: CPU per request, by bare Pingora passthrough", True, 1.10,
         ratio("http1", "off", "bare", "cpu")),
    Goal("one hot job: CPU per request, by nginx `proxy_pass`", True, 0.80, ratio("http1", "hot", "nginx", "cpu")),
    Goal("one hot job: requests per second, by bare Pingora passthrough", False, 2.2,
         ratio("http1", "hot", "bare", "per_second")),
    Goal(f"poll cache off: times less CPU than aisix ({AISIX} µs where nginx took {NGINX_THERE})", False, 1.6,
         times_less(AISIX)),
    Goal(f"poll cache off: times less CPU than LiteLLM ({LITELLM:,} µs where nginx took {NGINX_THERE})", False, 300,
         times_less(LITELLM)),
    Goal("poll cache off: times less CPU than LiteLLM in this run", False, 300,
         ratio("http1", "litellm", "off", "cpu")),
    Goal("p99 added to a direct call at half the saturation load, by what nginx adds", True, 2, added_p99),
    Goal("resident memory: idle", True, 25, memory("idle"), " MB"),
    Goal("resident memory: 10,000 keep-alive clients, each has asked", True, 250, memory("held"), " MB"),
    Goal("resident memory: 10,000 keep-alive clients, all asking at once", True, 250, memory("asking_hot"), " MB"),
    Goal("resident memory: 1 M remembered jobs", True, 400, memory("jobs"), " MB"),
    Goal("growth with clients, poll cache off, by nginx's own growth", True, 1.3, growth("clients_off_relative")),
    Goal("growth with clients, one hot job, by nginx's own growth", True, 1.3, growth("clients_hot_relative")),
    Goal("growth with jobs: a hit with 10 and with 1 M jobs", True, 1.3, growth("jobs_hits")),
    Goal("growth with jobs: a poll of a new one with few and with 1 M", True, 1.3, growth("jobs_new")),
    Goal("growth with providers: 1 and 50", True, 1.3, growth("providers")),
]
