#!/usr/bin/env python3
"""Counts instructions and allocations of every case in benches/translate, and holds them against the saved ones."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import baseline
import callgrind
from baseline import Count, Counts

ROOT = Path(__file__).resolve().parents[2]
SAVED = ROOT / "benches" / "translate" / "baseline.txt"


def program() -> Path:
    """Builds the benchmark and says where it is."""
    command = ["cargo", "bench", "--bench", "translate", "--no-run", "--message-format=json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        sys.exit(built.returncode)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    found = [message["executable"] for message in messages if is_benchmark(message)]
    return Path(found[-1])


def is_benchmark(message: dict) -> bool:
    return message.get("reason") == "compiler-artifact" and message["target"]["name"] == "translate"


def counted(folder: Path, show: str | None) -> Counts:
    """Runs all cases. Prints the functions of one, if that is wanted."""
    output, dumps = callgrind.run(program(), ["--count"], folder)
    cases = [line.split("\t") for line in output.splitlines()]
    if len(dumps) != 2 * len(cases):
        raise callgrind.Failed(f"{len(cases)} cases were run, and {len(dumps)} dumps written, which should be two for each")
    counts = {}
    for (name, text), dump in zip(cases, dumps[1::2], strict=True):
        runs = int(text)
        counts[name] = Count(dump.instructions // runs, round(dump.allocations / runs))
        if name == show:
            subprocess.run(["callgrind_annotate", "--inclusive=yes", "--auto=no", dump.file], check=True)
    return counts


def row(name: str, now: Count | None, before: Count | None, remark: str) -> str:
    cells = [text for count in (before, now) for text in texts(count)]
    share = f"{now.instructions / before.instructions - 1:+.1%}" if now and before else ""
    return f"{name:<28}{cells[0]:>12}{cells[2]:>12}{share:>9}{cells[1]:>7}{cells[3]:>7}  {remark}".rstrip()


def texts(count: Count | None) -> tuple[str, str]:
    return (str(count.instructions), str(count.allocations)) if count else ("-", "-")


def held_against(saved: Counts, now: Counts) -> int:
    """Prints every case beside its saved counts. How many are worse."""
    print(f"{'case':<28}{'instructions':>12}{'now':>12}{'':>9}{'allocs':>7}{'now':>7}")
    complaints, better = [], 0
    for name in sorted(saved.keys() | now.keys()):
        counts = (now.get(name), saved.get(name))
        wrong = baseline.complaint(*counts)
        print(row(name, *counts, f"<-- {wrong}" if wrong else ""))
        complaints += [f"{name} {wrong}"] if wrong else []
        better += baseline.has_improved(*counts)
    if better:
        print(f"\n{better} cases take less than before. To save that: make bench-check ARGS=--bless")
    print(f"\n{len(now)} cases, {len(complaints)} complaints", *complaints, sep="\n  ")
    return len(complaints)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bless", action="store_true", help="save the counts as the new baseline")
    arguments.add_argument("--show", metavar="CASE", help="print where a case spends its instructions")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        now = counted(Path(folder), options.show)
    if options.bless:
        baseline.save(SAVED, now)
    made_with, saved = baseline.load(SAVED) if SAVED.exists() else ("", {})
    worse = held_against(saved, now)
    if made_with and made_with != baseline.toolchain():
        print(f"\nThe baseline was made with {made_with}; this is {baseline.toolchain()}, which counts by itself.")
    return 1 if worse else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except callgrind.Failed as error:
        sys.exit(f"bench-check: {error}")
