"""The paths in docs/contract.md that describe requests and responses of other shapes.

Each is added to the complete example there. The emulator behaves as it says, and a service that does not is found out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import voicegauge
from voicegauge.cases.case import ConformanceCase
from voicegauge.client.speech_request import map_speech_request
from voicegauge.conformance.check_report import CheckReport
from voicegauge.contract.contract import Contract, Target
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.fault_injection import FAULTS
from voicegauge.errors import ContractError
from voicegauge.model.base import SpeechRequest

from ..builders.documented_examples import read_example
from ..builders.in_process_check import check_in_process

ACME = yaml.safe_load(read_example("contract.md", "acme"))
MAX_TEXT_CHARACTERS_BY_SHAPE = {"formats": 120, "lines": 120, "timestamps": 120, "markup": 200}
# shape -> fault -> the rule that must find it
FOUND_BY = {
    "formats": {
        "other-sample-rate": "audio-sample-rate",
        "other-bit-rate": "audio-bit-rate",
        "wrong-format": "audio-format",
    },
    "lines": {
        "stream-unreadable-audio": "stream-audio-unreadable",
        "stream-unknown-event": "stream-event-unknown",
    },
    "timestamps": {
        "timestamps-incomplete": "timestamps-count",
        "timestamps-unordered": "timestamps-order",
        "timestamps-too-late": "timestamps-duration",
        "timestamps-of-other-text": "timestamps-text",
    },
    "markup": {"markup-spoken": "markup-spoken", "wrong-format": "audio-format"},
}
SLOW_FAULTS = {
    ("formats", "other-bit-rate"),
    ("formats", "other-sample-rate"),
    ("formats", "wrong-format"),
    ("timestamps", "timestamps-too-late"),
    ("timestamps", "timestamps-unordered"),
}
"""Faults that are shown by cases which take the path of those of another fault."""


@pytest.fixture
def load_shape(tmp_path: Path) -> Callable[..., Contract]:
    """Load the contract of the page with one more path, after an edit of its operation."""

    def load(name: str, edit: Callable[[Any], object] = lambda _: None) -> Contract:
        paths = yaml.safe_load(read_example("contract.md", name, kind="path"))
        for item in paths.values():
            _shorten_texts(item["post"], MAX_TEXT_CHARACTERS_BY_SHAPE[name])
            edit(item["post"])
        document = {**ACME, "paths": {**ACME["paths"], **paths}}
        path = tmp_path / "openapi.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return load_contract(path)

    return load


def _shorten_texts(operation: Any, max_characters: int) -> None:
    """Limit texts to a length that is encoded as MP3 in a third of the time."""
    for media_type in operation["requestBody"]["content"].values():
        for schema in media_type["schema"]["properties"].values():
            if "maxLength" in schema:
                schema["maxLength"] = max_characters


def _list_targets_of_shape(contract: Contract) -> list[Target]:
    return [target for target in contract.targets.values() if target.operation.id != "createSpeech"]


def _shows_faults(case: ConformanceCase) -> bool:
    """Whether a case is a delivery, but not one of more text than others, which takes most of the time."""
    return case.speech_request is not None and not case.id.endswith(
        ("with the text twice", "with another text in flight")
    )


@pytest.fixture
def check_shape(load_shape) -> Callable[..., CheckReport]:
    def check(
        name: str,
        *faults: str,
        edit: Callable[[Any], object] = lambda _: None,
        keep_case: Callable[[ConformanceCase], bool] = lambda _: True,
    ) -> CheckReport:
        acme = load_shape(name, edit)
        targets = _list_targets_of_shape(acme)
        if not faults:
            return check_in_process(acme, targets=targets, keep_case=keep_case)
        return check_in_process(acme, *faults, targets=targets, keep_case=_shows_faults)

    return check


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "lines" else pytest.mark.slow) for name in FOUND_BY],
)
def test_a_service_as_documented_has_no_findings(name, check_shape) -> None:
    report = check_shape(name)
    assert report.findings == ()
    deliveries = [case for case in report.case_results if case.id.endswith(": a full delivery")]
    assert deliveries
    assert {case.verdict for case in deliveries} == {"passed"}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        pytest.param(name, fault, marks=pytest.mark.slow if (name, fault) in SLOW_FAULTS else ())
        for name, faults in FOUND_BY.items()
        for fault in faults
    ],
)
def test_a_fault_is_found_by_its_rule(name, fault, load_shape, check_shape) -> None:
    assert any(FAULTS[fault].applies_to(target) for target in _list_targets_of_shape(load_shape(name)))
    assert FOUND_BY[name][fault] in {finding.rule for finding in check_shape(name, fault).findings}


def _use_parameters(operation: Any) -> None:
    """Identify two targets by query parameters, and add a field that is a text or an object."""
    operation["parameters"] += [
        {"name": "model", "in": "query", "schema": {"enum": ["swift", "grand"], "default": "swift"}},
        {"name": "lang", "in": "query", "schema": {"enum": ["en", "de"]}},
        {"name": "X-Speed", "in": "header", "schema": {"type": "number", "minimum": 0.5, "maximum": 2, "default": 1}},
    ]
    operation["x-speech"]["request_fields"].update(language="query.lang", speed="header.X-Speed")
    target = operation["x-speech"]["targets"]["formats"]
    grand = {
        **target,
        "request_constants": {"query.model": "grand"},
        "required_fields": ["language"],
        "default_language": "en",
    }
    operation["x-speech"]["targets"]["grand"] = grand
    target["request_constants"] = {"query.model": "swift"}
    mood = {"type": "object", "required": ["mood"], "properties": {"mood": {"type": "string"}}}
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    schema["properties"]["settings"] = {"oneOf": [{"type": "string", "enum": ["calm", "wild"]}, mood]}


@pytest.mark.parametrize(
    "encoding",
    [
        {},
        {"tags": {"explode": False}, "seeds": {"style": "form", "explode": False}},
        {"tags": {"style": "pipeDelimited"}, "seeds": {"style": "spaceDelimited", "explode": False}},
    ],
    ids=["repeated", "commas", "other delimiters"],
)
@pytest.mark.parametrize(
    "media_type", ["application/x-www-form-urlencoded", pytest.param("multipart/form-data", marks=pytest.mark.slow)]
)
def test_an_operation_that_takes_forms_only_is_sent_its_lists_as_documented(media_type, encoding, check_shape) -> None:
    """The bounds of a list and those of its items are tried, in fields of their own or in one text."""

    def use_form(operation: Any) -> None:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        schema["properties"]["tags"] = {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {"type": "string", "enum": ["calm", "bright"]},
        }
        schema["properties"]["seeds"] = {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}
        schema["required"].append("tags")
        operation["requestBody"]["content"] = {media_type: {"schema": schema, "encoding": encoding}}

    report = check_shape("formats", edit=use_form, keep_case=lambda case: "tags" in case.id or "seeds" in case.id)
    assert report.findings == ()
    verdicts = {case.id: case.verdict for case in report.case_results}
    assert {"passed"} == set(verdicts.values()), verdicts
    names = {name.partition(": ")[2] for name in verdicts}
    assert names >= {"tags without items", "tags of 3 items", "tags of 4 items", 'tags[0] "bright"', "tags left out"}


@pytest.mark.slow
def test_targets_may_differ_outside_the_body_and_fields_may_be_texts_or_objects(check_shape) -> None:
    words = ("model", " lang", "X-Speed", "settings", "mood")
    report = check_shape(
        "formats",
        edit=_use_parameters,
        keep_case=lambda case: case.id.endswith(": a full delivery") or any(word in case.id for word in words),
    )
    assert report.findings == ()
    assert {case.target for case in report.case_results} == {"acme/formats", "acme/grand"}


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Tom & Jerry", "<speak>Tom &amp; Jerry</speak>"),
        ("5 < 6 > 4", "<speak>5 &lt; 6 &gt; 4</speak>"),
        ("<break/>", "<speak>&lt;break/&gt;</speak>"),
    ],
)
def test_a_text_with_markup_is_escaped(text, sent, load_shape) -> None:
    target = load_shape("markup").targets["markup"]
    assert map_speech_request(target, SpeechRequest(text=text)).body == {"ssml": sent}
    assert target.speech.request_fields["text"].remove_template(sent) == text


def _set_format(name: str, **values: Any) -> Callable[[Any], object]:
    return lambda operation: operation["x-speech"]["formats"].update({name: values})


def _set_words(texts: str) -> Callable[[Any], object]:
    return lambda operation: operation["x-speech"]["response"]["audio"]["timestamps"][1].update(texts_location=texts)


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("formats", _set_format("pcm_16000", codec="pcm_s16le"), "needs its sample_rate_hz"),
        ("formats", _set_format("ulaw_8000", codec="flac", bitrate_kbps=64), "only checked of mp3, not of flac"),
        ("formats", _set_format("x", codec="mp5"), "'mp5' is not one of the possible values"),
        (
            "formats",
            lambda operation: operation["x-speech"]["request_fields"].pop("format"),
            "needs a location for format",
        ),
        ("timestamps", _set_words("body#/words"), r"'body#/words' must have one /\*, for the items of a list"),
        ("timestamps", _set_words("body#/words/*/x"), "'body#/words/\\*/x' is not in the documented response"),
        (
            "markup",
            lambda operation: operation["x-speech"]["request_fields"]["format"].update(markup_language="ssml"),
            "not of format",
        ),
        (
            "lines",
            lambda operation: operation["x-stream"]["events"]["error"].pop("identifying_location"),
            "'error' needs identifying_location",
        ),
        ("lines", lambda operation: operation["x-stream"].pop("media_type"), "documented as application/x-ndjson"),
        ("lines", lambda operation: operation["x-stream"].pop("ends_with_response"), "no event ends in success"),
        (
            "lines",
            lambda operation: [event.pop("identifying_location") for event in operation["x-stream"]["events"].values()],
            "lines of JSON have no event field",
        ),
    ],
)
def test_a_contract_that_contradicts_itself_is_rejected(name, edit, message, load_shape) -> None:
    with pytest.raises(ContractError, match=message) as raised:
        load_shape(name, edit)
    assert raised.value.line


def test_audio_inside_json_is_judged_in_recordings(load_shape, tmp_path) -> None:
    load_shape("timestamps")
    recordings = tmp_path / "recordings"
    voicegauge.record("acme/timestamps", emulated=True, contracts=[tmp_path], out=recordings)

    def judge() -> set[str]:
        report = voicegauge.check("acme", recordings=[recordings], contracts=[tmp_path])
        return {finding.rule for finding in report.findings}

    assert judge() == set()
    path = recordings / "acme" / "timestamps.har"
    har = json.loads(path.read_text())
    contents = [entry["response"]["content"] for entry in har["log"]["entries"]]
    for content in (content for content in contents if "audio_base64" in content.get("text", "")):
        body = json.loads(content["text"])
        body["words"][-1]["start_ms"] = 60_000
        content["text"] = json.dumps(body)
    path.write_text(json.dumps(har))
    assert judge() == {"timestamps-duration"}
