"""Whatever was not judged does not pass: it is named with its reason, and the exit status is 3."""

from __future__ import annotations

import asyncio
import json
import re

import msgspec
import pytest

from voicegauge import cli
from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.conformance.check_settings import EMULATOR_API_KEY, CheckSettings, build_emulator_settings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings, running_emulator
from voicegauge.files import find_bundled_folder
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.recording.har_files import save_har
from voicegauge.transport.timing import VirtualClock

KEY = "sk-acme-0123456789abcdef"


@pytest.fixture
def voicegauge(capfd, tmp_path):
    """Run `voicegauge check ... --json FILE`; returns status, report, stdout and stderr."""

    def run(*arguments):
        file = tmp_path / "out.json"
        status = cli.run(["check", *map(str, arguments), "--json", str(file)])
        out, err = capfd.readouterr()
        return status, json.loads(file.read_text()), out, err

    return run


def test_a_target_whose_every_delivery_breaks_off_does_not_pass(voicegauge, acme, acme_contracts, monkeypatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", KEY)
    acme.breaks_off = lambda text: bool(text.strip())
    arguments = ["acme", "--contracts", acme_contracts(), "--live", "--base-url", acme.url]
    status, report, out, err = voicegauge(*arguments)
    assert status == 3
    assert "nothing was judged of acme/voice-1: no delivery was judged" in err
    assert list(report["not_judged_reason_by_name"]) == ["acme/voice-1"]
    delivery = next(case for case in report["case_results"] if case["is_delivery"])
    assert (delivery["verdict"], "connection lost" in delivery["not_judged_reason"]) == ("skipped", True)
    assert "not judged: acme/voice-1" in out
    assert out.splitlines()[-1].count("without a verdict") == 1


def test_a_target_without_a_planned_delivery_does_not_pass(voicegauge, acme, acme_contracts, monkeypatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", KEY)
    arguments = ["acme", "--contracts", acme_contracts(), "--live", "--base-url", acme.url, "--max-calls", "0"]
    status, plan, out, _ = voicegauge(*arguments, "--dry-run")
    assert (status, plan["targets_without_delivery"]) == (0, ["acme/voice-1"])
    assert "not judged, because no delivery is planned: acme/voice-1" in out
    status, report, out, err = voicegauge(*arguments)
    reason = "its delivery is beyond --max-calls 0"
    assert (status, report["not_judged_reason_by_name"], acme.texts) == (3, {"acme/voice-1": reason}, [])
    assert f"nothing was judged of acme/voice-1: {reason}" in err
    assert f"not judged: acme/voice-1: {reason}" in out


@pytest.mark.parametrize(("most", "left_out"), [(1, ["pixelapi/voice-clone"]), (2, [])])
def test_targets_beyond_the_limit_are_left_out_by_name(voicegauge, most, left_out, tmp_path) -> None:
    """The user has chosen the number, so that it does not fail the check; what was not judged has not passed either."""
    badge, message = tmp_path / "badge.svg", tmp_path / "message.json"
    files = ["--badge", badge, "--slack", message]
    status, report, out, err = voicegauge("pixelapi", "--emulated", "--max-calls", str(most), *files)
    assert (status, report["not_judged_reason_by_name"], "nothing was judged" in err) == (0, {}, False)
    assert (list(report["left_out_reason_by_target"]), report["is_short"]) == (left_out, True)
    assert all(f"left out: {target}: its delivery is beyond --max-calls {most}" in out for target in left_out)
    assert ("no findings, left out: pixelapi/voice-clone" in out) == bool(left_out)
    assert ("partly judged" in badge.read_text()) == (":warning:" in message.read_text()) == bool(left_out)


def test_targets_that_are_left_out_for_one_reason_have_one_line(voicegauge) -> None:
    _, plan, out, _ = voicegauge("ttsai", "--live", "--price", "ttsai=0.001", "--max-calls", "5", "--dry-run")
    lines = [line for line in out.splitlines() if line.startswith("left out")]
    names = ", ".join(plan["left_out_reason_by_target"])
    assert lines == [f"left out, each because its delivery is beyond --max-calls 5: {names}"]
    assert len(plan["left_out_reason_by_target"]) > 5


@pytest.mark.parametrize(
    "provider_id",
    ["cartesia", *(pytest.param(one, marks=pytest.mark.slow) for one in ("openai", "elevenlabs", "deepgram"))],
)
def test_a_target_of_any_kind_is_delivered_to_or_left_out_by_name(voicegauge, provider_id) -> None:
    """Also one that takes audio, over HTTP or a WebSocket, and one that speaks over a WebSocket."""
    arguments = [provider_id, "--live", "--dry-run", "--max-cost", "100"]
    whole, short = (voicegauge(*arguments, *more)[1] for more in ((), ("--max-calls", "5")))
    ids = {case["id"].split(": ")[0] for case in whole["cases"] if case["is_billable"]}
    contract = load_catalogue().find_provider(provider_id)
    names = {target.id for target in contract.iterate_targets()} & ids
    sent = {case["id"].split(": ")[0] for case in short["cases"] if case["is_billable"]}
    assert names - sent == set(short["left_out_reason_by_target"])
    others = names - {target.id for target in contract.targets.values()}
    assert len(others & short["left_out_reason_by_target"].keys()) >= 2


@pytest.mark.slow
def test_a_target_that_transcribes_without_a_price_is_no_target_that_is_left_out(voicegauge) -> None:
    """Over a WebSocket as over HTTP: its requests are named among those that are not planned."""
    _, plan, out, _ = voicegauge("elevenlabs", "--live", "--max-calls", "5", "--max-cost", "3", "--dry-run")
    assert all("--max-calls" in reason for reason in plan["left_out_reason_by_target"].values())
    unpriced = [one["id"] for one in plan["skipped_cases"] if "--price" in one["skip_reason"]]
    assert {"elevenlabs/scribe-v2-realtime", "elevenlabs/sts-v2"} <= set(unpriced)
    assert "The check will end with" not in out


def test_a_provider_that_charges_credits_alone_is_refused_with_both_ways_to_state_a_price(voicegauge) -> None:
    status, _, _, err = voicegauge("ttsai", "--live", "--max-calls", "5", "--max-cost", "1", "--dry-run")
    assert status == 2
    assert "set it with --price ttsai=USD, or the value of a credit with --credit-rate ttsai=USD" in err


def test_a_job_without_a_price_is_not_started_until_the_user_states_one(voicegauge) -> None:
    """A long recording that is transcribed in the background costs money, as one that is transcribed at once does."""
    arguments = ["google", "--live", "--max-cost", "1", "--dry-run"]
    _, plan, _, _ = voicegauge(*arguments)
    unpriced = {one["id"] for one in plan["skipped_cases"] if "--price" in one["skip_reason"]}
    assert unpriced >= {"google/longRunningRecognize", "google/synthesizeLongAudio"}
    assert not [case for case in plan["cases"] if case["id"].partition(":")[0] in unpriced]
    _, plan, _, _ = voicegauge(*arguments, "--price", "google/longRunningRecognize=0.02")
    cases = [case for case in plan["cases"] if case["id"].startswith("google/longRunningRecognize:")]
    billable = [case for case in cases if case["is_billable"]]
    assert [(case["id"].partition(": ")[2], case["price_usd"]) for case in billable] == [("a plain request", 0.02)]
    assert {case["reserved_usd"] for case in cases} >= {0.02}


def test_a_short_check_does_not_fail_for_what_its_limits_exclude(voicegauge) -> None:
    """Texts that are too long reserve more than the whole limit; without --max-calls they are a part of the check."""
    limits = ["elevenlabs/multilingual-v2", "elevenlabs/flash-v2-5", "--live", "--max-cost", "1", "--dry-run"]
    for more, effect in (((), ", so the exit status will not be 0"), (("--max-calls", "5"), "")):
        _, plan, out, _ = voicegauge(*limits, *more)
        unaffordable = plan["budget_forecast"]["unaffordable_cases"]
        assert {(case["expected_usd"], case["reserved_usd"] > 1) for case in unaffordable} == {(0, True)}
        assert f"what is not sent is not judged{effect}; --max-cost" in out


@pytest.mark.parametrize("target", ["openai/tts-1", "deepgram/aura-2"])
def test_a_server_error_that_the_emulator_was_asked_for_is_free(voicegauge, target) -> None:
    status, report, _, _ = voicegauge(target, "--emulated", "--max-calls", "1")
    assert (status, report["spending"]["total"]["billable_request_count"]) == (0, 1)
    assert [one["id"] for one in report["case_results"] if one["not_judged_reason"] is not None] == []


@pytest.mark.slow
def test_random_requests_are_judged_without_a_delivery(voicegauge) -> None:
    arguments = ["pixelapi/voice-design", "--emulated", "--max-calls", "0", "--fuzz", "2", "--failures", "none"]
    status, report, _, _ = voicegauge(*arguments)
    assert (status, report["not_judged_reason_by_name"]) == (0, {})


@pytest.mark.slow
def test_a_response_that_breaks_off_each_time_is_a_finding(voicegauge, acme, acme_contracts, monkeypatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", KEY)
    acme.breaks_off = lambda text: not text.strip()
    arguments = ["acme", "--contracts", acme_contracts(), "--live", "--base-url", acme.url, "--full"]
    arguments += ["--ignore", "spoken-text-doubtful"]  # the server makes noise
    status, report, _, _ = voicegauge(*arguments)
    assert status == 1
    [finding] = report["findings"]
    assert finding["rule"] == "response-incomplete"
    assert finding["message"].startswith("status 200, then the body broke off, 2 times out of 2: 127.0.0.1")
    assert "curl" in finding["reproduction_command"]
    assert KEY not in json.dumps(report)
    case = next(case for case in report["case_results"] if case["id"] == finding["case_id"])
    assert (case["verdict"], case["status"]) == ("failed", 200)
    assert report["spent_usd"] == pytest.approx(0.001 * len(acme.texts))
    assert report["spending"]["total"]["billable_request_count"] == len(acme.texts)


def test_a_response_that_breaks_off_once_is_sent_again(voicegauge, acme, acme_contracts, monkeypatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", KEY)
    acme.breaks_off = lambda text: not text.strip() and acme.texts.count(text) == 1
    arguments = ["acme", "--contracts", acme_contracts(), "--live", "--base-url", acme.url, "--full"]
    arguments += ["--ignore", "spoken-text-doubtful"]  # the server makes noise
    status, report, _, _ = voicegauge(*arguments)
    assert (status, report["findings"]) == (0, [])
    assert {case["verdict"] for case in report["case_results"]} == {"passed"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": 7}, "/error: 7 is not of type"),
        ({"detail": "x"}, '"error" is a required property'),
        ({"error": "x"}, None),
    ],
)
def test_error_bodies_are_judged_under_undocumented_statuses(
    voicegauge, acme, acme_contracts, monkeypatch, body, message
) -> None:
    monkeypatch.setenv("ACME_API_KEY", KEY)
    acme.status_of_all, acme.error_body = 418, body
    _, report, _, _ = voicegauge("acme", "--contracts", acme_contracts(), "--live", "--base-url", acme.url)
    effects = [finding["same_cause_messages"] for finding in report["findings"]]
    messages = [one["error-shape"] for one in effects if "error-shape" in one]
    assert bool(messages) == (message is not None)
    assert all(m.startswith("status 418 is not documented") and message in m for m in messages)


@pytest.mark.parametrize("broken", ["cut", "failed"])
def test_a_job_that_never_delivers_is_not_judged(broken) -> None:
    [target] = load_catalogue().select_targets(["pixelapi/voice-design"])
    emulator = create_app([target.contract], build_emulator_settings())

    async def app(scope, receive, send) -> None:
        """Cut every status body, or report every job as failed."""
        if scope["method"] != "GET":
            await emulator(scope, receive, send)
            return
        sent = []

        async def keep(message) -> None:
            sent.append(message)

        await emulator(scope, receive, keep)
        body = b"".join(message.get("body", b"") for message in sent)
        changed = body[: len(body) // 2] if broken == "cut" else _as_failed(body)
        headers = [(name, value) for name, value in sent[0]["headers"] if name != b"content-length"]
        await send({**sent[0], "headers": headers})
        await send({"type": "http.response.body", "body": changed})

    cases = plan_cases([target], is_emulated=True, include_all_billable_cases=False).cases
    plan = CasePlan(
        cases=tuple(case for case in cases if case.speech_request is not None and not case.expects_job_failure)
    )
    settings = CheckSettings(
        base_urls_by_provider={"pixelapi": {"": "http://emulated/pixelapi"}},
        api_key_by_provider={"pixelapi": EMULATOR_API_KEY},
        create_clock=VirtualClock,
        emulator_app=app,
    )
    collector = ResultCollector([target.id], 0)
    asyncio.run(check_service([target], plan, settings, collector))
    report = collector.build_report()
    assert list(report.not_judged_reason_by_name) == ["pixelapi/voice-design"]
    assert report.no_verdict_reason is not None


def test_an_emulated_account_without_credit_is_named_with_the_option_that_helps(voicegauge, monkeypatch) -> None:
    monkeypatch.setenv("PIXELAPI_KEY", KEY)
    settings = EmulatorSettings(clock="per-poll", enforces_rate_limits=False, credits=0)
    with running_emulator([load_catalogue().find_provider("pixelapi")], settings) as emulator:
        url = emulator.base_url("pixelapi")
        status, report, out, _ = voicegauge(
            "pixelapi/voice-design", "--live", "--base-url", url, "--price", "pixelapi=0", "--max-calls", "2"
        )
    assert (status, report["findings"], list(report["not_judged_reason_by_name"])) == (3, [], ["pixelapi/voice-design"])
    assert re.fullmatch(
        r"the emulated account has no credit left \(\d+ requests? rejected with 402\): start the emulator with more, "
        "for example voicegauge serve --credits 1000000",
        report["doubt_reason"],
    )
    assert out.count(report["doubt_reason"]) == 1


def test_a_check_that_starts_its_own_emulator_does_not_run_out_of_credit(voicegauge) -> None:
    _, report, _, _ = voicegauge("pixelapi/voice-design", "--emulated", "--max-calls", "1")
    assert report["doubt_reason"] is None


def _as_failed(body: bytes) -> bytes:
    value = json.loads(body)
    if not isinstance(value, dict) or "status" not in value:
        return body
    kept = {name: value[name] for name in value if name not in ("output", "output_url", "result")}
    return json.dumps({**kept, "status": "failed", "error_message": "out of memory", "error": "x"}).encode()


def test_a_folder_without_a_recording_of_the_provider_does_not_pass(voicegauge, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    status, report, out, err = voicegauge("pixelapi", "--recordings", tmp_path / "empty")
    assert status == 3
    assert report["not_judged_reason_by_name"] == {str(tmp_path / "empty"): "it has no recording (*.har) of pixelapi"}
    assert "not judged: " in out
    assert "it has no recording" in err


def test_recordings_that_have_nothing_of_what_was_named_do_not_pass(voicegauge, tmp_path) -> None:
    contract = load_catalogue().find_provider("lmnt")
    target = next(iter(contract.targets.values()))
    save_har(tmp_path / "none" / "a.har", [], provenance=Provenance.RECORDED, contract=contract)
    status, report, _, _ = voicegauge("lmnt", "--recordings", tmp_path / "none")
    assert (status, report["not_judged_reason_by_name"]) == (3, {"lmnt/a.har": "it has no exchanges"})

    listing = next(one for one in contract.operations.values() if one.method == "GET" and "{" not in one.path)
    request = Request(method="GET", url=f"{listing.server.url}{listing.path}")
    exchange = Exchange(provider="lmnt", operation=listing.id, request=request, response=Response(status=401))
    save_har(tmp_path / "other" / "a.har", [exchange], provenance=Provenance.RECORDED, contract=contract)
    _, report, _, _ = voicegauge("lmnt", "--recordings", tmp_path / "other")
    assert report["not_judged_reason_by_name"] == {}
    _, report, _, _ = voicegauge(target.id, "--recordings", tmp_path / "other")
    assert report["not_judged_reason_by_name"] == {target.id: "no recorded request addresses it"}


@pytest.mark.parametrize(
    ("target", "other"),
    [
        ("openai/whisper-1-srt", "openai/tts-1"),
        ("openai/gpt-4o-mini-transcribe", "openai/gpt-4o-transcribe"),
        ("cartesia/voice-changer", "cartesia/sonic-3.5"),
    ],
)
def test_recordings_without_the_named_target_that_takes_audio_do_not_pass(voicegauge, target, other) -> None:
    fixtures = find_bundled_folder("fixtures")
    _, report, _, _ = voicegauge(target, "--recordings", fixtures / f"{target}.har")
    assert report["not_judged_reason_by_name"] == {}
    status, report, _, _ = voicegauge(target, "--recordings", fixtures / f"{other}.har")
    assert (status, report["not_judged_reason_by_name"]) == (3, {target: "no recorded request addresses it"})


def test_recordings_without_the_named_websocket_do_not_pass(voicegauge) -> None:
    target, recording = "cartesia/sonic-3.5-socket", find_bundled_folder("fixtures") / "cartesia" / "sonic-3.5.har"
    status, report, _, _ = voicegauge(target, "--recordings", recording)
    assert (status, report["not_judged_reason_by_name"]) == (3, {target: "no recorded request addresses it"})


def test_the_output_of_a_submit_that_matches_no_target_is_not_judged(voicegauge, tmp_path) -> None:
    """A job of another model at the same operation, of which no document says when it has output."""
    contract = load_catalogue().find_provider("replicate")
    operation = contract.targets["kokoro"].operation
    done = json.dumps({"id": "a", "status": "starting", "output": "https://a.test/a.png"}).encode()
    known = "f559560eb822dc509045f3921a1921234918b91739db4bf3daab2169b71c7a13"
    for version, expected in ((known, ["job-output-early"]), ("0" * 64, [])):
        request = Request(
            method="POST",
            url=f"{operation.server.url}{operation.path}",
            headers=(("Content-Type", "application/json"), ("Prefer", "wait")),
            body=json.dumps({"version": version, "input": {"text": "Hello."}}).encode(),
        )
        response = Response(status=201, headers=(("Content-Type", "application/json"),), body=done)
        exchange = Exchange(provider="replicate", operation=operation.id, request=request, response=response)
        folder = tmp_path / version
        save_har(folder / "replicate" / "a.har", [exchange], provenance=Provenance.RECORDED, contract=contract)
        _, report, _, _ = voicegauge("replicate", "--recordings", folder, "--select", "job-output-early")
        assert [finding["rule"] for finding in report["findings"]] == expected


def test_recorded_submits_that_match_no_target_are_named(voicegauge, tmp_path) -> None:
    contract = load_catalogue().find_provider("ttsai")
    operation = contract.targets["kokoro"].operation
    body = json.dumps({"text": "Hello.", "model": "a model of another time"}).encode()
    request = Request(
        method="POST",
        url=f"{operation.server.url}{operation.path}",
        headers=(("Content-Type", "application/json"),),
        body=body,
    )
    response = Response(status=200, headers=(("Content-Type", "application/json"),), body=b'{"uuid": "a"}')
    exchange = Exchange(provider="ttsai", operation=operation.id, request=request, response=response)
    save_har(tmp_path / "ttsai" / "old.har", [exchange], provenance=Provenance.RECORDED, contract=contract)
    status, report, _, err = voicegauge("ttsai", "--recordings", tmp_path, "--select", "job-stuck")
    assert (status, list(report["not_judged_reason_by_name"])) == (3, ["ttsai/old.har"])
    assert '1 accepted submit of no target: body#/model "a model of another time"; targets: ttsai/' in err
    assert report["case_results"] == []

    known = msgspec.structs.replace(request, body=json.dumps({"text": "Hello.", "model": "kokoro"}).encode())
    exchanges = [exchange, msgspec.structs.replace(exchange, request=known)]
    save_har(tmp_path / "ttsai" / "old.har", exchanges, provenance=Provenance.RECORDED, contract=contract)
    status, report, out, _ = voicegauge("ttsai", "--recordings", tmp_path, "--select", "job-stuck")
    assert (status, report["not_judged_reason_by_name"]) == (0, {})
    assert list(report["unmatched_request_reason_by_name"]) == [f"ttsai/old.har: {operation.id}"]
    assert "a model of another time" in out


def test_responses_that_all_break_off_do_not_end_the_check(voicegauge, acme, acme_contracts, monkeypatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", KEY)
    acme.accepts_anything = True
    acme.breaks_off = lambda _: True
    arguments = ["acme", "--contracts", acme_contracts(), "--live", "--base-url", acme.url, "--full"]
    status, report, out, _ = voicegauge(*arguments)
    assert (status, report["is_finished"]) == (1, True)
    assert re.match(r"LIVE \d+ exchanges, ", out.splitlines()[-1])
    broken = [case for case in report["case_results"] if "response-incomplete" in case["message_by_violated_rule"]]
    assert len(broken) > 10


def test_a_paid_response_that_breaks_off_once_is_a_warning(voicegauge, acme, acme_contracts, monkeypatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", KEY)
    acme.breaks_off = lambda text: not text.startswith("Good morning. This")
    arguments = ["acme", "--contracts", acme_contracts(), "--live", "--base-url", acme.url, "--max-calls", "6"]
    _, report, _, _ = voicegauge(*arguments)
    found = [finding for finding in report["findings"] if finding["rule"] == "response-incomplete"]
    assert {finding["severity"] for finding in found} == {"warning"}
