"""`x-stream` is checked for consistency, and streams are parsed according to it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.contract.parsed_exchange import parse_event_stream
from voicegauge.errors import ContractError
from voicegauge.formats.bodies import UnreadableBodyError
from voicegauge.formats.locations import MISSING

STREAM: dict[str, Any] = {
    "event_type_location": "data#/type",
    "events": {
        "speech.audio.delta": {
            "successor_names": ["speech.audio.delta", "speech.audio.done", "error"],
            "data_schema": {"type": "object", "properties": {"type": {}, "audio": {"type": "string"}}},
        },
        "speech.audio.done": {
            "terminal_outcome": "success",
            "data_schema": {"type": "object", "properties": {"type": {}}},
        },
        "error": {
            "terminal_outcome": "failure",
            "data_schema": {"type": "object", "properties": {"type": {}, "message": {}}},
        },
    },
    "audio": {"event_type": "speech.audio.delta", "location": "data#/audio"},
    "failure_reason_location": "data#/message",
    "end_marker": "[DONE]",
}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Acme", "version": "1"},
    "servers": [{"url": "https://api.acme.test"}],
    "x-provider": {
        "id": "acme",
        "title": "Acme",
        "key_variable": "ACME_KEY",
        "sources": {"acme.txt": {"title": "Acme", "date": "2026-01-01"}},
    },
    "paths": {
        "/say": {
            "post": {
                "operationId": "say",
                "x-speech": {
                    "request_fields": {"text": "body#/text"},
                    "response": {"audio": {"location": "body", "delivery_method": "stream"}},
                    "targets": {"one": {"title": "One"}},
                },
                "x-stream": STREAM,
                "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
                "responses": {
                    "200": {"description": "audio", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
                },
            }
        }
    },
}


def _load(tmp_path: Path, path: str = "", value: Any = MISSING) -> Contract:
    """Load the contract with `value` at `path` of its operation; `None` removes the key."""
    document = copy.deepcopy(DOCUMENT)
    *way, last = path.split("/") if path else [""]
    node = document["paths"]["/say"]["post"]
    for token in way:
        node = node[token]
    if path and value is None:
        del node[last]
    elif path:
        node[last] = value
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))
    return load_contract(file)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("x-stream", None, "needs an x-stream on its operation"),
        ("x-speech/response/audio/delivery_method", "bytes", "needs audio delivered as stream"),
        ("x-speech/response/audio/location", "body#/audio", "audio delivered as stream is at body"),
        ("responses/200/content", {"audio/wav": {}}, "documented as text/event-stream"),
        ("x-stream/event_type_location", "body#/type", "is not a valid location in an event"),
        ("x-stream/event_type_location", "data#/kind", "'data#/kind' is not in the schema of the event"),
        ("x-stream/audio/event_type", "audio", "'audio' is not an event of this stream"),
        ("x-stream/audio/location", "data#/sound", "'data#/sound' is not in the schema"),
        ("x-stream/audio/sequence_number_location", "data#/number", "'data#/number' is not in the schema"),
        ("x-stream/failure_reason_location", "data#/why", "'data#/why' is not in the schema"),
        ("x-stream/events/error/data_schema", None, "has no data_schema"),
        ("x-stream/events/error/terminal_outcome", None, "must have either successor_names or terminal_outcome"),
        ("x-stream/events/error/successor_names", ["error"], "must have either successor_names or terminal_outcome"),
        ("x-stream/events/speech.audio.delta/successor_names", ["done"], "'done' is not among these events"),
        ("x-stream/events/speech.audio.delta/successor_names", ["error"], "cannot be reached from"),
        ("x-stream/events/speech.audio.done/terminal_outcome", "failure", "no event ends in success"),
        ("x-stream/max_gap_s", 0, "max_gap_s"),
        ("x-stream/encoding", "base64", "is not known here"),
    ],
)
def test_an_inconsistency_is_rejected_with_its_line(tmp_path, path, value, reason) -> None:
    with pytest.raises(ContractError, match=reason) as raised:
        _load(tmp_path, path, value)
    assert raised.value.line


def _event(**data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def test_event_types_are_read_at_the_documented_location(tmp_path) -> None:
    spec = _load(tmp_path).find_operation("say").stream
    assert spec is not None
    body = _event(type="speech.audio.delta", audio="aGVs") + _event(type="speech.audio.delta", audio="bG8=")
    stream = parse_event_stream(spec, body + _event(type="speech.audio.done"))
    assert [event.event_type for event in stream.events] == ["speech.audio.delta"] * 2 + ["speech.audio.done"]
    assert b"".join(piece for _, piece in stream.iterate_audio_events()) == b"hello"
    assert not stream.is_complete  # the marker is documented and has not come
    stream.feed_chunk(b"data: [DONE]\n\n")
    assert stream.is_complete
    assert len(stream.events) == 3


def test_a_failure_needs_no_marker(tmp_path) -> None:
    spec = _load(tmp_path).find_operation("say").stream
    assert spec is not None
    stream = parse_event_stream(spec, _event(type="error", message="no"))
    assert stream.is_complete
    assert stream.has_failed
    assert stream.ending is not None
    assert stream.ending.read_value(spec.failure_reason_location) == "no"


def test_audio_may_be_all_of_the_data_in_hexadecimal(tmp_path) -> None:
    audio = {"event_type": "sound", "location": "data", "encoding": "hex"}
    events = {"sound": {"successor_names": ["sound", "end"]}, "end": {"terminal_outcome": "success"}}
    spec = _load(tmp_path, "x-stream", {"events": events, "audio": audio}).find_operation("say").stream
    assert spec is not None
    stream = parse_event_stream(spec, b"event: sound\ndata: 6869\n\nevent: sound\ndata: zz\n\nevent: end\ndata: -\n\n")
    assert stream.is_complete
    pieces = stream.iterate_audio_events()
    assert next(pieces)[1] == b"hi"
    with pytest.raises(UnreadableBodyError, match="no valid hex at data"):
        next(pieces)
