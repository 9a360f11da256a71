"""LiteLLM from PyPI, in a virtual environment of its own, asked for the same poll."""

import subprocess
import sys
from base64 import b64encode

from load import CONF
from measure import Row, polls
from process import free_port

KEY = "sk-bench"

# It knows a job's provider and model from the job's id, as it hands such ids out itself.
JOB = "litellm:custom_llm_provider:openai;model_id:sora-2-pro;video_id:video_1"

REQUIREMENTS = CONF.parent / "requirements.txt"


def install(folder, say):
    """Unless just these versions are there."""
    marker, wanted = folder / "installed", REQUIREMENTS.read_text()
    if marker.exists() and marker.read_text() == wanted:
        return
    say(f"installing LiteLLM into {folder}, which takes minutes")
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS],
                   check=True)
    marker.write_text(wanted)


def start_litellm(house):
    """One worker, as it comes. What it would fetch from the network at start is in its package, too."""
    port = free_port()
    config = house.write("litellm.yaml", "litellm.yaml", upstream=house.http, key=KEY)
    program = house.start(
        "litellm", [house.options.litellm, "--config", config, "--host", "127.0.0.1", "--port", port], port,
        patience=180, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"})
    # It has no poll cache, so one job is as good as many. With more clients too much would be unanswered at the end.
    return Row("litellm", "LiteLLM, one worker", polls(port, f"video_{b64encode(JOB.encode()).decode()}"), program.pid,
               (f"Authorization: Bearer {KEY}",), clients=4)
