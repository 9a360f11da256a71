"""What a report has to say of the machine and of the programs, to be read later."""

import os
import platform
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def facts(options):
    """Pairs of words and values."""
    return [
        ("cores", str(os.cpu_count())),
        ("CPU", cpu()),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("threads of each proxy", str(options.threads)),
        ("vidgate", f"{said(options.vidgate, '--version')}, {commit()}"),
        ("nginx", said(options.nginx, "-v").removeprefix("nginx version: ")),
        ("wrk", said("wrk", "--version")),
        ("h2load", said("h2load", "--version")),
        ("rustc", said("rustc", "--version")),
        ("Python", platform.python_version()),
    ]


def cpu():
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def commit():
    words = said("git", "-C", ROOT, "describe", "--always", "--dirty")
    return f"commit {words}" if words else "no commit known"


def said(*command):
    """The first line of what a program says; nothing if it is not there. wrk and nginx say it on stderr or fail."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=30)
    except OSError:
        return ""
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0].strip() if lines else ""
