"""What Schemathesis must know beside the description: jobs that exist, and that 500 is never right."""

import os
import re
import zlib

import schemathesis

# Endings, states that stay, refusals and broken answers of the simulated providers. Those that make a provider rest
# (rate limits, wrong keys) are left out, since they would answer for all jobs after them.
OUTCOMES = "00 01 02 03 04 05 06 07 08 10 11 40 44 60 61 62 66 67".split()

with open(os.environ["VIDGATE_DEMO"], encoding="utf-8") as demo:
    EXAMPLES = re.findall(r"/v1/videos/(\S+)", demo.read())


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
