"""Saved traffic is judged like live traffic."""

from __future__ import annotations

import asyncio
import json

import pytest

from voicegauge import cli
from voicegauge.client import Client
from voicegauge.model import Provenance, SpeechRequest
from voicegauge.recording import save_har
from voicegauge.transport import Transport, VirtualClock


@pytest.fixture
def record(voicegauge_catalogue, voicegauge_emulator, tmp_path, plant):
    """Record one delivery of a target while `faults` are planted; answers with the folder."""

    def make(target_id: str, *faults: str):
        plant(*faults)
        (target,) = voicegauge_catalogue.select([target_id])
        contract = target.contract

        async def speak():
            async with Transport() as transport:
                base_urls = {"": voicegauge_emulator.base_url(contract.id)}
                client = Client(contract, transport, base_urls=base_urls, key="test-key", clock=VirtualClock())
                return await client.speak(target, SpeechRequest(text="Good morning, everybody."))

        delivery = asyncio.run(speak())
        path = tmp_path / contract.id / "speech.har"
        save_har(path, delivery.exchanges, provenance=Provenance.EMULATED, contract=contract, secrets=("test-key",))
        return tmp_path

    return make


def _check(folder, target, capfd):
    provider = target.partition("/")[0]
    status = cli.run(["check", provider, "--recordings", str(folder), "--json", "-"])
    report = json.loads(capfd.readouterr().out)
    rules = {finding["rule"] for finding in report["findings"] if finding["provenance"] == "emulated"}
    return status, rules, report


@pytest.mark.parametrize("target", ["pixazo/chatterbox", "pixelapi/voice-design", "ttsai/kokoro", "ttsai/kokoro-sync"])
def test_a_recording_of_a_good_service_keeps_the_contract(record, capfd, target) -> None:
    status, rules, report = _check(record(target), target, capfd)
    assert (status, rules) == (0, set())
    assert set(report["exchanges"]) == {"documented", "emulated"}


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("silent-audio", "audio-silent"),
        ("backwards-transition", "job-transition-illegal"),
        ("id-changed", "job-id-changed"),
        ("missing-field", "response-schema"),
    ],
)
def test_what_was_wrong_is_found_in_the_recording(record, capfd, fault, rule) -> None:
    status, rules, _ = _check(record("pixazo/chatterbox", fault), "pixazo/chatterbox", capfd)
    assert status == 1
    assert rule in rules


def test_a_file_that_is_no_recording_is_one_line(tmp_path, capfd) -> None:
    (tmp_path / "broken.har").write_text("{")
    assert cli.run(["check", "--recordings", str(tmp_path)]) == 2
    assert len(capfd.readouterr().err.splitlines()) == 1
