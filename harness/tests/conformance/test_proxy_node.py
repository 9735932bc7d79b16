"""OpenAI's unmodified Node client through the proxy, against the emulator."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import voicegauge
from voicegauge.speech.decoding import decode

from ..builders.published_packages import install_npm_packages

SCRIPT = Path(__file__).with_name("node_client.mjs")
PACKAGE = "openai@6"
RUN_LIMIT_S = 60


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory) -> Path:
    """A folder with the package, as npm installs it.

    See the module `published_packages` for when the tests are skipped.
    """
    folder: Path = tmp_path_factory.mktemp("node")
    install_npm_packages(folder, PACKAGE)
    shutil.copy(SCRIPT, folder)
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("own_processes")
def test_speech_to_a_file_as_a_stream_and_an_error(node_folder, tmp_path) -> None:
    with (
        voicegauge.emulate("openai", time_scale=0.05) as emulator,
        voicegauge.proxy("openai", upstream=emulator.base_url("openai"), recording_path=tmp_path) as proxied,
    ):
        done = subprocess.run(
            ["node", SCRIPT.name, f"{proxied.url}/v1", str(tmp_path / "speech.wav")],
            cwd=node_folder,
            capture_output=True,
            text=True,
            timeout=RUN_LIMIT_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == 400
    assert result["events"] > 2
    assert decode((tmp_path / "speech.wav").read_bytes()).duration_s > 1
    report = proxied.report
    assert (report.request_count, report.recorded_count, report.unjudged_count_by_reason) == (3, 3, {})
    assert not report.report.count_findings("error")
