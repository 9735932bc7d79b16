from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from voicegauge.files import get_cache_folder
from voicegauge.speech.transcripts import TranscriptCache, Transcription


def fill(folder: Path, writer: int) -> None:
    cache = TranscriptCache("made", {}, folder)
    for number in range(25):
        cache.put(f"{number:064x}", "en", Transcription("speech", f"text {number}"))
        cache.put(f"{writer}-{number}", "en", Transcription("silence", ""))


def test_a_transcript_belongs_to_its_audio_engine_and_language(tmp_path: Path) -> None:
    TranscriptCache("one", {}, tmp_path).put("a" * 64, "en", Transcription("speech", "hello"))
    assert TranscriptCache("one", {}, tmp_path).get("a" * 64, "en") == Transcription("speech", "hello")
    assert TranscriptCache("one", {}, tmp_path).get("a" * 64, "de") is None
    assert TranscriptCache("one", {}, tmp_path).get("b" * 64, "en") is None
    assert TranscriptCache("two", {}, tmp_path).get("a" * 64, "en") is None


def test_another_version_or_option_of_an_engine_has_its_own_transcripts(tmp_path: Path) -> None:
    old, new = ({"fp16": "False", "torch": version} for version in ("2.8", "2.9"))
    TranscriptCache("one", old, tmp_path).put("a" * 64, "en", Transcription("speech", "hello"))
    assert TranscriptCache("one", new, tmp_path).get("a" * 64, "en") is None
    again = TranscriptCache("one", dict(reversed(old.items())), tmp_path)
    assert again.get("a" * 64, "en") == Transcription("speech", "hello")


@pytest.mark.slow
def test_several_processes_may_write_at_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(fill, [tmp_path] * 2, range(2)))
    cache = TranscriptCache("made", {}, tmp_path)
    assert all(cache.get(f"{number:064x}", "en") for number in range(25))
    assert all(cache.get(f"{writer}-{number}", "en") for writer in range(2) for number in range(25))


@pytest.mark.parametrize("content", [b"", b"this is not a database" * 100])
def test_a_broken_cache_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "transcripts.sqlite3").write_bytes(content)
    cache = TranscriptCache("one", {}, tmp_path)
    assert cache.get("a" * 64, "en") is None
    cache.put("a" * 64, "en", Transcription("speech", "hello"))


def test_a_folder_that_cannot_be_made_is_an_empty_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = TranscriptCache("one", {}, tmp_path / "file" / "below")
    cache.put("a" * 64, "en", Transcription("speech", "hello"))
    assert cache.get("a" * 64, "en") is None


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEGAUGE_CACHE", str(tmp_path))
    assert get_cache_folder() == tmp_path
    monkeypatch.delenv("VOICEGAUGE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert get_cache_folder() == tmp_path / "voicegauge"
