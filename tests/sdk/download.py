"""The OpenAI Python SDK downloads the video of every example job of the demo, whatever form it is in there.

Usage: download.py FILE MEDIA FOLDER, where FILE holds what `vidgate demo` printed, MEDIA is the folder of the sandbox's
video and stills, and downloads are saved to FOLDER. The last line is "N passed, N failed".
"""

import sys
import tempfile
import warnings
from pathlib import Path

import openai

from demo import Tally, of, read_demo, with_outcome

# The SDK calls its video API deprecated since OpenAI retires Sora; the format lives on in others' servers.
warnings.simplefilter("ignore", DeprecationWarning)


def saves(client, video_id, expected, content_type, folder, **query):
    """Polls the job to its end, then saves what the SDK downloads."""
    video = client.videos.poll(video_id)
    assert video.status == "completed", (video.status, video.error)
    content = client.videos.download_content(video_id, **query)
    assert content.response.headers["content-type"] == content_type, content.response.headers
    assert content.response.headers["content-length"] == str(len(expected)), content.response.headers
    check_file(content.write_to_file, expected, folder)


def streams(client, video_id, expected, folder):
    """The same without holding the whole video in memory."""
    client.videos.poll(video_id)
    with client.videos.with_streaming_response.download_content(video_id) as content:
        check_file(content.stream_to_file, expected, folder)


def resumes(client, video_id, expected):
    """The second half of a download that broke off."""
    client.videos.poll(video_id)
    half = len(expected) // 2
    content = client.videos.download_content(video_id, extra_headers={"Range": f"bytes={half}-"})
    assert content.response.status_code == 206, content.response
    assert content.response.headers["content-range"] == f"bytes {half}-{len(expected) - 1}/{len(expected)}"
    assert content.read() == expected[half:], "other bytes"


def check_file(save, expected, folder):
    with tempfile.TemporaryDirectory(dir=folder) as place:
        file = Path(place) / "video.mp4"
        save(file)
        saved = file.read_bytes()
    assert saved == expected, f"{len(saved)} other bytes"


def refuses(client, video_id, status, code, end=None, **query):
    """Asks for the bytes and gets an error; of a job with an end, once that has come."""
    if end:
        video = client.videos.poll(video_id)
        assert video.status == end, (video.status, video.error)
    try:
        client.videos.download_content(video_id, **query)
    except openai.APIStatusError as caught:
        assert (caught.status_code, caught.code) == (status, code), caught
        return
    raise AssertionError("no error")


def cases(client, examples, media, folder):
    video = (media / "video.mp4").read_bytes()
    for video_id in examples:
        # As base64 in the answer where the kind can, else once more in its usual form.
        for job in (video_id, with_outcome(video_id, "08")):
            yield f"download {job}", saves, (client, job, video, "video/mp4", folder)
            yield f"the second half of {job}", resumes, (client, job, video)
        yield f"stream {video_id}", streams, (client, video_id, video, folder)
        yield f"not ready: {video_id}", refuses, (client, with_outcome(video_id, "11"), 409, "video_not_ready")
        yield f"failed: {video_id}", refuses, (client, with_outcome(video_id, "01"), 409, "video_failed", "failed")
        yield f"unknown: {video_id}", refuses, (client, with_outcome(video_id, "44"), 404, "video_not_found")


def renderings(client, examples, media, folder):
    openai_job, other = of(examples, "openai"), of(examples, "replicate")
    for variant, name, content_type in (
        ("video", "video.mp4", "video/mp4"),
        ("thumbnail", "thumbnail.webp", "image/webp"),
        ("spritesheet", "spritesheet.jpg", "image/jpeg"),
    ):
        def save(*arguments, variant=variant):
            saves(*arguments, variant=variant)
        yield f"{variant} of {openai_job}", save, (client, openai_job, (media / name).read_bytes(), content_type, folder)

    def has_no_thumbnail():
        refuses(client, other, 400, "invalid_variant", "completed", variant="thumbnail")
    yield f"thumbnail of {other}", has_no_thumbnail, ()

    def has_no_second_video():
        refuses(client, other, 400, "invalid_index", "completed", extra_query={"index": 1})
    yield f"second video of {other}", has_no_second_video, ()


def main():
    file, media, folder = sys.argv[1:]
    base_url, examples = read_demo(file)
    client = openai.OpenAI(base_url=base_url, api_key="any", max_retries=0, timeout=30)
    print(f"openai {openai.__version__} at {base_url}")
    tally = Tally()
    for some in (cases, renderings):
        tally.run(some(client, examples, Path(media), folder), at_once=32)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
