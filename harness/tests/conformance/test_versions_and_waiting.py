"""Several models behind one path, and a job that is complete in the response to the submit: the example of the docs."""

from __future__ import annotations

import asyncio
import itertools

import msgspec
import pytest

from voicegauge.bench._sample_building import measure_latency
from voicegauge.client.client import Client
from voicegauge.client.ledger import Ledger
from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.errors import ContractError
from voicegauge.model.base import Provenance, SpeechRequest
from voicegauge.model.exchange import Delivery, Timing
from voicegauge.model.sample import Interval
from voicegauge.rules.call import Call
from voicegauge.rules.checker import Checker
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from ..builders.documented_examples import read_example
from ..builders.in_process_check import check_in_process

TEXT = "Good morning. This is a short test."


@pytest.fixture(scope="module")
def document() -> str:
    return read_example("contract.md", "versions")


@pytest.fixture
def load(document, tmp_path):
    def load_edited(*edits: tuple[str, str]) -> Contract:
        text = document
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "openapi.yaml"
        path.write_text(text, encoding="utf-8")
        return load_contract(path)

    return load_edited


async def _speak(acme: Contract, name: str, settings: EmulatorSettings | None = None, **options) -> Delivery:
    async with Transport(app=create_app([acme], settings or build_emulator_settings())) as transport:
        base_urls = {"": "http://emulator.invalid/acme"}
        client = Client(acme, transport, base_urls=base_urls, key="any-key", clock=VirtualClock(), **options)
        return await client.speak(acme.find_target_by_name(name), SpeechRequest(text=TEXT))


def test_a_correct_service_has_no_findings_and_every_version_is_checked(load) -> None:
    report = check_in_process(load())
    assert report.findings == ()
    verdicts = {case.id: case.verdict for case in report.case_results}
    assert {verdicts[f"acme/{name}: a full delivery"] for name in ("kiwi", "kiwi-wait", "plum")} == {"passed"}
    assert verdicts["acme/kiwi: text of 201 characters"] == "passed"
    assert verdicts["acme/plum: prompt of 101 characters"] == "passed"
    assert verdicts["acme/plum: speed 2.01"] == "passed"
    assert not any("kiwi-wait: text of" in name for name in verdicts), "the same version has the same schema"


async def test_each_version_gets_its_own_fields(load) -> None:
    acme = load()
    kiwi, plum = [await _speak(acme, name) for name in ("kiwi", "plum")]
    sent = [delivery.exchanges[0].request.body for delivery in (kiwi, plum)]
    assert b'"voice":"kim"' in sent[0]
    assert sent[1] == b'{"version":"9e0a","input":{"prompt":"%s"}}' % TEXT.encode()


def _time_exchange(started_ms: float, total_ms: float, receive_ms: float) -> Timing:
    ttfb_ms = total_ms - receive_ms
    return Timing(
        started_at=0,
        started_ms=started_ms,
        connection_wait_ms=0,
        connect_ms=None,
        tls_ms=None,
        send_ms=0,
        ttfb_ms=ttfb_ms,
        receive_ms=receive_ms,
        total_ms=total_ms,
    )


async def test_a_request_that_waits_is_complete_after_one_exchange(load) -> None:
    ledger = Ledger(1)
    acme = load()
    delivery = await _speak(acme, "kiwi-wait", ledger=ledger)
    assert [exchange.operation for exchange in delivery.exchanges] == ["createPrediction", "(download)"]
    assert delivery.audio
    assert [seen.state for seen in delivery.job.observations] == ["succeeded"]
    bound_s = 5 + 0.02 * len(TEXT)
    assert ledger.spent_usd == pytest.approx(0.000225 * bound_s / 2, abs=1e-6)
    timings = [_time_exchange(0, 900, 20), _time_exchange(950, 50, 10)]
    timed = [
        msgspec.structs.replace(one, timing=timing) for one, timing in zip(delivery.exchanges, timings, strict=True)
    ]
    sent_at_zero = msgspec.structs.replace(delivery, exchanges=tuple(timed), first_submit_sent_ms=0.0)
    latency = measure_latency(sent_at_zero, acme.find_target_by_name("kiwi-wait"))
    assert latency.completion_ms == Interval(low_ms=880, high_ms=880), "the service responds when the job ends"
    assert (latency.queue_ms, latency.processing_ms, latency.total_latency_ms) == (None, None, 1000)


async def test_a_job_that_takes_longer_than_the_wait_is_polled(load, monkeypatch) -> None:
    readings = itertools.count()
    # A twentieth of a second passes whenever the emulator reads the time, however busy the machine is.
    monkeypatch.setattr("voicegauge.emulator._provider_state.time.time", lambda: 1_767_225_600.0 + next(readings) / 20)
    settings = EmulatorSettings(clock="real")
    acme = load(("max_wait_s: 60", "max_wait_s: 0.001"))
    delivery = await _speak(acme, "kiwi-wait", settings)
    states = [seen.state for seen in delivery.job.observations]
    assert states[0] in ("starting", "processing")
    assert states[-1] == "succeeded"


@pytest.mark.parametrize(
    ("preference", "wait_s"), [("wait", 60), ("wait=5", 5), ("wait=90", 60), ("respond-async", 0), (None, 0)]
)
def test_a_preference_may_have_its_own_time(load, preference, wait_s) -> None:
    wait = load().find_target_by_name("kiwi").response.wait_preference
    assert wait.read_max_wait_s(preference) == wait_s


def test_rules_about_states_apply_to_a_response_that_waited(load) -> None:
    acme = load(("enum: [starting, processing, succeeded, failed]", "type: string"))
    broken = load(
        ("enum: [starting, processing, succeeded, failed]", "type: string"),
        (
            "succeeded: {terminal_outcome: success, required_locations: [body#/output]}",
            "finished: {terminal_outcome: success}",
        ),
        ("successor_names: [succeeded, failed]", "successor_names: [finished, failed]"),
    )
    delivery = asyncio.run(_speak(broken, "kiwi-wait"))
    call = Call(acme.find_operation("createPrediction"), delivery.exchanges[0], acme.find_target_by_name("kiwi-wait"))
    rules = [finding.rule for finding in Checker(Provenance.RECORDED).iterate_findings(call)]
    assert rules == ["job-state-unknown"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            (
                "status_operation_id: getPrediction, wait_preference",
                "audio: {location: body#/output, delivery_method: url}, wait_preference",
            ),
            "needs status_operation_id",
        ),
        (
            (
                "submit_response: {job_id_location: body#/id, state_location: body#/status}",
                "submit_response: {job_id_location: body#/id}",
            ),
            "must equal x-job.state_location",
        ),
        (
            ("request_fields: {text: body#/input/prompt, voice: null}", "request_fields: {text: null}"),
            "has a location for text",
        ),
        (
            ("request_fields: {text: body#/input/prompt, voice: null}", "request_fields: {text: body#/words}"),
            "not in the documented",
        ),
    ],
)
def test_a_contract_that_contradicts_itself_is_rejected(load, edit, message) -> None:
    with pytest.raises(ContractError, match=message):
        load(edit)
