from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voicegauge.bench.audio_measurement import measure_audio
from voicegauge.bench.benchmark_plan import BenchPlanSettings, plan_benchmark_requests
from voicegauge.bench.load import LoadGate
from voicegauge.bench.ramp import parse_goal
from voicegauge.bench.run_config import (
    ArrivalRate,
    ProviderAccess,
    RampSettings,
    RunConfig,
    RunOutcome,
    StopSignal,
    build_emulated_access,
)
from voicegauge.bench.run_store import JOURNAL_FILE_NAME, read_journal
from voicegauge.bench.runner import run_plan
from voicegauge.bench.suites import Suite
from voicegauge.contract.contract import Target
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings, RunningEmulator
from voicegauge.errors import BudgetError, NothingMeasuredError, UsageError
from voicegauge.model.base import Provenance
from voicegauge.transport.timing import Clock

from ..builders.servers import serving
from ..builders.virtual_time import in_virtual_time
from .conftest import Faulty

ENGLISH = {"languages": ["en"]}


def order(
    suite: Suite,
    targets: dict[str, Target],
    where: RunningEmulator | str,
    *names: str,
    provenance: Provenance = Provenance.EMULATED,
    settings: BenchPlanSettings | None = None,
    **words: object,
) -> RunConfig:
    chosen = {f"acme/{name}": targets[f"acme/{name}"] for name in names}
    contracts = {target.contract.id: target.contract for target in chosen.values()}.values()
    if isinstance(where, RunningEmulator):
        access = build_emulated_access(contracts, where)
    else:
        access = {"acme": ProviderAccess({"": where}, "key")}
    plan = plan_benchmark_requests(
        suite.select_texts(**ENGLISH),  # type: ignore[arg-type]  # as it says
        list(chosen.values()),
        settings or BenchPlanSettings(warmup=0),
        provenance=provenance,
    )
    words.setdefault("concurrency", len(names))
    return RunConfig(plan=plan, targets=chosen, access_by_provider=access, **words)  # type: ignore[arg-type]  # words of Order


async def test_every_planned_sample_is_timed_and_saved(
    suite: Suite, targets: dict[str, Target], emulator: RunningEmulator, tmp_path: Path
) -> None:
    asked = order(suite, targets, emulator, "job", "now", settings=BenchPlanSettings(warmup=1, repetitions=2))
    outcome = await run_plan(asked, tmp_path)
    assert outcome.is_complete
    assert [sample.id for sample in outcome.samples] == [one.id for row in asked.plan.rounds for one in row]
    assert {sample.failure for sample in outcome.samples} == {None}
    for sample in measure_audio(tmp_path, outcome.samples, targets):
        latency, audio = sample.latency, sample.audio
        assert latency is not None
        assert audio is not None
        assert latency.total_latency_ms is not None
        assert latency.ttfa_ms is not None
        assert latency.ttfs_ms is not None
        assert latency.ttfa_ms <= latency.total_latency_ms
        assert latency.ttfs_ms > latency.ttfa_ms
        assert audio.container == "wav"
        assert audio.audio_duration_s is not None
        assert audio.audio_duration_s > 0.5
        assert (tmp_path / audio.file_path).stat().st_size == audio.size_bytes
        if sample.target == "acme/job":
            assert sample.job_id is not None
            assert sample.job_id.startswith("job-")
            assert sample.poll_count >= 1
            assert latency.completion_ms is not None
            bounds = latency.completion_ms
            assert 0 <= bounds.low_ms <= bounds.high_ms <= latency.total_latency_ms
            assert latency.submit_latency_ms <= bounds.high_ms
            assert sample.cost.price_usd == 0.01
        else:
            assert (sample.poll_count, latency.completion_ms) == (0, None)
            assert sample.cost.price_usd == pytest.approx(len(sample.text) * 0.0001)


