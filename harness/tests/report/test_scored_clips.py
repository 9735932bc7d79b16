from __future__ import annotations

import base64
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.bench.run_store import save_audio
from voicegauge.model.run import ListeningSet, Run
from voicegauge.model.sample import ListeningVerdict, Score
from voicegauge.report.html_page import render_page
from voicegauge.report.report_data import analyze_runs
from voicegauge.report.scored_clips import (
    DEFAULT_MAX_CLIPS,
    MAX_CLIPS_PER_TARGET,
    MAX_EXCERPT_BYTES_PER_PAGE,
    DiffSegment,
    ScoredClip,
    diff_words,
    load_players,
    select_worst_clips,
)
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.decoding import decode
from voicegauge.speech.encoding import encode

from ..builders.report_runs import BROKEN, VOICES, crowd, make_run

replace = msgspec.structs.replace


def worst(run: Run) -> tuple[ScoredClip, ...]:
    return select_worst_clips(run.samples, run.score_sets[0].scores)


def clip_with(folder: Path, clip: ScoredClip, audio: bytes, media_type: str) -> ScoredClip:
    _, file = save_audio(folder, audio)
    return replace(clip, audio_facts=EncodedAudio(audio, media_type=media_type).measure_facts(file))


def tone(seconds: float) -> np.ndarray:
    return (0.3 * np.sin(np.arange(int(seconds * 22_050)) / 9)).astype(np.float32)


def test_worst_clips_come_first_with_a_few_per_target_and_no_warm_up(tmp_path: Path) -> None:
    _, run = make_run(tmp_path, (*crowd(12), BROKEN), repetitions=3)
    clips = worst(run)
    rates = [clip.error_rate for clip in clips]
    assert rates == sorted(rates, reverse=True)
    assert len(clips) == DEFAULT_MAX_CLIPS
    counts = [sum(clip.target == target.id for clip in clips) for target in run.manifest.targets]
    assert max(counts) == MAX_CLIPS_PER_TARGET
    warm = {sample.id for sample in run.samples if sample.is_warmup}
    assert not warm & {clip.sample_id for clip in clips}
    assert BROKEN.id not in {clip.target for clip in clips}  # it left nothing to listen to


def test_a_clip_has_the_text_and_the_transcript(tmp_path: Path) -> None:
    _, run = make_run(tmp_path, VOICES[:1], repetitions=2, transcript="something else")
    clip = worst(run)[0]
    assert clip.text in {sample.text for sample in run.samples}
    assert clip.transcript == "something else"
    assert "".join(piece.hypothesis for piece in clip.diff).replace(" ", "") == "somethingelse"


def test_a_small_file_is_embedded_unchanged_and_a_large_one_as_mp3(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, VOICES[:1], repetitions=2)
    clip = worst(run)[0]
    small = clip_with(folder, clip, encode(tone(1), 22_050, "wav")[0], "audio/wav")
    large = clip_with(folder, clip, encode(tone(9), 22_050, "wav")[0], "audio/wav")
    kept, smaller = load_players([(folder, small), (folder, large)])
    assert (kept.data_uri or "").startswith("data:audio/wav;base64,")
    assert kept.note == ""
    assert (smaller.data_uri or "").startswith("data:audio/mpeg;base64,")
    assert "measured as wav" in smaller.note
    assert len(smaller.data_uri or "") < large.audio_facts.size_bytes / 2


def test_the_declared_media_type_is_ignored(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, VOICES[:1], repetitions=2)
    lied = clip_with(folder, worst(run)[0], encode(tone(1), 22_050, "flac")[0], 'text/html"><script>')
    (player,) = load_players([(folder, lied)])
    assert (player.data_uri or "").startswith("data:audio/flac;base64,")


def test_audio_beyond_the_limit_is_left_out_and_named(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, VOICES[:1], repetitions=2)
    clip = clip_with(folder, worst(run)[0], encode(tone(1), 22_050, "wav")[0], "audio/wav")
    found = load_players([(folder, clip)] * 4, max_bytes=2 * clip.audio_facts.size_bytes)
    assert [player.data_uri is not None for player in found] == [True, True, False, False]
    assert clip.audio_facts.file_path in found[3].note


