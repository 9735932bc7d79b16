"""Which cases are recorded and which of them are due, and replays of recordings."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from voicegauge.cases.case import ConformanceCase
from voicegauge.conformance.check_settings import CheckSettings, build_emulator_check_settings
from voicegauge.conformance.recording_judging import check_recordings
from voicegauge.conformance.recording_updates import (
    SPOKEN_TEXT_IN_RECORDINGS,
    Recorder,
    RefreshPolicy,
    build_recording_path,
    plan_cases_to_record,
)
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.emulator.server import running_app
from voicegauge.model.base import Provenance, Severity
from voicegauge.model.exchange import Exchange, Request, Response, Timing
from voicegauge.recording.har_files import find_recordings, load_har, load_recordings, save_har
from voicegauge.recording.recorded_exchanges import Recording
from voicegauge.recording.replay import Replay
from voicegauge.recording.replay_server import ReplayApp
from voicegauge.rules.call import ExpectedResponse
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.transport.timing import VirtualClock

from ..builders.in_process_check import run_to_the_end

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
TARGETS = ["pixelapi/voice-design", "pixazo/xtts-v2", "ttsai/kokoro-sync", "ttsai/clone-chatterbox"]


@pytest.fixture(scope="module")
def recorded(voicegauge_catalogue, voicegauge_emulator, tmp_path_factory) -> Path:
    """Recordings of a few targets, made on the emulator."""
    folder = tmp_path_factory.mktemp("fixtures")
    targets = voicegauge_catalogue.select_targets(TARGETS)
    contracts = {target.contract.id: target.contract for target in targets}
    plan = plan_cases_to_record(targets, is_emulated=True, include_every_case=False)
    settings = build_emulator_check_settings(voicegauge_emulator, targets)
    recorder = Recorder(contracts, settings.base_urls_by_provider)
    collector = ResultCollector([], 0)
    settings = dataclasses.replace(settings, save_exchanges=recorder.add_case)
    run_to_the_end(collector, check_service(targets, plan, settings, collector))
    assert recorder.is_emulated_service
    for update in _refreshing(contracts).plan_updates(plan, folder, {}):
        contract = contracts[update.provider]
        save_har(
            update.path, update.merge_exchanges(recorder.groups), provenance=Provenance.EMULATED, contract=contract
        )
    return folder


def _refreshing(contracts, provenance=Provenance.EMULATED, refresh="stale") -> RefreshPolicy:
    return RefreshPolicy(contracts, provenance, refresh, NOW)


def test_an_operation_id_with_a_slash_names_no_folder(tmp_path) -> None:
    expected = ExpectedResponse(
        acceptance="accepted", case_kind="valid", description="it answers", contract_pointer="/paths"
    )
    case = ConformanceCase(
        id="acme: it answers", provider="acme", operation="../voices/list", expected_response=expected
    )
    path = build_recording_path(case, tmp_path)
    path.parent.mkdir()
    path.touch()
    assert find_recordings(tmp_path) == [path]


def test_every_delivery_is_recorded_and_a_few_rejections_of_each_operation(voicegauge_catalogue) -> None:
    targets = voicegauge_catalogue.select_targets(["pixelapi", "pixazo", "lmnt"])
    plan = plan_cases_to_record(targets, is_emulated=True, include_every_case=False)
    delivered = {
        f"{case.provider}/{case.target_name}"
        for case in plan.cases
        if case.speech_request is not None and not case.expects_job_failure
    }
    assert delivered == {target.id for target in targets}
    assert {case.speech_request.text for case in plan.cases if case.speech_request is not None} == {
        SPOKEN_TEXT_IN_RECORDINGS
    }
    refusals = [case for case in plan.cases if case.expected_response.acceptance == "rejected"]
    kinds = [
        (
            c.provider,
            c.operation,
            c.expected_response.case_kind,
            c.expected_response.statuses,
            c.api_key_validity,
            c.expected_response.description,
        )
        for c in refusals
    ]
    assert len(kinds) == len(set(kinds))
    assert max(Counter((case.provider, case.operation) for case in refusals).values()) <= 12
    every = plan_cases_to_record(targets, is_emulated=True, include_every_case=True)
    assert len(every.cases) > len(plan.cases)
    assert {case.id for case in plan.cases} <= {case.id for case in every.cases}


def test_a_recording_has_no_findings_and_replays_to_the_same_requests(recorded, voicegauge_catalogue) -> None:
    """A replay responds to every case as the emulator did, also with another key: nothing unmatched or unused."""
    collector = ResultCollector([], 0)
    check_recordings(sorted(recorded.glob("*/*.har")), list(voicegauge_catalogue), RULE_BY_ID, collector)
    assert [f.message for f in collector.build_report().findings if f.severity is not Severity.DISPUTED] == []

    targets = voicegauge_catalogue.select_targets(TARGETS)
    plan = plan_cases_to_record(targets, is_emulated=True, include_every_case=False)
    replay = Replay(load_recordings([recorded]), voicegauge_catalogue)
    again = ResultCollector([], 0)
    with running_app(ReplayApp(replay)) as root:
        providers = {target.contract.id for target in targets}
        settings = CheckSettings(
            base_urls_by_provider={name: {"": f"{root}/{name}"} for name in providers},
            api_key_by_provider=dict.fromkeys(providers, "another-key"),
            create_clock=VirtualClock,
        )
        run_to_the_end(again, check_service(targets, plan, settings, again))
    report = again.build_report()
    assert (replay.unmatched_request_descriptions, replay.unused_request_names) == ([], [])
    assert {case.verdict for case in report.case_results} == {"passed"}
    assert [f.message for f in report.findings if f.severity is not Severity.DISPUTED] == []


def test_a_recording_contains_no_port_and_no_key(recorded) -> None:
    written = b"".join(path.read_bytes() for path in recorded.rglob("*.har"))
    assert b"127.0.0.1" not in written
    assert b"emulated-key" not in written
    one = load_har(recorded / "pixazo" / "xtts-v2.har")
    assert {exchange.request.url.split("/")[2] for exchange in one.exchanges} == {"gateway.pixazo.ai"}
    jobs = {}
    for exchange in one.exchanges:
        jobs.setdefault(exchange.conversation_id, []).append(exchange.operation)
    assert jobs["pixazo/xtts-v2: a full delivery"][:2] == ["generateXtts", "getRequestStatus"]
    assert "(download)" in jobs["pixazo/xtts-v2: a full delivery"]


def test_a_rejection_that_became_a_success_is_found_in_a_recording(recorded, voicegauge_catalogue, tmp_path) -> None:
    """A recorded case is judged by its expected response, like a live one."""
    contract = voicegauge_catalogue.find_provider("pixazo")
    one = load_har(recorded / "pixazo" / "xtts-v2.har")
    good = next(e for e in one.exchanges if e.operation == "generateXtts" and e.response.status == 202)
    changed = [
        msgspec.structs.replace(e, response=good.response) if "without a key" in e.conversation_id else e
        for e in one.exchanges
    ]
    save_har(tmp_path / "pixazo" / "a.har", changed, provenance=Provenance.EMULATED, contract=contract)
    collector = ResultCollector([], 0)
    check_recordings([tmp_path / "pixazo" / "a.har"], [contract], RULE_BY_ID, collector)
    assert "auth-not-enforced" in {f.rule for f in collector.build_report().findings if f.severity is Severity.ERROR}


# What is due


def _exchange(group: str | None, at: dt.datetime | None = None) -> Exchange:
    times = {"started_ms": 0, "connection_wait_ms": 0, "connect_ms": None, "tls_ms": None, "send_ms": 0, "ttfb_ms": 1}
    timing = None if at is None else Timing(started_at=at.timestamp(), receive_ms=1, total_ms=2, **times)
    return Exchange(
        provider="pixazo",
        operation="generateXtts",
        request=Request(method="POST", url="https://gateway.pixazo.ai/voice-clone/v1/xtts-v2/generate"),
        response=Response(status=202),
        timing=timing,
        conversation_id=group,
    )


@pytest.fixture
def case(voicegauge_catalogue):
    """The plan for one target's file, its contract, and the cases that are due."""
    targets = voicegauge_catalogue.select_targets(["pixazo/xtts-v2"])
    contract = targets[0].contract
    plan = plan_cases_to_record(targets, is_emulated=True, include_every_case=False)
    path = build_recording_path(plan.cases[0], Path("out"))

    def due(old: Recording | None, **options):
        refreshing = _refreshing({"pixazo": contract}, **options)
        updates = refreshing.plan_updates(plan, Path("out"), {} if old is None else {path: old})
        return next((update for update in updates if update.path == path), None)

    due.contract, due.planned = contract, [c.id for c in plan.cases if build_recording_path(c, Path("out")) == path]
    return due


