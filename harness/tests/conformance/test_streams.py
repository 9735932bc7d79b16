"""Streamed speech: a correct stream has no findings, and every fault is found by its rule."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from voicegauge.client.client import Client
from voicegauge.conformance.offline_subjects import judge_documented_examples
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.process import EmulatorSettings, running_emulator
from voicegauge.model.base import Finding, Provenance, Severity, SpeechRequest
from voicegauge.model.exchange import Delivery, Exchange, Request, Response
from voicegauge.rules.call import Call
from voicegauge.rules.checker import Checker
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.transport.http import Transport

from ..builders.contracts import load_trusted
from ..builders.fault_examples import list_fault_examples

TARGET = "ttsai/kokoro-stream"
BOUND_S = 0.4

# faults that are not of streams alone -> the rule that must find it, and rules that may find it as well
FOUND_BY: dict[str, tuple[str, set[str]]] = {
    "empty-body": ("empty-body", {"audio-missing"}),
    "wrong-content-type": ("content-type", {"audio-missing"}),
    "silent-audio": ("audio-silent", set()),
    "wrong-format": ("audio-format", {"audio-media-type"}),
    "truncated-audio": ("audio-truncated", {"audio-length"}),
    "html-as-audio": ("audio-not-audio", set()),
}


def test_a_correct_stream_has_no_findings(check) -> None:
    report = check([TARGET], only=lambda case: case.speech_request is not None)
    assert not report.findings
    ends = {case.id.rpartition(": ")[2]: case.verdict for case in report.case_results}
    assert ends["a full delivery"] == "passed"
    assert ends["a stream that ends in error"] == "passed"


@pytest.mark.parametrize("fault", FOUND_BY)
def test_any_other_fault_is_found_in_a_stream_by_its_rule(fault, check) -> None:
    rule, also = FOUND_BY[fault]
    report = check(
        [TARGET], faults=[f"{fault}@{TARGET}"], only=lambda case: case.id.endswith(": a full delivery as mp3")
    )
    errors = {finding.rule for finding in report.findings if finding.severity is Severity.ERROR}
    assert rule in errors
    assert errors <= {rule, *also}
    found = next(finding for finding in report.findings if finding.rule == rule)
    assert found.where.contract_line
    assert found.where.operation == "streamSpeech"


@pytest.fixture
def bounded(tmp_path: Path, voicegauge_catalogue) -> Contract:
    """The bundled contract with a short maximum pause between chunks."""
    text = voicegauge_catalogue.find_provider("ttsai").document.path.read_text()
    path = tmp_path / "ttsai" / "openapi.yaml"
    path.parent.mkdir()
    path.write_text(text.replace("max_gap_s: 5\n", f"max_gap_s: {BOUND_S}\n"))
    return load_trusted(path)


def _speak(contract: Contract, base_url: str) -> Delivery:
    async def speak() -> Delivery:
        async with Transport() as transport:
            client = Client(contract, transport, base_urls={"": base_url}, key="sk-tts-emulated")
            return await client.speak(
                contract.find_target_by_name("kokoro-stream"), SpeechRequest(text="Hello from the stream.")
            )

    return asyncio.run(speak())


def _findings(contract: Contract, exchange: Exchange) -> Iterator[Finding]:
    return Checker(Provenance.EMULATED).iterate_findings(Call(contract.find_operation("streamSpeech"), exchange))


@pytest.mark.parametrize(("rule", "example"), list_fault_examples("timed-stream"))
def test_a_stalled_stream_is_found_by_the_times_of_its_chunks(rule, example, bounded) -> None:
    settings = EmulatorSettings(time_scale=0.05, faults=(example.fault_id,))
    with running_emulator([bounded], settings) as emulator:
        delivery = _speak(bounded, emulator.base_url("ttsai"))
    assert delivery.audio
    found = list(_findings(bounded, delivery.exchanges[-1]))
    assert [finding.rule for finding in found] == [rule.id]
    assert f"at most {BOUND_S:g} s" in found[0].message


def _answer(contract: Contract, body: bytes) -> Exchange:
    operation = contract.find_operation("streamSpeech")
    response = Response(status=200, headers=(("Content-Type", "text/event-stream"),), body=body)
    request = Request(method="POST", url=f"{operation.server.url}{operation.path}")
    return Exchange(provider=contract.id, operation=operation.id, request=request, response=response)


AUDIO = b'event: audio\ndata: {"index": 0, "audio": "AAAA"}\n\n'
START, DONE = b'event: start\ndata: {"status": "processing"}\n\n', b'event: done\ndata: {"status": "completed"}\n\n'


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        (START + AUDIO + DONE, set()),
        (b": hello\r\n\r\n" + (START + AUDIO + DONE).replace(b"\n", b"\r\n"), set()),
        (START + AUDIO, {"stream-end-missing"}),
        (START + AUDIO + DONE[:-1], {"stream-end-missing"}),
        (START + DONE, {"stream-order", "stream-audio-missing"}),
        (AUDIO + DONE, {"stream-order"}),
        (START + AUDIO + DONE + AUDIO, {"stream-order", "stream-index"}),
        (START + AUDIO + AUDIO + DONE, {"stream-index"}),
        (START + b"data: {}\n\n" + AUDIO + DONE, {"stream-event-unknown"}),
        (START + AUDIO.replace(b'"AAAA"', b"7") + DONE, {"stream-event-schema", "stream-audio-unreadable"}),
        (START + AUDIO + b"event: done\ndata: soon\n\n", {"stream-event-schema"}),
        (b"<html>", {"stream-unreadable"}),
        (b"\xff\xfe" * 50, {"stream-unreadable"}),
        (b'event: error\ndata: {"error": {"code": "internal_error", "message": "No."}}\n\n', set()),
        (b'event: error\ndata: {"error": "No."}\n\n', {"stream-event-schema"}),
    ],
    ids=lambda value: "-".join(sorted(value)) if isinstance(value, set) else "",
)
def test_streams_of_any_origin_are_judged_by_the_same_rules(body, rules, voicegauge_catalogue) -> None:
    contract = voicegauge_catalogue.find_provider("ttsai")
    found = {finding.rule for finding in _findings(contract, _answer(contract, body))}
    assert found - {"header-missing"} == rules  # documents print no headers
    assert rules <= set(RULE_BY_ID)


def test_a_documented_stream_is_judged(tmp_path: Path, voicegauge_catalogue) -> None:
    text = voicegauge_catalogue.find_provider("ttsai").document.path.read_text()
    path = tmp_path / "openapi.yaml"
    written = 'value: "event: start\\ndata: {}\\n\\n"'
    media = "            text/event-stream:\n              schema: {type: string}\n"
    assert media in text
    path.write_text(text.replace(media, f"{media}              examples: {{printed: {{{written}}}}}\n"))
    found = {one.rule for _, findings in judge_documented_examples(load_contract(path)) for one in findings}
    assert {"stream-event-schema", "stream-end-missing"} <= found
