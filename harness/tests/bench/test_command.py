from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voicegauge.bench.run_store import load_run, read_journal
from voicegauge.cli import run as voicegauge
from voicegauge.emulator.process import RunningEmulator
from voicegauge.model.exchange import AmbiguousRequest, describe_unresolved_requests
from voicegauge.speech.encoding import encode

Bench = Callable[..., list[str]]
QUICK = ("--asr", "none", "--no-report", "--warmup", "0", "--language", "en")


@pytest.fixture
def bench(contracts_folder: Path, suite_file: Path, tmp_path: Path) -> Bench:
    """The words of a command line that benchmarks acme into `tmp_path`."""

    def words(*more: str) -> list[str]:
        where = ["--contracts", str(contracts_folder), "--suite", str(suite_file), "--out", str(tmp_path / "runs")]
        return ["bench", *where, *more]

    return words


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", "sk-acme-0123456789abcdef")


def live(emulator: RunningEmulator) -> tuple[str, ...]:
    return ("--live", "--base-url", emulator.base_url("acme"))


def submits(emulator: RunningEmulator) -> int:
    """How many requests for speech the emulator was sent."""
    with urllib.request.urlopen(f"{emulator.control_url}/journal") as answer:  # noqa: S310 - our own loopback
        entries = json.load(answer)
    listed = entries["entries"] if isinstance(entries, dict) else entries
    return sum(entry["method"] == "POST" for entry in listed)


def reset(emulator: RunningEmulator) -> None:
    request = urllib.request.Request(f"{emulator.control_url}/reset", method="POST")  # noqa: S310 - our own loopback
    with urllib.request.urlopen(request):  # noqa: S310 - our own loopback
        pass


