"""The encoder of voices, the reader of its weights, and what is said about voices of a run."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import voicegauge
from voicegauge.bench.run_store import load_run, save_run
from voicegauge.bench.target_samples import LeftOutClips, VoiceSamples
from voicegauge.bench.voice_quality import VoiceSummary, describe_voice, read_voice_vector, summarize_voices
from voicegauge.cli import run as run_cli
from voicegauge.errors import DataError, UsageError
from voicegauge.model.run import VoiceSet
from voicegauge.model.sample import MeasuredVoice
from voicegauge.speech.voice_encoder import (
    PACKAGE_NAME,
    VoiceEncoder,
    VoiceEncoderWeights,
    build_voice_scale,
    compute_mel_powers,
    encode_voice_sample,
    judge_similarities,
    load_voice_encoder,
    read_torch_weights,
    shorten_silences,
)

from ..builders.runs import build_sample

REFERENCE_PLACES = (224, 215, 197, 92, 9, 180, 191, 238)
REFERENCE_VALUES = (0.28674, 0.2338, 0.20905, 0.20569, 0.1924, 0.18978, 0.18311, 0.16571)
"""The largest values of the vector of `_make_reference_signal` by Resemblyzer 0.1.4 with librosa 0.11."""
REFERENCE_POWERS = (4.0639493e-01, 1.4293321, 1.9625850e-01, 1.0309359e-03, 3.3328461e-04, 1.9425369e-04)
"""The first powers of its 101st frame by librosa 0.11."""
BAND_COUNT = 40
MEAN_LEVELS = (
    0.32, 0.59, 0.70, 0.75, 0.69, 0.76, 0.65, 0.60, 0.57, 0.52, 0.42, 0.33, 0.28, 0.26, 0.22, 0.22, 0.21, 0.21, 0.23,
    0.26, 0.27, 0.24, 0.19, 0.14, 0.11, 0.18, 0.15, 0.10, 0.14, 0.15, 0.12, 0.11, 0.09, 0.12, 0.12, 0.06, 0.05, 0.01,
    0.01, 0.0,
)  # fmt: skip
"""Mean over voices of espeak-ng of what the LSTM layer of `write_spectrum_encoder` has at the end of a part."""


def _make_reference_signal() -> np.ndarray:
    random, seconds = np.random.default_rng(5), np.arange(160_000) / 16_000
    hum = 0.2 * np.sin(2 * np.pi * 140 * seconds) * (1 + np.sin(2 * np.pi * 3 * seconds)) / 2
    return (hum + 0.01 * random.standard_normal(len(seconds))).astype(np.float32)


class FloatStorage:
    """What a file calls the type of a tensor's numbers; see `write_torch_file`."""


def _rebuild_tensor_v2() -> None:
    """What a file calls the function that creates a tensor; see `write_torch_file`."""


