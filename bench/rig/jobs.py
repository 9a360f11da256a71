"""1 M jobs: what remembering them takes in memory, and whether polls cost more with them than with few."""

import time
from dataclasses import replace

import metrics
from growth import Growth
from measure import Row, Table, polls, take
from memory import Memory
from process import Watch, memory_mb

JOBS = 1_000_000
QUICK_JOBS = 50_000

# The table of jobs forgets in halves, shard by shard, just below 1 M. Sure to be remembered are this many of them.
SURE = 0.5

# Jobs that are hits in turn: few, and many that all fit into the default cache of 256 MiB.
FEW_HITS, MANY_HITS = 10, 100_000
QUICK_HITS = 10_000

# A machine that is too slow for 1 M jobs gets no verdict.
PATIENCE = 360


def measure(at, results):
    wanted, hits = (QUICK_JOBS, QUICK_HITS) if at.quick else (JOBS, MANY_HITS)
    with at.house.vidgate("few-jobs", admin=True) as few, at.house.vidgate("many-jobs", admin=True) as many:
        done = fill(at, results, many, wanted)
        full = done >= JOBS
        compare_new(at, results, few, many, done, full)
        compare_hits(at, results, few, many, done, hits, full)


def fill(at, results, program, wanted):
    """Asks for new jobs until there were enough of them. Returns how many."""
    row = row_of(program, "new", "new jobs", "video_{n}:on")
    end, done, most = time.monotonic() + PATIENCE, 0, 0
    with Watch(program.pid, memory_mb) as watch:
        while done < wanted and time.monotonic() < end:
            at.say(f"{done:,} of {wanted:,} jobs")
            sample = take(row, replace(at.load, seconds=4))
            results.blame_sample("jobs", row, sample)
            done += sample.requests
            most = max(most, metrics.jobs_remembered(program.admin))
    if most < SURE * done:
        results.failures.append(f"jobs: only {most:,} of {done:,} jobs were remembered")
    results.memory["jobs"] = Memory(
        f"{done:,} jobs", watch.most(), f"peak while all of them were asked for, poll cache on, 256 MiB; "
        f"{most:,} remembered at once", full=done >= JOBS)
    return done


def compare_new(at, results, few, many, done, full):
    """A poll of a job that nobody has asked for. The process with few jobs learns them here, so runs are short."""
    table = Table([row_of(few, "few", "few jobs, new ones", "video_{n}:on"),
                   row_of(many, "many", "many jobs, new ones", "video_{n}:on")])
    table.drive(replace(at.load, seconds=1), at.rounds, at.say)
    results.blame("jobs", table)
    learnt = metrics.jobs_remembered(few.admin)
    results.growth["jobs_new"] = Growth.of(
        table, f"jobs, fewer than {learnt:,} to {done:,} asked for before: a poll of a new one", full)


def compare_hits(at, results, few, many, done, hits, full):
    rows = [row_of(few, "few", "few jobs, hits", f"video_{{n:{FEW_HITS}}}:hot"),
            row_of(many, "many", "many jobs, hits", f"video_{{n:{hits}}}:hot")]
    at.say(f"{hits:,} jobs into the cache")
    first = take(rows[1], replace(at.load, seconds=1))
    # Each thread of the client goes through a part of its own, and one may be behind.
    take(rows[1], replace(at.load, seconds=1 + 1.5 * hits / first.per_second))
    take(rows[0], replace(at.load, seconds=1))
    before = metrics.hits(many.admin)
    table = Table(rows).drive(at.load, at.rounds, at.say)
    after = metrics.hits(many.admin)
    results.blame("jobs", table)
    share = (after[0] - before[0]) / (after[1] - before[1])
    if share < 0.99:
        results.failures.append(f"jobs: only {share:.0%} of the answers that should be hits were")
    results.growth["jobs_hits"] = Growth.of(
        table, f"jobs, {FEW_HITS} to {hits:,} that are hits in turn, the latter with {done:,} others asked for before", full)


def row_of(program, name, title, id_):
    return Row(name, f"vidgate, {title}", polls(program.port, id_), program.pid)
