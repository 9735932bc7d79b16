"""The own clients of Google and Azure call what they have over REST. Fast tests call all of it as plain requests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import voicegauge
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.contract.loading import load_catalogue

from ..builders.published_packages import install_python_packages

RUN_LIMIT_S = 120
OPERATIONS_OF_AZURE = {"transcribe"}
"""What Azure's clients have over HTTP: another one, for speech, is a library in C++ that opens a WebSocket."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("provider", "packages", "file_format"),
    [
        ("google", ("google-cloud-texttospeech", "google-cloud-speech"), "flac"),
        ("azure", ("azure-ai-transcription",), "mp3"),
    ],
)
def test_the_clients_of_a_cloud_call_every_operation_that_they_have(
    provider: str, packages: tuple[str, ...], file_format: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    install_python_packages(tmp_path / "site", *packages)
    recording = tmp_path / f"speech.{file_format}"
    recording.write_bytes(load_spoken_sentence(file_format).file.data)
    script = Path(__file__).with_name(f"{provider}_client.py")
    with voicegauge.emulate(provider, time_scale=0.02) as emulator:
        command = [sys.executable, str(script), emulator.base_url(provider), str(recording)]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False
        )
        journal = httpx.get(f"{emulator.control_url}/journal").json()
    assert done.returncode == 0, done.stderr
    met = {entry["operation"] for entry in journal if entry["status"] < 300}
    request.node.user_properties.append((f"{provider} by Python", " ".join(sorted(met))))  # benchmarks/surface reads it
    operations = set(load_catalogue().find_provider(provider).operations)
    assert met == (OPERATIONS_OF_AZURE if provider == "azure" else operations)
    assert met <= operations
