"""Whisper with weights of the user: torch, which fits small ones here, takes seconds, so that most tests are slow."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from voicegauge.bench.scoring import score_run
from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.model.base import Provenance
from voicegauge.speech.asr_engines import AsrChoice, SpokenText, choose_asr
from voicegauge.speech.transcripts import Asr, compute_short_sha256

from .tiny_whisper import TEXTS, save_run_of_sounds, sound

TEXT = [SpokenText("en", "The kettle is on the stove.")]


def choose(spec: str, provenance: Provenance = Provenance.EMULATED, texts: list[SpokenText] = TEXT) -> AsrChoice:
    return choose_asr(spec, provenance=provenance, texts=texts)


def asr_of(spec: str) -> Asr:
    found = choose(spec).asr
    assert found is not None
    return found


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any weights, whose every request to a network fails."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.delenv("VOICEGAUGE_WHISPER", raising=False)
    for scheme in ("http", "https", "all"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    return tmp_path


@pytest.fixture(params=["whisper", "faster-whisper"])
def spec(request: pytest.FixtureRequest, checkpoint: Path, converted: Path) -> str:
    return f"{request.param}:{checkpoint if request.param == 'whisper' else converted}"


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_the_transcript_depends_on_the_sound(spec: str, name: str) -> None:
    asr = asr_of(spec)
    assert asr.transcribe(sound(name), "en") == TEXTS[name].strip()
    assert asr.transcribe(sound(name, seed=1, seconds=2.6), "en-GB") == TEXTS[name].strip()


@pytest.mark.slow
def test_equal_samples_give_equal_transcripts(spec: str) -> None:
    noise = np.random.default_rng(0).standard_normal(48_000).astype(np.float32) * np.float32(0.1)
    asr = asr_of(spec)
    first = asr.transcribe(noise, "en")
    asr.transcribe(sound("high"), "en")
    assert asr.transcribe(noise, "en") == first == asr_of(spec).transcribe(noise, "en")


@pytest.mark.slow
def test_audio_beyond_one_window_is_transcribed_to_its_end(spec: str) -> None:
    assert isinstance(asr_of(spec).transcribe(sound("low", seconds=33), "en"), str)


@pytest.mark.slow
def test_everything_that_decides_a_transcript_is_stated(spec: str) -> None:
    asr = asr_of(spec)
    assert asr.settings["temperature"] == "0.0"
    assert asr.settings["condition_on_previous_text"] == "False"
    assert not asr.has_closed_vocabulary
    assert spec.partition(":")[0] in asr.settings or "openai-whisper" in asr.settings


@pytest.mark.slow
def test_the_id_names_engine_model_and_weights(checkpoint: Path, converted: Path) -> None:
    assert asr_of(f"whisper:{checkpoint}").id == f"whisper:own@{compute_short_sha256(checkpoint)}"
    weights = converted / "model.bin"
    assert (
        asr_of(f"faster-whisper:{converted}").id == f"faster-whisper:{converted.name}@{compute_short_sha256(weights)}"
    )


@pytest.mark.slow
def test_an_english_checkpoint_supports_only_english(spec: str) -> None:
    asr = asr_of(spec)
    assert [asr.supports_language(language) for language in ("en", "en-US", "de", "zh")] == [True, True, False, False]


@pytest.mark.slow
def test_it_can_be_sent_to_another_process_after_use(spec: str) -> None:
    asr = asr_of(spec)
    said = asr.transcribe(sound("low"), "en")
    assert pickle.loads(pickle.dumps(asr)).transcribe(sound("low"), "en") == said  # noqa: S301 - our own bytes


@pytest.mark.slow
def test_auto_takes_weights_in_the_cache(bare: Path, checkpoint: Path) -> None:
    (bare / "whisper").mkdir()
    (bare / "whisper" / "tiny.en.pt").write_bytes(checkpoint.read_bytes())
    for provenance in (Provenance.EMULATED, Provenance.LIVE):
        asr, reason = choose("auto", provenance)
        assert asr is not None
        assert asr.id == f"whisper:tiny.en@{compute_short_sha256(checkpoint)}"
        assert reason == "the weights of Whisper are installed"
    french = choose("auto", texts=[*TEXT, SpokenText("fr", "Bonjour.")]).asr
    assert french is not None
    assert french.id.startswith("lexicon/"), "an English model does not serve a run that holds French"


@pytest.mark.slow
def test_auto_takes_what_the_environment_names(bare: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEGAUGE_WHISPER", str(checkpoint))
    asr, reason = choose("auto", Provenance.LIVE)
    assert asr is not None
    assert (asr.id, reason) == (f"whisper:own@{compute_short_sha256(checkpoint)}", "named by VOICEGAUGE_WHISPER")


@pytest.mark.slow
def test_auto_takes_faster_whisper_from_the_hubs_cache(bare: Path, converted: Path) -> None:
    folder = bare / "huggingface/hub/models--Systran--faster-whisper-tiny.en/snapshots/1"
    folder.parent.mkdir(parents=True)
    folder.symlink_to(converted)
    asr = choose("auto", Provenance.LIVE).asr
    assert asr is not None
    assert asr.id == f"faster-whisper:tiny.en@{compute_short_sha256(converted / 'model.bin')}"
    assert asr.transcribe(sound("high"), "en") == TEXTS["high"].strip()


def test_without_weights_an_emulated_run_gets_the_embedded_one(bare: Path) -> None:
    asr, reason = choose("auto")
    assert asr is not None
    assert asr.has_closed_vocabulary
    assert reason == "no official weights of Whisper are installed, and the run is emulated"


def test_without_weights_a_live_run_needs_a_named_engine(bare: Path) -> None:
    asr, reason = choose("auto", Provenance.LIVE)
    assert asr is None
    assert "cannot judge a live service: install them with `voicegauge asr install base.en`" in reason
    named = choose("embedded", Provenance.LIVE).asr
    assert named is not None


def test_none_selects_no_engine() -> None:
    assert choose("none").asr is None


@pytest.mark.parametrize("engine", [pytest.param("whisper", marks=pytest.mark.slow), "faster-whisper"])
@pytest.mark.parametrize("model", ["tiny", ""])
def test_unavailable_weights_are_reported_in_one_line_with_the_remedy(bare: Path, engine: str, model: str) -> None:
    with pytest.raises(UsageError, match="could not be downloaded") as caught:
        choose(f"{engine}:{model}".rstrip(":"))
    assert f"--asr {engine}:/path/" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("whispr", "did you mean whisper"),
        ("whisper:larg", "did you mean large"),
        ("faster-whisper:tini", "did you mean tiny"),
    ],
)
def test_unknown_names_are_reported_with_the_nearest(bare: Path, named: str, expected: str) -> None:
    with pytest.raises(UnknownNameError, match=expected):
        choose(named)


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04", b"\x80\x02}q\x00."])
def test_a_file_that_is_not_a_checkpoint_is_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"broken\.pt: is not a Whisper checkpoint"):
        choose(f"whisper:{path}")


def test_missing_paths_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        choose(f"whisper:{tmp_path}/absent.pt")
    with pytest.raises(UsageError, match="no such folder"):
        choose(f"faster-whisper:{tmp_path}/absent")


@pytest.mark.slow
def test_a_converted_folder_must_hold_its_tokenizer(converted: Path, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes((converted / "model.bin").read_bytes())
    with pytest.raises(UsageError, match=r"has no tokenizer\.json: .*--copy_files"):
        choose(f"faster-whisper:{tmp_path}")


@pytest.mark.slow
def test_a_run_is_scored_in_worker_processes(converted: Path, bare: Path, own_processes: None) -> None:
    spec = f"faster-whisper:{converted}"  # openai-whisper: bench/test_scoring.py
    found = score_run(bare, save_run_of_sounds(bare, list(TEXTS)), spec, workers=2)
    assert found is not None
    assert [score.errors for score in found.scores] == [0, 0]
    assert [score.transcript for score in found.scores] == [text.strip() for text in TEXTS.values()]
    assert found.asr == asr_of(spec).id
    assert found.asr_reason == "requested"
    assert not found.has_closed_vocabulary
