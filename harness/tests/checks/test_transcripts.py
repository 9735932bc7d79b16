"""Transcripts in every shape: plain texts, subtitles and JSON, for audio in a form, as the body, and in base64."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.cases.plan import plan_cases
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.client.client import Client
from voicegauge.client.speech_request import build_audio_input_request
from voicegauge.conformance._sent_case import fetch_audio_of_call
from voicegauge.conformance.check_report import CheckReport
from voicegauge.contract.contract import AudioInputTarget, Contract
from voicegauge.errors import ContractError
from voicegauge.formats.bodies import Cue, UnreadableSubtitlesError, read_subtitles
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.rules.call import Call
from voicegauge.rules.checker import Checker
from voicegauge.rules.subjects import AudioInputCall
from voicegauge.transport.http import Transport

from ..builders.contracts import load_text
from ..builders.in_process_check import check_in_process

SAID = "the river was quiet in the morning"
SRT = "1\n00:00:00,000 --> 00:00:01,500\nThe river was quiet\n\n2\n00:00:01,500 --> 00:00:02,000\nin the morning.\n"
VTT = (
    "WEBVTT\n\n00:00.000 --> 00:01.500 line:1\n<v Ann>The river was quiet\n\nNOTE x\n\n"
    "00:01.500 --> 00:02.000\nin the morning.\n"
)

DOCUMENT = """\
openapi: 3.1.0
info: {title: Acme, version: "1"}
servers: [{url: "https://api.acme.test"}]
x-provider: {id: acme, title: Acme, key_variable: ACME_KEY, sources: {acme.txt: {title: Acme, date: 2026-01-01}}}
paths:
  /listen:
    post:
      operationId: listen
      x-transcription:
        request_fields: {audio: body, language: query.language, timestamps: query.words}
        response:
          text_location: body#/results/*/text
          segments_location: body#/words
          segment_field_names: {text_unit: word}
        targets:
          plain: {title: Plain, request_constants: {query.format: text}, response: {text_location: body}}
          srt:
            title: SRT
            request_constants: {query.format: srt}
            response: {text_location: body, subtitle_format: srt}
          vtt:
            title: VTT
            request_constants: {query.format: vtt}
            response: {text_location: body, subtitle_format: vtt, media_type: text/vtt}
          json: {title: JSON, request_constants: {query.format: json}}
      parameters:
        - {name: format, in: query, required: true, example: json, schema: {type: string, enum: [text, srt, vtt, json]}}
        - {name: language, in: query, schema: {type: string}}
        - {name: words, in: query, schema: {type: boolean}}
      requestBody: {required: true, content: {audio/*: {}}}
      responses:
        "200":
          description: A transcript
          content:
            application/json:
              schema: {type: object, properties: {results: {type: array}, words: {type: array}}}
              examples: {all: {value: {results: [{text: a}], words: [{start: 0, end: 1, text: a}]}}}
            text/plain: {}
            text/vtt: {}
        "400": {description: Rejected}
  /recognize:
    post:
      operationId: recognize
      x-transcription:
        request_fields: {audio: body#/audio/content, language: body#/language}
        response: {text_location: body#/text}
        targets: {base64: {title: Base64}}
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [audio]
              properties:
                audio: {type: object, required: [content], properties: {content: {type: string}}}
                language: {type: string}
      responses:
        "200":
          description: A transcript
          content:
            application/json:
              schema: {type: object, required: [text], properties: {text: {type: string}}}
        "400": {description: Rejected}
"""


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    return load_text(tmp_path_factory.mktemp("acme"), DOCUMENT)


def receive(target: AudioInputTarget, body: Any, media_type: str, **query: str) -> AudioInputCall:
    """A call that sent speech, whose response has `body`."""
    recording = load_spoken_sentence("mp3").file
    url = "https://api.acme.test/listen?" + "&".join(f"{name}={value}" for name, value in query.items())
    request = Request(method="POST", url=url, headers=(("Content-Type", "audio/mpeg"),), body=recording.data)
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    response = Response(status=200, headers=(("Content-Type", media_type),), body=data)
    exchange = Exchange(provider="acme", operation=target.operation.id, request=request, response=response)
    return AudioInputCall(target.operation, exchange, audio_input_target=target, reference_transcript=SAID)


def find_rules(call: AudioInputCall) -> set[str]:
    findings = Checker(Provenance.RECORDED).iterate_findings(call)
    return {finding.rule for finding in findings if finding.rule.startswith("transcript-")}


@pytest.mark.parametrize(
    ("name", "body", "rules"),
    [
        ("plain", "The river was quiet in the morning.", set()),
        ("plain", "Thanks for watching!", {"transcript-wrong"}),
        ("srt", SRT, set()),
        ("srt", SRT.replace("river", "x").replace("quiet", "y").replace("morning", "z w v u"), {"transcript-wrong"}),
        ("srt", SAID, {"transcript-format"}),
        ("srt", SRT.replace("00:00:02,000", "00:00:59,000"), {"transcript-segments"}),
        ("srt", VTT, {"transcript-format"}),
        ("vtt", VTT, set()),
        ("vtt", SRT, {"transcript-format"}),
        ("json", {"results": [{"text": "the river was quiet"}, {"text": "in the morning"}]}, set()),
        ("json", {"results": [{"text": "no"}]}, {"transcript-wrong"}),
    ],
)
def test_a_transcript_is_judged_in_its_shape(contract: Contract, name: str, body: Any, rules: set[str]) -> None:
    media_type = "application/json" if name == "json" else "text/plain"
    assert find_rules(receive(contract.audio_input_targets[name], body, media_type)) == rules


def test_subtitles_must_be_a_text(contract: Contract) -> None:
    call = receive(contract.audio_input_targets["srt"], {"text": SAID}, "application/json")
    assert find_rules(call) == {"transcript-format"}


@pytest.mark.parametrize(("language", "rules"), [("en-US", {"transcript-wrong"}), ("de", set())])
def test_english_speech_is_not_scored_under_another_language(
    contract: Contract, language: str, rules: set[str]
) -> None:
    call = receive(contract.audio_input_targets["plain"], "Vielen Dank", "text/plain", language=language)
    assert find_rules(call) == rules


def test_requests_have_constants_and_timestamps_where_they_belong(contract: Contract) -> None:
    recording = load_spoken_sentence("mp3").file
    raw = build_audio_input_request(contract.audio_input_targets["srt"], recording, {"timestamps": True})
    assert raw.query_parameters == {"format": "srt", "words": True}
    assert (raw.body, raw.media_type) == (recording, "audio/mpeg")
    encoded = build_audio_input_request(contract.audio_input_targets["base64"], recording, {"language": "en"})
    assert encoded.media_type == "application/json"
    assert encoded.body["language"] == "en"
    assert base64.b64decode(encoded.body["audio"]["content"]) == recording.data


@pytest.fixture(scope="module")
def check(contract: Contract) -> Callable[..., CheckReport]:
    targets = list(contract.audio_input_targets.values())
    return lambda *faults: check_in_process(contract, *faults, targets=targets)  # type: ignore[arg-type]


def test_the_emulator_answers_in_every_shape_and_a_wrong_transcript_is_found(
    check: Callable[..., CheckReport],
) -> None:
    assert check().findings == ()
    wrong = check("other-transcript").findings
    assert {finding.rule for finding in wrong} == {"transcript-wrong"}
    assert {finding.where.operation for finding in wrong} == {"listen", "recognize"}


@pytest.mark.parametrize(
    ("case_id", "body", "is_judged"),
    [
        ("acme/plain: a valid recording with timestamps", SRT, False),
        ("acme/plain: a valid recording with timestamps", VTT, False),
        ("acme/plain: a valid recording with timestamps", '{"text": "the river"}', False),
        ("acme/plain: a valid recording with timestamps", "Thanks for watching!", True),
        ("acme/plain: a valid recording", SRT, True),
    ],
)
async def test_a_parameter_that_the_target_does_not_describe_may_select_subtitles(
    contract: Contract, case_id: str, body: str, *, is_judged: bool
) -> None:
    target = contract.audio_input_targets["plain"]
    plan = plan_cases([target], is_emulated=False, include_all_billable_cases=True)
    (case,) = (case for case in plan.cases if case.id == case_id)
    call = receive(target, body, "text/plain")
    async with Transport() as transport:
        client = Client(contract, transport)
        subject, _ = await fetch_audio_of_call(client, target, case, Call(call.operation, call.exchange))
    assert (subject.reference_transcript is not None) == is_judged


def test_only_a_transcription_has_responses_of_its_own(tmp_path: Path) -> None:
    before = "x-transcription:\n        request_fields: {audio: body#"
    text = DOCUMENT.replace(before, before.replace("x-transcription:", "x-conversion:\n        purpose: voice"))
    own = "response: {text_location: body#/text}"
    text = text.replace(f"        {own}\n", "        response: {}\n").replace(
        "{title: Base64", f"{{title: Base64, {own}"
    )
    with pytest.raises(ContractError, match="only a target of x-transcription has it"):
        load_text(tmp_path, text)


times = st.integers(0, 359_999_999)


@given(st.lists(st.tuples(times, times, st.text("ab c'é.", min_size=1).filter(str.strip)), max_size=5))
def test_written_subtitles_are_read_back(cues: list[tuple[int, int, str]]) -> None:
    def write(milliseconds: int, mark: str) -> str:
        seconds, rest = divmod(milliseconds, 1000)
        return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{rest:03d}"

    expected = [Cue(pytest.approx(start / 1000), pytest.approx(end / 1000), text.strip()) for start, end, text in cues]
    for name, mark, header in (("srt", ",", ""), ("vtt", ".", "WEBVTT\r\n\r\n")):
        blocks = [f"{write(start, mark)} --> {write(end, mark)}\r\n{text}\r\n\r\n" for start, end, text in cues]
        assert read_subtitles(header + "".join(blocks), name) == expected  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_any_text_is_subtitles_or_an_error_in_words(text: str) -> None:
    for name in ("srt", "vtt"):
        with contextlib.suppress(UnreadableSubtitlesError):
            assert all(cue.start_s >= 0 for cue in read_subtitles(text, name))  # type: ignore[arg-type]
