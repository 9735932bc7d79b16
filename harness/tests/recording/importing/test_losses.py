from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from voicegauge.contract.loading import Catalogue, load_catalogue
from voicegauge.errors import DataError
from voicegauge.recording.foreign_recordings import ImportedRecording, import_recording

from .foreign import API, AUDIO, FORMATS, JSON, conversation, har, har_entry

Read = Callable[[str, str], ImportedRecording]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture
def read(catalogue: Catalogue, tmp_path: Path) -> Read:
    def import_text(filename: str, text: str) -> ImportedRecording:
        (tmp_path / filename).write_text(text, "utf-8")
        return import_recording(tmp_path / filename, catalogue.find_provider("pixelapi"))

    return import_text


def _har(read: Read, index: int, change: Callable[[dict[str, Any]], Any], **content: Any) -> ImportedRecording:
    entries = [har_entry(item) for item in conversation()]
    entries[index] = har_entry(conversation()[index], **content)
    change(entries[index])
    return read("one.har", har(entries))


@pytest.mark.parametrize(
    ("change", "content", "message"),
    [
        (lambda e: e["request"].update(url="https://other.example/v1/x"), {}, "host 'other.example' is not a host of"),
        (lambda e: e["request"].update(url=f"{API}/v2/unknown"), {}, "the contract has no operation GET /v2/unknown"),
        (lambda e: e["response"]["content"].pop("text"), {}, "body is not in the file"),
        (lambda e: e["response"]["content"].pop("text"), {"comment": "not included"}, "(not included)"),
        (dict, {"size": 5000}, "truncated"),
        (lambda e: e["response"].update(status=0), {}, "no response was received"),
        (lambda e: e["response"].update(status=101), {}, "WebSocket"),
        (lambda e: e["response"].pop("status"), {}, "no status code"),
        (lambda e: e.pop("request"), {}, "has no request"),
        (dict, {"encoding": "base64", "text": "%%%"}, "not valid base64"),
    ],
)
def test_each_interaction_that_cannot_be_imported_gets_a_remark(
    read: Read, change: Callable[[dict[str, Any]], Any], content: dict[str, Any], message: str
) -> None:
    imported = _har(read, 1, change, **content)
    (remark,) = imported.remarks
    assert message in remark.message
    assert (remark.interaction_number, remark.is_imported) == (2, False)
    assert len(imported.exchanges) == 3


def test_audio_that_was_saved_as_text_is_damaged(read: Read) -> None:
    text = AUDIO.decode("utf-8", "replace")
    imported = _har(read, 3, lambda e: e["response"]["content"].pop("encoding"), text=text)
    assert "damaged" in imported.remarks[0].message


def test_an_incomplete_interaction_is_imported_with_a_remark(read: Read) -> None:
    def stream(entry: dict[str, Any]) -> None:
        entry["response"]["headers"].append({"name": "transfer-encoding", "value": "chunked"})

    (remark,) = _har(read, 3, stream).remarks
    assert remark.is_imported
    assert "stream, flattened" in remark.message


def test_a_stated_length_of_thousands_of_digits_is_ignored(read: Read) -> None:
    def state_length(entry: dict[str, Any]) -> None:
        entry["response"]["headers"].append({"name": "content-length", "value": "9" * 5000})

    assert _har(read, 3, state_length).remarks == ()


def test_a_number_that_no_float_can_hold_is_named(read: Read) -> None:
    with pytest.raises(DataError, match=r"a\.har: has a number that is too large$"):
        read("a.har", '{"log": {"entries": [1e400]}}')


def test_an_upload_whose_bytes_a_browser_left_out(read: Read) -> None:
    def upload(entry: dict[str, Any]) -> None:
        entry["request"]["headers"] = [{"name": "Content-Type", "value": "multipart/form-data; boundary=x"}]
        fields = [
            {"name": "text", "value": "Hi"},
            {"name": "voice_ref", "fileName": "v.wav", "contentType": "audio/wav"},
        ]
        entry["request"]["postData"] = {"mimeType": "multipart/form-data; boundary=x", "params": fields}

    imported = _har(read, 0, upload)
    assert "'voice_ref' are not in the file" in imported.remarks[0].message
    assert b'filename="v.wav"' in imported.exchanges[0].request.body


def test_a_tape_without_its_audio_and_one_without_its_request(read: Read) -> None:
    tapes = json.loads(FORMATS["tapes"].write(conversation()))
    items = list(tapes.values())
    items[0]["init"].pop("body")
    items[3]["response"]["body"] = ""
    imported = read("tapes.json", json.dumps(tapes))
    assert [(r.interaction_number, r.is_imported) for r in imported.remarks] == [(1, True), (4, False)]