class _Tensor:
    """A view of numbers, as a file of PyTorch describes it; by default of all of them."""

    def __init__(self, numbers: np.ndarray, *view: object) -> None:
        self._numbers = numbers
        self._view = view or (0, numbers.shape, tuple(step // numbers.itemsize for step in numbers.strides))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_tensor_v2, (self._numbers, *self._view, False, None)


def write_torch_file(tensors: dict[str, _Tensor]) -> bytes:
    """Write tensors as `torch.save` does, whose import takes a second."""
    storages: list[np.ndarray] = []

    class Writer(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            if not isinstance(obj, np.ndarray):
                return None
            storages.append(obj)
            return ("storage", FloatStorage, str(len(storages) - 1), "cpu", obj.size)

    pickled = io.BytesIO()
    Writer(pickled, 2).dump({"model_state": tensors})
    description = pickled.getvalue()
    for name, module in (("FloatStorage", "torch"), ("_rebuild_tensor_v2", "torch._utils")):
        assert f"c{__name__}\n{name}\n".encode() in description
        description = description.replace(f"c{__name__}\n{name}\n".encode(), f"c{module}\n{name}\n".encode())
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", description)
        for number, storage in enumerate(storages):
            archive.writestr(f"archive/data/{number}", storage.astype("<f4").tobytes())
    return file.getvalue()


def write_spectrum_encoder(path: Path) -> Path:
    """Write an encoder whose vectors are the mean spectrum: enough to separate voices of the emulator."""
    inputs = np.zeros((4 * BAND_COUNT, BAND_COUNT), np.float32)
    inputs[2 * BAND_COUNT : 3 * BAND_COUNT] = 20 * np.eye(BAND_COUNT)
    bias = np.repeat(np.array([-3, 4, 0, 6], np.float32), BAND_COUNT)
    projection = np.concatenate([np.eye(BAND_COUNT), -np.eye(BAND_COUNT)]).astype(np.float32)
    state = {
        "lstm.weight_ih_l0": inputs,
        "lstm.weight_hh_l0": np.zeros((4 * BAND_COUNT, BAND_COUNT), np.float32),
        "lstm.bias_ih_l0": bias,
        "lstm.bias_hh_l0": np.zeros_like(bias),
        "linear.weight": projection,
        "linear.bias": -projection @ np.array(MEAN_LEVELS, np.float32),
    }
    path.write_bytes(write_torch_file({name: _Tensor(value) for name, value in state.items()}))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("is_zip", [False, True])
def test_the_network_is_that_of_pytorch(tmp_path: Path, is_zip: bool) -> None:
    import torch

    torch.manual_seed(3)
    lstm, linear = torch.nn.LSTM(BAND_COUNT, 16, 3, batch_first=True), torch.nn.Linear(16, 24)
    state = {f"lstm.{name}": value for name, value in lstm.state_dict().items()}
    state |= {f"linear.{name}": value for name, value in linear.state_dict().items()}
    saved = {"step": 7, "model_state": state, "optimizer": [torch.nn.Parameter(torch.ones(3)), None, "Adam"]}
    torch.save(saved, tmp_path / "weights.pt", _use_new_zipfile_serialization=is_zip)
    encoder = load_voice_encoder(str(tmp_path / "weights.pt"))
    assert encoder.method.startswith("ge2e/1@")
    found = encoder.encode_parts(_make_reference_signal(), 16_000)
    assert found is not None
    bands = np.pad(compute_mel_powers(_make_reference_signal()), ((0, 160), (0, 0)))
    parts = torch.tensor(np.stack([bands[77 * index : 77 * index + 160] for index in range(len(found))]))
    with torch.no_grad():
        expected = torch.nn.functional.normalize(torch.relu(linear(lstm(parts)[1][0][-1])), dim=1).numpy()
    assert found == pytest.approx(expected, abs=1e-5)


def test_mel_powers_are_those_of_librosa() -> None:
    assert compute_mel_powers(_make_reference_signal())[100, :6] == pytest.approx(REFERENCE_POWERS, rel=1e-3)


@pytest.mark.skipif(importlib.util.find_spec(PACKAGE_NAME) is None, reason="the package Resemblyzer is not installed")
def test_vectors_are_those_of_resemblyzer() -> None:
    vector = load_voice_encoder(PACKAGE_NAME).encode(_make_reference_signal(), 16_000)
    assert vector is not None
    assert vector.shape == (256,)
    assert vector[list(REFERENCE_PLACES)] == pytest.approx(REFERENCE_VALUES, abs=1e-3)


def test_silence_is_shortened_and_too_little_speech_has_no_vector(tmp_path: Path) -> None:
    encoder = load_voice_encoder(str(write_spectrum_encoder(tmp_path / "encoder.pt")))
    speech, silence = _make_reference_signal(), np.zeros(48_000, np.float32)
    shortened = shorten_silences(np.concatenate([silence, speech, silence, speech, silence]))
    assert len(shortened) == pytest.approx(2 * len(speech) + 0.4 * 16_000, abs=0.1 * 16_000)
    assert encoder.encode(np.concatenate([silence, speech[:6_000]]), 16_000) is None
    assert encoder.encode(silence, 16_000) is None
    louder, quieter = encoder.encode(speech, 16_000), encoder.encode(speech / 100, 16_000)
    assert louder is not None
    assert quieter is not None
    assert np.linalg.norm(quieter) == pytest.approx(1)


class _RunsCode:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({str(self._path)!r}, 'w').close()",)


def _pickle_legacy(value: object, protocol: int = 2) -> bytes:
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, value, [])
    return b"".join(pickle.dumps(one, protocol) for one in head)


def _pickle_zip(pickled: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    return file.getvalue()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_file_runs_nothing(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "mark"
    hostile = {"model_state": _RunsCode(mark)}
    for content in (_pickle_legacy(hostile, protocol), _pickle_zip(pickle.dumps(hostile, protocol))):
        with pytest.raises(ValueError, match=r"it contains (builtins|__builtin__)\.exec, which is not a tensor"):
            read_torch_weights(content, "model_state")
    assert not mark.exists()


def _describe_tensor(offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """Return a file with one tensor over a storage of four numbers."""
    return write_torch_file({"one": _Tensor(np.array([1, 2, 3, 4], np.float32), offset, shape, strides)})


def test_a_tensor_never_reads_beyond_its_storage() -> None:
    (found,) = read_torch_weights(_describe_tensor(0, (2, 2), (1, 2)), "model_state").values()
    assert found.tolist() == [[1, 3], [2, 4]]
    for offset, shape, strides in (
        *((1, (2, 2), (2, 1)), (0, (5,), (1,)), (0, (2,), (4,)), (-1, (1,), (1,)), (0, (-1,), (1,))),
        *((0, (2,), (-1,)), (0, (2**40,), (0,)), (0, (2**30, 2**30), (0, 0)), (0, (2, 2), (1,)), (4, (0,), (1,))),
    ):
        with pytest.raises(ValueError, match=r"tensor|shorter|file of PyTorch"):
            read_torch_weights(_describe_tensor(offset, shape, strides), "model_state")


MEMO_BOMB = b"\x80\x02}r\xff\xff\xff\x7f."
"""A pickle whose object has the number 2**31 - 1: Python would allocate 32 GiB."""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no weights",
        b"PK\x03\x04damaged",
        pickle.dumps(17),
        _pickle_legacy([]),
        _pickle_legacy({"model_state": 3}),
        _pickle_legacy({"model_state": {"lstm.weight_ih_l0": "text"}}),
        _pickle_zip(pickle.dumps({"other": {}})),
        _pickle_zip(MEMO_BOMB),
        MEMO_BOMB,
        _pickle_legacy({"model_state": {}})[:-10],
    ],
)
def test_a_file_that_is_no_encoder_is_one_line(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(content)
    assert run_cli(["bench", "pixelapi/voice-clone", "--similarity", str(file), "--out", str(tmp_path / "runs")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{file}: is not a voice encoder like pretrained.pt of Resemblyzer" in line
    assert not (tmp_path / "runs").exists()


def test_a_missing_file_or_package_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="the voice encoder cannot be read: No such file"):
        load_voice_encoder(str(tmp_path / "none.pt"))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == PACKAGE_NAME else found(name))
    with pytest.raises(UsageError, match="pip install --no-deps resemblyzer"):
        load_voice_encoder.__wrapped__(PACKAGE_NAME)


def test_layers_that_do_not_fit_together_are_rejected() -> None:
    state = {
        "lstm.weight_ih_l0": np.zeros((16, BAND_COUNT)),
        "lstm.weight_hh_l0": np.zeros((16, 4)),
        "lstm.bias_ih_l0": np.zeros(16),
        "lstm.bias_hh_l0": np.zeros(16),
        "linear.weight": np.zeros((8, 4)),
        "linear.bias": np.zeros(8),
    }
    assert VoiceEncoderWeights.from_pytorch_state(state).projection.shape == (8, 4)
    for name, shape in (("lstm.weight_ih_l0", (16, 39)), ("lstm.weight_hh_l0", (16, 5)), ("linear.weight", (8, 5))):
        with pytest.raises(ValueError, match="shape"):
            VoiceEncoderWeights.from_pytorch_state({**state, name: np.zeros(shape)})
    del state["linear.bias"]
    with pytest.raises(KeyError):
        VoiceEncoderWeights.from_pytorch_state(state)


def _vectors(*angles: float) -> list[np.ndarray]:
    return [np.array([np.cos(one), np.sin(one)], np.float32) for one in angles]


def test_a_scale_needs_parts_speakers_and_a_distance_between_them() -> None:
    (reference,) = _vectors(0)
    others = {str(angle): _vectors(angle) for angle in (1.0, 1.1, 1.2)}
    scale = build_voice_scale(reference, (0.99, 0.97), others)
    assert scale.explain_why_unusable() is None
    assert (
        scale.compute_similarity(scale.upper_cosine),
        scale.compute_similarity(scale.lower_cosine),
    ) == pytest.approx((1, 0))
    for useless, reason in (
        (build_voice_scale(reference, (0.99,), others), "less than two parts"),
        (build_voice_scale(reference, (0.99, 0.97), {"one": others["1.0"], "none": []}), "less than 3 other speakers"),
        (build_voice_scale(reference, (0.5, 0.48), others), "as similar to the voice sample as its own parts"),
    ):
        assert reason in (useless.explain_why_unusable() or "")


@pytest.mark.parametrize(
    ("places", "verdict", "reason"),
    [
        ([1.0, 0.95, 1.05, 0.98], "same voice", ""),
        ([0.1, -0.1, 0.2, 0.0], "another voice", ""),
        ([0.9, 0.2, 0.9, 0.3], "not separable", "its interval contains 0.7"),
        ([0.1, 0.1], "not separable", "less than 3 texts with enough speech"),
        ([], "not separable", "less than 3 texts with enough speech"),
    ],
)
def test_a_verdict_needs_the_whole_interval(places: list[float], verdict: str, reason: str) -> None:
    found = judge_similarities(places)
    assert (found.verdict, found.explanation) == (verdict, reason)
    assert judge_similarities(places, "no scale")[:2] == ("not separable", None)


def test_a_voice_that_was_compared_with_nothing_is_said_to_be_unknown() -> None:
    summary = VoiceSummary(
        method="encoder", verdict="not separable", similarity=None, similarity_low=None, similarity_high=None,
        clip_count=3, text_count=3, other_speaker_count=0, explanation="the voice sample has too little speech",
    )  # fmt: skip
    expected = "not known whether it is the voice of the sample: the voice sample has too little speech (encoder)"
    assert describe_voice(summary) == expected


def test_further_clips_of_a_text_make_no_interval_narrower() -> None:
    """Each of four texts is delivered five times: one recording in files that differ in their headers."""
    similarity_by_text = (0.9, 0.6, 0.8, 0.75)

    def summarize(repetitions: int) -> VoiceSummary:
        samples = [
            build_sample(text, repetition=repetition)
            for text in range(len(similarity_by_text))
            for repetition in range(1, repetitions + 1)
        ]
        voices = [
            MeasuredVoice(sample_id=one.id, vector="", similarity=similarity_by_text[int(one.text_id)])
            for one in samples
        ]
        voice = VoiceSamples(tuple(samples), LeftOutClips())
        found = summarize_voices(voice, VoiceSet(method="made/1", voices=tuple(voices)), clones_voice=True)
        assert found is not None
        return found

    once, often = summarize(1), summarize(5)
    assert (often.similarity, often.similarity_low, often.similarity_high) == pytest.approx(
        (once.similarity, once.similarity_low, once.similarity_high)
    )
    assert (often.clip_count, often.text_count, often.verdict) == (20, 4, "not separable")
    assert "of 20 clips of 4 texts, where" in describe_voice(often)
    assert "of 4 clips, where" in describe_voice(once)


def test_a_short_sample_has_no_parts_to_compare(tmp_path: Path) -> None:
    encoder = VoiceEncoder(load_voice_encoder(str(write_spectrum_encoder(tmp_path / "one.pt")))._weights, "one")
    speech = _make_reference_signal()
    short, whole = encode_voice_sample(encoder, speech[:40_000], 16_000), encode_voice_sample(encoder, speech, 16_000)
    assert short is not None
    assert short[1] == ()
    assert whole is not None
    assert len(whole[1]) == 4
    assert encode_voice_sample(encoder, np.zeros(40_000, np.float32), 16_000) is None


BENCH = [
    "bench",
    "pixelapi/voice-clone",
    "--limit",
    "3",
    "--warmup",
    "0",
    "--asr",
    "none",
    "--no-listening",
    "--concurrency",
    "3",
]


@pytest.mark.usefixtures("short_emulated_times")
def test_bench_finds_another_voice_and_states_it_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = write_spectrum_encoder(tmp_path / "encoder.pt")
    command = [*BENCH, "--no-report", "--similarity", str(encoder), "--fault", "another-voice", "--out", str(tmp_path)]
    assert run_cli([*command, "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    found = result["targets"][0]["voice"]
    assert (found["verdict"], found["clip_count"], found["other_speaker_count"]) == ("another voice", 3, 12)
    assert found["similarity_low"] < found["similarity"] < found["similarity_high"] < 0.7
    folder = Path(result["folder"])
    rows = list(csv.DictReader(io.StringIO(voicegauge.render_report(folder, format="csv"))))
    assert all(float(row["voice_similarity"]) < 0.7 for row in rows)
    assert all(float(row["audio_pitch_hz"]) > 200 for row in rows), "the voice of the fault is high"
    assert "not the voice of the sample; similarity" in voicegauge.render_report(folder)
    run = load_run(folder)
    assert run.voices is not None
    assert all(np.linalg.norm(read_voice_vector(one)) == pytest.approx(1, abs=1e-3) for one in run.voices.voices)
    with pytest.raises(DataError, match="is damaged: score the run again"):
        read_voice_vector(msgspec.structs.replace(run.voices.voices[0], vector="?"))


@pytest.mark.slow
@pytest.mark.usefixtures("short_emulated_times")
def test_score_finds_the_voice_of_the_sample_in_a_saved_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = str(write_spectrum_encoder(tmp_path / "encoder.pt"))
    assert run_cli([*BENCH, "--no-report", "--out", str(tmp_path), "--json", "-"]) == 0
    folder = Path(json.loads(capsys.readouterr().out)["folder"])
    for _ in range(2):  # the second time nothing is computed
        assert run_cli(["score", str(folder), "--asr", "none", "--similarity", encoder]) == 0
        assert "pixelapi/voice-clone: the voice of the sample; similarity" in capsys.readouterr().out
    run = load_run(folder)
    assert run.manifest.voice_sample_path is not None
    for path, reason in ((None, "the run has no file of the voice sample"), ("../other.mp3", "outside its folder")):
        manifest = msgspec.structs.replace(run.manifest, voice_sample_path=path)
        save_run(folder, msgspec.structs.replace(run, manifest=manifest, voices=None))
        run_cli(["score", str(folder), "--asr", "none", "--similarity", encoder])
        captured = capsys.readouterr()
        assert reason in captured.out + captured.err
