"""Benchmarks of targets with audio input: speech to text and audio conversion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from voicegauge.bench.audio_measurement import measure_audio
from voicegauge.bench.benchmark_plan import BenchPlan, BenchPlanSettings, determine_run_kind, plan_benchmark_requests
from voicegauge.bench.run_config import RunConfig, RunOutcome, build_emulated_access
from voicegauge.bench.runner import run_plan
from voicegauge.bench.scoring import TARGET_TRANSCRIPTS_LABEL, score_run
from voicegauge.bench.suites import Suite, load_suite
from voicegauge.bench.target_summaries import summarize_targets
from voicegauge.contract.contract import AudioInputTarget, BaseTarget
from voicegauge.contract.loading import Catalogue
from voicegauge.contract.price_computation import quote_price
from voicegauge.emulator.process import EmulatorSettings, RunningEmulator, running_emulator
from voicegauge.errors import UsageError
from voicegauge.model.base import Provenance
from voicegauge.model.run import Manifest, Run
from voicegauge.model.sample import Sample

TEXTS = 2


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("smoke").select_texts(languages=["en"], max_texts=TEXTS)


@pytest.fixture(scope="module")
def emulator(voicegauge_catalogue: Catalogue) -> Iterator[RunningEmulator]:
    settings = EmulatorSettings(credits=1e9, enforces_rate_limits=False, time_scale=0)
    with running_emulator([voicegauge_catalogue.find_provider("ttsai")], settings) as running:
        yield running


def intake(catalogue: Catalogue, name: str) -> AudioInputTarget:
    return catalogue.find_provider("ttsai").audio_input_targets[name]


async def carried_out(
    suite: Suite, targets: list[AudioInputTarget], emulator: RunningEmulator, folder: Path
) -> tuple[BenchPlan, RunOutcome]:
    chosen: dict[str, BaseTarget] = {target.id: target for target in targets}
    plan = plan_benchmark_requests(suite, targets, BenchPlanSettings(warmup=0), provenance=Provenance.EMULATED)
    order = RunConfig(
        plan=plan, targets=chosen, access_by_provider=build_emulated_access([targets[0].contract], emulator)
    )
    outcome = await run_plan(order, folder)
    assert outcome.is_complete
    return plan, outcome


def run_of(plan: BenchPlan, samples: tuple[Sample, ...]) -> Run:
    manifest = Manifest(
        schema_version=1,
        run_id="run",
        created_at="2026-01-01T00:00:00+00:00",
        is_finished=True,
        voicegauge_version="0",
        provenance=plan.provenance,
        suite=plan.suite,
        kind=plan.run_kind,
        targets=plan.targets,
        sessions=1,
        repetitions=1,
        warmup_request_count=0,
        concurrency=1,
        seed=0,
    )
    return Run(manifest=manifest, samples=samples)


async def test_speech_to_text_is_timed_priced_and_scored_by_its_own_transcripts(
    voicegauge_catalogue, suite, emulator, tmp_path
) -> None:
    target = intake(voicegauge_catalogue, "stt-whisper")
    plan, outcome = await carried_out(suite, [target], emulator, tmp_path)
    samples = measure_audio(tmp_path, outcome.samples, {target.id: target})
    for sample in samples:
        assert sample.failure is None
        assert sample.transcript is not None
        assert sample.latency is not None
        assert sample.latency.total_latency_ms == pytest.approx(sample.latency.submit_latency_ms)
        assert sample.audio is not None
        assert sample.audio.audio_duration_s is not None
        due = quote_price(target, 0, audio_s=sample.audio.audio_duration_s).price_credits
        assert sample.cost.price_credits == pytest.approx(due)
        assert sample.cost.charged_credits == pytest.approx(due, rel=1e-3)
    scores = score_run(tmp_path, run_of(plan, samples), "none")
    assert scores is not None
    assert scores.asr == TARGET_TRANSCRIPTS_LABEL
    assert [score.transcript for score in scores.scores] == [sample.transcript for sample in samples]
    (summary,) = summarize_targets(run_of(plan, samples), scores)
    assert summary.cost.credits_per_audio_minute == 2000
    assert summary.wer is not None
    assert summary.wer.reference_units == sum(score.reference_unit_count for score in scores.scores)
    assert summary.rtf is not None
    assert summary.ttfb_ms is not None
    assert (summary.ttfa_ms, summary.ttfs_ms) == (None, None), "a transcript is not audio"


async def test_a_conversion_is_scored_by_the_converted_audio(voicegauge_catalogue, suite, emulator, tmp_path) -> None:
    target = intake(voicegauge_catalogue, "voice-openvoice")
    plan, outcome = await carried_out(suite, [target], emulator, tmp_path)
    assert plan.run_kind == "conversion"
    for sample in measure_audio(tmp_path, outcome.samples, {target.id: target}):
        assert sample.transcript is None
        assert sample.audio is not None
        assert sample.audio.container == "wav"
        assert sample.cost.charged_credits == pytest.approx(sample.cost.price_credits or 0, rel=1e-3)


def test_kinds_are_not_mixed(voicegauge_catalogue) -> None:
    speaking, hearing = voicegauge_catalogue.targets["ttsai/kokoro"], intake(voicegauge_catalogue, "stt-whisper")
    assert determine_run_kind([speaking]) == "speech"
    assert determine_run_kind([hearing]) == "transcription"
    with pytest.raises(UsageError, match="are not comparable: benchmark each kind in a run of its own"):
        determine_run_kind([speaking, hearing])


@pytest.mark.parametrize("name", ["analysis", "stems-demucs", "translation"])
def test_a_target_that_does_not_return_the_words_is_rejected(voicegauge_catalogue, name) -> None:
    with pytest.raises(UsageError, match=f"ttsai/{name} returns no speech in the same words"):
        determine_run_kind([intake(voicegauge_catalogue, name)])