@in_virtual_time
async def test_a_job_is_known_to_be_complete_between_two_polls(
    suite: Suite, targets: dict[str, Target], tmp_path: Path
) -> None:
    """The emulator accepts a job after 5 ms and completes it 60 + 60 ms later; it is polled every 100 ms."""
    async with serving(create_app([targets["acme/job"].contract], EmulatorSettings(enforces_rate_limits=False))) as url:
        outcome = await run_plan(order(suite, targets, f"{url}/acme", "job"), tmp_path)
    for sample in outcome.samples:
        assert sample.latency is not None
        assert sample.latency.completion_ms is not None
        assert sample.latency.submit_latency_ms == pytest.approx(5, abs=1e-3)
        assert sample.latency.completion_ms.low_ms <= 125 <= sample.latency.completion_ms.high_ms


async def test_each_session_opens_new_connections(
    suite: Suite, targets: dict[str, Target], serve, tmp_path: Path
) -> None:
    peers: list[int] = []

    async def now(request: Request) -> Response:
        assert request.client is not None
        peers.append(request.client.port)
        return Response(b"RIFF", media_type="audio/wav")

    url = await serve(Starlette(routes=[Route("/now", now, methods=["POST"])]))
    settings = BenchPlanSettings(sessions=2, warmup=1)
    await run_plan(order(suite, targets, url, "now", settings=settings), tmp_path)
    assert [len(set(peers[:4])), len(set(peers[4:]))] == [1, 1]
    assert peers[0] != peers[4]


@pytest.mark.parametrize("provenance", [Provenance.EMULATED, Provenance.LIVE])
async def test_a_ramp_notes_at_once_what_may_cost_money_and_the_rest_after_each_step(
    suite: Suite, targets: dict[str, Target], serve, tmp_path: Path, provenance: Provenance
) -> None:
    noted: list[int] = []

    async def now(_request: Request) -> Response:
        noted.append((tmp_path / JOURNAL_FILE_NAME).read_bytes().count(b'"submit_started"'))
        return Response(b"RIFF", media_type="audio/wav")

    url = await serve(Starlette(routes=[Route("/now", now, methods=["POST"])]))
    ramp = RampSettings("concurrency", parse_goal("success>=0.99"), 1.0)
    settings = BenchPlanSettings(warmup=0, repetitions=200)
    asked = order(suite, targets, url, "now", provenance=provenance, settings=settings, ramp_settings=ramp)
    outcome = await run_plan(asked, tmp_path)
    assert len(outcome.samples) == len(noted) > 40
    assert list(read_journal(tmp_path).finished_samples) == [one.id for one in outcome.samples]
    if provenance is Provenance.LIVE:
        assert all(count > index for index, count in enumerate(noted))
    else:
        assert set(noted[:40]) == {0}


@in_virtual_time
async def test_targets_run_concurrently_with_one_request_each(
    suite: Suite, targets: dict[str, Target], tmp_path: Path
) -> None:
    under_way: Counter[str] = Counter()
    most = 0

    async def now(request: Request) -> Response:
        nonlocal most
        body = await request.json()
        under_way[body["text"]] += 1
        most = max(most, sum(under_way.values()))
        await asyncio.sleep(1)
        under_way[body["text"]] -= 1
        return Response(b"RIFF", media_type="audio/wav")

    async with serving(Starlette(routes=[Route("/now", now, methods=["POST"])])) as url:
        await run_plan(order(suite, targets, url, "now", "unpriced"), tmp_path)
    assert most == 2


@pytest.mark.parametrize(("concurrency", "plan_allows"), [(1, None), (8, 1)])
@in_virtual_time
async def test_neither_the_limit_nor_the_providers_plan_is_exceeded(
    suite: Suite, targets: dict[str, Target], tmp_path: Path, concurrency: int, plan_allows: int | None
) -> None:
    under_way = most = 0

    async def now(_request: Request) -> Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(1)
        under_way -= 1
        return Response(b"RIFF", media_type="audio/wav")

    async with serving(Starlette(routes=[Route("/now", now, methods=["POST"])])) as url:
        asked = order(suite, targets, url, "now", "unpriced", concurrency=concurrency)
        access = {"acme": ProviderAccess({"": url}, "key", plan_allows)}
        outcome = await run_plan(changed(asked, access_by_provider=access), tmp_path)
    assert outcome.is_complete
    assert most == 1


