from __future__ import annotations

from pathlib import Path

import pytest

from voicegauge.bench.suites import Suite, list_suite_names, load_suite
from voicegauge.errors import DataError, UnknownNameError


def test_the_bundled_suites_load_by_name() -> None:
    assert "smoke" in list_suite_names()
    smoke = load_suite("smoke")
    assert (smoke.id, smoke.measured_suite.text_count, {text.language for text in smoke.texts}) == ("smoke", 8, {"en"})


def test_a_text_without_a_language_has_the_suites(suite: Suite) -> None:
    assert {text.id: text.language for text in suite.texts} == {"one": "en", "two": "en", "three": "en", "un": "fr"}


def test_the_digest_is_of_the_file_whatever_is_selected(suite: Suite) -> None:
    assert suite.select_texts(max_texts=1).measured_suite.sha256 == suite.measured_suite.sha256
    assert suite.select_texts(max_texts=1).measured_suite.text_count == 2


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ({"languages": ["fr"]}, ["un"]),
        ({"categories": ["questions"]}, ["three"]),
        ({"languages": ["en"], "categories": ["plain"]}, ["one", "two"]),
        ({"max_texts": 1}, ["one", "un"]),
        ({}, ["one", "two", "three", "un"]),
    ],
)
def test_texts_are_selected_by_language_category_and_number(
    suite: Suite, words: dict[str, object], ids: list[str]
) -> None:
    assert [text.id for text in suite.select_texts(**words).texts] == ids  # type: ignore[arg-type]  # made up above


def test_an_unknown_language_or_category_names_the_known_ones(suite: Suite) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown language 'de': .*known in the suite \S+: en, fr; --texts"):
        suite.select_texts(languages=["de"])
    with pytest.raises(UnknownNameError, match="did you mean questions"):
        suite.select_texts(categories=["question"])


def test_a_selection_without_texts_is_rejected(suite: Suite) -> None:
    with pytest.raises(DataError, match="no text"):
        suite.select_texts(languages=["fr"], categories=["questions"])


def test_an_unknown_suite_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean smoke"):
        load_suite("smok")


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (
            "id: ../x\nversion: 1\ntitle: t\nlanguage: en\ntexts:\n  - {id: a, category: s, text: A}\n",
            ":1: the suite id '../x' may only contain",
        ),
        ("id: x\n", r":1: not a valid suite: .*needs the key .version."),
        ("id: x\nversion: 1\ntitle: t\nlanguage: en\ntexts: []\n", ":5: a suite needs at least one text"),
        (
            "id: x\nversion: 1\ntitle: t\nlanguage: en\ntexts:\n- &a {id: a, category: s, text: A}\n- *a\n",
            "the text id 'a' is used twice",
        ),
        (
            "id: x\nversion: 1\ntitle: t\nlanguage: en\ntexts:\n  - {id: a/b, category: s, text: A}\n",
            ":6: the text id 'a/b'",
        ),
        (
            "id: x\nversion: 1\ntitle: t\nlanguage: en\ntexts:\n  - {id: a, category: s, text: ' '}\n",
            ":6: the text 'a' is empty",
        ),
        ("id: x\nversion: one\ntitle: t\nlanguage: en\ntexts: []\n", ":2: not a valid suite: .*/version"),
        (
            "id: x\nversion: 1\ntitle: t\nlanguage: en\ntexts:\n  - {id: a, category: 3, text: A}\n",
            ":6: not a valid suite",
        ),
        ("id: [\n", "YAML"),
    ],
)
def test_a_broken_suite_names_file_line_and_reason(tmp_path: Path, written: str, says: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(written)
    with pytest.raises(DataError, match=says) as caught:
        load_suite(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        load_suite(tmp_path / "none.yaml")


def test_a_text_without_id_and_category_has_the_defaults_of_own_texts(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text("id: short\nversion: 1\ntitle: t\nlanguage: en\ntexts:\n  - {text: Good morning.}\n")
    (text,) = load_suite(path).texts
    assert (text.id, text.category, text.language) == ("line-6", "own", "en")
