"""Published servers that claim OpenAI's speech API, checked in one line, with their known mistakes as the result.

Each finding was compared with the source of the server: all of them are true.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import voicegauge

from ..builders import published_server

pytestmark = pytest.mark.slow

KNOWN_FINDINGS = {
    # Speed and formats have narrower limits, an unknown voice or model is replaced, stream_format is ignored, raw
    # samples have another media type, models have no time, and a text of white space ends in an exception after the
    # head.
    "supertonic-server": {
        "disputed status-undocumented": 1,
        "error accepts-invalid": 2,
        "warning accepts-invalid": 4,
        "error content-type": 1,
        "error rejects-valid": 2,
        "error response-incomplete": 1,
        "error response-kind-ignored": 1,
        "error response-schema": 1,
    },
    # Voice, speed, model and stream_format are ignored, the default is WAV, limits of values are missing, raw samples
    # have another media type. Other formats than WAV need ffmpeg, which is not there.
    "local-tts-studio": {
        "error accepts-invalid": 4,
        "warning accepts-invalid": 4,
        "error audio-format": 1,
        "error content-type": 1,
        "error rejects-valid": 1,
        "error response-kind-ignored": 1,
        "error speed-ignored": 1,
        "error voice-ignored": 1,
    },
}
STARTUP_S = 60


@pytest.fixture(params=list(KNOWN_FINDINGS))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The name of a running server, and its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "PATH": str(tmp_path)}
    command = [sys.executable, published_server.__file__, request.param, str(port)]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/v1"
        for _ in range(STARTUP_S * 10):
            try:
                httpx.get(f"{url}/models")
                break
            except httpx.TransportError:
                assert process.poll() is None
                time.sleep(0.1)
        yield request.param, url
    finally:
        process.kill()
        process.wait()


def test_the_known_mistakes_are_found_and_no_others(server: tuple[str, str]) -> None:
    name, url = server
    report = voicegauge.check("openai-compatible", live=voicegauge.LiveOptions(base_urls={"": url}))
    assert report.is_finished
    assert Counter(f"{finding.severity} {finding.rule}" for finding in report.findings) == KNOWN_FINDINGS[name]
