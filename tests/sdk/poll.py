"""The OpenAI Python SDK against the demo: every example job, how jobs end, and how asking goes wrong.

Usage: poll.py FILE, where FILE holds what `vidgate demo` printed. The last line is "N passed, N failed".
"""

import sys
import warnings

import openai

from demo import Tally, fresh, of, read_demo, with_outcome

# The SDK calls its video API deprecated since OpenAI retires Sora; the format lives on in others' servers.
warnings.simplefilter("ignore", DeprecationWarning)

STATUSES = ("queued", "in_progress", "completed", "failed")


def optional(value, kind):
    return value is None or (isinstance(value, kind) and not isinstance(value, bool))


def check_video(video, video_id):
    """What is promised of every video object, in whatever state."""
    assert isinstance(video, openai.types.Video), type(video)
    assert video.id == video_id, f"asked for {video_id}, got {video.id}"
    assert video.object == "video", video.object
    assert video.status in STATUSES, video.status
    assert type(video.progress) is int and 0 <= video.progress <= 100, video.progress
    assert optional(video.seconds, str), video.seconds
    assert optional(video.size, str), video.size
    assert optional(video.model, str), video.model
    assert optional(video.prompt, str), video.prompt
    for field in ("created_at", "completed_at", "expires_at"):
        assert optional(getattr(video, field), int), (field, getattr(video, field))
    assert (video.error is not None) == (video.status == "failed"), video.error
    assert isinstance(video.videos, list), video.videos
    assert video.extra_fields["provider"] == video_id.rsplit(":", 1)[1], video.extra_fields


def check_end(video, video_id, status, code):
    check_video(video, video_id)
    assert video.status == status, f"{video.status}, {video.error}"
    if status == "completed":
        assert video.progress == 100, video.progress
        assert video.videos, "a completed job without a video"
        assert all(item.get("url") or item.get("base64") for item in video.videos), video.videos
    else:
        assert isinstance(video.error.code, str) and video.error.code, video.error
        assert isinstance(video.error.message, str) and video.error.message, video.error
        assert code is None or video.error.code == code, video.error


def retrieves(client, video_id):
    """A job that nobody asked for before is not at its end."""
    video = client.videos.retrieve(video_id)
    check_video(video, video_id)
    # Google's operations know no queue: they run from the start.
    assert video.status in ("queued", "in_progress"), video.status
    raw = client.videos.with_raw_response.retrieve(video_id)
    assert raw.headers["openai-poll-after-ms"].isdigit(), raw.headers


def polls(client, video_id, status, code=None):
    check_end(client.videos.poll(video_id), video_id, status, code)


def refuses(client, video_id, error, status, code):
    """A code of `None` is the provider's own, whatever it is."""
    try:
        client.videos.retrieve(video_id)
    except error as caught:
        assert caught.status_code == status, caught.status_code
        assert code is None or caught.code == code, caught.code
        assert caught.type, caught.body
        assert caught.request_id, "no x-request-id"
        if status in (429, 503):
            assert int(caught.response.headers["retry-after"]) >= 1
        return
    raise AssertionError(f"no {error.__name__}")


def retries_by_itself(client, video_id):
    """With its default retries the SDK gets over a first poll that is turned away."""
    polls(client.with_options(max_retries=2), video_id, "completed")


def calm(client, examples):
    """Cases that leave the providers as they are, in any order."""
    for video_id in examples:
        # Another stem, so that this job is still fresh whenever its turn comes.
        yield f"retrieve {video_id}", retrieves, (client, fresh(video_id))
        yield f"poll {video_id}", polls, (client, video_id, "completed")
        yield f"poll to a failure: {video_id}", polls, (client, with_outcome(video_id, "01"), "failed")
        yield f"poll to moderation: {video_id}", polls, (client, with_outcome(video_id, "02"), "failed")
        yield f"unknown: {video_id}", refuses, (
            client, with_outcome(video_id, "44"), openai.NotFoundError, 404, "video_not_found")
    for provider in ("openai", "runway", "replicate"):
        cancelled = with_outcome(of(examples, provider), "04")
        yield f"poll to a cancellation: {cancelled}", polls, (client, cancelled, "failed", "cancelled")
    yield "malformed", refuses, (
        client, with_outcome(of(examples, "openai"), "40"), openai.BadRequestError, 400, None)
    yield "unknown provider", refuses, (client, "video_1:nobody", openai.BadRequestError, 400, "unknown_provider")
    yield "no provider", refuses, (client, "video_1", openai.BadRequestError, 400, "invalid_video_id")


def disturbing(client, examples):
    """Cases after which a provider is left alone for a while, for all of its jobs. The longest come last."""
    openai_job = of(examples, "openai")
    yield "first poll rate limited", retries_by_itself, (client, with_outcome(openai_job, "48"))
    yield "first poll unavailable", retries_by_itself, (client, with_outcome(openai_job, "55"))
    for outcome, status, code in (
        ("41", 502, "upstream_auth_failed"),
        ("50", 502, "upstream_error"),
        ("60", 502, "upstream_invalid_response"),
        # As long as a 429 of this provider would, which the Node SDK meets.
        ("53", 503, "upstream_unavailable"),
    ):
        yield f"refused with {outcome}", refuses, (
            client, with_outcome(openai_job, outcome), openai.InternalServerError, status, code)
    for video_id in (video_id for video_id in examples if video_id != openai_job):
        yield f"rate limited: {video_id}", refuses, (
            client, with_outcome(video_id, "49"), openai.RateLimitError, 429, "rate_limit_exceeded")


def main():
    base_url, examples = read_demo(sys.argv[1])
    client = openai.OpenAI(base_url=base_url, api_key="any", max_retries=0, timeout=30)
    print(f"openai {openai.__version__} at {base_url}")
    tally = Tally()
    # All calm cases at once, since jobs take their time; then the others one after another.
    tally.run(calm(client, examples), at_once=32)
    tally.run(disturbing(client, examples), at_once=1)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
