"""Google's own clients call every operation over REST. The fast test of all clients calls them as plain requests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import voicegauge
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.contract.catalogue import load_catalogue

from ..builders.python_packages import install_python_packages

SCRIPT = Path(__file__).with_name("google_client.py")
RUN_LIMIT_S = 120


@pytest.mark.slow
def test_the_clients_of_google_call_every_operation(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    install_python_packages(tmp_path / "site", "google-cloud-texttospeech", "google-cloud-speech")
    recording = tmp_path / "speech.flac"
    recording.write_bytes(load_spoken_sentence("flac").file.data)
    with voicegauge.emulate("google", time_scale=0.02) as emulator:
        command = [sys.executable, str(SCRIPT), emulator.base_url("google"), str(recording)]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False
        )
        journal = httpx.get(f"{emulator.control_url}/journal").json()
    assert done.returncode == 0, done.stderr
    met = {entry["operation"] for entry in journal if entry["status"] < 300}
    request.node.user_properties.append(("google by Python", " ".join(sorted(met))))  # benchmarks/surface reads it
    assert met == set(load_catalogue().find_provider("google").operations)
