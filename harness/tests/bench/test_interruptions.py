"""A live benchmark that is interrupted: the same command continues it, and lists what was paid for without a result."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import pytest
from crashes.provider import CHARGED_USD, CONTRACTS, POLL_FAULTS, SUBMIT_FAULTS, SUITE, StandInProvider

from voicegauge.bench.audio_measurement import measure_audio
from voicegauge.bench.run_store import JournalEvent, load_run, read_journal
from voicegauge.cli import run as voicegauge
from voicegauge.client.spending_journal import Journal, SubmitRecorder, SubmitStartedEvent
from voicegauge.emulator.server import running_app
from voicegauge.errors import EXIT_BUDGET_EXCEEDED, EXIT_NOTHING_MEASURED, EXIT_PARTLY_MEASURED, UsageError
from voicegauge.model.run import TimingError
from voicegauge.speech.encoding import encode


class ScriptedFaults:
    """The faults of the next submits and polls, in order."""

    def __init__(self) -> None:
        self.submits: list[str | None] = []
        self.polls: list[str | None] = []
        self.every_poll: str | None = None

    def choose(self, faults: Sequence[str]) -> str | None:
        if faults is SUBMIT_FAULTS and self.submits:
            return self.submits.pop(0)
        if faults is POLL_FAULTS:
            return self.polls.pop(0) if self.polls else self.every_poll
        return None


@pytest.fixture(scope="module")
def speech() -> bytes:
    tone = np.sin(np.arange(12_000) * 0.05).astype(np.float32) * 0.3
    return encode(tone, 24_000, "wav")[0]


@pytest.fixture
def provider(speech: bytes, monkeypatch: pytest.MonkeyPatch) -> StandInProvider:
    monkeypatch.setenv("ACME_KEY", "sk-acme-0123456789abcdef")
    faults: Any = ScriptedFaults()
    return StandInProvider(lambda _: speech, latency_s=0.0, job_s=0.06, faults=faults)


Bench = Callable[..., int]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def url(provider: StandInProvider) -> Iterator[str]:
    with running_app(provider) as root_url:
        yield root_url


@pytest.fixture
def bench(url: str, out: Path) -> Bench:
    def run(*targets: str, more: Sequence[str] = ("--asr", "none", "--no-report")) -> int:
        return voicegauge(list_words(url, out, *targets, more=more)) or 0

    return run


def list_words(url: str, out: Path, *targets: str, more: Sequence[str] = ("--asr", "none", "--no-report")) -> list[str]:
    """The words of a command that benchmarks the provider."""
    where = ["--contracts", str(CONTRACTS), "--suite", str(SUITE), "--out", str(out)]
    live = ["--live", "--base-url", url, "--warmup", "0", "--no-listening"]
    live += [] if "--ramp" in more else ["--concurrency", "1"]
    return ["bench", *(f"acme/{name}" for name in targets), *where, *live, *more]


@contextmanager
def interrupt_during_job(
    provider: StandInProvider, words: Sequence[str], stop: signal.Signals = signal.SIGINT
) -> Iterator[subprocess.Popen[str]]:
    """Start a benchmark whose first job does not end; yield when it was stopped and says what it waits for."""
    provider.job_s = 3600.0
    command = [sys.executable, "-m", "voicegauge", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not any(one.startswith("GET") for one in provider.requests):
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(stop)
            assert process.stderr is not None
            assert any("Ctrl-C again to stop at once" in line for line in process.stderr)
            yield process
        finally:
            process.kill()
    provider.job_s = 0.0


def submits(provider: StandInProvider) -> int:
    return sum(request.startswith("POST") for request in provider.requests)


def only_run(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


def die(*_: object, **__: object) -> None:
    raise MemoryError


def test_killed_while_scoring_the_same_command_sends_nothing_again(
    bench: Bench, provider: StandInProvider, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("voicegauge.api.benchmarking._judge_and_transcribe", die)
        for _ in range(2):
            with pytest.raises(MemoryError):
                bench("sync", "queued")
    assert submits(provider) == 6
    assert not load_run(only_run(out)).manifest.is_finished
    assert bench("sync", "queued") == 0
    assert submits(provider) == 6
    saved = load_run(only_run(out))
    assert saved.manifest.is_finished
    assert saved.manifest.spent_usd == pytest.approx(3 * 0.008 + 3 * 0.009)
    assert bench("sync", "queued") == 0
    assert submits(provider) == 12, "a finished run is not continued"


def test_killed_before_the_result_is_printed_the_same_command_prints_it_and_sends_nothing(
    bench: Bench, provider: StandInProvider, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("voicegauge.cli.bench.show_result", die)
        with pytest.raises(MemoryError):
            bench("sync")
    assert submits(provider) == 3
    result = tmp_path / "result.json"
    assert bench("sync", more=("--asr", "none", "--json", str(result))) == 0
    assert submits(provider) == 3
    found = json.loads(result.read_bytes())
    assert found["folder"] == str(only_run(out))
    assert found["manifest"]["is_finished"]
    assert load_run(only_run(out)).manifest.is_finished


def test_an_ambiguous_request_is_listed_with_its_price_and_bought_again_on_demand(
    bench: Bench, provider: StandInProvider, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.faults.submits = [None, "connection lost after charging"]  # type: ignore[union-attr]
    result = tmp_path / "result.json"
    assert bench("sync", more=("--asr", "none", "--json", str(result))) == EXIT_PARTLY_MEASURED
    printed = " ".join(capsys.readouterr().out.split())
    assert "may have been charged, without a result: acme/sync/1/1/" in printed
    assert ", $0.01: " in printed
    assert "the same command with --retry-ambiguous pays for it again" in printed
    found = json.loads(result.read_bytes())
    (lost,) = found["ambiguous_requests"]
    assert (lost["counted_usd"], lost["was_sent_again"]) == (0.01, False)
    assert found["manifest"]["spent_usd"] == pytest.approx(0.01 + 2 * 0.008)
    assert (found["targets"][0]["sample_count"], found["targets"][0]["failure_count"]) == (3, 1)
    saved = load_run(only_run(out))
    assert [sample.id for sample in saved.samples if sample.is_billing_ambiguous] == [lost["sample_or_case_id"]]
    page = (only_run(out) / "report.html").read_text()
    assert "Paid for, without a result" in page
    assert lost["sample_or_case_id"] in page

    assert bench("sync", more=("--asr", "none", "--retry-ambiguous", "--json", str(result))) == 0
    again = json.loads(result.read_bytes())
    assert again["folder"] == found["folder"]
    assert [one["was_sent_again"] for one in again["ambiguous_requests"]] == [True]
    assert (again["targets"][0]["sample_count"], again["targets"][0]["failure_count"]) == (3, 0)
    assert again["manifest"]["spent_usd"] == pytest.approx(0.01 + 3 * 0.008)
    assert submits(provider) == 4
    assert "(bought again)" in capsys.readouterr().out


def test_a_resumed_run_announces_what_is_left_to_spend_and_what_was_spent(
    bench: Bench, provider: StandInProvider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    submit, answered = SubmitRecorder.after_submit, itertools.count(1)

    def die_after_two(recorder: SubmitRecorder, *arguments: Any) -> None:
        submit(recorder, *arguments)
        if next(answered) == 2:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(SubmitRecorder, "after_submit", die_after_two)
        with pytest.raises(BaseException):  # noqa: B017,PT011 - a group of the killed tasks
            bench("sync")
    assert "LIVE: 3 requests to acme, $0.03 of at most $1.00\n" in capsys.readouterr().err
    for dry_run in ((), ("--dry-run",)):
        assert bench("sync", more=("--asr", "none", "--max-cost", "0.02", *dry_run)) == EXIT_BUDGET_EXCEEDED
        refusal = " ".join(capsys.readouterr().err.split())
        assert "3 requests cost $0.03, more than --max-cost 0.02" in refusal
        assert "; $0.016 of it are spent already by the interrupted run " in refusal
        assert "which the same command continues with a higher budget" in refusal
    assert bench("sync") == EXIT_PARTLY_MEASURED
    announced = "LIVE: 1 of 3 requests to acme are left, $0.01; $0.016 are spent already, of at most $1.00\n"
    assert announced in capsys.readouterr().err
    assert submits(provider) == 3

    provider.faults.submits = [None, "connection lost after charging"]  # type: ignore[union-attr]
    assert bench("sync", more=("--asr", "none", "--no-report", "--new-run")) == EXIT_PARTLY_MEASURED
    capsys.readouterr()
    assert bench("sync", more=("--asr", "none", "--retry-ambiguous")) == 0
    announced = "LIVE: 1 of 3 requests to acme are left, $0.01; $0.026 are spent already, of at most $1.00\n"
    assert announced in capsys.readouterr().err


def test_a_request_with_an_idempotency_key_is_repeated_and_charged_once(
    bench: Bench, provider: StandInProvider, out: Path
) -> None:
    provider.faults.submits = [None, "connection lost after charging", None]  # type: ignore[union-attr]
    assert bench("idempotent") == 0
    assert (submits(provider), len(provider.charges)) == (4, 3)
    saved = load_run(only_run(out))
    assert saved.ambiguous_requests == ()
    assert not any(sample.failure for sample in saved.samples)
    assert saved.manifest.spent_usd == pytest.approx(0.03)


def test_after_a_kill_the_same_command_repeats_a_request_with_its_idempotency_key(
    bench: Bench, provider: StandInProvider, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The budget is exactly what the plan costs: the repeated request is counted once."""
    with monkeypatch.context() as patch:
        patch.setattr("voicegauge.bench.runner.save_audio", die)
        with pytest.raises((MemoryError, ExceptionGroup)):
            bench("idempotent")
    assert (submits(provider), len(provider.charges)) == (1, 1)
    assert bench("idempotent", more=("--asr", "none", "--no-report", "--max-cost", "0.03")) == 0
    assert (submits(provider), len(provider.charges)) == (4, 3)
    saved = load_run(only_run(out))
    assert saved.ambiguous_requests == ()
    assert not any(sample.failure for sample in saved.samples)
    assert saved.manifest.spent_usd == pytest.approx(0.03)
    keys = [
        json.loads(line).get("idempotency_key") for line in (only_run(out) / "journal.jsonl").read_text().splitlines()
    ]
    assert len({key for key in keys if key}) == 3