def _recording(case, *exchanges, provenance=Provenance.EMULATED, sha=None, at=NOW) -> Recording:
    return Recording(
        provenance=provenance,
        provider="pixazo",
        contract_version="1",
        contract_sha256=sha or case.contract.document.sha256,
        recorded_at=at.isoformat(),
        exchanges=exchanges,
    )


def _ids(update) -> list[str]:
    return [] if update is None else [one.id for one in update.cases_to_record]


def test_missing_cases_are_due_and_existing_ones_are_not(case) -> None:
    assert _ids(case(None)) == case.planned
    there = case.planned[1:]
    assert _ids(case(_recording(case, *map(_exchange, there)))) == case.planned[:1]
    assert case(_recording(case, *map(_exchange, case.planned))) is None
    assert _ids(case(_recording(case, *map(_exchange, case.planned)), refresh="all")) == case.planned


def test_emulated_traffic_is_stale_when_the_contract_has_changed_and_never_by_age(case) -> None:
    old = NOW - dt.timedelta(days=5_000)
    assert case(_recording(case, *(_exchange(name, old) for name in case.planned), at=old)) is None
    assert _ids(case(_recording(case, *map(_exchange, case.planned), sha="other"))) == case.planned


def test_live_traffic_is_stale_by_the_age_of_each_case(case) -> None:
    fresh, old = NOW - dt.timedelta(days=89), NOW - dt.timedelta(days=91)
    groups = [_exchange(name, old if index == 2 else fresh) for index, name in enumerate(case.planned)]
    update = case(_recording(case, *groups, provenance=Provenance.RECORDED, sha="x"), provenance=Provenance.RECORDED)
    assert _ids(update) == [case.planned[2]]


