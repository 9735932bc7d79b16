from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.client.speech_request import map_speech_request
from voicegauge.contract.loading import load_catalogue
from voicegauge.errors import UsageError
from voicegauge.formats.locations import parse_location
from voicegauge.model.base import SpeechRequest, VoiceSample
from voicegauge.model.exchange import UploadedFile

SAMPLE = VoiceSample(data=b"RIFF", filename="me.wav", media_type="audio/wav")


def test_words_go_to_their_places(contract):
    target = contract().find_target_by_name("one")
    wire = map_speech_request(target, SpeechRequest(text="hi", language="en", seed=7, speed=1.5))
    assert wire.body == {"text": "hi", "voice": "alice", "lang": "en-US"}
    assert wire.query_parameters == {"seed": 7}
    assert wire.headers == {"X-Speed": "1.5"}
    assert wire.media_type == "application/json"


def test_a_word_given_wins_over_the_targets_default(contract):
    assert (
        map_speech_request(contract().find_target_by_name("one"), SpeechRequest(text="hi", voice="bob")).body["voice"]
        == "bob"
    )


def test_a_map_leaves_words_alone_that_it_does_not_name(contract):
    assert (
        map_speech_request(contract().find_target_by_name("one"), SpeechRequest(text="hi", language="de")).body["lang"]
        == "de"
    )


def test_constants_are_sent_and_extra_parameters_win(contract):
    target = contract().find_target_by_name("sync")
    assert map_speech_request(target, SpeechRequest(text="hi")).body == {"model": "m1", "input": "hi", "format": "wav"}
    extra = {"body#/model": "m2", "body#/voice/settings/0": 3, "query.debug": True}
    wire = map_speech_request(target, SpeechRequest(text="hi", extra=extra))
    assert wire.body["model"] == "m2"
    assert wire.body["voice"] == {"settings": [3]}
    assert wire.query_parameters == {"debug": True}


def test_an_upload_makes_the_request_multipart(contract):
    wire = map_speech_request(contract().find_target_by_name("clone"), SpeechRequest(text="hi", voice_sample=SAMPLE))
    assert wire.media_type == "multipart/form-data"
    assert wire.body["file"] == UploadedFile(filename="me.wav", media_type="audio/wav", data=b"RIFF")


def test_json_is_preferred_to_a_form_that_is_documented_before_it(contract):
    def document_form_first(document):
        content = document["paths"]["/speech"]["post"]["requestBody"]["content"]
        json_media = content.pop("application/json")
        content |= {"multipart/form-data": json_media, "application/json": json_media}

    target = contract(document_form_first).find_target_by_name("one")
    assert next(iter(target.operation.request_media)) == "multipart/form-data"
    assert map_speech_request(target, SpeechRequest(text="hi")).media_type == "application/json"


@pytest.mark.parametrize(
    ("target", "speech", "words"),
    [
        ("clone", SpeechRequest(text="hi"), "needs a voice sample upload: give a voice sample as a file"),
        ("sync", SpeechRequest(text="hi", voice="bob"), "takes no voice; it takes text, format"),
        ("sync", SpeechRequest(text="hi", language="de"), "takes no language"),
        ("one", SpeechRequest(text="hi", format="mp3"), "takes no format"),
        ("one", SpeechRequest(text="hi", voice_sample=SAMPLE), "as a URL, not as a file"),
        (
            "clone",
            SpeechRequest(text="hi", voice_sample=VoiceSample(url="https://x.test/a")),
            "as a file, not as a URL",
        ),
        ("one", SpeechRequest(text="hi", voice_sample=VoiceSample()), "neither a URL nor data"),
        ("one", SpeechRequest(text="hi", extra={"nowhere": 1}), "'nowhere' is not a valid location"),
        ("one", SpeechRequest(text="hi", extra={"body#/text/deeper": 1}), "cannot write to body#/text/deeper"),
    ],
)
def test_a_request_that_a_target_does_not_support_is_a_one_line_error(contract, target, speech, words):
    with pytest.raises(UsageError, match=words) as caught:
        map_speech_request(contract().find_target_by_name(target), speech)
    assert "\n" not in str(caught.value)


def test_the_only_language_need_not_be_sent(contract):
    wire = map_speech_request(
        contract().find_target_by_name("sync"), SpeechRequest(text="hi", language="en", format="wav")
    )
    assert wire.body == {"model": "m1", "input": "hi", "format": "wav"}


OPERATION = {
    "operationId": "say",
    "x-speech": {
        "response": {"audio": {"location": "body", "delivery_method": "bytes"}},
        "targets": {"sync": {"title": "Sync", "request_constants": {"body#/constants": {"list": [1]}}}},
    },
    "parameters": [
        {"name": "t", "in": "query", "schema": {"type": "string"}},
        {"name": "T", "in": "header", "schema": {"type": "string"}},
    ],
    "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
    "responses": {"200": {"description": "audio", "content": {"audio/wav": {}}}},
}


@settings(deadline=None)
@given(
    text=st.text(min_size=1, max_size=30),
    at=st.sampled_from(["body#/a/b/0/c", "body#/text", "body#/other", "query.t", "header.T"]),
    template=st.sampled_from(["{}", "Speaker 0: {}", "({}) {}"]),
    extra=st.integers(),
)
def test_any_text_arrives_in_any_place_and_the_contract_stays(contract, text, at, template, extra):
    operation = copy.deepcopy(OPERATION)
    operation["x-speech"]["request_fields"] = {"text": {"location": at, "text_template": template}}
    target = contract(lambda document: document["paths"].update({"/say": {"post": operation}})).find_target_by_name(
        "sync"
    )
    wire = map_speech_request(target, SpeechRequest(text=text, extra={"body#/constants/list/0": extra}))
    place = parse_location(at)
    found = place.read_request(wire)
    assert found == template.replace("{}", text)
    assert wire.body["constants"]["list"][0] == extra
    assert target.target_spec.request_constants == {parse_location("body#/constants"): {"list": [1]}}


@pytest.mark.parametrize("target", load_catalogue().select_targets([]), ids=lambda target: target.id)
def test_every_bundled_target_takes_a_text(target):
    sample = SAMPLE if "voice_sample_upload" in target.target_spec.required_fields else None
    wire = map_speech_request(target, SpeechRequest(text="A marker text", voice_sample=sample))
    assert "A marker text" in repr(wire)
    assert wire.media_type in target.operation.request_media
