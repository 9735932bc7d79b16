"""Documents are read as YAML 1.2 with the line of every value, and within limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.errors import ContractError
from voicegauge.formats.located_yaml import MAX_DOCUMENT_DEPTH, Document, find_top_level_key, read_document


@pytest.fixture
def read(tmp_path: Path):
    def read_text(text: str | bytes, name: str = "openapi.yaml") -> Document:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_document(path)

    return read_text


def test_only_core_types_are_resolved(read) -> None:
    text = """
    text: [no, yes, on, 2026-05-22, 0x1F, 0o17, 1_000, 12:30, ~x, "1", 'true', !!str 5]
    numbers: [0, -12, +3, 1.5, .5, 1e3, -2.5E-3]
    words: [null, ~, , true, false, True, TRUE, False, NULL]
    200: status
    """.replace("~, ,", "~,")
    data = read(text).data
    texts = ["no", "yes", "on", "2026-05-22", "0x1F", "0o17", "1_000", "12:30", "~x", "1", "true", "5"]
    assert data["text"] == texts
    assert data["numbers"] == [0, -12, 3, 1.5, 0.5, 1000.0, -0.0025]
    assert data["words"] == [None, None, True, False, True, True, False, None]
    assert data["200"] == "status"


def test_a_line_is_that_of_the_key(read) -> None:
    document = read("a:\n  b/c:\n    - one\n    - d: two\n")
    assert [document.find_line(p) for p in ("", "/a", "/a/b~1c", "/a/b~1c/1", "/a/b~1c/1/d")] == [1, 1, 2, 4, 4]
    assert document.find_line("/a/b~1c/1/d/nothing/here") == 4


def test_anchors_and_merges(read) -> None:
    text = "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\none: *base\nboth: {<<: [*base, *more], a: 5}\n"
    assert read(text).data["one"] == {"a": 1, "b": 2}
    assert read(text).data["both"] == {"a": 5, "b": 2, "c": 4}
    assert read('quoted: {"<<": 1}').data["quoted"] == {"<<": 1}


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30)
)
MERGES = "a0: &a0 {k: v}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}], k{i}: v}}\n" for i in range(1, 30)
)
HOSTILE = {
    "aliases": (BOMB, 6, "with its aliases expanded"),
    "merges": (MERGES, 7, "with its aliases expanded"),
    "long text": (f"a: &a {'x' * 1_000_000}\nb: [{', '.join(['*a'] * 100)}]\n", 2, "with its aliases expanded"),
    "flow depth": ("[" * 100_000, 1, f"nested deeper than {MAX_DOCUMENT_DEPTH}"),
    "mapping depth": ("{a: " * 100_000, 1, f"nested deeper than {MAX_DOCUMENT_DEPTH}"),
    "block depth": (
        "\n".join(f"{' ' * i}a:" for i in range(500)),
        MAX_DOCUMENT_DEPTH + 1,
        f"nested deeper than {MAX_DOCUMENT_DEPTH}",
    ),
    "integer": (f"a: {'9' * 5000}", 1, "is too long"),
    "float": ("a: 1e999", 1, "is too large"),
    "python": ("a: 1\nb: !!python/object/apply:os.system [ls]", 2, "is not supported"),
    "binary": ("a: !!binary aGk=", 1, "the tag 'binary' is not supported"),
    "false tag": ("a: !!int x", 1, "'x' is not a valid int"),
    "recursion": ("a: &a [*a]", 1, "is inside its own anchor"),
    "no anchor": ("a: *b", 1, "has no anchor before it"),
    "list as key": ("? [a, b]\n: c", 1, "a key must be a text"),
    "alias as key": ("a: &a b\n*a : c", 2, "a key must be a text"),
    "merge of a text": ("a:\n  <<: b", 2, "<< takes a mapping"),
    "key twice": ("a: 1\nb: 2\na: 3", 3, "the key 'a' is used twice"),
    "two documents": ("a: 1\n---\nb: 2", 2, "a second one begins here"),
    "list": ("- a", 1, "must be a mapping"),
    "nothing": ("", 1, "must be a mapping"),
    "bytes": (b"a: \xff\xfe", None, "is not valid YAML"),
    "open": ("a: [1,\nb", 3, "is not valid YAML"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_malicious_document_is_rejected_in_one_line(case: str, read) -> None:
    """A document that is not rejected early would take hours, or all memory."""
    text, line, reason = HOSTILE[case]
    with pytest.raises(ContractError) as caught:
        read(text)
    assert reason in str(caught.value)
    assert caught.value.line == line
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("surplus", "is_readable"), [(0, True), (1, False)])
def test_the_search_for_a_key_has_the_same_depth_limit_as_the_document(
    surplus: int, is_readable: bool, tmp_path: Path
) -> None:
    inner_depth = MAX_DOCUMENT_DEPTH - 1 + surplus  # the mapping around it counts too
    path = tmp_path / "openapi.yaml"
    path.write_text(f"a: {'[' * inner_depth}{']' * inner_depth}\nopenapi: 3.1.0\n")
    assert find_top_level_key(path, ["openapi"]) == ("openapi" if is_readable else None)
    if is_readable:
        assert read_document(path).data["openapi"] == "3.1.0"
    else:
        with pytest.raises(ContractError, match="is nested deeper than 100"):
            read_document(path)


def test_a_large_file_is_not_read_completely(tmp_path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(ContractError, match="is larger than 16777216 bytes"):
        read_document(path)


_text = st.text(max_size=20)
_number = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | _number | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=10,
)


@given(data=st.dictionaries(_text, _json, max_size=3), indent=st.sampled_from([None, 2, "\t"]))
def test_json_is_parsed_as_json(tmp_path_factory, data, indent) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(data, indent=indent))
    assert read_document(path).data == data
