from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.speech.transcripts import choose_normalizer


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Mr. Brown didn't pay twenty-three dollars!", "mister brown did not pay $23"),
        ("en-GB", "The colour of March 14th", "the color of march 14th"),
        ("fr", "Où est-ce ? L'été.", "où est ce l été"),
        ("de-AT", "Straße, grün.", "straße grün"),
        ("ar", "أخيرًا، لم يقل شيئًا.", "أخيرا لم يقل شيئا"),
        ("tr", "İyi günler, İrem!", "iyi günler irem"),
        ("zh-CN", "你好、世界。ABC", "你好世界abc"),
        ("cmn-CN", "你好、世界。", "你好世界"),
        ("ja", "「今日は、良い天気です。」", "今日は良い天気です"),
        ("ko", "안녕 하세요.", "안녕하세요"),
        ("th", "สวัสดี ครับ", "สวัสดีครับ"),
        ("hi", "हिन्दी में, बात।", "हिन्दी में बात"),
    ],
)
def test_text_is_normalized_as_in_this_version(language: str, text: str, expected: str) -> None:
    # These are the versions' meaning: where one changes, the normaliser's version must be raised.
    assert choose_normalizer(language)(text) == expected


@pytest.mark.parametrize(
    ("language", "name", "unit"),
    [
        ("en_US", "whisper-english/1", "word"),
        ("pt-BR", "whisper-basic/2", "word"),
        ("zh", "characters/1", "character"),
        ("ta", "words-and-marks/1", "word"),
    ],
)
def test_every_language_has_a_named_normalizer(language: str, name: str, unit: str) -> None:
    found = choose_normalizer(language)
    assert (found.id, found.error_unit) == (name, unit)


@given(st.sampled_from(["en", "fr", "zh", "hi", "ja"]), st.text(max_size=60))
def test_normalized_text_has_single_spaces_and_no_punctuation(language: str, text: str) -> None:
    found = choose_normalizer(language)(text)
    assert found == " ".join(found.split())
    assert not set(found) & set('!?"();,')


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from voicegauge.speech.transcripts import choose_normalizer; "
        "choose_normalizer('en')('Hi'); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'whisper', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
