"""What vidgate says of itself on its admin address."""

import re
import urllib.request


def read(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return answer.read().decode()


def jobs_remembered(port):
    return int(float(re.search(r"^vidgate_jobs_remembered (\S+)$", read(port), re.M)[1]))


def hits(port):
    """Answers out of the cache so far, and all answers."""
    found = re.findall(r'^vidgate_requests_total\{.*cache="(\w+)"\} (\S+)$', read(port), re.M)
    return sum(float(n) for cache, n in found if cache == "hit"), sum(float(n) for _, n in found)
