"""What the tests in Python share: reading what `vidgate demo` printed, other jobs like the examples, and counting."""

import re
from concurrent.futures import ThreadPoolExecutor


def read_demo(path):
    """The base URL and the ids of the example jobs, from the curl lines."""
    with open(path, encoding="utf-8") as file:
        calls = re.findall(r"curl (http://\S+/v1)/videos/(\S+)", file.read())
    assert calls, "the demo printed no example jobs"
    return calls[0][0], [video_id for _, video_id in calls]


def of(examples, provider):
    return next(video_id for video_id in examples if video_id.endswith(f":{provider}"))


def with_outcome(video_id, code):
    """The same job with another outcome: the last two characters before the provider's name."""
    job, provider = video_id.rsplit(":", 1)
    return f"{job[:-2]}{code}:{provider}"


def fresh(video_id):
    """A job of the same form that no other case asks for: another character near the end of its name."""
    job, provider = video_id.rsplit(":", 1)
    other = "1" if job[-3] != "1" else "2"
    return f"{job[:-3]}{other}{job[-2:]}:{provider}"


class Tally:
    """Runs cases, each a name, a function and its arguments, and counts them."""

    def __init__(self):
        self.passed = self.failed = 0

    def run(self, cases, at_once):
        with ThreadPoolExecutor(max_workers=at_once) as threads:
            running = [(name, threads.submit(function, *arguments)) for name, function, arguments in cases]
            for name, job in running:
                error = job.exception()
                self.passed, self.failed = self.passed + (error is None), self.failed + (error is not None)
                print(f"{'ok    ' if error is None else 'FAILED'} {name}" + (f": {error!r}" if error else ""))

    def close(self):
        """Prints the closing line and returns the exit status."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0