def wait_for(path: Path, pattern: str, count: int = 1) -> Path:
    """The folder whose journal holds `pattern` `count` times."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for journal in path.glob("*/journal.jsonl"):
            if journal.read_text().count(pattern) >= count:
                return journal.parent
        time.sleep(0.01)
    raise AssertionError(f"no {pattern} in {path}")


def test_an_emulated_benchmark_end_to_end(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "result.json"
    status = voicegauge(bench("acme/job", "acme/now", "--language", "en", "--limit", "2", "--json", str(out)))
    printed = capsys.readouterr().out
    assert status == 0
    assert "EMULATED" in printed
    assert "acme/job" in printed
    result: dict[str, Any] = json.loads(out.read_bytes())
    assert (result["schema"], result["provenance"], result["stop_message"]) == ("voicegauge/bench/3", "emulated", None)
    assert [target["sample_count"] for target in result["targets"]] == [2, 2]
    assert all(target["wer"]["reference_units"] > 0 for target in result["targets"])
    saved = load_run(Path(result["folder"]))
    assert saved.manifest.is_finished
    assert saved.manifest.spent_usd == 0
    assert len(saved.samples) == 6
    assert len(saved.score_sets) == 1
    page = Path(result["report_file"]).read_text()
    assert "EMULATED" in page
    assert "acme/now" in page


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--rate", "nan"], "not a finite number"),
        (["--rate", "inf"], "not a finite number"),
        (["--ramp", "rate", "--rate", "5"], "--rate and --ramp exclude each other"),
        (["--ramp", "rate", "--concurrency", "4"], "--concurrency and --ramp exclude each other"),
        (["--rate", "5", "--concurrency", "16"], "--concurrency and --rate exclude each other"),
        (["--arrivals", "poisson"], "--arrivals goes with --rate or --ramp"),
        (["--arrivals", "constant"], "--arrivals goes with --rate or --ramp"),
        (["--arrivals", "poisson", "--ramp", "concurrency"], "add --rate or --ramp rate"),
        (["--ramp", "rate", "--sessions", "2"], "leave out --sessions"),
        (["--ramp", "rate", "acme/job"], "--ramp takes one target, not 2 (acme/now, acme/job): name one"),
        (["--goal", "success>=0.5"], "--goal goes with --ramp"),
        (["--goal", "success>=0.99"], "--goal goes with --ramp"),
        (["--ramp", "rate", "--goal", "ttfa<5"], "is not a condition"),
        (["--fault", "no-such-fault"], "no-such-fault"),
        (["--stop-when-decided"], "name two or more"),
        (["--stop-when-decided", "--ramp", "rate"], "--stop-when-decided and --ramp exclude each other"),
        (["--margin", "0.1"], "--margin goes with --stop-when-decided"),
        (["--retry-ambiguous"], "--retry-ambiguous goes with --live"),
    ],
)
def test_options_of_load_are_refused_before_anything_is_sent_in_a_dry_run_too(
    bench: Bench,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    reason: str,
    dry_run: list[str],
) -> None:
    assert voicegauge(bench("acme/now", *options, *dry_run)) == 2
    assert reason in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs").exists()


def test_nobody_is_asked_to_pay_the_emulator_again(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert voicegauge(bench("acme/now", *QUICK, "--limit", "1", "--fault", "drops-connection@acme/now")) == 3
    printed = " ".join("".join(capsys.readouterr()).split())
    assert "sent to the emulator, without a saved result: acme/now" in printed
    assert "--retry-ambiguous" not in printed
    lost = [
        AmbiguousRequest(sample_or_case_id=f"acme/{n}", sent_at="2026-01-01T00:00:00Z", counted_usd=0.0, reason="stop")
        for n in range(5)
    ]
    (line,) = describe_unresolved_requests(lost, is_emulated=True)
    assert line.endswith("a saved result: 5 requests: acme/0, acme/1, acme/2 and 2 more: stop")


def test_the_dry_run_shows_prices_and_sends_nothing(
    bench: Bench, tmp_path: Path, emulator: RunningEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    reset(emulator)
    assert voicegauge(bench("acme/job", *live(emulator), "--dry-run", "--json", "-")) == 0
    out, err = capsys.readouterr()
    assert "LIVE: acme sends the key in " in err
    plan = json.loads(out)
    assert (plan["schema"], plan["request_count"]) == ("voicegauge/bench-plan/2", 5)
    assert plan["cost_usd"] == pytest.approx(0.05)
    assert submits(emulator) == 0
    assert not (tmp_path / "runs").exists()


def test_the_dry_run_names_the_keys_that_are_not_set(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = bench("acme/job", "acme/now", "--live", "--dry-run", "--allow-key", "ACME_KEY=api.acme.test")
    assert voicegauge([*words, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["missing_key_variables"] == {}
    monkeypatch.delenv("ACME_KEY")
    assert voicegauge([*words, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["missing_key_variables"] == {"acme": ["ACME_KEY"]}
    assert voicegauge(words) == 0
    assert "no key for acme/job, acme/now: set ACME_KEY" in capsys.readouterr().out
    assert voicegauge(bench("acme/job", "--dry-run")) == 0
    assert "no key" not in capsys.readouterr().out, "the emulator needs none"


def test_live_against_an_emulator_reports_spending_and_is_marked_emulated(
    bench: Bench, tmp_path: Path, emulator: RunningEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert voicegauge(bench("acme/job", *live(emulator), *QUICK)) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    saved = load_run(folder)
    assert saved.manifest.provenance == "emulated"
    assert saved.manifest.spent_usd == pytest.approx(0.03)
    assert saved.manifest.max_cost_usd == 1.0
    assert saved.manifest.base_urls == {"acme": emulator.base_url("acme")}
    printed = capsys.readouterr()
    assert "LIVE: 3 requests to acme, $0.03 of at most $1.00" in printed.err
    assert "EMULATED" in printed.out
    for file in folder.rglob("*"):
        assert file.is_dir() or b"sk-acme" not in file.read_bytes()


def test_requests_without_a_price_are_announced_without_a_budget(
    bench: Bench, emulator: RunningEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert voicegauge(bench("acme/job", *live(emulator), *QUICK, "--price", "acme/job=0")) == 0
    printed = capsys.readouterr()
    assert "LIVE: 3 requests to acme at no charge\n" in printed.err


@pytest.mark.slow
def test_after_a_kill_the_same_command_pays_for_nothing_twice(
    bench: Bench, tmp_path: Path, emulator: RunningEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    reset(emulator)
    words = bench("acme/slow-job", *live(emulator), *QUICK, "--concurrency", "1")
    nothing = subprocess.DEVNULL
    with subprocess.Popen([sys.executable, "-m", "voicegauge", *words], stdout=nothing, stderr=nothing) as process:
        folder = wait_for(tmp_path / "runs", '"submit_completed"', 2)
        process.kill()
    past = read_journal(folder)
    assert len(past.open_jobs) == 1
    assert not load_run(folder).manifest.is_finished
    assert voicegauge(words) == 0
    assert f"resuming {folder}" in " ".join(capsys.readouterr().err.split())
    saved = load_run(folder)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [folder.name]
    assert saved.manifest.is_finished
    assert [sample.failure for sample in saved.samples] == [None, None, None]
    assert submits(emulator) == 3
    assert saved.manifest.spent_usd == pytest.approx(0.03)
    # A run that is whole is not gone on with: the command given again is a new run.
    assert voicegauge(words) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_an_unknown_account_plan_is_rejected_before_anything_is_sent(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACME_KEY", "k")
    assert voicegauge(bench("acme/now", "--live", "--plan", "smal")) == 2
    assert "unknown plan 'smal': did you mean small?" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def complaint(words: list[str], capsys: pytest.CaptureFixture[str], status: int) -> str:
    """The one line that the command ends with."""
    assert voicegauge(words) == status
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("voicegauge: ")]
    assert len(lines) == 1
    return lines[0]


def test_a_plan_over_budget_is_rejected_unsent(
    bench: Bench, tmp_path: Path, emulator: RunningEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    reset(emulator)
    words = bench("acme/job", *live(emulator), *QUICK, "--max-cost", "0.02")
    assert "3 requests cost $0.03, more than --max-cost 0.02" in complaint(words, capsys, 4)
    assert submits(emulator) == 0
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["acme/unpriced", "--live", "--base-url", "http://127.0.0.1:9"], "--price acme/unpriced=USD"),
        (["acme/jobs"], "did you mean acme/job?"),
        (["acme/job", "--base-url", "http://127.0.0.1:9"], "--base-url goes with --live"),
        (["acme/job", "--live", "--fault", "slow"], "--fault and --live exclude each other"),
        (["acme/job", "--fault", "nonsense"], "unknown fault 'nonsense'"),
        (["acme/job", "--language", "xx"], "unknown language 'xx'"),
        (["acme/job", "--voice-sample", "/none.wav"], "/none.wav: cannot be read"),
        (["acme/job", "--price", "acme/nobody=1"], "unknown target 'acme/nobody'"),
        (["acme/job", "--asr", "nonsense"], "nonsense"),
        (["acme/job", "--asr", "none", "--out", "/dev/null"], "--out"),
    ],
)
def test_a_usage_error_is_one_line(
    bench: Bench, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert says in complaint(bench(*words), capsys, 2)


def test_a_missing_key_names_its_variable(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ACME_KEY")
    assert "ACME_KEY" in complaint(bench("acme/job", "--live"), capsys, 2)


def test_an_unreachable_host_is_exit_3(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    words = bench("acme/job", "--live", "--base-url", "http://127.0.0.1:9", *QUICK)
    assert "127.0.0.1:9" in complaint(words, capsys, 3)


def test_when_every_request_fails_nothing_was_measured(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = bench("acme/job", *QUICK, "--fault", "failed-without-reason")
    assert "every request failed" in complaint(words, capsys, 3)
    (folder,) = (tmp_path / "runs").iterdir()
    run = load_run(folder)
    assert [sample.failure is None for sample in run.samples] == [False] * 3
    assert run.manifest.fault_ids == ("failed-without-reason",)


@pytest.mark.slow
def test_two_runs_are_compared_and_a_regression_is_exit_1(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ((), ("--fault", "failed-without-reason@acme/job")):
        assert voicegauge(bench("acme/job", "acme/now", *QUICK, "--repetitions", "6", *more)) == 0
    good, bad = sorted((tmp_path / "runs").iterdir())
    capsys.readouterr()
    assert voicegauge(["compare", str(good), str(bad), "--json", "-"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "voicegauge/compare/4"
    assert found["run"]["fault_ids"] == ["failed-without-reason@acme/job"]
    regressed = {(v["target"], v["metric"]) for v in found["metrics"] if v["verdict"] == "regression"}
    assert ("acme/job", "failures") in regressed
    assert voicegauge(["compare", str(good), str(bad), "--fail-on", "never"]) == 0
    assert "EMULATED" in capsys.readouterr().out
    assert "cannot be read" in complaint(["compare", str(good), str(tmp_path / "none")], capsys, 2)


Serve = Callable[[Any], Awaitable[str]]


async def serve_audio(audio: bytes, serve: Serve) -> tuple[str, ...]:
    """Serve a service that answers `audio`; return the options to benchmark it."""

    async def now(_request: Request) -> Response:
        return Response(audio, media_type="audio/wav")

    return "--live", "--base-url", await serve(Starlette(routes=[Route("/now", now, methods=["POST"])]))


async def run_and_measure(words: list[str]) -> tuple[int | None, int]:
    """The exit status of a command, and the peak of its memory in kB."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "voicegauge", *words, stdout=subprocess.DEVNULL
    )
    peak = 0
    ended = asyncio.create_task(process.wait())
    while not ended.done():
        peak = max(peak, peak_kilobytes(process.pid))
        await asyncio.sleep(0.1)
    return process.returncode, peak


