"""Measuring from several places: open jobs, a coordinator that is killed, a worker that its nanny starts again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from crashes.provider import CHARGED_USD, CONTRACTS, SUITE, StandInProvider

import voicegauge
from voicegauge.bench import places
from voicegauge.bench.run_store import load_run, read_journal
from voicegauge.cli import run as command
from voicegauge.emulator.server import running_app
from voicegauge.errors import EXIT_PARTLY_MEASURED
from voicegauge.model.sample import Sample
from voicegauge.speech.encoding import encode

from ..builders.audio import make_changing_noise
from ..builders.dask_cluster import Cluster, running_cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), ACME_KEY="sk-acme-of-") as started:
        yield started


@pytest.fixture(autouse=True)
def no_key_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_KEY", raising=False)


@pytest.fixture
def provider() -> StandInProvider:
    def speak(text: str) -> bytes:
        return encode(make_changing_noise(0.4, 16_000, text=text), 16_000, "wav")[0]

    return StandInProvider(speak, latency_s=0.0, job_s=0.06)


Words = Callable[..., list[str]]


@pytest.fixture
def words(cluster: Cluster, provider: StandInProvider, tmp_path: Path) -> Iterator[Words]:
    """Build the words of a command that measures a target of the provider from both places."""
    with running_app(provider) as url:

        def build(target: str, *more: str) -> list[str]:
            where = ["--contracts", str(CONTRACTS), "--suite", str(SUITE), "--out", str(tmp_path / "runs")]
            how = ["--live", "--base-url", url, "--warmup", "0", "--no-listening", "--asr", "none", "--no-report"]
            return ["bench", f"acme/{target}", *where, *how, "--dask", cluster.address, *more]

        yield build


def find_only_run(tmp_path: Path) -> Path:
    (folder,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    return folder


def count_texts(provider: StandInProvider) -> Counter[str]:
    return Counter(charge.text for charge in provider.charges)


def list_places(samples: tuple[Sample, ...]) -> set[str | None]:
    return {one.place for one in samples}


def test_streamed_transcription_is_measured_from_places(cluster: Cluster, tmp_path: Path) -> None:
    result = voicegauge.benchmark(
        ["deepgram/flux-listen", "elevenlabs/scribe-v2-realtime"], dask_scheduler=cluster.address, max_texts=1,
        repetitions=2, warmup=0, concurrency=2, asr="none", listens=False, out=tmp_path, max_wait_s=120.0,
    )  # fmt: skip
    run = load_run(Path(result.folder))
    assert {(one.target, one.place) for one in run.samples} == {
        (target, place)
        for target in ("deepgram/flux-listen", "elevenlabs/scribe-v2-realtime")
        for place in ("oslo", "rome")
    }
    for sample in run.samples:
        assert sample.failure is None
        assert sample.transcript
        assert sample.transcript_timing is not None
        assert sample.transcript_timing.turn_ends_ms
        assert sample.audio is not None
        assert (Path(result.folder) / sample.audio.file_path).is_file()
    for summary in result.targets:
        assert summary.socket is not None
        assert summary.socket.transcript_timing is not None


def test_an_open_job_is_polled_from_its_place_by_the_next_run(
    words: Words, provider: StandInProvider, tmp_path: Path
) -> None:
    provider.job_s = 3600.0
    command_words = words("queued", "--limit", "2", "--max-wait", "5", "--concurrency", "2", "--max-cost", "0.05")
    assert command(command_words) == 3
    folder = find_only_run(tmp_path)
    open_jobs = read_journal(folder).open_jobs
    assert len(open_jobs) == 2
    places_of_jobs = {one.id: one.place for one in load_run(folder).samples}
    assert set(places_of_jobs.values()) == {"oslo", "rome"}
    provider.job_s = 0.0
    assert command(command_words) == 0
    run = load_run(folder)
    assert sum(one == "POST /jobs" for one in provider.requests) == 2, "nothing is bought again"
    assert {one.id: one.place for one in run.samples} == places_of_jobs
    assert [one.failure for one in run.samples] == [None, None]
    assert run.open_jobs == ()
    assert run.manifest.spent_usd == pytest.approx(2 * CHARGED_USD["queued"])


def test_a_killed_coordinator_is_resumed_and_buys_nothing_twice(
    words: Words, provider: StandInProvider, tmp_path: Path
) -> None:
    provider.latency_s = 0.3
    command_words = words("sync", "--repetitions", "3", "--concurrency", "2", "--max-cost", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "voicegauge", *command_words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while len(provider.charges) < 4:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    folder = find_only_run(tmp_path)
    before = read_journal(folder)
    in_flight = before.ids_with_ambiguous_last_request
    assert 1 <= len(in_flight) <= 2
    assert {one.purchases[-1].place for one in before.histories.values()} <= {"oslo", "rome"}
    planned = 3 * len(count_words_of_suite())
    assert command(command_words) == EXIT_PARTLY_MEASURED
    run = load_run(folder)
    assert len(run.samples) == planned
    assert {one.id for one in run.samples if one.failure is not None} == in_flight
    assert list_places(run.samples) == {"oslo", "rome"}, "also those of lost samples are known"
    assert len(provider.charges) == planned
    assert set(count_texts(provider).values()) == {3}
    assert run.manifest.spent_usd >= provider.charged_usd - 1e-9, "what may have been charged counts"
    assert [path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()] == [folder.name]


def test_a_run_is_continued_only_as_it_was_started(
    words: Words, provider: StandInProvider, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    provider.job_s = 3600.0
    command_words = words("queued", "--limit", "1", "--max-wait", "1", "--max-cost", "0.05")
    assert command(command_words) == 3
    monkeypatch.setenv("ACME_KEY", "sk-acme-of-here")
    index = command_words.index("--dask")
    capsys.readouterr()
    assert command(command_words[:index] + command_words[index + 2 :]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.endswith("was started with --dask, from oslo, rome: resume it so")


def test_a_worker_that_its_nanny_starts_again_goes_on(
    cluster: Cluster, words: Words, provider: StandInProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "CLUSTER_WORKER_TIMEOUT_S", 120.0)  # a new process needs a while on a busy machine
    cluster.start_worker("paris", has_nanny=True, ACME_KEY="sk-acme-of-paris")
    cluster.wait_for_workers(3)
    worker = cluster.find_worker_process("paris")
    assert worker != cluster.processes["paris"].pid
    requests_by_key: Counter[bytes] = Counter()
    respond = provider.__call__

    async def count_and_respond(self: StandInProvider, scope: Any, receive: Any, send: Any) -> None:
        del self
        if scope["type"] == "http" and scope["method"] == "POST":
            key = dict(scope["headers"])[b"authorization"]
            requests_by_key[key] += 1
            if key.endswith(b"paris") and requests_by_key[key] == 2:
                os.kill(worker, signal.SIGKILL)
        await respond(scope, receive, send)

    monkeypatch.setattr(StandInProvider, "__call__", count_and_respond)
    assert command(words("sync", "--repetitions", "3", "--concurrency", "3", "--max-cost", "1")) == EXIT_PARTLY_MEASURED
    run = load_run(find_only_run(tmp_path))
    from_paris = [one for one in run.samples if one.place == "paris"]
    lost = [one for one in run.samples if one.failure is not None]
    assert len(from_paris) == len(count_words_of_suite()), "the place keeps its share"
    assert len(lost) == 1
    assert lost[0].place == "paris"
    assert cluster.find_worker_process("paris") != worker
    assert sum(requests_by_key.values()) == len(run.samples)
    assert set(count_texts(provider).values()) <= {2, 3}


@pytest.mark.parametrize("share", [None, "0.1"])
def test_the_status_says_that_a_killed_worker_lost_samples_at_the_emulator_too(
    tmp_path: Path, share: str | None
) -> None:
    out, targets = tmp_path / "runs", ["elevenlabs/flash-v2-5", "deepgram/aura-2"]
    with running_cluster(tmp_path) as cluster:
        how = ["--warmup", "0", "--repetitions", "2", "--concurrency", "8", "--asr", "none", "--no-listening"]
        more = ["--fail-under", share] if share else []
        words = ["bench", *targets, "--limit", "4", *how, "--out", str(out), "--dask", cluster.address, *more]
        process = subprocess.Popen(
            [sys.executable, "-m", "voicegauge", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "COLUMNS": "300"},
        )  # fmt: skip
        while not any(b'"oslo"' in file.read_bytes() for file in out.rglob("journal.jsonl")):
            assert process.poll() is None
            time.sleep(0.01)
        cluster.processes["oslo-1"].kill()
        printed, error = process.communicate()
    run = load_run(find_only_run(tmp_path))
    lost = len(run.select_lost_samples())
    assert len(run.samples) == 16
    assert lost
    assert process.returncode == (0 if share else EXIT_PARTLY_MEASURED), error
    assert share or f"only {16 - lost} of 16 samples were measured, {lost} lost or not sent" in error
    assert printed.count("/8 ") >= 2
    assert "no saved result" in printed
    page = next(out.rglob("report.html")).read_text()
    assert f"{16 - lost} of 16 requests succeeded" in page
    assert "No request failed." not in page


def count_words_of_suite() -> list[str]:
    from voicegauge.bench.suites import load_suite

    return [one.id for one in load_suite(SUITE).texts]