@pytest.mark.parametrize(("in_flight", "waits"), [(8, False), (1, True)])
@in_virtual_time
async def test_a_wait_counts_if_all_slots_are_taken_and_not_if_this_process_loses_the_processor(
    suite: Suite,
    targets: dict[str, Target],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_flight: int,
    *,
    waits: bool,
) -> None:
    hold, loop = LoadGate.hold, asyncio.get_running_loop()

    @asynccontextmanager
    async def hold_late(gate: LoadGate, sample_id: str, clock: Clock) -> AsyncIterator[None]:
        async with hold(gate, sample_id, clock):
            loop.now_s += 0.03  # type: ignore[attr-defined]  # as if another process ran
            yield

    monkeypatch.setattr(LoadGate, "hold", hold_late)
    monkeypatch.setattr("voicegauge.bench.runner.MAX_REQUESTS_IN_FLIGHT_AT_FIXED_RATE", in_flight)

    async def now(_request: Request) -> Response:
        await asyncio.sleep(1)
        return Response(b"RIFF", media_type="audio/wav")

    async with serving(Starlette(routes=[Route("/now", now, methods=["POST"])])) as url:
        asked = order(suite, targets, url, "now", settings=BenchPlanSettings(warmup=0))
        outcome = await run_plan(changed(asked, arrival_rate=ArrivalRate(2.0)), tmp_path)
    latencies_ms = [one.latency.submit_latency_ms for one in outcome.samples if one.latency is not None]
    assert len(latencies_ms) == 3
    assert latencies_ms[0] == pytest.approx(1000, abs=1)
    assert (max(latencies_ms) > 1200) == waits
    assert waits or max(latencies_ms) == pytest.approx(1000, abs=1)


def changed(asked: RunConfig, **changes: object) -> RunConfig:
    import dataclasses

    return dataclasses.replace(asked, **changes)  # type: ignore[arg-type]  # fields of Order


async def test_failures_are_samples_too(
    suite: Suite, targets: dict[str, Target], faulty: Faulty, tmp_path: Path
) -> None:
    outcome = await run_plan(order(suite, targets, faulty("failed-without-reason@acme/job"), "job", "now"), tmp_path)
    assert outcome.is_complete
    failed = [sample for sample in outcome.samples if sample.failure]
    assert {sample.target for sample in failed} == {"acme/job"}
    assert len(failed) == 3
    assert {sample.failure.kind for sample in failed if sample.failure} == {"failed"}
    assert all(sample.audio is None and sample.cost.price_usd is None for sample in failed)


async def test_retries_are_counted(suite: Suite, targets: dict[str, Target], serve, tmp_path: Path) -> None:
    asked = 0

    async def now(_request: Request) -> Response:
        nonlocal asked
        asked += 1
        return Response(b"RIFF", media_type="audio/wav") if asked % 2 == 0 else Response("busy", 503)

    url = await serve(Starlette(routes=[Route("/now", now, methods=["POST"])]))
    outcome = await run_plan(order(suite, targets, url, "now"), tmp_path)
    assert [(sample.submit_count, sample.retried_statuses) for sample in outcome.samples] == [(2, (503,))] * 3
    events = [json.loads(line)["event"] for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert events == (["submit_started", "submit_completed"] * 2 + ["sample_finished"]) * 3


async def test_the_budget_stops_the_run_and_keeps_the_samples(
    suite: Suite, targets: dict[str, Target], emulator: RunningEmulator, tmp_path: Path
) -> None:
    stop = StopSignal()
    asked = order(suite, targets, emulator, "job", provenance=Provenance.LIVE, max_cost_usd=0.02)
    outcome = await run_plan(asked, tmp_path, stop_signal=stop)
    assert isinstance(stop.error, BudgetError)
    assert (len(outcome.samples), outcome.is_complete) == (2, False)
    assert outcome.spent_usd == pytest.approx(0.02)
    assert read_journal(tmp_path).spent_usd == pytest.approx(0.02)


async def test_the_budget_of_an_interrupted_run_stays_spent(
    suite: Suite, targets: dict[str, Target], emulator: RunningEmulator, tmp_path: Path
) -> None:
    asked = order(suite, targets, emulator, "job", provenance=Provenance.LIVE, max_cost_usd=0.02)
    await run_plan(asked, tmp_path)
    stop = StopSignal()
    again = await run_plan(asked, tmp_path, earlier_journal_state=read_journal(tmp_path), stop_signal=stop)
    assert isinstance(stop.error, BudgetError)
    assert len(again.samples) == 2


class Shop:
    """A provider of jobs that counts what it sells; a job ends when the test says so."""

    def __init__(self) -> None:
        self.sold: list[str] = []
        self.done = asyncio.Event()
        self.polled = asyncio.Event()

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/speech", self.submit, methods=["POST"]),
                Route("/jobs/{id}", self.status),
                Route("/audio/{id}", self.audio),
            ]
        )

    async def submit(self, request: Request) -> Response:
        body = await request.json()
        self.sold.append(body["text"])
        return JSONResponse({"id": f"j{len(self.sold)}", "state": "queued"}, 202)

    async def status(self, request: Request) -> Response:
        name = request.path_params["id"]
        self.polled.set()
        if not self.done.is_set():
            return JSONResponse({"id": name, "state": "working"})
        audio = str(request.url.replace(path=f"/audio/{name}"))
        return JSONResponse({"id": name, "state": "done", "audio": audio, "type": "audio/wav"})

    async def audio(self, request: Request) -> Response:
        return Response(b"RIFF" + request.path_params["id"].encode(), media_type="audio/wav")


