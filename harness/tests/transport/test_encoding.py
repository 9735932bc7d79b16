from __future__ import annotations

import json
import math

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.errors import UsageError
from voicegauge.formats.bodies import read_form
from voicegauge.model.exchange import Request, UploadedFile
from voicegauge.transport.body_encoding import encode_body, find_file_padding

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
files = st.builds(UploadedFile, filename=names, media_type=st.just("audio/wav"), data=st.binary(max_size=200))


@given(json_values)
def test_json_reads_back(value):
    media_type, body = encode_body("application/json", value)
    assert media_type == "application/json"
    assert json.loads(body) == value


@given(st.dictionaries(names, texts, max_size=4))
def test_urlencoded_reads_back(fields):
    form = read_form(*encode_body("application/x-www-form-urlencoded", fields))
    assert form.fields == fields


@given(st.dictionaries(names, texts | files, max_size=4))
def test_multipart_reads_back_and_equal_forms_are_equal_bytes(fields):
    content_type, body = encode_body("multipart/form-data", fields)
    form = read_form(content_type, body)
    assert {**form.fields, **form.files} == fields
    assert encode_body("multipart/form-data", dict(fields)) == (content_type, body)


any_files = st.builds(UploadedFile, filename=texts, media_type=st.just("audio/wav"), data=st.binary(max_size=20))


@given(st.dictionaries(texts, texts | any_files, min_size=1, max_size=3))
def test_a_multipart_body_has_the_bytes_that_httpx_would_send(fields):
    content_type, body = encode_body("multipart/form-data", fields)
    parts = [
        (name, (value.filename, value.data, value.media_type))
        if isinstance(value, UploadedFile)
        else (name, (None, value.encode()))
        for name, value in fields.items()
    ]
    request = httpx.Request("POST", "http://form", files=parts, headers={"Content-Type": content_type})
    assert body == request.read()


def test_the_padding_of_a_file_follows_its_data():
    fields = {"before": "a", "file": UploadedFile(filename="f", media_type="b/c", data=b"x", padding_bytes=300_000)}
    content_type, body = encode_body("multipart/form-data", {**fields, "after": "d"})
    padding = find_file_padding(content_type, {**fields, "after": "d"})
    request = Request(method="POST", url="http://p", body=body, padding=padding)
    form = read_form(content_type, request.sent_body)
    assert form.fields == {"before": "a", "after": "d"}
    assert form.files["file"].data == b"x" + bytes(300_000)
    assert request.sent_body_bytes == len(request.sent_body)
    assert max(map(len, request.iterate_sent_pieces())) < 300_000


@pytest.mark.parametrize(("value", "text"), [(2.5, "2.5"), (True, "true"), (3, "3"), ({"a": 1}, '{"a":1}')])
def test_a_form_field_is_written_as_json_writes_it(value, text):
    assert read_form(*encode_body("multipart/form-data", {"f": value})).fields == {"f": text}
    assert read_form(*encode_body("application/x-www-form-urlencoded", {"f": value})).fields == {"f": text}


@pytest.mark.parametrize("media_type", ["multipart/form-data", "application/x-www-form-urlencoded"])
def test_a_list_is_a_field_for_each_item_as_openapi_serializes_it(media_type):
    """OpenAPI 3.1.1, appendix C: a field of a form is exploded unless its encoding states otherwise."""
    fields = {"before": "a", "tags": ["b", 3, {"c": 4}], "none": [], "one": [True], "after": "d"}
    form = read_form(*encode_body(media_type, fields))
    assert form.fields == {"before": "a", "tags": ["b", "3", '{"c":4}'], "one": "true", "after": "d"}
    assert list(form.iterate_texts())[1:4] == [("tags", "b"), ("tags", "3"), ("tags", '{"c":4}')]


def test_a_list_of_files_is_a_part_for_each_file():
    files = [UploadedFile(filename=f"{name}.wav", media_type="audio/wav", data=name.encode()) for name in "ab"]
    _, body = encode_body("multipart/form-data", {"files": files, "name": "Ann"})
    assert body.count(b'name="files"; filename=') == 2
    assert body.index(b"a.wav") < body.index(b"b.wav") < body.index(b'name="name"')
    with pytest.raises(UsageError, match="a file \\(files\\) can only be sent as multipart/form-data"):
        encode_body("application/x-www-form-urlencoded", {"files": files})


def test_text_and_bytes_go_as_they_are():
    assert encode_body("text/plain", "héllo") == ("text/plain", "héllo".encode())
    assert encode_body("application/json", b"{broken") == ("application/json", b"{broken")


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("application/json", math.nan),
        ("application/json", "\ud800"),
        ("application/json", {1, 2}),
        ("multipart/form-data", ["no", "fields"]),
        ("application/x-www-form-urlencoded", {"f": UploadedFile(filename="a", media_type="b", data=b"")}),
        ("text/plain", {"no": "text"}),
    ],
)
def test_what_cannot_be_written_is_one_line(media_type, body):
    with pytest.raises(UsageError) as caught:
        encode_body(media_type, body)
    assert "\n" not in str(caught.value)