def peak_kilobytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return max((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), default=0)
    return 0


async def test_responses_of_a_service_have_recorded_provenance(bench: Bench, tmp_path: Path, serve: Serve) -> None:
    audio = encode(np.zeros(24_000, dtype=np.float32), 24_000, "wav")[0]
    words = bench("acme/now", *QUICK, *await serve_audio(audio, serve))
    assert await asyncio.to_thread(voicegauge, words) == 3, "the audio is silent"
    (folder,) = (tmp_path / "runs").iterdir()
    saved = load_run(folder)
    assert saved.manifest.provenance == "live"
    assert [sample.audio and sample.audio.audio_duration_s for sample in saved.samples] == [1.0, 1.0, 1.0]


@pytest.mark.slow
async def test_a_thousand_samples_hold_under_500_megabytes(bench: Bench, tmp_path: Path, serve: Serve) -> None:
    """Every answer is 0.6 MB: all of them together would not fit."""
    audio = encode(np.zeros(300_000, dtype=np.float32), 24_000, "wav")[0]
    result = tmp_path / "result.json"
    words = bench("acme/now", *QUICK, "--repetitions", "334", "--max-cost", "10", "--json", str(result))
    status, peak = await run_and_measure([*words, *await serve_audio(audio, serve)])
    assert status in (0, 3), "3: the machine of the tests was too busy for valid times"
    (found,) = json.loads(result.read_bytes())["targets"]
    assert (found["sample_count"], found["failure_count"]) == (1002, 0)
    assert 0 < peak < 500_000


def test_faults_go_with_an_explicit_choice_of_the_emulator(capsys: pytest.CaptureFixture[str]) -> None:
    assert voicegauge(["bench", "pixelapi", "--emulated", "--fault", "slow", "--dry-run"]) == 0
    assert voicegauge(["bench", "pixelapi", "--live", "--fault", "slow", "--dry-run"]) == 2
    assert "--fault and --live exclude each other" in capsys.readouterr().err


def test_a_price_that_only_a_bound_states_is_not_foreseen_as_nothing(capfd) -> None:
    assert voicegauge(["bench", "replicate/kokoro", "--live", "--limit", "4", "--dry-run"]) == 0
    printed = capfd.readouterr().out
    assert "of the suite smoke, at most $" in printed
    assert "$0.00" not in printed.replace("$0.000225", "").replace("$0.0002475", "")