def test_a_tape_whose_headers_are_not_pairs_is_not_imported(read: Read) -> None:
    tapes = json.loads(FORMATS["tapes"].write(conversation()))
    next(iter(tapes.values()))["init"]["headers"] = [["accept"]]
    (remark,) = read("tapes.json", json.dumps(tapes)).remarks
    assert (remark.interaction_number, remark.is_imported, remark.message) == (1, False, "its headers are not pairs")


def test_a_body_that_cannot_be_decompressed(read: Read) -> None:
    items = [
        i._replace(response_headers=(JSON, ("content-encoding", "br")), response_body=b"\x1b\x07\x80\xff")
        for i in conversation()
    ]
    imported = read("cassette.yaml", FORMATS["vcrpy_1_yaml"].write(items))
    assert not imported.exchanges
    assert "compressed with br" in imported.remarks[0].message


def test_a_body_that_decompresses_without_end(read: Read) -> None:
    bomb = gzip.compress(b"\0" * (65 * 2**20))
    items = [
        i._replace(response_headers=(JSON, ("content-encoding", "gzip")), response_body=bomb)
        for i in conversation()[:1]
    ]
    imported = read("cassette.yaml", FORMATS["vcrpy_1_yaml"].write(items))
    assert "decompresses to more than" in imported.remarks[0].message


def test_no_tag_makes_an_object(read: Read, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    text = FORMATS["vcrpy_1_yaml"].write(conversation())
    for tag in (
        f"!!python/object/apply:os.system ['touch {trace}']",
        f"!!python/object/new:subprocess.Popen [['touch', '{trace}']]",
        "!ruby/object:Gem::Installer {i: x}",
    ):
        imported = read("cassette.yaml", f"recorded_with: {tag}\n{text}")
        assert len(imported.exchanges) == 4
    assert not trace.exists()


@pytest.mark.parametrize("headers", ["{x: *a39}", "*a39"])
def test_aliases_do_not_multiply(read: Read, headers: str) -> None:
    lines = ["a0: &a0 [[x, [y]]]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40)]
    text = (
        "\n".join(lines)
        + f"\ninteractions:\n- request: {{method: GET, uri: 'https://a.example/', headers: {headers}}}\n"
        + "  response: {status: {code: 200}}\n"
    )
    assert not read("cassette.yaml", text).exchanges  # 10^39 values would take forever


@pytest.mark.parametrize(
    ("filename", "text", "reason"),
    [
        ("a.yaml", "- [", "is not valid YAML"),
        ("a.har", "{", "is not valid JSON"),
        ("a.json", "[" * 5000, "is not valid JSON"),
        ("a.yaml", "- " * 200 + "x", "nested deeper"),
        ("a.yaml", "a: *b", "no anchor"),
        ("a.yaml", "a: !!binary '*'\n? [x]\n: y", "no text nor bytes"),
        ("a.yaml", "just: text", "is not a VCR cassette, a HAR file or a file of huggingface.js tapes"),
        ("a.json", "42", "is not a VCR cassette"),
        ("a.yaml", "", "is not a VCR cassette"),
    ],
)
def test_an_unreadable_file_is_rejected_in_one_line(read: Read, filename: str, text: str, reason: str) -> None:
    with pytest.raises(DataError) as refused:
        read(filename, text)
    message = str(refused.value)
    assert "\n" not in message
    assert reason in message or reason == "no text nor bytes"


def test_invalid_interactions_are_skipped_one_by_one(read: Read) -> None:
    good = yaml.safe_load(FORMATS["vcrpy_1_yaml"].write(conversation()[:1]))["interactions"][0]
    odd: list[Any] = [None, 7, {}, {"request": {}}, {"request": {"method": "GET"}, "response": {}}]
    odd += [
        {**good, "request": {**good["request"], "headers": 3}},
        {**good, "request": {**good["request"], "body": [1]}},
    ]
    odd += [{**good, "response": {**good["response"], "status": {"code": "many"}}}]
    odd += [
        {**good, "request": {**good["request"], "uri": "https://[bad/"}},
        {**good, "request": {**good["request"], "uri": [1]}},
    ]
    imported = read("cassette.yaml", yaml.safe_dump({"interactions": [*odd, good], "version": 1}))
    assert len(imported.exchanges) == 1
    assert len([r for r in imported.remarks if not r.is_imported]) == len(odd)
