"""Bodies are parsed according to their media type, or rejected."""

from __future__ import annotations

import json
import logging
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.formats.bodies import (
    MAX_FORM_PARTS,
    MAX_JSON_BYTES,
    MAX_JSON_DEPTH,
    MAX_JSON_NODES,
    MAX_NON_ASCII_TEXT_BYTES,
    MultipartReader,
    UnreadableBodyError,
    is_utf8,
    quote_json,
    read_form,
    read_json,
)
from voicegauge.model.exchange import MappedFile

MULTIPART = 'multipart/form-data; boundary="b"'


def part(name: str, data: bytes, more: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"


JSON = st.recursive(
    st.none() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=10
)


@given(JSON)
def test_json_is_parsed(value) -> None:
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(b"\xef\xbb\xbf" + json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is not valid JSON"),
        (b"{", "is not valid JSON"),
        (b"\xff", "is not valid JSON"),
        (b"[NaN]", "has NaN, which is not valid JSON"),
        (b"-Infinity", "has -Infinity, which is not valid JSON"),
        (b"[" * 100_000, f"is nested deeper than {MAX_JSON_DEPTH}"),
        (b"[" * 65 + b"]" * 65, f"is nested deeper than {MAX_JSON_DEPTH}"),
        (b"9" * 5000, "is not valid JSON"),
        (b'{"\\uD83D": "half"}', "has an unpaired surrogate"),
        (b'["\\udc00\\ud83d"]', "has an unpaired surrogate"),
    ],
)
def test_invalid_json_is_rejected(body, reason) -> None:
    with pytest.raises(UnreadableBodyError, match=reason):
        read_json(body)


@pytest.mark.parametrize("unit", [b"[],", b"0,", b'{"a":{"b":0}},'])
def test_json_of_too_many_values_is_rejected_before_any_is_created(unit, monkeypatch) -> None:
    monkeypatch.setattr("voicegauge.formats.bodies.MAX_JSON_NODES", 50_000)
    body = b"[" + unit * 100_000 + b"0]"
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableBodyError, match="has more than 50,000 values"):
            read_json(body)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_punctuation_inside_texts_does_not_count_as_values() -> None:
    text = ',:[{"\\' * MAX_JSON_NODES
    assert read_json(json.dumps([text]).encode()) == [text]


def test_json_above_the_size_limit_is_rejected() -> None:
    body = b'"' + b"a" * (MAX_JSON_BYTES - 2) + b'"'
    assert len(read_json(body)) == MAX_JSON_BYTES - 2
    with pytest.raises(UnreadableBodyError, match="is larger than 32 MiB"):
        read_json(body + b" ")


@pytest.mark.parametrize("wide", ["é".encode(), b"\\ud83d\\ude00"])
def test_a_long_text_that_would_take_four_times_its_size_is_rejected(wide) -> None:
    plain = b'"' + b"a" * MAX_NON_ASCII_TEXT_BYTES + b'"'
    assert read_json(b"[" + plain + b',"' + wide + b'"]')[1] == json.loads(b'"' + wide + b'"')
    with pytest.raises(UnreadableBodyError, match="more than 4 MiB of texts with characters outside of ASCII"):
        read_json(b"[" + plain[:-1] + wide + b'"]')


def test_a_long_text_with_escaped_slashes_is_accepted() -> None:
    text = "ab/" * MAX_NON_ASCII_TEXT_BYTES
    assert read_json(json.dumps(text).replace("/", "\\/").encode()) == text


@given(st.binary(max_size=60) | st.text().map(str.encode), st.integers(1, 5))
def test_valid_utf_8_is_recognized_in_pieces(data, piece_bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("voicegauge.formats.bodies._DECODED_PIECE_BYTES", piece_bytes)
        assert is_utf8(data) == (data.decode(errors="ignore").encode() == data)


@given(JSON, st.integers(0, 50), st.booleans())
def test_the_beginning_of_a_value_is_quoted(value, length, compact) -> None:
    separators = (",", ":") if compact else None
    whole = json.dumps(value, ensure_ascii=False, separators=separators)
    assert quote_json(value, length, is_compact=compact) == whole[:length]


def test_a_complete_surrogate_pair_is_a_character() -> None:
    assert read_json(b'"\\ud83d\\ude00"') == "\U0001f600"


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_rejected(body) -> None:
    try:
        value = read_json(body)
    except UnreadableBodyError:
        value = None
    assert json.loads(json.dumps(value)) == value


def test_a_form_has_fields_and_files() -> None:
    body = part("text", "Grüße".encode()) + part("ref", b"\x00\xff", '; filename="a.wav"\r\nContent-Type: audio/wav')
    form = read_form(MULTIPART, body + b"--b--\r\n")
    assert form.fields == {"text": "Grüße"}
    assert (form.files["ref"].filename, form.files["ref"].media_type) == ("a.wav", "audio/wav")
    assert form.files["ref"].data == b"\x00\xff"


def test_an_urlencoded_form_has_fields() -> None:
    form = read_form("application/x-www-form-urlencoded; charset=utf-8", b"text=a+b%26c&empty=&text=last")
    assert form.fields == {"text": ["a b&c", "last"], "empty": ""}


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("multipart/form-data", b"", "has no boundary"),
        (MULTIPART, b"no parts at all", "is not a valid multipart body"),
        (MULTIPART, part("a", b"\xff\xfe") + b"--b--\r\n", "is not a valid multipart body"),
        (MULTIPART, part("a", b"x") * (MAX_FORM_PARTS + 1) + b"--b--\r\n", f"has more than {MAX_FORM_PARTS} parts"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=b"] * (MAX_FORM_PARTS + 1)), "is not a valid form"),
        ("application/x-www-form-urlencoded", b"a=\xff", "is not a valid form"),
    ],
)
def test_an_invalid_form_is_rejected(content_type, body, reason) -> None:
    with pytest.raises(UnreadableBodyError, match=reason):
        read_form(content_type, body)


@given(st.binary(max_size=200), st.sampled_from([MULTIPART, "application/x-www-form-urlencoded"]))
def test_any_bytes_are_a_form_or_rejected(body, content_type) -> None:
    for data in (body, b"--b\r\n" + body, part("a", body)):
        try:
            form = read_form(content_type, data)
        except UnreadableBodyError:
            continue
        assert all(isinstance(text, str) for text in form.fields.values())


def test_a_large_file_of_a_form_in_pieces_is_on_disk() -> None:
    small, large = bytes(range(256)), bytes(range(256)) * 40
    body = part("small", small, '; filename="a"') + part("text", b"t") + part("large", large, '; filename="b"')
    reader = MultipartReader(MULTIPART, max_memory_bytes=len(small))
    for piece in (body[start : start + 100] for start in range(0, len(body), 100)):
        reader.write(piece)
    reader.write(b"--b--\r\n")
    form = reader.finish()
    assert form.fields == {"text": "t"}
    assert form.files["small"].data == small
    mapped = form.files["large"]
    assert isinstance(mapped, MappedFile)
    assert mapped.content[:] == large


def test_a_malformed_multipart_body_prints_nothing(monkeypatch, capsys) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])  # those of pytest, which a command does not have
    with pytest.raises(UnreadableBodyError):
        read_form(MULTIPART, b'{"not": "multipart"}')
    assert capsys.readouterr().err == ""
