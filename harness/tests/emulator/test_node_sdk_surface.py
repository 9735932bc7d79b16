"""Every operation that the official clients for Node offer is called by them, as the journal of the emulator shows."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import voicegauge
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.process import RunningEmulator

from ..builders.published_packages import install_npm_packages

SCRIPT = Path(__file__).with_name("surface.mjs")
PACKAGES = ("openai@7", "@deepgram/sdk@5", "@cartesia/cartesia-js@4", "@elevenlabs/elevenlabs-js@2")
PROVIDERS = ("openai", "deepgram", "cartesia", "elevenlabs")
RUN_LIMIT_S = 120
NOT_OFFERED = {
    "elevenlabs/convertSpeechByLibrary": "The client for Node has the path of the description.",
    "elevenlabs/streamConvertedSpeechByLibrary": "The client for Node has the path of the description.",
}
"""Operations that the client for Node lacks, with the reason."""


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clients, as npm installs them.

    See the module `published_packages` for when the tests are skipped.
    """
    folder = tmp_path_factory.mktemp("node")
    install_npm_packages(folder, *PACKAGES)
    shutil.copy(SCRIPT, folder)
    (folder / "speech.mp3").write_bytes(load_spoken_sentence("mp3").file.data)
    return folder


@pytest.fixture(scope="module")
def emulator() -> Iterator[RunningEmulator]:
    with voicegauge.emulate(list(PROVIDERS), time_scale=0.02) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_client_for_node_calls_every_operation(
    provider: str, emulator: RunningEmulator, node_folder: Path, request: pytest.FixtureRequest
) -> None:
    command = ["node", SCRIPT.name, provider, emulator.base_url(provider), "speech.mp3"]
    done = subprocess.run(command, cwd=node_folder, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}
    journal = httpx.get(f"{emulator.control_url}/journal").json()
    met = {entry["operation"] for entry in journal if entry["provider"] == provider and entry["status"] < 300}
    request.node.user_properties.append((f"{provider} by Node", " ".join(sorted(met))))  # benchmarks/surface reads it
    lacking = {name.partition("/")[2] for name in NOT_OFFERED if name.startswith(f"{provider}/")}
    assert set(load_catalogue().find_provider(provider).operations) - met == lacking