@pytest.mark.slow
def test_the_excerpts_of_all_runs_of_a_page_share_one_limit(tmp_path: Path) -> None:
    """A page of many runs with wrong audio would otherwise be too large to be sent."""
    noise = (0.3 * np.random.default_rng(1).standard_normal(6 * 44_100)).astype(np.float32)
    audio = encode(noise, 44_100, "wav")[0]
    runs = []
    for seed in (1, 2):
        folder, run = make_run(tmp_path / str(seed), crowd(8), repetitions=3, seed=seed, scored=False)
        _, file = save_audio(folder, audio)
        facts = EncodedAudio(audio, media_type="audio/wav").measure_facts(file)
        samples = tuple(replace(one, audio=facts) if one.failure is None else one for one in run.samples)
        verdicts = tuple(
            ListeningVerdict(sample_id=one.id, outcome="wrong", rule="audio-not-speech", explanation="noise")
            for one in samples
            if one.audio is not None
        )
        runs.append((folder, replace(run, samples=samples, listening=ListeningSet(method="1", verdicts=verdicts))))
    sizes = [
        sum(len(base64.b64decode(data)) for data in re.findall(r"data:audio/mpeg;base64,([\w+/=]+)", page))
        for page in (render_page(analyze_runs(runs[:1])), render_page(analyze_runs(runs)))
    ]
    assert 0 < sizes[0] < sizes[1] <= MAX_EXCERPT_BYTES_PER_PAGE


def test_only_the_measured_file_of_the_runs_own_folder_is_read(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path / "run", VOICES[:1], repetitions=2)
    clip = worst(run)[0]
    secret = encode(tone(1), 22_050, "wav")[0]
    (tmp_path / "secret.wav").write_bytes(secret)
    outside = EncodedAudio(secret).measure_facts("../secret.wav")
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    linked = replace(outside, file_path="link.wav")
    other = replace(clip.audio_facts, sha256="0" * 64)
    gone = replace(clip.audio_facts, file_path="audio/gone.wav")
    found = load_players([(folder, replace(clip, audio_facts=audio)) for audio in (outside, linked, other, gone)])
    assert [player.data_uri for player in found] == [None] * 4
    assert all("missing from the run's folder" in player.note for player in found)


def test_audio_that_could_not_be_decoded_has_a_note(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, VOICES[:1], repetitions=2)
    junk = clip_with(folder, worst(run)[0], b"RIFF\0\0\0\0WAVEjunk", "audio/wav")
    (player,) = load_players([(folder, junk)])
    assert player.data_uri is None
    assert "could not be decoded" in player.note


def test_a_page_is_rendered_without_the_audio(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, VOICES[:2], repetitions=2)
    for file in (folder / "audio").iterdir():
        file.unlink()
    page = render_page(analyze_runs([(folder, run)]))
    assert "<audio" not in page
    assert "missing from the run&#39;s folder" in page


def test_a_player_has_the_measured_audio(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, VOICES[:1], repetitions=2)
    clip = worst(run)[0]
    (player,) = load_players([(folder, clip)])
    played = decode(base64.b64decode((player.data_uri or "").split(",")[1]))
    assert abs(played.duration_s - (clip.audio_facts.audio_duration_s or 0)) < 0.2


def score(reference: str, hypothesis: str, unit: str = "word") -> Score:
    return Score(
        sample_id="s",
        audio_content="speech",
        unit=unit,  # type: ignore[arg-type]
        reference=reference,
        hypothesis=hypothesis,
        transcript=hypothesis,
        reference_unit_count=0,
        hits=0,
        substitutions=0,
        deletions=0,
        insertions=0,
    )


@pytest.mark.parametrize(
    ("reference", "hypothesis", "segments"),
    [
        ("a b c", "a b c", [("equal", "a b c", "a b c")]),
        ("a b c", "a x c", [("equal", "a", "a"), ("substitution", "b", "x"), ("equal", "c", "c")]),
        ("a b c", "a c", [("equal", "a", "a"), ("deletion", "b", ""), ("equal", "c", "c")]),
        ("a c", "a b c", [("equal", "a", "a"), ("insertion", "", "b"), ("equal", "c", "c")]),
        ("a b", "", [("deletion", "a b", "")]),
        ("", "a b", [("insertion", "", "a b")]),
        ("", "", []),
    ],
)
def test_each_kind_of_error_is_a_segment_of_its_own_kind(
    reference: str, hypothesis: str, segments: list[tuple[str, str, str]]
) -> None:
    assert [(p.kind, p.reference, p.hypothesis) for p in diff_words(score(reference, hypothesis))] == segments


def test_characters_are_joined_without_blanks() -> None:
    found = diff_words(score("駅の前で", "駅の後で", "character"))
    assert [(p.kind, p.reference, p.hypothesis) for p in found] == [
        ("equal", "駅の", "駅の"),
        ("substitution", "前", "後"),
        ("equal", "で", "で"),
    ]


def joined(segments: tuple[DiffSegment, ...], side: str) -> list[str]:
    return " ".join(getattr(piece, side) for piece in segments).split()


@given(st.text("ab c\n\x1c\u3000"), st.text("ab c\n\x1c\u3000"))
def test_the_joined_segments_are_the_texts(reference: str, hypothesis: str) -> None:
    segments = diff_words(score(reference, hypothesis))
    assert joined(segments, "reference") == reference.split()
    assert joined(segments, "hypothesis") == hypothesis.split()
    assert all((p.kind == "equal") == (p.reference == p.hypothesis) for p in segments)