def test_emulated_traffic_replaces_live_traffic_only_in_a_full_refresh(case) -> None:
    live = _recording(case, *map(_exchange, case.planned), provenance=Provenance.RECORDED)
    assert case(live) is None
    update = case(live, refresh="all")
    assert _ids(update) == case.planned
    assert (update.recording_to_extend, update.existing_recording) == (None, live)
    emulated = _recording(case, *map(_exchange, case.planned))
    assert _ids(case(emulated, provenance=Provenance.RECORDED)) == case.planned


def test_an_update_preserves_order_imported_groups_and_cases_that_failed(case) -> None:
    first, second, third = case.planned[:3]
    groups = [_exchange(None), _exchange(second), _exchange("a case that no contract leads to"), _exchange(third)]
    update = case(_recording(case, *groups, sha="other"))
    fresh = {first: [_exchange(first, NOW)], third: [_exchange(third, NOW)]}
    merged = update.merge_exchanges(fresh)
    assert [exchange.conversation_id for exchange in merged] == [None, second, third, first]
    assert merged[2].timing is not None
    assert merged[1].timing is None


# Age as a finding


@pytest.mark.parametrize(
    ("days", "provenance", "ci", "severity"),
    [
        (89, Provenance.RECORDED, True, None),
        (91, Provenance.RECORDED, False, Severity.WARNING),
        (91, Provenance.RECORDED, True, Severity.ERROR),
        (5000, Provenance.EMULATED, True, None),
    ],
)
def test_an_expired_recording_is_a_warning_and_an_error_in_ci(case, tmp_path, days, provenance, ci, severity) -> None:
    path = tmp_path / "pixazo" / "xtts-v2.har"
    at = NOW - dt.timedelta(days=days)
    save_har(path, [_exchange("x", at), _exchange("y", NOW)], provenance=provenance, contract=case.contract)
    collector = ResultCollector([], 0)
    check_recordings(
        [path],
        [case.contract],
        {"recording-stale": RULE_BY_ID["recording-stale"]},
        collector,
        now=NOW,
        stale_recordings_fail=ci,
    )
    findings = collector.build_report().findings
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    for finding in findings:
        assert finding.message == "xtts-v2.har is 91 days old, more than 90: record it again"
        assert finding.reproduction_command == f"voicegauge record pixazo/xtts-v2 --live --out {tmp_path} --yes"
