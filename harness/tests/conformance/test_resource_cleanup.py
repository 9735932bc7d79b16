"""A check deletes the resources that it created: at its end, after Ctrl-C, and in the next run after a crash."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

import voicegauge
from voicegauge import cli
from voicegauge.api.live_service import delete_leftover_resources
from voicegauge.api.options import LiveOptions
from voicegauge.api.progress import ProgressListener
from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.client.connection import RateLimiter
from voicegauge.client.ledger import Ledger
from voicegauge.client.spending_journal import Journal
from voicegauge.conformance._resource_tracking import ResourceJournal, ResourceTracker, compute_account_checksum
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import EMULATOR_API_KEY, CheckSettings, build_emulator_settings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service, describe_remaining_resources
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue, load_contract
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import RunningEmulator, running_emulator
from voicegauge.errors import StorageError, UnreachableError
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.recording.secret_search import find_secret_spelling
from voicegauge.transport.timing import VirtualClock

from ..builders.commands import RunningCommand

CATALOGUE = load_catalogue()


@pytest.fixture(scope="module")
def folder(saved_voices, tmp_path_factory) -> Path:
    return saved_voices.write_contract(tmp_path_factory.mktemp("contracts"))


@pytest.fixture(scope="module")
def contract(folder) -> Contract:
    return load_contract(folder / "openapi.yaml")


@pytest.fixture(scope="module")
def shared_emulator(contract) -> Iterator[RunningEmulator]:
    with running_emulator([contract.document.path], build_emulator_settings()) as running:
        yield running


@pytest.fixture
def emulator(shared_emulator) -> Iterator[RunningEmulator]:
    yield shared_emulator
    _control(shared_emulator, "PUT", "faults", {"faults": []})
    _control(shared_emulator, "POST", "reset", {})


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch) -> Path:
    """The folder of journals of created resources."""
    monkeypatch.setenv("ACME_KEY", "sk-acme-0123456789")
    return tmp_path / "state" / "resources" / "acme"


def _control(emulator: RunningEmulator, method: str, route: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    url = f"{emulator.control_url}/{route}"
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        return json.load(answer)


def _stored(emulator: RunningEmulator, name: str = "saved voice") -> list[str]:
    resources = _control(emulator, "GET", "state")["acme"]["resources"]
    return [resource["id"] for resource in resources if resource["name"] == name]


@pytest.fixture
def live(folder, emulator, tmp_path, capfd) -> Callable[..., tuple[int, dict[str, Any], str, str]]:
    """Run a live command with the emulator as the service; returns status, JSON, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, dict[str, Any], str, str]:
        file = tmp_path / "out.json"
        service = ["--live", "--base-url", emulator.base_url("acme"), "--contracts", str(folder)]
        status = cli.run([*arguments, *service, "--json", str(file)])
        out, err = capfd.readouterr()
        return status, json.loads(file.read_text()) if file.exists() else {}, out, err

    return run


# What is created is deleted


def test_a_check_leaves_nothing_that_can_be_deleted(live, emulator, state) -> None:
    status, report, out, _ = live("check", "acme", "--full")
    resources = report["resources"]
    prints = _stored(emulator, "voice print")
    assert (status, _stored(emulator)) == (0, [])
    assert resources["deleted_count"] == resources["created_count"] - len(prints) > 2
    assert [one["id"] for one in resources["remaining_resources"]] == prints
    assert {one["not_deleted_reason"] for one in resources["remaining_resources"]} == {
        "no document says how to delete it"
    }
    assert (
        f"resources in the account: {resources['created_count']} created, {resources['deleted_count']} deleted" in out
    )
    assert f"left in the account: voice print {prints[0]} of acme/createPrint: no document says" in out
    assert not list(state.glob("*"))


def test_an_emulated_check_leaves_nothing_that_can_be_deleted(emulator, contract, folder) -> None:
    report = voicegauge.check("acme", emulated=emulator, contracts=[folder])
    assert report.resources.deleted_count > 2
    assert (_stored(emulator), report.resources.remaining_resources) == ([], ())


