"""Runs a program under callgrind and reads what it wrote."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

# In benches/translate/count.rs. A pattern would start the counting too, but never write it down.
COUNTED = "translate::count::counted"

ALLOCATING = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign")

# `fn=(12) name`, and `fn=(12)` from the second time on.
NAME = re.compile(r"^c?fn=\((\d+)\)(?: (.*))?$")


class Failed(Exception):
    """The program or valgrind failed; the text says how."""


@dataclass(frozen=True)
class Dump:
    """What callgrind counted between entering and leaving the function. Calls are counted since the dump before."""

    file: Path
    instructions: int
    allocations: int


def run(program: Path, arguments: list[str], folder: Path) -> tuple[str, list[Dump]]:
    """The output of the program, and one dump for each time that it came to the end of the counted function."""
    command = [
        "valgrind",
        "--tool=callgrind",
        f"--toggle-collect={COUNTED}",
        f"--dump-after={COUNTED}",
        f"--callgrind-out-file={folder}/out",
        str(program),
        *arguments,
    ]
    # Names of libraries are looked up at the start instead of in the middle of a case.
    environment = {"PATH": os.environ["PATH"], "LD_BIND_NOW": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    numbers = sorted(int(file.suffix[1:]) for file in folder.glob("out.*") if file.suffix[1:].isdigit())
    dumps = [read(folder / f"out.{number}") for number in numbers]
    return done.stdout, dumps


def read(file: Path) -> Dump:
    """Reads one file of callgrind's."""
    names: dict[str, str] = {}
    caller = called = ""
    instructions = allocations = 0
    with file.open() as lines:
        for line in lines:
            if line.startswith("totals:"):
                instructions = int(line.split()[1])
            elif match := NAME.match(line.rstrip()):
                number, name = match.groups()
                names.setdefault(number, name or "")
                if line.startswith("c"):
                    called = names[number]
                else:
                    caller = names[number]
            # What the allocator calls of itself is one allocation with what was called from outside.
            elif line.startswith("calls=") and called in ALLOCATING and caller not in ALLOCATING:
                allocations += int(line[len("calls=") :].split()[0])
    return Dump(file, instructions, allocations)
