"""Runs of different targets that were measured alike are one comparison."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from voicegauge.bench.run_store import save_run
from voicegauge.cli import run as voicegauge
from voicegauge.model.base import Provenance
from voicegauge.model.run import ListeningSet, OtherSpeaker, Run, VoiceSet
from voicegauge.model.sample import ListeningVerdict, MeasuredVoice
from voicegauge.report.html_page import render_page
from voicegauge.report.report_data import analyze_runs
from voicegauge.report.text_format import format_seconds

from ..builders.report_runs import VOICES, crowd, make_run


@pytest.fixture
def runs(tmp_path: Path) -> list[tuple[Path, Run]]:
    """Two live runs of one target each, on two days."""
    made = [make_run(tmp_path / str(number), (voice,), repetitions=2) for number, voice in enumerate(VOICES[1:3])]
    return [
        (
            folder,
            msgspec.structs.replace(
                run, manifest=msgspec.structs.replace(run.manifest, created_at=f"2026-11-{20 + number}T08:30:00Z")
            ),
        )
        for number, (folder, run) in enumerate(made)
    ]


def change(run: Run, **changes: Any) -> Run:
    return msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, **changes))


def test_runs_of_two_targets_are_ranked_together_with_a_word_about_the_times(runs: list[tuple[Path, Run]]) -> None:
    analyzed = analyze_runs(runs)
    (report,) = analyzed.report.runs
    names = {voice.id for voice in VOICES[1:3]}
    assert {one.target for one in report.targets} == names
    assert {one.target for one in report.ranking.targets} == names
    assert report.verdict.cautions[0].startswith(
        "Measured in 2 runs at different times "
        f"(UTC, 2026-11-20 08:30: {VOICES[1].id}; 2026-11-21 08:30: {VOICES[2].id})"
    )
    assert report.manifest.spent_usd == pytest.approx(sum(run.manifest.spent_usd for _, run in runs))
    assert sum(one.sample_count for one in report.targets) == sum(
        sample.is_counted for _, run in runs for sample in run.samples
    )


@pytest.mark.parametrize("is_link", [False, True])
def test_audio_outside_of_its_own_run_is_not_played_from_a_folder_above(tmp_path: Path, is_link: bool) -> None:
    runs = [make_run(tmp_path / str(number), (voice,), repetitions=1) for number, voice in enumerate(VOICES[1:3])]
    alone = render_page(analyze_runs(runs))
    (first, run), second = runs
    for name in {sample.audio.file_path for sample in run.samples if sample.audio is not None}:
        outside = (first / name).rename(tmp_path / Path(name).name)
        if is_link:
            (first / name).symlink_to(outside)
    moved = [
        one
        if one.audio is None or is_link
        else msgspec.structs.replace(
            one, audio=msgspec.structs.replace(one.audio, file_path=f"../{Path(one.audio.file_path).name}")
        )
        for one in run.samples
    ]
    page = render_page(analyze_runs([(first, msgspec.structs.replace(run, samples=tuple(moved))), second]))
    assert 0 < page.count("data:audio") < alone.count("data:audio")
    assert "missing from the run" in page


def test_of_runs_of_many_targets_few_are_named_beside_the_time(tmp_path: Path) -> None:
    many = [make_run(tmp_path / str(day), crowd()[10 * day : 10 * day + 10], repetitions=1) for day in (0, 1)]
    caution = analyze_runs(many).report.runs[0].verdict.cautions[0]
    assert caution.count("and 7 others") == 2
    assert len(caution) < 500


def test_the_numbers_of_each_target_are_those_of_its_own_run(runs: list[tuple[Path, Run]]) -> None:
    joined = {one.target: one for one in analyze_runs(runs).report.runs[0].targets}
    for one in runs:
        (alone,) = analyze_runs([one]).report.runs[0].targets
        assert joined[alone.target].total_latency_ms == alone.total_latency_ms
        assert joined[alone.target].wer == alone.wer


def test_audio_that_does_not_say_its_text_is_counted_beside_the_other_runs(runs: list[tuple[Path, Run]]) -> None:
    folder, second = runs[1]
    wrong = ListeningVerdict(
        sample_id=second.select_counted_samples()[0].id, outcome="wrong", rule="audio-not-speech", explanation="noise"
    )
    listened_to = [
        runs[0][1],
        msgspec.structs.replace(second, listening=ListeningSet(method="listening/1", verdicts=(wrong,))),
    ]
    listened_to[0] = msgspec.structs.replace(listened_to[0], listening=ListeningSet(method="listening/1"))
    (report,) = analyze_runs([(runs[0][0], listened_to[0]), (folder, listened_to[1])]).report.runs
    counts = {one.target: one.wrong_count for one in report.targets}
    assert counts == {VOICES[1].id: 0, VOICES[2].id: 1}
    by_another_method = msgspec.structs.replace(listened_to[0], listening=ListeningSet(method="listening/2"))
    page = render_page(analyze_runs([(runs[0][0], by_another_method), (folder, listened_to[1])]))
    assert "they differ in how audio was listened to." in page


def test_the_time_between_runs_does_not_count_in_how_long_their_requests_took(tmp_path: Path) -> None:
    """Two rehearsals, the second of which begins a day later."""
    made = [
        make_run(tmp_path / str(number), (voice,), provenance=Provenance.EMULATED)
        for number, voice in enumerate(VOICES[1:3])
    ]
    (first, one), (second, other) = made
    later = tuple(
        msgspec.structs.replace(
            sample, started_at=(datetime.fromisoformat(sample.started_at) + timedelta(days=1)).isoformat()
        )
        for sample in other.samples
    )
    runs = [(first, one), (second, msgspec.structs.replace(other, samples=later))]
    (report,) = analyze_runs(runs).report.runs
    recorded_s = sum(run.measure_duration_s() or 0.0 for _, run in runs)  # from the times that the samples state
    assert recorded_s < timedelta(days=1).total_seconds()
    assert f"They took {format_seconds(recorded_s)}" in report.verdict.statements[0].detail


def test_voices_of_all_runs_are_compared_with_the_sample(runs: list[tuple[Path, Run]]) -> None:
    def add_voices(run: Run, similarity: float, method: str, speaker_count: int) -> Run:
        voices = tuple(
            MeasuredVoice(sample_id=one.id, vector="", similarity=similarity) for one in run.samples if one.audio
        )
        speakers = tuple(OtherSpeaker(name=str(number), cosine=0.5) for number in range(speaker_count))
        targets = tuple(msgspec.structs.replace(one, clones_voice=True) for one in run.manifest.targets)
        return msgspec.structs.replace(
            change(run, targets=targets), voices=VoiceSet(method=method, voices=voices, other_speakers=speakers)
        )

    (first, one), (second, other) = runs
    joined = [(first, add_voices(one, 0.9, "made/1", 13)), (second, add_voices(other, 0.4, "made/1", 12))]
    (report,) = analyze_runs(joined).report.runs
    found = {target.target: target.voice for target in report.targets}
    assert [voice.similarity if voice else None for voice in found.values()] == pytest.approx([0.9, 0.4])
    assert {voice.other_speaker_count for voice in found.values() if voice} == {12}
    mixed = [joined[0], (second, add_voices(other, 0.4, "other/1", 12))]
    (report,) = analyze_runs(mixed).report.runs
    assert all(target.voice is None for target in report.targets)


def test_clips_of_all_runs_can_be_played(runs: list[tuple[Path, Run]]) -> None:
    page = render_page(analyze_runs(runs))
    assert page.count("data:audio/") >= 2
    assert "not found" not in page.lower()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"region": "eu-west"}, "region"),
        ({"environment": {"processor": "another"}}, "machine"),
        ({"concurrency": 3}, "load"),
        ({"sessions": 7}, "sessions and repetitions"),
    ],
)
def test_runs_that_differ_in_what_matters_are_not_joined_and_the_page_says_why(
    runs: list[tuple[Path, Run]], changes: dict[str, Any], says: str
) -> None:
    (folder, second) = runs[1]
    analyzed = analyze_runs([runs[0], (folder, change(second, **changes))])
    assert len(analyzed.report.runs) == 2
    assert f"Run B and run A are not ranked together: they differ in {says}." in render_page(analyzed)


def test_runs_of_one_target_are_compared_not_joined(runs: list[tuple[Path, Run]]) -> None:
    _, run = runs[0]
    assert len(analyze_runs([runs[0], (runs[1][0], change(run, run_id="later"))]).report.runs) == 2


def test_live_runs_are_compared_with_each_other_beside_a_rehearsal_that_stands_first(tmp_path: Path) -> None:
    rehearsal = make_run(tmp_path / "a", VOICES[:1], provenance=Provenance.EMULATED, repetitions=2)
    folder, live = make_run(tmp_path / "b", VOICES[1:3], repetitions=2)
    analyzed = analyze_runs([rehearsal, (folder, live), (folder, change(live, run_id="later"))])
    page = render_page(analyzed)
    assert "Run C against run B: " in page
    assert "Run B and run A (EMULATED) are not ranked together" in page
    assert "EMULATED: Run" not in page
    weights = analyzed.report.runs[1].ranking.weights
    assert analyzed.report.runs[1].ranking.decision
    assert f'name="price" min="0" max="4" step="1" value="{weights.price * 2:.0f}"' in page
    assert weights.price


def test_the_command_writes_one_page_for_runs_of_several_providers(
    runs: list[tuple[Path, Run]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, run in runs:
        save_run(folder, run)
    folders = [str(folder) for folder, _ in runs]
    assert not voicegauge(["report", *folders, "--out", str(tmp_path / "page.html")])
    assert "Measured in 2 runs at different times" in (tmp_path / "page.html").read_text()
    capsys.readouterr()
    assert not voicegauge(["report", *folders, "--format", "markdown"])
    printed = capsys.readouterr().out
    assert printed.count("\n| ---") == 1
    assert all(voice.id in printed for voice in VOICES[1:3])
