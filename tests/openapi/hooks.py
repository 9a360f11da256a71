"""What Schemathesis must know beside the description: jobs that exist, and that 500 is never right."""

import json
import os
import re
import time
import urllib.request
import zlib

import schemathesis

# Endings, states that stay, refusals and broken answers of the simulated providers. Those that make a provider rest
# (rate limits, wrong keys) are left out, since they would answer for all jobs after them.
OUTCOMES = "00 01 02 03 04 05 06 07 08 10 11 40 44 60 61 62 66 67".split()

with open(os.environ["VIDGATE_DEMO"], encoding="utf-8") as demo:
    CALLS = re.findall(r"(http://\S+/v1/videos/)(\S+)", demo.read())
EXAMPLES = [example for _, example in CALLS]


def finish():
    """Jobs start when they are first asked for: those that complete are done before the first request for bytes."""
    waiting = [prefix + example for prefix, example in CALLS]
    end = time.monotonic() + 30
    while waiting and time.monotonic() < end:
        polled = [(url, json.load(urllib.request.urlopen(url, timeout=10))["status"]) for url in waiting]
        waiting = [url for url, status in polled if status != "completed"]
        time.sleep(0.2 if waiting else 0)
    assert not waiting, waiting


finish()


def job(number):
    """One of the demo's jobs, with one of the outcomes, in one of the two spellings of its slashes."""
    name, provider = EXAMPLES[number % len(EXAMPLES)].rsplit(":", 1)
    outcome = OUTCOMES[number // len(EXAMPLES) % len(OUTCOMES)]
    return f"{name[:-2]}{outcome}:{provider}"


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Random ids nearly always name no provider: two of three become a job, or random text with a provider."""
    video_id = (path_parameters or {}).get("video_id")
    if not isinstance(video_id, str):
        return path_parameters
    number = zlib.crc32(video_id.encode("utf-8", "surrogatepass"))
    if number % 3 == 0:
        return path_parameters
    if number % 3 == 1:
        provider = EXAMPLES[number % len(EXAMPLES)].rsplit(":", 1)[1]
        return {**path_parameters, "video_id": f"{video_id}:{provider}"}
    return {**path_parameters, "video_id": job(number // 3)}


RANGES = ["bytes=0-", "bytes=0-0", "bytes=100-199", "bytes=-10", "bytes=99999999-", "bytes=0-1,5-6"]


@schemathesis.hook
def map_query(context, query):
    """Jobs have one video or two: of three numbers, two become one that may be there."""
    index = (query or {}).get("index")
    if not isinstance(index, int) or index % 3 == 0:
        return query
    return {**query, "index": index // 3 % 2}


@schemathesis.hook
def map_headers(context, headers):
    """Random text is no range: two of three become one, or what looks like one."""
    text = (headers or {}).get("range")
    if not isinstance(text, str):
        return headers
    number = zlib.crc32(text.encode("utf-8", "surrogatepass"))
    if number % 3 == 0:
        return headers
    # A condition is random text, too, and holds for no file.
    kept = {name: value for name, value in headers.items() if name != "if-range" or number % 2}
    return {**kept, "range": RANGES[number // 3 % len(RANGES)]}


@schemathesis.check
def no_fault_of_the_proxy(ctx, response, case):
    """A 502 is a provider's trouble; a 500 would be ours."""
    assert response.status_code != 500, response.text


@schemathesis.check
def the_envelope_says_the_status(ctx, response, case):
    if response.status_code >= 400 and case.method.upper() != "HEAD":
        body = response.json()
        assert body["status_code"] == response.status_code, body
        assert body["event_id"] == response.headers["x-request-id"][0], body
