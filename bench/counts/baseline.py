"""The saved counts, and what is wrong with counts that are held against them."""

import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Above the saved count by this share and this number, a case has become slower. Counts of one program repeat nearly
# exactly; this leaves room for what the compiler does with code that only moved.
SHARE = 0.03
SLACK = 50


@dataclass(frozen=True)
class Count:
    """For one run of a case."""

    instructions: int
    allocations: int


Counts = dict[str, Count]


def toolchain() -> str:
    """What counts depend on besides the code."""
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return f"rustc {rustc}, {' '.join(platform.libc_ver())}, {platform.machine()}"


def load(file: Path) -> tuple[str, Counts]:
    """The toolchain that the counts are of, and the counts."""
    made_with, counts = "", {}
    for line in file.read_text().splitlines():
        if line.startswith("# made with "):
            made_with = line.removeprefix("# made with ")
        elif not line.startswith("#"):
            name, instructions, allocations = line.split()
            counts[name] = Count(int(instructions), int(allocations))
    return made_with, counts


def save(file: Path, counts: Counts) -> None:
    """Writes the counts, one case a line."""
    lines = [
        "# Case, instructions and allocations of one run. Written by `make bench-check ARGS=--bless`.",
        f"# made with {toolchain()}",
        *(f"{name:<28}{count.instructions:>12}{count.allocations:>6}" for name, count in sorted(counts.items())),
    ]
    file.write_text("\n".join(lines) + "\n")


def complaint(now: Count | None, before: Count | None) -> str | None:
    """What is wrong with a case."""
    if now is None:
        return "is in the baseline and was not run"
    if before is None:
        return "is not in the baseline"
    if now.instructions > before.instructions * (1 + SHARE) + SLACK:
        return "takes more instructions"
    if now.allocations > before.allocations:
        return "takes more allocations"
    return None


def has_improved(now: Count | None, before: Count | None) -> bool:
    """Whether a baseline made anew would be worth it."""
    if now is None or before is None:
        return False
    fewer = now.instructions < before.instructions * (1 - SHARE) - SLACK
    return fewer or now.allocations < before.allocations