async def test_a_resumed_run_pays_for_nothing_twice(
    suite: Suite, targets: dict[str, Target], serve, tmp_path: Path
) -> None:
    shop = Shop()
    url = await serve(shop.app)
    asked = order(suite, targets, url, "job", provenance=Provenance.LIVE, max_cost_usd=1.0)
    first = asyncio.create_task(run_plan(asked, tmp_path))
    await shop.polled.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    past = read_journal(tmp_path)
    assert [job.job_id for job in past.open_jobs.values()] == ["j1"]

    shop.done.set()
    outcome = await run_plan(asked, tmp_path, earlier_journal_state=past)
    assert outcome.is_complete
    assert sorted(shop.sold) == sorted(text.text for text in suite.texts if text.language == "en")
    earlier_state = next(sample for sample in outcome.samples if sample.job_id == "j1")
    assert earlier_state.failure is None
    assert earlier_state.audio is not None
    assert earlier_state.latency is None, "nobody timed its submit"
    assert outcome.spent_usd == pytest.approx(0.03)


async def test_a_stop_request_completes_requests_in_flight(
    suite: Suite, targets: dict[str, Target], serve, tmp_path: Path
) -> None:
    shop, stop = Shop(), StopSignal()
    url = await serve(shop.app)
    asked = order(suite, targets, url, "job", provenance=Provenance.LIVE, max_cost_usd=1.0)
    running = asyncio.create_task(run_plan(asked, tmp_path, stop_signal=stop))
    await shop.polled.wait()
    stop.request_stop()
    shop.done.set()
    outcome = await running
    assert len(shop.sold) == len(outcome.samples) == 1
    assert outcome.samples[0].failure is None
    assert not outcome.is_complete
    again = await run_plan(asked, tmp_path, earlier_journal_state=read_journal(tmp_path))
    assert again.is_complete
    assert len(shop.sold) == 3


async def test_an_unreachable_provider_ends_the_run_after_its_first_round(
    suite: Suite, targets: dict[str, Target], tmp_path: Path
) -> None:
    stop = StopSignal()
    outcome = await run_plan(order(suite, targets, "http://127.0.0.1:9", "now", "unpriced"), tmp_path, stop_signal=stop)
    assert isinstance(stop.error, NothingMeasuredError)
    assert "127.0.0.1:9" in str(stop.error)
    assert len(outcome.samples) == 2


async def test_audio_that_cannot_be_saved_stops_the_run(
    suite: Suite, targets: dict[str, Target], emulator: RunningEmulator, tmp_path: Path
) -> None:
    (tmp_path / "audio").write_text("in the way")
    stop = StopSignal()
    outcome: RunOutcome = await run_plan(order(suite, targets, emulator, "now"), tmp_path, stop_signal=stop)
    assert isinstance(stop.error, UsageError)
    assert outcome.samples == ()
    assert (
        len([line for line in (tmp_path / "journal.jsonl").read_text().splitlines() if "submit_started" in line]) == 1
    )