def test_an_expired_idempotency_key_is_not_used_again(
    bench: Bench, provider: StandInProvider, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("voicegauge.bench.runner.save_audio", die)
        with pytest.raises((MemoryError, ExceptionGroup)):
            bench("idempotent")
    journal = only_run(out) / "journal.jsonl"
    journal.write_text(
        re.sub(r'"submitted_at":"[^"]+"', '"submitted_at":"2026-01-01T00:00:00.000+00:00"', journal.read_text())
    )
    assert bench("idempotent") == EXIT_PARTLY_MEASURED
    assert submits(provider) == 3
    assert len(load_run(only_run(out)).ambiguous_requests) == 1


def test_without_an_ambiguous_request_nothing_is_bought_again(
    bench: Bench, provider: StandInProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("sync") == 0
    assert bench("sync", more=("--asr", "none", "--retry-ambiguous")) == 2
    assert "has an ambiguous request: leave out --retry-ambiguous" in " ".join(capsys.readouterr().err.split())
    assert submits(provider) == 3


@pytest.mark.parametrize("fault", ["connection lost after charging", "server error after charging"])
def test_after_a_run_that_lost_every_request_nothing_is_paid_for_silently(
    bench: Bench, provider: StandInProvider, out: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    provider.faults.submits = [fault] * 3  # type: ignore[union-attr]
    assert bench("sync") == 3, "no provider responds to the first request"
    if submits(provider) < 3:
        assert bench("sync") == 3, "the rest of the plan is lost, too"
    assert submits(provider) == 3
    for _ in range(3):  # as a job that is retried in CI
        assert bench("sync") == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "sent 3 requests without receiving a result, which may have been charged ($0.03 of the $0.03" in message
    assert "--retry-ambiguous pays for them again, --new-run pays for a new run" in message
    assert submits(provider) == 3
    assert bench("sync", more=("--asr", "none", "--retry-ambiguous")) == 0
    assert submits(provider) == 6
    assert bench("sync") == 0, "a run with results is followed by another one"
    assert submits(provider) == 9


def test_after_a_run_that_lost_a_part_of_its_requests_nothing_is_paid_for_silently(
    bench: Bench, provider: StandInProvider, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.faults.submits = [None, "server error after charging"]  # type: ignore[union-attr]
    assert bench("sync") == EXIT_PARTLY_MEASURED
    sent = submits(provider)
    plan = tmp_path / "plan.json"
    for more in ((), ("--dry-run", "--json", str(plan))):
        capsys.readouterr()
        assert bench("sync", more=("--asr", "none", *more)) == 2
        message = " ".join(capsys.readouterr().err.split())
        spent = "($0.01 of the $0.026 that it has spent)"
        assert f"sent 1 request without receiving a result, which may have been charged {spent}" in message
        assert "--retry-ambiguous pays for it again, --new-run pays for a new run" in message
    assert json.loads(plan.read_bytes())["budget_forecast"]["refusal_exit_status"] == 2
    for more in (("--retry-ambiguous", "--dry-run"), ("--new-run", "--dry-run")):
        assert bench("sync", more=("--asr", "none", *more)) == 0
    assert submits(provider) == sent
    assert bench("sync", more=("--asr", "none", "--no-report", "--new-run")) == 0
    assert submits(provider) == sent + 3
    assert bench("sync") == 0, "the last run has every result"
    assert len(list(out.glob("*/run.json"))) == 3


def test_a_new_run_does_not_continue_an_interrupted_one(
    bench: Bench, provider: StandInProvider, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("voicegauge.api.benchmarking._judge_and_transcribe", die)
        with pytest.raises(MemoryError):
            bench("sync")
    assert bench("sync", more=("--asr", "none", "--no-report", "--new-run")) == 0
    assert submits(provider) == 6
    assert len(list(out.iterdir())) == 2


@pytest.mark.parametrize("stop", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_ctrl_c_or_sigterm_completes_requests_in_flight_and_explains_how_to_resume(
    provider: StandInProvider, bench: Bench, url: str, out: Path, stop: signal.Signals
) -> None:
    with interrupt_during_job(provider, [*list_words(url, out, "queued"), "--new-run"], stop) as process:
        provider.job_s = 0.0
        assert process.stderr is not None
        errors = process.stderr.read()
        assert process.wait(60) == 130, errors
    assert "Traceback" not in errors
    assert "1 of 3 samples; they are saved in" in errors
    assert "the same command without --new-run resumes the run" in errors
    assert [sample.failure for sample in load_run(only_run(out)).samples] == [None]
    assert submits(provider) == 1
    assert bench("queued") == 0
    assert submits(provider) == 3


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once_and_the_job_is_not_lost(
    provider: StandInProvider, bench: Bench, url: str, out: Path
) -> None:
    with interrupt_during_job(provider, list_words(url, out, "queued")) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        errors = process.stderr.read()
        assert process.wait(60) == 130, errors
    assert "Traceback" not in errors
    assert len(read_journal(only_run(out)).open_jobs) == 1
    [sample] = load_run(only_run(out)).samples
    assert sample.failure is not None
    assert sample.failure.kind == "interrupted"
    assert sample.job_id is not None
    assert sample.latency is not None
    assert sample.latency.submit_latency_ms is not None  # what was observed is kept
    assert bench("queued") == 0
    assert submits(provider) == 3
    assert {sample.failure for sample in load_run(only_run(out)).samples} == {None}
    assert load_run(only_run(out)).manifest.is_finished


@pytest.mark.slow
def test_of_two_benchmarks_that_start_in_the_same_instant_one_buys(provider: StandInProvider, out: Path) -> None:
    provider.latency_s = 0.3
    with running_app(provider) as url:
        command = [sys.executable, "-m", "voicegauge", "bench", "acme/sync", "--live", "--base-url", url]
        command += ["--contracts", str(CONTRACTS), "--suite", str(SUITE), "--out", str(out), "--warmup", "0"]
        command += ["--asr", "none", "--no-report", "--no-listening"]
        processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
        messages = [process.communicate()[1].decode() for process in processes]
    if sorted(process.returncode for process in processes) == [0, 2]:
        assert any("another process runs this benchmark" in " ".join(message.split()) for message in messages)
        assert submits(provider) == 3
    else:  # on a busy machine, one may have ended before the other began
        assert [process.returncode for process in processes] == [0, 0], messages
        assert len(list(out.iterdir())) == 2


def test_a_charge_above_the_price_ends_the_requests_to_its_target_for_good(
    bench: Bench, provider: StandInProvider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(CHARGED_USD, "sync", 0.05)
    for _ in range(2):  # the second command continues the run
        assert bench("sync", "streamed") == 4
        message = " ".join(capsys.readouterr().err.split())
        assert "acme/sync was charged $0.05 for a request that should cost $0.01: no more requests are sent" in message
        assert Counter(charge.target for charge in provider.charges) == {"sync": 1, "streamed": 3}


@pytest.mark.parametrize("cost_usd", [0.05, -1.0])
@pytest.mark.parametrize("target", ["sync", "queued"])  # the submit states the charge, or the status of the job
@pytest.mark.parametrize("command", ["bench", "check", pytest.param("record", marks=pytest.mark.slow)])
def test_a_wrong_charge_of_the_last_billable_request_ends_the_command_as_one_of_an_earlier_request_does(
    provider: StandInProvider,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    target: str,
    command: str,
    cost_usd: float,
) -> None:
    monkeypatch.setitem(CHARGED_USD, target, cost_usd)
    suite = ("--suite", str(SUITE), "--warmup", "0", "--limit", "1", "--no-listening", "--no-report")
    more = {"bench": suite, "check": ("--max-calls", "1"), "record": ("--yes",)}[command]
    out = () if command == "check" else ("--out", str(tmp_path / "out"))
    with running_app(provider) as url:
        where = ("--live", "--contracts", str(CONTRACTS), "--base-url", url)
        assert voicegauge([command, f"acme/{target}", *where, *more, *out]) == EXIT_BUDGET_EXCEEDED
    assert len(provider.charges) == 1
    output = capsys.readouterr()
    name = f"acme/{target}" if cost_usd > 0 else f"response of acme/{target}"
    assert f"{name} {'was charged $0.05' if cost_usd > 0 else 'states a charge of -1 USD'}" in " ".join(
        (output.out + output.err).split()
    )


@pytest.mark.parametrize(
    ("cost_usd", "way_on"), [(0.05, "--new-run"), (0.05, "--price=acme/sync=0.05"), (-1.0, "--new-run")]
)
@pytest.mark.parametrize("command", ["check", "record"])
def test_after_a_wrong_charge_the_same_command_buys_nothing_until_the_user_says_how_to_go_on(
    provider: StandInProvider,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
    cost_usd: float,
    way_on: str,
) -> None:
    monkeypatch.setitem(CHARGED_USD, "sync", cost_usd)
    more = ["--max-calls", "3"] if command == "check" else ["--yes", "--refresh", "all", "--out", str(tmp_path / "out")]
    with running_app(provider) as url:
        where = [command, "acme/sync", "--live", "--contracts", str(CONTRACTS), "--base-url", url, *more]
        for attempt in range(3):
            assert voicegauge(where) == EXIT_BUDGET_EXCEEDED
            assert len(provider.charges) == 1, f"attempt {attempt}"
            output = " ".join("".join(capsys.readouterr()).split())
            assert ("was charged $0.05" if cost_usd > 0 else "states a charge of -1 USD") in output
            assert ("--new-run" in output) is (attempt > 0)
        assert voicegauge([*where, "--dry-run"]) == 0
        assert "no more requests are sent to it" in " ".join("".join(capsys.readouterr()).split())
        status = voicegauge([*where, way_on])
    assert len(provider.charges) > 1
    if "--price" in way_on:
        assert status != EXIT_BUDGET_EXCEEDED
    else:
        assert (status, len(provider.charges)) == (EXIT_BUDGET_EXCEEDED, 2)


@pytest.mark.parametrize("link", [".unfinished", ".unfinished/acme", "acme", "acme/sync.har"])
def test_a_link_out_of_the_folder_is_found_before_anything_is_paid_for_or_written_there(
    provider: StandInProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    link: str,
) -> None:
    mine, repository = tmp_path / "mine", tmp_path / "repository"
    mine.mkdir()
    (repository / "fixtures" / link).parent.mkdir(parents=True)
    monkeypatch.chdir(repository)
    (repository / "fixtures" / link).symlink_to(mine / "new.har" if link.endswith("har") else mine)
    with running_app(provider) as url:
        where = ["--live", "--contracts", str(CONTRACTS), "--base-url", url]
        assert voicegauge(["record", "acme/sync", "--yes", *where]) == 2
    assert not provider.charges
    assert "outside of" in " ".join(capsys.readouterr().err.split())
    assert list(mine.iterdir()) == []


def test_checks_of_later_days_judge_the_other_targets_and_do_not_add_up(
    provider: StandInProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(CHARGED_USD, "sync", 0.05)
    journal_module, result = "voicegauge.conformance.case_journal", tmp_path / "check.json"
    now = datetime.now(UTC)
    spent_usd = []
    with running_app(provider) as url:
        where = ["check", "acme/sync", "acme/streamed", "--live", "--contracts", str(CONTRACTS), "--base-url", url]
        for day in range(4):
            with monkeypatch.context() as patch:
                patch.setattr(f"{journal_module}.datetime", later_datetime(now + timedelta(days=2 * day)))
                assert voicegauge([*where, "--json", str(result)]) == EXIT_BUDGET_EXCEEDED
            spent_usd.append(json.loads(result.read_bytes())["spent_by_earlier_runs_usd"])
    assert Counter(charge.target for charge in provider.charges) == {"sync": 1, "streamed": 4}
    assert spent_usd == pytest.approx([0, 0.05, 0.05, 0.05])


def test_nightly_checks_after_a_wrong_charge_do_not_add_up_what_reported_requests_cost(
    provider: StandInProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(CHARGED_USD, "sync", 0.05)
    result, now = tmp_path / "check.json", datetime.now(UTC)
    spent_usd = []
    with running_app(provider) as url:
        where = ["check", "acme/sync", "acme/streamed", "--live", "--contracts", str(CONTRACTS), "--base-url", url]
        for night in range(6):
            with monkeypatch.context() as patch:
                for module in ("case_journal", "judgement_keeper"):
                    later = later_datetime(now + timedelta(hours=23.9 * night))
                    patch.setattr(f"voicegauge.conformance.{module}.datetime", later)
                assert voicegauge([*where, "--json", str(result)]) == EXIT_BUDGET_EXCEEDED
            spent_usd.append(json.loads(result.read_bytes())["spent_by_earlier_runs_usd"])
    # Every second night reuses the judgements of the night before, which are less than a day old.
    assert Counter(charge.target for charge in provider.charges) == {"sync": 1, "streamed": 3}
    assert spent_usd == pytest.approx([0, 0.07, 0.05, 0.07, 0.05, 0.07])


def later_datetime(now: datetime) -> type[datetime]:
    """A clock that stands still."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromisoformat(now.astimezone(tz).isoformat())

    return Later


@pytest.mark.parametrize("target", ["sync", "queued"])  # the submit states the charge, or the status of the job
def test_a_charge_that_cannot_be_believed_ends_the_requests_to_its_target_for_good(
    bench: Bench,
    provider: StandInProvider,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
) -> None:
    monkeypatch.setitem(CHARGED_USD, target, 1e12)
    for _ in range(2):  # the second command continues the run
        assert bench(target, "streamed") == 4
        message = " ".join(capsys.readouterr().err.split())
        stated = "states a charge of 1e+12 USD, which cannot be believed: no more requests are sent to it"
        assert f"a response of acme/{target} {stated}" in message
        assert Counter(charge.target for charge in provider.charges) == {target: 1, "streamed": 3}


def test_what_other_commands_spend_today_counts(
    bench: Bench,
    provider: StandInProvider,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Three requests cost three cents; the provider charges 0.8 cents for each."""
    monkeypatch.setenv("VOICEGAUGE_STATE", str(tmp_path / "state"))
    assert bench("sync") == 0
    daily = ("--asr", "none", "--no-report", "--max-cost-per-day", "0.05")
    assert bench("sync", more=daily) == 4
    message = " ".join(capsys.readouterr().err.split())
    assert "the requests to acme cost up to $0.03, more than --max-cost-per-day 0.05 of acme less $0.024" in message
    assert submits(provider) == 3
    assert bench("sync", more=(*daily[:-1], "0.054")) == 0
    assert submits(provider) == 6


def test_ctrl_c_again_while_a_stopped_run_is_saved_does_not_lose_the_summary(
    bench: Bench, provider: StandInProvider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt_and_measure(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return measure_audio(*arguments)

    def interrupt(step: str) -> None:
        if step == "submit charged":
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("voicegauge.api.benchmarking.measure_audio", interrupt_and_measure)
    provider.step = interrupt
    assert bench("sync") == 130
    assert "stopped: interrupted after 1 of 3 samples; they are saved in" in " ".join(capsys.readouterr().err.split())


def test_a_benchmark_of_jobs_that_never_end_ends_in_time_and_is_continued(
    bench: Bench, provider: StandInProvider, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.job_s = 10_000.0
    result = tmp_path / "result.json"
    limited = ("--asr", "none", "--no-report", "--concurrency", "4", "--json", str(result), "--max-time", "5")
    assert bench("sync", "queued", more=limited) == EXIT_PARTLY_MEASURED
    assert "stopped by --max-time after " in capsys.readouterr().err
    found = json.loads(result.read_bytes())
    assert (found["stop_reason"], found["manifest"]["is_finished"]) == ("time", False)
    assert found["measured_sample_count"] >= 1
    charges = len(provider.charges)
    provider.job_s = 0.0
    assert bench("sync", "queued") == 0
    assert len(provider.charges) == 6
    assert charges <= 6


def test_buying_again_respects_the_budget(
    bench: Bench, provider: StandInProvider, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.faults.submits = [None, *["connection lost after charging"] * 2]  # type: ignore[union-attr]
    budget = ("--asr", "none", "--no-report", "--max-cost", "0.03")
    assert bench("sync", more=budget) == EXIT_PARTLY_MEASURED
    assert bench("sync", more=(*budget, "--retry-ambiguous")) == 4
    assert "raise --max-cost" in capsys.readouterr().err
    assert submits(provider) == 3
    assert bench("sync", more=("--asr", "none", "--no-report", "--max-cost", "0.06", "--retry-ambiguous")) == 0
    assert submits(provider) == 5
    saved = load_run(only_run(out))
    assert saved.manifest.spent_usd == pytest.approx(2 * 0.01 + 3 * 0.008)
    assert saved.manifest.max_cost_usd == 0.06


def test_a_job_whose_status_cannot_be_fetched_is_polled_by_the_next_run(
    bench: Bench, provider: StandInProvider, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.faults.polls = [None] + ["server error"] * 6  # type: ignore[union-attr]
    result = tmp_path / "result.json"
    assert bench("queued", more=("--asr", "none", "--no-report", "--json", str(result))) == 3
    printed = capsys.readouterr()
    assert "still open: acme/queued/1/1/" in printed.out
    assert "1 job is still open and will be polled again by the same command" in " ".join(printed.err.split())
    found = json.loads(result.read_bytes())
    assert [one["counted_usd"] for one in found["open_jobs"]] == [0.01]
    assert found["stop_reason"] == "unreachable"
    assert found["targets"][0]["failure_count"] == 1
    assert found["manifest"]["spent_usd"] == pytest.approx(2 * 0.009 + 0.01)

    assert bench("queued") == 0
    assert submits(provider) == 3
    saved = load_run(only_run(out))
    assert saved.manifest.is_finished
    assert {(sample.failure, sample.submit_count) for sample in saved.samples} == {(None, 1)}
    assert saved.open_jobs == ()
    assert saved.manifest.spent_usd == pytest.approx(3 * 0.009)


def test_a_job_that_takes_longer_than_the_users_limit_is_polled_by_the_next_run(
    bench: Bench, provider: StandInProvider, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.job_s = 3600.0
    limited = ("--asr", "none", "--no-report", "--limit", "1", "--max-wait", "2")
    assert bench("queued", more=limited) == 3
    assert "a delivery may take 2 s" in " ".join(capsys.readouterr().out.split())
    provider.job_s = 0.0
    assert bench("queued", more=limited) == 0
    assert submits(provider) == 1
    assert [sample.failure for sample in load_run(only_run(out)).samples] == [None]


def test_an_open_job_is_counted_once(bench: Bench, provider: StandInProvider, out: Path) -> None:
    provider.faults.every_poll = "unreadable"  # type: ignore[union-attr]
    for _ in range(3):
        assert bench("queued", more=("--asr", "none", "--no-report", "--max-cost", "0.03")) == 3
        assert read_journal(only_run(out)).spent_usd == pytest.approx(0.03)
    assert submits(provider) == 3


def test_a_response_that_could_not_be_saved_is_listed(
    bench: Bench,
    provider: StandInProvider,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full_disk(*_: object) -> None:
        raise UsageError("cannot write audio: No space left on device: free some disk space")

    with monkeypatch.context() as patch:
        patch.setattr("voicegauge.bench.runner.save_audio", full_disk)
        assert bench("sync") == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert "may have been charged, without a result: acme/sync/1/1/" in printed
    assert "$0.008: the response (HTTP 200) arrived and could not be saved" in printed
    assert "No space left on device" in printed
    assert submits(provider) == 1
    assert bench("sync") == EXIT_PARTLY_MEASURED
    assert submits(provider) == 3
    saved = load_run(only_run(out))
    assert [(sample.is_billing_ambiguous, sample.failure and sample.failure.kind) for sample in saved.samples].count(
        (True, "interrupted")
    ) == 1
    assert "could not be saved" in capsys.readouterr().out


def test_lost_samples_are_left_out_of_the_results(
    bench: Bench, provider: StandInProvider, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample that was lost because voicegauge was stopped says nothing about the provider."""
    write = Journal.write

    def stop_after_submit(journal: Journal, event: JournalEvent) -> None:
        write(journal, event)
        if isinstance(event, SubmitStartedEvent):
            die()

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", stop_after_submit)
        with pytest.raises((MemoryError, ExceptionGroup)):
            bench("sync")
    result = tmp_path / "result.json"
    assert bench("sync", more=("--asr", "none", "--no-report", "--json", str(result))) == EXIT_PARTLY_MEASURED
    found = json.loads(result.read_bytes())
    (target,) = found["targets"]
    assert (target["sample_count"], target["failure_count"]) == (2, 0)
    assert len(found["ambiguous_requests"]) == 1
    assert [sample.is_counted for sample in load_run(only_run(out)).samples].count(False) == 1


@pytest.mark.parametrize(("share", "status"), [(None, 0), ("0.95", EXIT_PARTLY_MEASURED)])
def test_few_lost_samples_of_a_live_run_are_named_and_do_not_fail_it(
    bench: Bench,
    provider: StandInProvider,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    share: str | None,
    status: int,
) -> None:
    write, more = Journal.write, ["--asr", "none", "--no-report", "--repetitions", "4"]

    def stop_after_submit(journal: Journal, event: JournalEvent) -> None:
        write(journal, event)
        if isinstance(event, SubmitStartedEvent):
            die()

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", stop_after_submit)
        with pytest.raises((MemoryError, ExceptionGroup)):
            bench("sync", more=more)
    capsys.readouterr()
    assert bench("sync", more=[*more, *(() if share is None else ("--fail-under", share))]) == status
    printed = " ".join("".join(capsys.readouterr()).split())
    assert "acme/sync 11/12 " in printed
    assert "1 sample was sent and has no saved result" in printed
    assert "may have been charged, without a result: acme/sync/1/1/" in printed


def test_a_run_of_which_little_was_measured_has_a_status_of_its_own(
    bench: Bench, provider: StandInProvider, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for share, status in (("0.6", 0), ("0.7", EXIT_PARTLY_MEASURED), (None, EXIT_PARTLY_MEASURED)):
        provider.faults.submits = [None, None, "server error"]  # type: ignore[union-attr]
        demanded = () if share is None else ("--fail-under", share)
        assert bench("sync", more=("--asr", "none", "--no-report", "--new-run", *demanded)) == status
    message = " ".join(capsys.readouterr().err.split())
    assert "only 2 of 3 samples were measured: less than --fail-under 0.7" in message
    assert "only 2 of 3 samples were measured: less than --fail-under 0.9" in message


def test_silent_audio_is_not_measured(
    bench: Bench, provider: StandInProvider, speech: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silence, result = encode(np.zeros(12_000, np.float32), 24_000, "wav")[0], tmp_path / "result.json"
    provider.speak = lambda text: silence if "kettle" in text else speech
    assert bench("sync", more=("--asr", "none", "--no-report", "--json", str(result))) == EXIT_PARTLY_MEASURED
    assert "only 2 of 3 samples were measured, 1 of the others are silent" in " ".join(capsys.readouterr().err.split())
    found = json.loads(result.read_bytes())
    counts = [found[f"{name}_sample_count"] for name in ("planned", "measured", "silent")]
    assert counts == [3, 2, 1]
    provider.speak = lambda _: silence
    assert bench("sync", more=("--asr", "none", "--no-report", "--fail-under", "0")) == EXIT_NOTHING_MEASURED
    assert "the audio of all 3 samples is silent" in capsys.readouterr().err


def test_a_run_of_an_older_format_is_not_bought_again(
    bench: Bench, provider: StandInProvider, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("sync") == 0
    folder = only_run(out)
    document = json.loads((folder / "run.json").read_bytes())
    document["manifest"] |= {"schema_version": 1, "is_finished": False, "plan_sha256": "of an older version"}
    (folder / "run.json").write_text(json.dumps(document))
    assert bench("sync") == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert "saved by an older voicegauge (run format 1)" in printed
    assert submits(provider) == 3


def test_an_interrupted_run_with_other_options_is_pointed_out(
    bench: Bench, provider: StandInProvider, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("sync") == 0
    folder = only_run(out)
    saved = load_run(folder)
    unfinished = msgspec.structs.replace(saved, manifest=msgspec.structs.replace(saved.manifest, is_finished=False))
    (folder / "run.json").write_bytes(msgspec.json.encode(unfinished))
    assert bench("sync", more=("--asr", "none", "--no-report", "--limit", "1")) == 0
    assert f"{folder} is an interrupted run with other options" in " ".join(capsys.readouterr().err.split())
    assert submits(provider) == 4


def test_times_that_were_taken_while_the_machine_was_too_busy_are_not_valid(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("voicegauge.bench._sample_building.is_timing_disturbed", lambda *_times_ms: True)
    few = ("--asr", "none", "--no-report")
    assert bench("sync", more=few) == 0, "a single disturbance is a large share of a few samples"
    assert bench("sync", more=(*few, "--repetitions", "7", "--max-cost", "9")) == 3
    assert "this machine was too busy during 21 of 21 samples" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("p99_error_ms", "status"), [(0.2, 0), (20.0, 3)])
def test_times_of_a_busy_machine_are_valid_if_their_error_was_measured_meanwhile_and_is_small(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, p99_error_ms: float, status: int
) -> None:
    measured = TimingError(
        concurrency=1, request_count=99, median_error_ms=0.1, p99_error_ms=p99_error_ms, is_measured_during_run=True
    )
    monkeypatch.setattr("voicegauge.api.benchmarking.find_timing_error", lambda *_: measured)
    monkeypatch.setattr("voicegauge.bench._sample_building.is_timing_disturbed", lambda *_times_ms: True)
    assert bench("sync", more=("--asr", "none", "--no-report", "--repetitions", "7", "--max-cost", "9")) == status


@pytest.mark.slow
@pytest.mark.parametrize(("goal", "status"), [("success>=0.5", 0), ("success>=0.5,rtf:p50<=1000", 3)])
def test_a_ramp_is_rejected_for_lags_only_if_its_goal_limits_times(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], goal: str, status: int
) -> None:
    monkeypatch.setattr("voicegauge.bench._sample_building.is_timing_disturbed", lambda *_times_ms: True)
    for name in ("MIN_SENT_LOAD_SHARE", "FULL_LOAD_SHARE"):
        monkeypatch.setattr(f"voicegauge.bench.ramp.{name}", 0.0)
    monkeypatch.setattr("voicegauge.api.benchmark_planning.MAX_RAMP_CONCURRENCY", 2.0)
    words = ("--asr", "none", "--no-report", "--ramp", "concurrency", "--goal", goal, "--max-cost", "99")
    assert bench("sync", more=words) == status, capsys.readouterr().err
    assert ("this machine was too busy" in capsys.readouterr().err) == (status == 3)
