"""The user's own texts and voice sample: what is read, and what is rejected before anything is sent."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import voicegauge
from voicegauge.bench.request_building import read_voice_sample
from voicegauge.bench.suites import load_own_texts
from voicegauge.cli import run
from voicegauge.errors import DataError, UsageError
from voicegauge.model.run import KnownWords
from voicegauge.speech.asr_engines import count_unknown_words, create_embedded_asr


def _write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.txt", "\ufeffGood morning.\n\n  Das ist gut.  \n"),
        ("own.csv", 'text,language\n"Good morning.",\n\nDas ist gut.,\n'),
        ("own.txt", "Good morning.\r\rDas ist gut.\r"),
        ("own.csv", "id;text\nline-1;Good morning.\nline-3;Das ist gut.\n"),
        ("own.jsonl", '{"text": "Good morning.", "id": "line-1"}\n\n{"text": "Das ist gut."}'),
    ],
)
def test_three_formats_give_the_same_texts(tmp_path: Path, name: str, content: str) -> None:
    suite = load_own_texts(_write(tmp_path, name, content))
    assert [text.text for text in suite.texts] == ["Good morning.", "Das ist gut."]
    assert {(text.language, text.category) for text in suite.texts} == {("en", "own")}
    assert suite.texts[1].id in {"line-3", "line-4"}
    assert suite.id == "own"


def test_columns_replace_the_defaults_and_a_quoted_text_may_have_line_breaks(tmp_path: Path) -> None:
    table = 'id,language,category,text\na,de,zahlen,"Eins,\nzwei"\n,,,Drei\n'
    first, second = load_own_texts(_write(tmp_path, "a b.csv", table), default_language="fr").texts
    assert (first.id, first.language, first.category, first.text) == ("a", "de", "zahlen", "Eins,\nzwei")
    assert (second.id, second.language) == ("line-4", "fr")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,lang\nx,en\n", "a.csv:1: unknown column 'lang': the columns are text, and optionally id, lang"),
        ("a.csv", "id,language\nx,en\n", "a.csv:1: there is no column text"),
        ("a.csv", "text,text\nx,en\n", "a.csv:1: a column occurs twice"),
        ("a.csv", "text,id\nYes, sir,a\n", "a.csv:2: the row has 3 cells, the header 2"),
        ("a.csv", "text,id\nYes,a\n ,b\n", "a.csv:3: the text 'b' is empty"),
        ("a.csv", 'text\n"open\n', "a.csv:2: is not CSV"),
        ("a.jsonl", '{"text": "a"}\n{"txt": "b"}\n', "a.jsonl:2: the key 'txt' is not known here; known: text, id"),
        ("a.jsonl", '{"text": 3}\n', "a.jsonl:1: text must be a text, not a whole number"),
        ("a.jsonl", "no\n", "a.jsonl:1: is not JSON"),
        ("a.jsonl", '{"text": "a", "id": "x"}\n{"text": "b", "id": "x"}\n', "a.jsonl:2: the text id 'x' is used twice"),
        ("a.jsonl", '{"text": "a", "id": "x/y"}\n', "a.jsonl:1: the text id 'x/y' may only contain"),
        ("a.txt", b"good\nd\xe9j\xe0\n", "a.txt:2: is not UTF-8"),
        ("a.txt", "\n \n", "a.txt: contains no text"),
        ("a.txt", "good\nba\0d\n", "a.txt:2: the text 'line-2' contains the control character U+0000"),
        ("a.csv", "text\nba\x1bd\n", "a.csv:2: the text 'line-2' contains the control character U+001B"),
        ("a.txt", "good\rba\x07d\n", "a.txt:2: the text 'line-2' contains the control character U+0007"),
        ("a.txt", "!!! ???\n", "a.txt:1: the text 'line-1' contains no word"),
        ("a.jsonl", '{"text": "…"}\n', "a.jsonl:1: the text 'line-1' contains no word"),
        ("a.jsonl", '{"text": "a", "text": "b"}\n', "a.jsonl:1: the key 'text' occurs twice"),
        ("a.jsonl", "[" * 100_000, "a.jsonl:1: is not valid JSON: it is nested too deeply"),
        ("a.md", "x", "ends in .txt, .csv, .jsonl"),
        ("a.yaml", "x", "pass a suite with --suite"),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as raised:
        load_own_texts(_write(tmp_path, name, content))
    assert message in str(raised.value)


def test_a_language_applies_to_texts_that_name_none(tmp_path: Path) -> None:
    file = _write(tmp_path, "own.txt", "Guten Morgen.\n")
    plan = voicegauge.plan_benchmark("pixazo/xtts-v2", texts=file, languages=["de"], warmup=0)
    assert (plan.suite.id, plan.request_count) == ("own", 1)
    other = voicegauge.plan_benchmark("pixazo/xtts-v2", texts=file, warmup=0)
    assert other.suite.sha256 != plan.suite.sha256


def test_texts_and_a_suite_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _write(tmp_path, "own.txt", "Hello\n")
    assert run(["bench", "--texts", str(file), "--suite", "smoke", "--dry-run"]) == 2
    assert "--suite and --texts exclude each other" in capsys.readouterr().err


def _audio(seconds: float, rate_hz: int = 24_000, container: str = "WAV") -> bytes:
    file = io.BytesIO()
    period = np.sin(np.arange(126) / 126 * math.tau).astype(np.float32) * 0.3
    soundfile.write(file, np.resize(period, int(seconds * rate_hz)), rate_hz, format=container)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "audio", "message"),
    [
        (
            "me.wav",
            {"seconds": 2.8},
            "me.wav: is 2.8 s long, at least 5 s are required: limit of pixelapi/voice-clone (",
        ),
        ("me.flac", {"seconds": 6, "container": "FLAC"}, "me.flac: is flac, wav or mp3 is required"),
        ("me.wav", {"seconds": 6, "rate_hz": 8_000}, "a sample rate of 8,000 Hz, at least 16,000 Hz are required"),
        ("me.wav", {"seconds": 110, "rate_hz": 48_000}, "bytes, at most 10,485,760 are allowed"),
    ],
)
def test_a_voice_sample_is_compared_with_the_contract(
    tmp_path: Path, name: str, audio: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        voicegauge.plan_benchmark("pixelapi/voice-clone", voice_sample=_write(tmp_path, name, _audio(**audio)))
    assert message in str(raised.value)
    assert str(raised.value).rstrip(")").split(":")[-1].isdigit()  # the line of the limit


def test_a_silent_voice_sample_is_refused_and_one_that_nobody_uses_is_named(tmp_path: Path) -> None:
    silent = io.BytesIO()
    soundfile.write(silent, np.zeros(144_000, dtype=np.float32), 24_000, format="WAV")
    with pytest.raises(DataError, match=r"me.wav: is silent"):
        voicegauge.plan_benchmark("pixelapi/voice-clone", voice_sample=_write(tmp_path, "me.wav", silent.getvalue()))
    notices: list[str] = []
    listener = voicegauge.ProgressListener()
    listener.notice = notices.append  # type: ignore[method-assign]  # records what a user reads
    sample = _write(tmp_path, "tone.wav", _audio(6))
    voicegauge.plan_benchmark("ttsai/kokoro", voice_sample=sample, progress=listener)
    assert notices == ["the voice sample is not used: none of the targets requires one"]


@pytest.mark.parametrize(
    ("target", "characters", "live", "reason"),
    [
        ("ttsai/kokoro-sync", 501, True, "at most 500 characters.* line-1 \\(501\\): .*--plan"),
        ("ttsai/kokoro-sync", 500, True, None),
        ("ttsai/kokoro-sync", 501, False, None),
        ("pixelapi/voice-clone", 501, False, "at most 500 characters"),
        ("deepgram/aura-2", 2001, False, "at most 2000 characters"),
        ("deepgram/aura-2", 2000, False, None),
    ],
)
def test_a_text_longer_than_the_contract_allows_is_named_before_it_is_sent(
    tmp_path: Path, target: str, characters: int, live: bool, reason: str | None
) -> None:
    file = _write(tmp_path, "own.txt", "a" * characters + "\nshort\n")
    options = voicegauge.LiveOptions(max_cost_usd=1.0) if live else None
    if reason is None:
        assert voicegauge.plan_benchmark(target, texts=file, live=options).request_count == 3
        return
    with pytest.raises(UsageError, match=reason):
        voicegauge.plan_benchmark(target, texts=file, live=options)


def test_a_suitable_voice_sample_and_one_that_no_target_takes_are_accepted(tmp_path: Path) -> None:
    assert voicegauge.plan_benchmark("pixelapi/voice-clone", voice_sample=_write(tmp_path, "me.wav", _audio(6)))
    short = _write(tmp_path, "short.wav", _audio(1))
    assert read_voice_sample(str(short)).data
    assert voicegauge.plan_benchmark("ttsai/kokoro", voice_sample=short)


def test_words_that_the_embedded_whisper_does_not_know_are_counted() -> None:
    asr = create_embedded_asr()
    texts = ["The kettle is on the stove.", "Kubernetes costs $45.50 on the 22nd."]
    assert count_unknown_words(asr, texts) == KnownWords(word_count=13, unknown_word_count=1)
    assert str(count_unknown_words(asr, texts)) == "1 of 13 words unknown: do not interpret these error rates"
    assert count_unknown_words(asr, texts[:1]).unknown_word_count == 0
    assert str(count_unknown_words(asr, [])) == "no words were scored"