@pytest.mark.parametrize("fault", ["accepts-invalid", pytest.param("ignored-key", marks=pytest.mark.slow)])
def test_what_requests_created_that_should_be_rejected_is_deleted(live, emulator, fault) -> None:
    _control(emulator, "PUT", "faults", {"faults": [f"{fault}@acme"]})
    status, report, _, _ = live("check", "acme", "--full")
    assert status == 1
    assert report["resources"]["deleted_count"] > 5
    assert {one["resource_type"] for one in report["resources"]["remaining_resources"]} == {"voice print"}
    assert _stored(emulator) == []


def test_a_recording_leaves_nothing_that_can_be_deleted(live, emulator, tmp_path, folder) -> None:
    status, _, _, err = live("record", "acme", "--out", str(tmp_path / "fixtures"))
    assert (status, "record it with --emulated" in err) == (2, True)  # the responses say that they are emulated
    assert _stored(emulator) == []
    result = voicegauge.record("acme", emulated=True, contracts=[folder], out=tmp_path / "fixtures")
    assert result.resource_summary.deleted_count == result.resource_summary.created_count - 2 > 0
    assert result.resource_summary.remaining_resources == ()


def test_a_single_request_leaves_nothing(emulator, folder) -> None:
    report = voicegauge.check_request("acme/one", emulated=emulator, contracts=[folder])
    assert report.resources.created_count == report.resources.deleted_count


def test_a_live_check_creates_one_of_each_unless_all_requests_are_asked_for(live) -> None:
    created = "creates in the account, and deletes: saved voice (acme/createVoice, "
    _, plan, out, _ = live("check", "acme", "--dry-run")
    assert [one["request_count"] for one in plan["created_resources"]] == [1]
    assert f"{created}1 request)" in out
    assert "it creates a further saved voice in the account: --full sends it" in out
    _, plan, out, err = live("check", "acme", "--dry-run", "--full")
    assert plan["created_resources"][0]["request_count"] > 2
    assert "creates a further" not in out + err


def test_what_an_account_may_have_few_of_is_created_on_request() -> None:
    targets = CATALOGUE.select_targets(["elevenlabs"])
    plans = {
        is_asked_for: plan_cases(
            targets, is_emulated=False, include_all_billable_cases=False, include_all_creations=is_asked_for
        )
        for is_asked_for in (False, True)
    }
    created = {
        is_asked_for: [
            case.id
            for case in plan.cases
            if case.operation == "createProfessionalVoice" and case.expected_response.acceptance != "rejected"
        ]
        for is_asked_for, plan in plans.items()
    }
    assert created[False] == []
    assert "elevenlabs/createProfessionalVoice: the lifecycle of a professional voice" in created[True]
    assert any("an account may have few" in case.skip_reason for case in plans[False].skipped_cases)


# What cannot be deleted is announced, and listed afterwards


def test_the_plan_announces_what_cannot_be_deleted(live) -> None:
    status, plan, out, _ = live("check", "acme", "--dry-run")
    [undeletable] = plan["undeletable_resources"]
    requests = undeletable["request_count"]
    assert (status, undeletable["operation"], undeletable["resource_type"]) == (0, "acme/createPrint", "voice print")
    line = "stays in the account, because no document says how to delete it: voice print (acme/createPrint, "
    assert f"{line}{requests} requests)" in out
    _, report, _, err = live("check", "acme")
    assert f"{line}{requests} requests)" in err
    assert len(report["resources"]["remaining_resources"]) <= requests


