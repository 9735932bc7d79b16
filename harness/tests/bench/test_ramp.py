"""The highest load that meets a goal, at simulated servers without sockets."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from voicegauge.bench import ramp as load_search
from voicegauge.bench.benchmark_plan import PlannedSample
from voicegauge.bench.comparison import compare_runs
from voicegauge.bench.load import has_late_slots, send_ramp
from voicegauge.bench.ramp import StepMeasurements, parse_goal, search_highest_load
from voicegauge.bench.run_config import RampSettings
from voicegauge.bench.run_store import load_run
from voicegauge.bench.target_summaries import summarize_targets
from voicegauge.cli import run as voicegauge
from voicegauge.emulator.process import RunningEmulator
from voicegauge.errors import DataError, UsageError
from voicegauge.model.exchange import Failure
from voicegauge.model.ramp import RampResult, RampStep
from voicegauge.model.run import Run
from voicegauge.model.sample import Latency, Sample
from voicegauge.report.html_page import write_report
from voicegauge.transport.timing import RealClock

from ..builders.rounds import build_rounds
from ..builders.runs import FAILED, build_run, build_sample
from ..builders.virtual_time import run_in_virtual_time

TOO_MANY = Failure(kind="rate_limited", message="429", http_status=429)


def search(capacity: int, *, seed: int = 0, max_level: float = 64.0, goal: str = "success>=0.99") -> RampResult:
    """Ramp a server that rejects more than `capacity` requests at a time."""

    async def ramp() -> RampResult:
        random_s, busy = random.Random(seed), 0

        async def send() -> Sample:
            nonlocal busy
            if busy >= capacity:
                await asyncio.sleep(0.01)
                return build_sample(failure=TOO_MANY)
            busy += 1
            await asyncio.sleep(duration_s := random_s.lognormvariate(-1.2, 0.3))
            busy -= 1
            return build_sample(total_latency_ms=duration_s * 1000)

        async def measure(level: float, requests: int) -> StepMeasurements:
            remaining, samples, start_s = iter(range(requests)), list[Sample](), asyncio.get_running_loop().time()

            async def send_in_turn() -> None:
                for _ in remaining:
                    samples.append(await send())

            await asyncio.gather(*(send_in_turn() for _ in range(int(level))))
            return StepMeasurements(samples, asyncio.get_running_loop().time() - start_s)

        return await search_highest_load(
            measure, parse_goal(goal), load_type="concurrency", first_load=1.0, max_load=max_level
        )

    return run_in_virtual_time(ramp())


@pytest.mark.parametrize("capacity", [1, 8, 13, 32])
def test_the_capacity_of_a_server_is_found(capacity: int) -> None:
    found = search(capacity)
    assert (found.highest_load, found.meets_goal_at_max_load) == (capacity, False)
    assert sum(step.request_count for step in found.steps) < 5000
    best = max(found.steps, key=lambda step: step.goodput_per_s if step.meets_goal else 0.0)
    assert best.goodput_per_s == best.requests_per_s


def test_a_ramp_ends_at_the_highest_allowed_level_and_at_a_missed_first_one() -> None:
    limited = search(100, max_level=12.0)
    assert (limited.highest_load, limited.meets_goal_at_max_load) == (12.0, True)
    assert max(step.load for step in limited.steps) == 12.0
    slow = search(8, goal="total:p50<=1ms")
    assert (slow.highest_load, [step.meets_goal for step in slow.steps]) == (None, [False, False])


def ramp_with_slow_sender(
    level_unit: Literal["concurrency", "rate"], *, sent_per_s: float = 1e9, capacity: int = 1000
) -> RampResult:
    """Ramp a server that needs 1 s, from a machine that sends at most so many requests per second."""

    async def ramp() -> RampResult:
        samples: dict[str, Sample] = {}
        next_send_s, busy = 0.0, 0

        async def send(planned: PlannedSample, due_s: float | None) -> None:
            nonlocal next_send_s, busy
            turn_s = max(next_send_s, time.monotonic())
            next_send_s = turn_s + 1 / sent_per_s
            await asyncio.sleep(turn_s - time.monotonic())
            delay_s = None if due_s is None else time.monotonic() - due_s
            busy += 1
            is_rejected = busy > capacity
            await asyncio.sleep(1.0)
            busy -= 1
            latency = Latency(
                submit_latency_ms=1000,
                total_latency_ms=1000,
                start_delay_ms=None if delay_s is None else delay_s * 1000,
            )
            sample = build_sample(planned.text.id, target="a", failure=TOO_MANY if is_rejected else None)
            samples[planned.id] = msgspec.structs.replace(sample, latency=latency)

        async def collect(planned_samples: Sequence[PlannedSample], _step_number: int) -> Sequence[Sample]:
            await asyncio.sleep(100)  # measuring the audio
            return [samples[planned.id] for planned in planned_samples]

        settings = RampSettings(level_unit, parse_goal("success>=0.99"), 64.0)
        return await send_ramp(build_rounds(4000, "a"), settings, send, collect, clock=RealClock(), seed=0)

    return run_in_virtual_time(ramp())


def test_a_stopped_ramp_does_not_wait_for_the_requests_of_its_step_that_are_not_due() -> None:
    sent: list[PlannedSample] = []

    async def send(planned: PlannedSample, _due_s: float | None) -> None:
        sent.append(planned)

    async def collect(_planned: Sequence[PlannedSample], _step_number: int) -> Sequence[Sample]:
        return ()

    async def ramp() -> float:
        start_s = asyncio.get_running_loop().time()
        await send_ramp(
            build_rounds(4000, "a"),
            RampSettings("rate", parse_goal("success>=0.99"), 64.0),
            send,
            collect,
            clock=RealClock(),
            seed=0,
            should_stop_sending=lambda: len(sent) == 3,
        )
        return asyncio.get_running_loop().time() - start_s

    assert run_in_virtual_time(ramp()) == pytest.approx(3.0, abs=0.1)
    assert len(sent) == 3


@pytest.mark.parametrize("level_unit", ["concurrency", "rate"])
def test_a_load_that_this_machine_did_not_send_is_not_reached(level_unit: Literal["concurrency", "rate"]) -> None:
    found = ramp_with_slow_sender(level_unit, sent_per_s=10.0)
    assert found.highest_load is not None
    assert 9.0 <= found.highest_load <= 10.6
    assert not found.meets_goal_at_max_load
    invalid = [step for step in found.steps if step.load == 16.0]
    assert [(step.is_valid, step.meets_goal) for step in invalid] == [
        (False, False)
    ] * load_search.MAX_STEPS_OF_BUSY_MACHINE
    assert invalid[0].sent_load_share == pytest.approx(10 / 16, abs=0.05)
    assert invalid[0].verdict.startswith("invalid: 6")
    assert re.search(
        r"; this machine sent only \d\d% of .* \(at most [\d.]+ requests/s\), so the target may bear more$",
        found.describe(),
    )


@pytest.mark.parametrize("level_unit", ["concurrency", "rate"])
def test_a_load_that_was_sent_is_valid_and_timed_without_measuring_its_audio(
    level_unit: Literal["concurrency", "rate"],
) -> None:
    found = ramp_with_slow_sender(level_unit, capacity=8)
    assert found.highest_load == pytest.approx(8, rel=0.06)
    assert all(step.is_valid and step.sent_load_share == pytest.approx(1) for step in found.steps)
    assert found.steps[0].requests_per_s == pytest.approx(1, rel=0.03)
    assert "machine" not in found.describe()


def test_the_real_time_factor_of_a_goal_leaves_out_the_wait_for_the_poll() -> None:
    jobs = [build_sample(n, total_latency_ms=7_000.0, done=(2_000.0, 2_100.0), audio_s=2.0) for n in range(3)]
    assert parse_goal("rtf:p95<=2").measure_conditions(jobs) == {"rtf:p95": pytest.approx(1.05)}


def test_a_goal_is_judged_with_retries_and_failures_against_success() -> None:
    goal = parse_goal("success>=75%, ttfa:p50<=0.5s, rtf:p95<=1")
    good = [build_sample(n, total_latency_ms=400.0, audio_s=2.0) for n in range(3)]
    retried = msgspec.structs.replace(build_sample(3, total_latency_ms=100.0), submit_count=2)
    assert goal.measure_conditions([*good, retried]) == {"success": 0.75, "ttfa:p50": 400.0, "rtf:p95": 0.2}
    assert goal.is_met([*good, retried])
    assert not goal.is_met([*good, retried, build_sample(4, failure=FAILED)])
    assert goal.count_samples_meeting_goal([*good, retried, build_sample(5, total_latency_ms=501.0)]) == 3
    assert not goal.is_met([])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "success>=2",
        "success>=101%",
        "speed<=1",
        "success<=1",
        "ttfa:p95<=500",
        "success:p5>=1",
        "rtf<=1ms",
        "ttfa=5ms",
    ],
)
def test_a_goal_that_cannot_be_read_is_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"--goal: .*write"):
        parse_goal(text)


def build_step(level: float, *, meets_goal: bool) -> RampStep:
    return RampStep(
        load=level,
        request_count=2,
        duration_s=1.0,
        requests_per_s=2.0,
        goodput_per_s=2.0,
        success_rate=1.0,
        ttfa_p95_ms=None,
        total_latency_p95_ms=None,
        value_by_condition={},
        meets_goal=meets_goal,
    )


def build_ramp_run(*verdicts: bool, has_steps: bool = True) -> Run:
    """A ramp with two samples of 100 ms at the first level, of 200 ms at the second, and so on."""
    levels = [2.0**index for index in range(len(verdicts))]
    steps = tuple(build_step(level, meets_goal=meets_goal) for level, meets_goal in zip(levels, verdicts, strict=True))
    samples = tuple(
        msgspec.structs.replace(
            build_sample(text, repetition=number, total_latency_ms=100.0 * number),
            ramp_step=number if has_steps else None,
        )
        for number, _ in enumerate(steps, 1)
        for text in (1, 2)
    )
    best = max((step.load for step in steps if step.meets_goal), default=None)
    result = RampResult(
        load_type="concurrency",
        goal="rtf<=1",
        highest_load=best,
        meets_goal_at_max_load=False,
        is_search_complete=True,
        steps=steps,
    )
    return msgspec.structs.replace(build_run(samples, ramp_load_type="concurrency"), ramp=result)


def test_a_bound_that_this_machine_set_is_named_also_if_an_earlier_step_had_to_be_repeated() -> None:
    def build_invalid_step(level: float) -> RampStep:
        return msgspec.structs.replace(build_step(level, meets_goal=False), is_valid=False, sent_load_share=0.5)

    steps = (build_invalid_step(1), build_step(1, meets_goal=True), build_invalid_step(2), build_invalid_step(2))
    found = RampResult(
        load_type="rate",
        goal="rtf<=1",
        highest_load=1,
        meets_goal_at_max_load=False,
        is_search_complete=True,
        steps=steps,
    )
    says = "1 requests/s meet rtf<=1; this machine sent only 50% of 2 requests/s (at most 2 requests/s), so the target"
    assert found.describe() == f"inconclusive: {says} may bear more"
    assert not found.is_conclusive


def test_a_load_that_a_step_achieved_is_rounded_in_the_same_way_everywhere(tmp_path: Path) -> None:
    step = msgspec.structs.replace(build_step(64, meets_goal=True), achieved_load=57.446612)
    ramp = RampResult(
        load_type="concurrency",
        goal="rtf<=1",
        highest_load=57.446612,
        meets_goal_at_max_load=False,
        is_search_complete=True,
        steps=(step,),
    )
    samples = tuple(msgspec.structs.replace(build_sample(text), ramp_step=1) for text in (1, 2))
    run = msgspec.structs.replace(build_run(samples, ramp_load_type="concurrency"), ramp=ramp)
    assert run.describe_load() == "57.45 requests in flight"
    assert ramp.describe() == "57.45 in flight meet rtf<=1"
    page = write_report([(tmp_path, run)], tmp_path / "page.html").read_text()
    assert "57.45 in flight meet" in page
    assert "57.446" not in page


def test_the_numbers_of_a_ramp_are_those_of_its_best_load() -> None:
    run = build_ramp_run(True, True, False)
    (target,) = summarize_targets(run)
    assert target.total_latency_ms is not None
    assert (target.sample_count, target.total_latency_ms.value) == (2, 200.0)
    assert run.describe_load() == "2 requests in flight"
    other = build_ramp_run(True, False)
    with pytest.raises(DataError, match=r"the baseline had 1 request in flight, the run 2 requests in flight"):
        compare_runs(other, run)
    at_best_load = build_run(run.samples[:2], concurrency=2)
    assert compare_runs(at_best_load, run).run.sample_count == 2


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (build_ramp_run(False), "1 request in flight: no load met the goal"),
        (
            build_ramp_run(True, True, has_steps=False),
            "1, 2 requests in flight, mixed: the run does not tell them apart",
        ),
        (build_run((build_sample(),), ramp_load_type="rate"), "loads of an unfinished ramp, mixed"),
    ],
)
def test_numbers_that_mix_the_loads_of_a_ramp_say_so(run: Run, says: str) -> None:
    assert run.describe_counted_ramp_samples() == f"the numbers are of {says}"
    assert summarize_targets(run)[0].sample_count == len(run.samples)


@pytest.mark.slow
@pytest.mark.usefixtures("short_emulated_times")
def test_a_ramp_of_a_target_prints_its_steps_and_stays_within_the_budget(
    contracts_folder: Path,
    suite_file: Path,
    tmp_path: Path,
    emulator: RunningEmulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ACME_KEY", "sk-acme-0123456789")
    for name in ("MIN_SENT_LOAD_SHARE", "FULL_LOAD_SHARE"):
        monkeypatch.setattr(load_search, name, 0.0)  # however busy this machine is
    result = tmp_path / "result.json"
    words = ["bench", "acme/now", "--contracts", str(contracts_folder), "--suite", str(suite_file), "--asr", "none"]
    words += ["--ramp", "concurrency", "--out", str(tmp_path / "runs"), "--json", str(result), "--no-listening"]
    goal = ["--goal", "success>=0.99,total:p95<=60s"]
    live = ["--live", "--base-url", emulator.base_url("acme"), *goal]
    assert voicegauge([*words, *live, "--max-cost", "0.1"]) == 4, "the budget ends the search"
    assert re.search(
        r"as many requests to acme as the ramp needs, [\d,]+ at the most, at a price of", capsys.readouterr().err
    )
    stopped = json.loads(result.read_bytes())
    assert stopped["manifest"]["spent_usd"] <= 0.1
    assert not stopped["ramp"]["is_search_complete"]
    assert stopped["ramp"]["outcome"] == "unfinished"
    assert not voicegauge([*words, *live, "--max-cost", "9"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "2 in flight, the highest that may be tried, meet" in printed
    best = "the numbers are of the 40 requests at 2 requests in flight, the highest load that met the goal"
    assert best in printed
    assert "with 2 requests in flight at a server on this machine" in printed
    written = json.loads(result.read_bytes())
    assert (written["load"], written["targets"][0]["sample_count"]) == ("2 requests in flight", 40)
    run = load_run(Path(written["folder"]))
    assert {sample.ramp_step for sample in run.samples} == {None, 1, 2}
    found = written["ramp"]
    assert found["goal"] == "success>=0.99,total:p95<=60s"
    assert all(step["success_rate"] == 1.0 and step["total_latency_p95_ms"] > 0 for step in found["steps"])
    assert json.loads((Path(written["folder"]) / "run.json").read_bytes())["ramp"] == found
    page = Path(written["report_file"]).read_text()
    assert "2 in flight, the highest that may be tried, meet success&gt;=0.99,total:p95&lt;=60s" in page
    assert "as many as the ramp needed" in page
    assert f"Ramp: {best}." in page
    capsys.readouterr()
    assert not voicegauge(["report", written["folder"], "--format", "markdown"])
    assert "Ramp: 2 in flight, the highest that may be tried, meet success" in capsys.readouterr().out
    assert (found["highest_load"], found["meets_goal_at_max_load"], found["is_search_complete"]) == (2.0, True, True)
    assert (found["outcome"], found["lowest_missed_load"]) == ("goal_met_at_max_load", None)
    assert [step["load"] for step in found["steps"]] == [1.0, 2.0], "the account's plan allows two at a time"


@pytest.mark.usefixtures("short_emulated_times")
def test_an_inconclusive_ramp_says_so_first_and_no_load_counts_as_missed(
    contracts_folder: Path,
    suite_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(load_search, "MIN_SENT_LOAD_SHARE", 2.0)  # as if this machine sent too little
    result, markdown = tmp_path / "result.json", tmp_path / "result.md"
    words = ["bench", "acme/now", "--contracts", str(contracts_folder), "--suite", str(suite_file), "--asr", "none"]
    words += ["--ramp", "concurrency", "--out", str(tmp_path / "runs"), "--json", str(result), "--no-listening"]
    assert voicegauge([*words, "--markdown", str(markdown)]) == 3
    written = json.loads(result.read_bytes())
    found = written["ramp"]
    assert (found["outcome"], found["lowest_missed_load"], found["capacity"]) == ("inconclusive", None, None)
    assert found["outcome_reason"].startswith("inconclusive: no load is known to meet")
    assert written["load"] == "1 request in flight"
    says = "Ramp: inconclusive: no load is known to meet"
    assert says in markdown.read_text().split("delivered")[0]
    capsys.readouterr()
    assert not voicegauge(["report", written["folder"], "--format", "markdown"])
    headline = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("**"))
    assert says in headline


async def test_a_ramp_that_is_canceled_during_a_step_keeps_the_steps_before_it() -> None:
    so_far: list[RampResult] = []

    async def measure(load: float, request_count: int) -> StepMeasurements:
        if load > 2:
            raise asyncio.CancelledError
        samples = [build_sample(number) for number in range(request_count)]
        return StepMeasurements(samples, 1.0, 1.0, [number / request_count for number in range(request_count)])

    goal = parse_goal("success>=0.99")
    with pytest.raises(asyncio.CancelledError):
        await search_highest_load(
            measure, goal, load_type="concurrency", first_load=1.0, max_load=8.0, on_step_result=so_far.append
        )
    assert so_far[0].describe() == "no load is known to meet success>=0.99; the search was stopped before its end"
    found = so_far[-1]
    assert ([step.load for step in found.steps], found.outcome) == ([1.0, 2.0], "unfinished")
    assert found.describe() == "2 in flight meet success>=0.99; the search was stopped before its end"


def build_rate_step(
    latencies_s: Sequence[float], sent_share: float = 1.0, max_start_delay_s: float = 0.0
) -> StepMeasurements:
    """A step of 100 requests per second."""
    samples = [build_sample(number, total_latency_ms=latency * 1000) for number, latency in enumerate(latencies_s)]
    starts_s = [number / 100 for number in range(len(samples))]
    return StepMeasurements(samples, starts_s[-1] + latencies_s[-1], sent_share, starts_s, max_start_delay_s)


@pytest.mark.parametrize(
    ("later_latencies_s", "sent_share", "verdict"),
    [
        ([0.1] * 400, 1.0, "met"),
        ([0.1] * 400, 0.8, "met at 1.6"),
        ([0.1] * 400, 0.5, "invalid: 50% of the load sent"),
        ([0.1 + 0.002 * number for number in range(400)], 1.0, "saturated"),
        # It varies by seconds, so that a queue that grows by a quarter of a second per second would not be seen.
        ([0.1 + 3 * (number % 97 == 0) * (number < 200) for number in range(400)], 1.0, "met"),
        ([0.1 + 9 * (150 < number < 190) for number in range(400)], 1.0, "invalid: the latency varies too much"),
    ],
)
def test_a_rate_is_met_only_if_it_was_sent_and_the_latency_does_not_rise(
    later_latencies_s: Sequence[float], sent_share: float, verdict: str
) -> None:
    async def measure(load: float, _request_count: int) -> StepMeasurements:
        return build_rate_step([0.1] * 400) if load == 1 else build_rate_step(later_latencies_s, sent_share)

    found = asyncio.run(
        search_highest_load(measure, parse_goal("success>=0.99"), load_type="rate", first_load=1.0, max_load=2.0)
    )
    assert next(step.verdict for step in found.steps if step.load == 2.0) == verdict
    assert found.is_conclusive == (verdict in {"met", "saturated"})
    assert verdict == "saturated" or found.highest_load == {"met": 2.0, "met at 1.6": 1.6}.get(verdict, 1.0)


@pytest.mark.parametrize(
    ("late_s", "verdict", "is_conclusive"),
    [(0.05, "saturated", True), (1.2, "invalid: requests were sent up to 1.2 s late", False)],
)
def test_a_rise_of_the_latency_that_late_requests_explain_is_no_saturation(
    late_s: float, verdict: str, *, is_conclusive: bool
) -> None:
    """A machine that cannot send for 1.2 s sends all that was due at once, so that requests wait for each other."""
    rising = [0.1 + 0.002 * number for number in range(400)]

    async def measure(load: float, _request_count: int) -> StepMeasurements:
        return build_rate_step([0.1] * 400) if load == 1 else build_rate_step(rising, 1.0, late_s)

    found = asyncio.run(
        search_highest_load(measure, parse_goal("success>=0.99"), load_type="rate", first_load=1.0, max_load=2.0)
    )
    assert next(step.verdict for step in found.steps if step.load == 2.0) == verdict
    assert (found.is_conclusive, found.capacity is not None) == (is_conclusive, is_conclusive)
    assert found.describe().startswith("inconclusive: ") != is_conclusive


def test_a_capacity_with_a_wide_interval_is_measured_again() -> None:
    """Half of the requests end late, as if the service had lost its processor for a while."""
    steps = [0]

    async def measure(load: float, _request_count: int) -> StepMeasurements:
        if load == 1:
            return build_rate_step([0.1] * 400)
        steps[0] += 1
        stall_s = 1.5 if steps[0] == 1 else 0.0
        return build_rate_step([0.1 + 0.005 * number + stall_s * (number > 200) for number in range(400)])

    found = asyncio.run(
        search_highest_load(measure, parse_goal("success>=0.99"), load_type="rate", first_load=1.0, max_load=2.0)
    )
    assert [step.load for step in found.steps][:3] == [1.0, 2.0, 2.0]
    assert found.capacity is not None
    assert found.capacity.load == pytest.approx(100 / 1.5, rel=0.02)


@pytest.mark.parametrize(("at_service_s", "is_late"), [(0.03, True), (0.4, False)])
def test_a_wait_for_a_slot_is_this_machines_if_the_service_keeps_few_slots_busy(
    at_service_s: float, *, is_late: bool
) -> None:
    """In a step of a second, 1,000 requests wait for one of 512 slots; the service has 30 or 400 of them on average."""
    samples = [
        msgspec.structs.replace(
            build_sample(f"t{number}"),
            latency=Latency(submit_latency_ms=1.0, total_latency_ms=(at_service_s + 0.2) * 1000),
        )
        for number in range(1000)
    ]
    waits_s = {sample.id: 0.2 for sample in samples}
    assert has_late_slots(samples, waits_s, 1.0, 512) == is_late
    assert not has_late_slots(samples, {}, 1.0, 512)


async def test_a_rise_of_the_latency_while_slots_are_held_late_is_not_the_services() -> None:
    """The latency rises by 0.2 s in each second, which is saturation if the service is why requests wait for slots."""

    async def measure(late: bool) -> RampResult:
        async def measure_load(load: float, count: int) -> StepMeasurements:
            starts_s = [number / load for number in range(count)]
            samples = [
                msgspec.structs.replace(
                    build_sample(f"t{number}"),
                    latency=Latency(
                        submit_latency_ms=1.0, total_latency_ms=100.0 + (200.0 * start_s if load > 1 else 0.0)
                    ),
                )
                for number, start_s in enumerate(starts_s)
            ]
            return StepMeasurements(samples, count / load, 0.8, starts_s, 0.0, late and load > 1)

        goal = parse_goal("success>=0.99")
        return await search_highest_load(measure_load, goal, load_type="rate", first_load=1.0, max_load=64.0)

    assert (await measure(late=False)).capacity is not None
    late = await measure(late=True)
    assert late.capacity is None
    assert not late.is_conclusive