class Service:
    """The emulated service in this process, whose deletions can fail."""

    def __init__(self, contract: Contract) -> None:
        self._emulator = create_app([contract], build_emulator_settings())
        self.contract, self.status_of_deletions, self.deletions = contract, 0, 0
        self.hides_ids, self.creations = False, 0
        self.list_body: bytes | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.creations += scope["method"] == "POST"
        if scope["method"] == "POST" and self.hides_ids:
            await self._emulator(scope, receive, self._without_body(send))
            return
        if scope["method"] == "GET" and self.list_body is not None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": self.list_body})
            return
        if scope["method"] != "DELETE":
            await self._emulator(scope, receive, send)
            return
        self.deletions += 1
        if not self.status_of_deletions:
            await self._emulator(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_of_deletions, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _without_body(self, send: Any) -> Any:
        async def send_less(message: Any) -> None:
            headers = [one for one in message.get("headers", ()) if one[0].lower() != b"content-length"]
            await send({**message, "headers": headers} if "headers" in message else {**message, "body": b"{}"})

        return send_less

    def check(self, names: tuple[str, ...] = ("createVoice",), **settings: Any) -> CheckReport:
        """Run those cases of a live check that are sent to the named operations."""
        targets = list(self.contract.targets.values())
        plan = plan_cases(targets, is_emulated=False, include_all_billable_cases=False, include_all_creations=True)
        chosen = msgspec.structs.replace(plan, cases=tuple(case for case in plan.cases if case.operation in names))
        collector = ResultCollector([], 0)
        complete = CheckSettings(
            provenance=Provenance.LIVE,
            base_urls_by_provider={"acme": {"": "http://emulated/acme"}},
            api_key_by_provider={"acme": settings.pop("key", EMULATOR_API_KEY)},
            create_clock=VirtualClock,
            emulator_app=self,
            **settings,
        )
        asyncio.run(check_service(targets, chosen, complete, collector))
        return collector.build_report()


@pytest.fixture
def service(contract) -> Service:
    return Service(contract)


@pytest.mark.parametrize("status", [403, 500])
def test_a_deletion_that_fails_is_listed_and_repeated_by_the_next_run(service, tmp_path, status) -> None:
    service.status_of_deletions = status
    journals, notices = tmp_path / "journals", list[str]()
    report = service.check(resource_journals_folder=journals, on_deletion_message=notices.append)
    left = report.resources.remaining_resources
    assert report.resources.created_count == len(left) > 2
    assert {one.not_deleted_reason for one in left} == {f"deleteVoice responded with status {status}"}
    assert all(one.id and one.id.startswith("voice_") for one in left)
    assert {one.where.operation for one in report.findings} == {"deleteVoice"}
    assert notices == []

    service.status_of_deletions = 0
    report = service.check((), resource_journals_folder=journals, on_deletion_message=notices.append)
    assert (report.resources.deleted_count_of_earlier_runs, report.resources.remaining_resources) == (len(left), ())
    assert notices == [f"acme: deleted {len(left)} resources of an earlier run"]
    assert not list(journals.rglob("*.jsonl"))


def test_resources_whose_id_was_not_received_are_found_in_the_list(service, tmp_path) -> None:
    service.hides_ids = True
    report = service.check(resource_journals_folder=tmp_path)
    created = report.resources
    assert created.created_count == created.deleted_count == service.deletions > 2 or created.remaining_resources
    assert all("it is one of voice_" in one.not_deleted_reason for one in created.remaining_resources)


async def _lose_response(contract: Contract, folder: Path, origin: str) -> None:
    """Leave the journal of a run that was killed between a creation and its response."""
    tracker = ResourceTracker(
        contract, EMULATOR_API_KEY, ResourceJournal(folder / "acme", compute_account_checksum(EMULATOR_API_KEY))
    )
    tracker.record_existing_ids(contract.find_operation("createVoice"), [])
    headers = (("Authorization", f"Bearer {EMULATOR_API_KEY}"), ("Content-Type", "application/json"))
    request = Request(method="POST", url=f"{origin}/acme/voices", headers=headers, body=b'{"name": "short"}')

    async def send() -> Exchange:
        raise UnreachableError("the connection was lost")

    with pytest.raises(UnreachableError):
        await tracker.observe(request, "createVoice", send)
    tracker.close()


def test_a_server_that_never_responds_holds_up_the_deletion_no_longer_than_demanded(
    contract, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("ACME_KEY", EMULATOR_API_KEY)
    notices: list[str] = []
    listener = ProgressListener()
    monkeypatch.setattr(listener, "notice", notices.append)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = f"http://127.0.0.1:{silent.getsockname()[1]}"
        asyncio.run(_lose_response(contract, tmp_path / "state" / "resources", origin))
        live_options = LiveOptions(base_urls={"": f"{origin}/acme"})
        delete_leftover_resources([contract], live_options, listener, max_wait_s=0.05)
    (notice,) = notices
    assert "an earlier run left saved voice (unknown id) of acme/createVoice" in notice


async def _create_voices(service: Service, names: Sequence[str]) -> None:
    headers = {"Authorization": f"Bearer {EMULATOR_API_KEY}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service), headers=headers) as client:
        for name in names:
            (await client.post("http://emulated/acme/voices", json={"name": name})).raise_for_status()


@pytest.mark.parametrize(
    ("names", "deleted", "reason"),
    [(["long"], 0, None), (["long", "short"], 1, None), (["short", "short"], 0, "it is one of voice_")],
)
def test_a_resource_whose_creation_was_lost_is_found_by_its_values(service, tmp_path, names, deleted, reason) -> None:
    asyncio.run(_lose_response(service.contract, tmp_path, "http://emulated"))
    asyncio.run(_create_voices(service, names))
    resources = service.check((), resource_journals_folder=tmp_path).resources
    assert (resources.deleted_count_of_earlier_runs, service.deletions) == (deleted, deleted)
    assert [reason in one.not_deleted_reason for one in resources.remaining_resources] == ([True] if reason else [])
    assert bool(list(tmp_path.rglob("*.jsonl"))) is bool(reason)


def test_a_lost_creation_at_another_server_stays_in_its_journal(service, tmp_path) -> None:
    asyncio.run(_lose_response(service.contract, tmp_path, "http://elsewhere"))
    assert service.check((), resource_journals_folder=tmp_path).resources.remaining_resources == ()
    assert len(list(tmp_path.rglob("*.jsonl"))) == 1


def test_resources_whose_id_was_not_received_are_named_without_a_list(service) -> None:
    service.hides_ids = True
    report = service.check()
    assert service.deletions == 0
    assert {(one.id, one.not_deleted_reason.partition(":")[0]) for one in report.resources.remaining_resources} == {
        (None, "its id is not known, because no response contained a usable one")
    }
    lines = describe_remaining_resources(report.resources.remaining_resources)
    assert len(lines) == len({one.operation for one in report.resources.remaining_resources})
    assert sum(int(line.partition(" x ")[0]) for line in lines) == len(report.resources.remaining_resources)


def test_a_resource_that_is_gone_counts_as_deleted(service) -> None:
    service.status_of_deletions = 404
    report = service.check()
    assert report.resources.created_count == report.resources.deleted_count > 2


def test_the_ids_of_another_account_are_kept_for_its_key(service, tmp_path) -> None:
    service.status_of_deletions = 500
    created = service.check(resource_journals_folder=tmp_path).resources.created_count
    service.status_of_deletions = 0
    report = service.check((), resource_journals_folder=tmp_path, key="another-key")
    assert {one.not_deleted_reason for one in report.resources.remaining_resources} == {
        "it was created with another API key: run the command again with that key"
    }
    assert service.check((), resource_journals_folder=tmp_path).resources.deleted_count_of_earlier_runs == created


def test_another_server_is_not_asked_to_delete(service, tmp_path) -> None:
    service.status_of_deletions = 500
    service.check(resource_journals_folder=tmp_path)
    service.deletions = 0
    elsewhere = {"acme": {"": "http://elsewhere/acme"}}
    targets = list(service.contract.targets.values())
    settings = CheckSettings(
        provenance=Provenance.LIVE,
        base_urls_by_provider=elsewhere,
        emulator_app=service,
        resource_journals_folder=tmp_path,
        create_clock=VirtualClock,
    )
    asyncio.run(check_service(targets, CasePlan(cases=()), settings, ResultCollector([], 0)))
    assert service.deletions == 0


def test_the_journal_of_a_run_that_is_still_active_is_left_alone(service, tmp_path) -> None:
    service.status_of_deletions = 500
    service.check(resource_journals_folder=tmp_path)
    [path] = tmp_path.rglob("*.jsonl")
    service.deletions, service.status_of_deletions = 0, 0
    with Journal(path, is_durable=False):
        service.check((), resource_journals_folder=tmp_path)
    assert service.deletions == 0


def test_a_damaged_journal_is_named_and_kept(service, tmp_path) -> None:
    (tmp_path / "acme").mkdir()
    path = tmp_path / "acme" / "one.jsonl"
    path.write_text("nothing\n")
    notices: list[str] = []
    service.check((), resource_journals_folder=tmp_path, on_deletion_message=notices.append)
    assert path.exists()
    assert [notice.partition(": ")[0] for notice in notices] == [f"{path}:1"]


def test_nothing_is_created_if_the_journal_cannot_be_written(service, tmp_path) -> None:
    (tmp_path / "acme").write_text("a file instead of a folder")
    with pytest.raises(StorageError, match="cannot write"):
        service.check(resource_journals_folder=tmp_path)
    assert service.creations == 0


def test_deletions_wait_for_the_rate_limit_and_are_reserved_from_the_budget(service) -> None:
    clock = VirtualClock()
    limiter = RateLimiter(10, clock)
    report = service.check(rate_limiter_by_provider={"acme": limiter})
    requests = report.exchange_count_by_provenance[Provenance.EMULATED]
    assert requests % 10 + report.resources.deleted_count > 0
    assert clock.monotonic() >= 60 * ((requests + service.deletions - 1) // 10)


def test_a_billable_deletion_is_not_sent_without_budget(saved_voices, tmp_path) -> None:
    document = copy.deepcopy(saved_voices.DOCUMENT)
    price = {"unit": "request", "usd_per_unit": 0.5, "source": {"document_name": "acme.txt"}}
    document["paths"]["/voices/{id}"]["delete"]["x-pricing"] = price
    service = Service(load_contract(saved_voices.write_contract(tmp_path, document) / "openapi.yaml"))
    report = service.check(ledger=Ledger(0.6))
    assert (report.resources.deleted_count, service.deletions) == (1, 1)
    assert all("budget" in one.not_deleted_reason for one in report.resources.remaining_resources)
    assert report.spent_usd <= 0.6


# What a response says may be unusable


def _respond(body: bytes) -> Callable[[], Any]:
    async def send() -> Exchange:
        response = Response(status=200, headers=(("Content-Type", "application/json"),), body=body)
        return Exchange(provider="acme", operation="createVoice", request=REQUEST, response=response)

    return send


UNUSABLE_IDS = [
    pytest.param(EMULATOR_API_KEY, id="key"),
    pytest.param(f"voice_{base64.b64encode(EMULATOR_API_KEY.encode()).decode()}", id="key-in-base64"),
    pytest.param("x" * 10_000, id="long"),
]


@pytest.mark.parametrize("resource_id", UNUSABLE_IDS)
async def test_an_unusable_id_is_not_stored(contract, tmp_path, resource_id) -> None:
    tracker = ResourceTracker(contract, EMULATOR_API_KEY, ResourceJournal(tmp_path / "acme", ""))
    body = json.dumps({"name": resource_id, "text": "short"}).encode()
    headers = (("Authorization", f"Bearer {EMULATOR_API_KEY}"), ("Content-Type", "application/json"))
    request = Request(method="POST", url="https://api.acme.test/voices", headers=headers, body=body)
    await tracker.observe(request, "createVoice", _respond(json.dumps({"id": resource_id}).encode()))
    tracker.close()
    [path] = tmp_path.rglob("*.jsonl")
    assert resource_id not in path.read_text()
    assert find_secret_spelling(path.read_bytes(), [EMULATOR_API_KEY]) is None
    [resource] = tracker.history.undeleted_resources
    assert (resource.id, resource.request_event.short_body_fields) == (None, {"text": "short"})


@pytest.mark.parametrize("resource_id", UNUSABLE_IDS)
def test_an_unusable_id_of_an_existing_resource_is_not_stored(service, tmp_path, resource_id) -> None:
    service.list_body = json.dumps({"voices": [{"id": resource_id}]}).encode()
    service.status_of_deletions = 500
    service.check(resource_journals_folder=tmp_path)
    [path] = tmp_path.rglob("*.jsonl")
    assert resource_id not in path.read_text()
    assert find_secret_spelling(path.read_bytes(), [EMULATOR_API_KEY]) is None


@pytest.mark.parametrize(
    "body",
    [
        b"<html>busy</html>",
        b"{}",
        b'{"id": "request_1", "message": "try again"}',
        *(pytest.param(json.dumps({"voices": [{"id": one.values[0]}]}).encode(), id=one.id) for one in UNUSABLE_IDS),
    ],
)
def test_a_resource_stays_known_if_the_list_cannot_be_read(service, tmp_path, body) -> None:
    asyncio.run(_lose_response(service.contract, tmp_path, "http://emulated"))
    service.list_body = body
    [left] = service.check((), resource_journals_folder=tmp_path).resources.remaining_resources
    assert (left.id, "the list of all could not be read" in left.not_deleted_reason) == (None, True)
    assert service.deletions == 0
    [path] = tmp_path.rglob("*.jsonl")
    assert "not_created" not in path.read_text()
    assert find_secret_spelling(path.read_bytes(), [EMULATOR_API_KEY]) is None


# An interruption


@pytest.fixture
def tracker(contract, tmp_path) -> Iterator[ResourceTracker]:
    tracker = ResourceTracker(contract, "key", ResourceJournal(tmp_path / "acme", ""))
    yield tracker
    tracker.close()


REQUEST = Request(method="POST", url="https://api.acme.test/voices", headers=(("Authorization", "Bearer key"),))


async def test_the_id_of_a_creation_in_progress_is_awaited_after_ctrl_c(tracker) -> None:
    may_respond = asyncio.Event()

    async def send() -> Exchange:
        await may_respond.wait()
        response = Response(status=200, body=b'{"id": "voice_7"}')
        return Exchange(provider="acme", operation="createVoice", request=REQUEST, response=response)

    task = asyncio.create_task(tracker.observe(REQUEST, "createVoice", send))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    may_respond.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [resource.id for resource in tracker.history.undeleted_resources] == ["voice_7"]


@pytest.mark.parametrize("sent", [True, False])
async def test_a_creation_without_a_response_may_have_left_something(tracker, sent) -> None:
    async def send() -> Exchange:
        raise UnreachableError("the connection was lost", request_was_sent=sent)

    with pytest.raises(UnreachableError):
        await tracker.observe(REQUEST, "createVoice", send)
    assert [resource.id for resource in tracker.history.undeleted_resources] == ([None] if sent else [])


@pytest.fixture
def killed(folder, emulator) -> Callable[[int], int]:
    """Start a live check as a process, and send it a signal when it has created resources; returns its exit status."""

    def run(number: int) -> int:
        where = ["--contracts", str(folder), "--base-url", emulator.base_url("acme")]
        process = RunningCommand(["check", "acme", "--live", "--full", *where])
        while len(_stored(emulator)) < 2 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(number)
        return process.wait()

    return run


def test_what_the_user_has_is_not_touched(live, emulator) -> None:
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-acme-0123456789"}
    url = f"{emulator.base_url('acme')}/voices"
    request = urllib.request.Request(url, b'{"name": "short"}', headers, method="POST")  # noqa: S310 - loopback
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - loopback
    [own] = _stored(emulator)
    assert live("check", "acme")[0] == 0
    assert _stored(emulator) == [own]


def test_ctrl_c_deletes_what_was_created(killed, emulator) -> None:
    assert killed(signal.SIGINT) == 130
    assert _stored(emulator) == []


@pytest.mark.parametrize(
    "command", ["check", pytest.param("record", marks=pytest.mark.slow), pytest.param("bench", marks=pytest.mark.slow)]
)
def test_the_next_run_deletes_what_a_killed_run_left(killed, live, emulator, tmp_path, command, monkeypatch) -> None:
    # An emulator on this machine is not recorded as a live service, and would be asked before anything is deleted.
    monkeypatch.setattr("voicegauge.api.recording.is_loopback", lambda _host: False)
    assert killed(signal.SIGKILL) == -signal.SIGKILL
    left = len(_stored(emulator))
    assert left >= 2
    more = {
        "check": ["acme/one"],
        "record": ["acme/one", "--out", str(tmp_path / "fixtures")],
        "bench": ["acme/one", "--limit", "1", "--warmup", "0", "--asr", "none", "--out", str(tmp_path / "reports")],
    }
    _, _, _, err = live(command, *more[command])
    assert f"acme: deleted {left} resources of an earlier run" in err
    assert _stored(emulator) == []
