"""From the neutral words of a request for speech to the places that a contract names."""

from __future__ import annotations

import copy
from typing import Any

from voicegauge.contract import Location, Operation, Target, parse_location, write_pointer
from voicegauge.contract.extension import FieldMapping, SpeechField, TargetSpec
from voicegauge.errors import UsageError
from voicegauge.model import Record, SpeechRequest, UploadedFile

_HOW: dict[SpeechField, str] = {
    "text": "give it a text",
    "voice": "name a voice",
    "voice_description": "describe the voice in words",
    "voice_sample_url": "give the URL of a voice sample",
    "voice_sample_upload": "give a voice sample as a file",
    "language": "name a language",
    "format": "name a format",
    "speed": "give a speed",
    "seed": "give a seed",
}


class RequestParts(Record, frozen=True, kw_only=True):
    """What an operation is sent, by place; URL, key and encoding are the client's business."""

    path: dict[str, Any] = {}
    query: dict[str, Any] = {}
    """A list sends its name several times."""
    headers: dict[str, str] = {}
    body: Any = None
    """A JSON value, a dict of form fields (values may be `UploadedFile`), text, or raw bytes."""
    media_type: str | None = None
    """Of the body; `None` takes what the operation documents first, multipart for an upload."""


def map_speech_request(target: Target, speech: SpeechRequest) -> RequestParts:
    """Put the words of `speech` where the contract of `target` wants them.

    The target's constants and defaults come first, then the words, then `speech.extra`.

    Raises:
        UsageError: the target needs a word that is missing, has no place for one that is
            given, or a place of `speech.extra` cannot be written.
    """
    words = _words(target, speech)
    _check_needs(target, words)
    wire = _Draft(target)
    for constant, value in target.spec.constants.items():
        wire.write(constant, copy.deepcopy(value))
    for word, value in words.items():
        slot = target.speech.request.get(word)
        if slot is not None:
            wire.write(slot.at, _shape(slot, value))
        elif not _goes_without_saying(target.spec, word, value):
            raise UsageError(f"{target.id} takes no {_plain(word)}; it takes {_takes(target)}")
    for written, value in speech.extra.items():
        try:
            place = parse_location(written)
        except ValueError as error:
            raise UsageError(f"extra parameter: {error}") from None
        wire.write(place, copy.deepcopy(value))
    return wire.request()


def _words(target: Target, speech: SpeechRequest) -> dict[SpeechField, Any]:
    """What is asked for, with the target's defaults where it has a place for them."""
    spec = target.spec
    asked: dict[SpeechField, Any] = {
        "text": speech.text,
        "voice": speech.voice,
        "voice_description": speech.voice_description,
        "language": speech.language,
        "format": speech.format,
        "speed": speech.speed,
        "seed": speech.seed,
        **_sample_words(target, speech),
    }
    defaults: dict[SpeechField, Any] = {
        "voice": spec.voices.get(speech.language or "", spec.voice),
        "voice_description": spec.voice_description,
        "voice_sample_url": spec.voice_sample_url if speech.voice_sample is None else None,
        "language": spec.language,
        "format": spec.format,
    }
    for word, value in defaults.items():
        if asked.get(word) is None and word in target.speech.request:
            asked[word] = value
    return {word: value for word, value in asked.items() if value is not None}


def _sample_words(target: Target, speech: SpeechRequest) -> dict[SpeechField, Any]:
    """The voice sample as the word that the target has a place for: a URL or a file."""
    sample = speech.voice_sample
    if sample is None:
        return {}
    places = target.speech.request
    if sample.url is not None and ("voice_sample_url" in places or sample.data is None):
        if "voice_sample_url" not in places and "voice_sample_upload" in places:
            raise UsageError(f"{target.id} takes a voice sample as a file, not as a URL: give a file")
        return {"voice_sample_url": sample.url}
    if sample.data is None:
        raise UsageError("the voice sample has neither a URL nor data")
    if "voice_sample_upload" not in places and "voice_sample_url" in places:
        raise UsageError(f"{target.id} takes a voice sample as a URL, not as a file: give a URL")
    upload = UploadedFile(filename=sample.filename, media_type=sample.media_type, data=sample.data)
    return {"voice_sample_upload": upload}


def _check_needs(target: Target, words: dict[SpeechField, Any]) -> None:
    for word in target.spec.required_fields:
        if word not in words:
            raise UsageError(f"{target.id} needs a {_plain(word)}: {_HOW[word]}")


def _goes_without_saying(spec: TargetSpec, word: SpeechField, value: Any) -> bool:
    """Whether the target does what `word` asks for anyway: a language that text and voice tell, its only format."""
    if word == "language":
        return value in (spec.languages or (spec.language,))
    if word == "format":
        return [value] == [*(spec.formats or [spec.format])]
    return False


def _plain(word: SpeechField) -> str:
    return word.replace("_", " ")


def _takes(target: Target) -> str:
    return ", ".join(_plain(word) for word in target.speech.request)


def _shape(slot: FieldMapping, value: Any) -> Any:
    """The provider's own word for `value`; a bare `{}` template keeps numbers and files as they are."""
    if isinstance(value, UploadedFile):
        return value
    mapped = slot.map.get(str(value), value)
    return mapped if slot.template == "{}" else slot.template.replace("{}", str(mapped))


class _Draft:
    """A `RequestParts` in the making."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._places: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
        self._body: Any = None

    def write(self, place: Location, value: Any) -> None:
        """Put `value` at `place`."""
        if place.kind != "body":
            self._places[place.kind][place.name] = value
            return
        try:
            self._body = write_pointer(self._body, place.tokens, value)
        except (TypeError, ValueError, AttributeError):
            reason = "something that is no mapping or list is in the way"
            raise UsageError(f"{self._target.id}: cannot write to {place}: {reason}") from None

    def request(self) -> RequestParts:
        """What was written."""
        media_type = self._target.spec.media_type or choose_media_type(self._target.operation, self._body)
        return RequestParts(
            path=self._places["path"],
            query=self._places["query"],
            headers={name: str(value) for name, value in self._places["header"].items()},
            body=self._body,
            media_type=media_type,
        )


def choose_media_type(operation: Operation, body: Any) -> str | None:
    """The media type to send `body` as: multipart for an upload, else what is documented first.

    `None` where there is no body to send.

    Raises:
        UsageError: there is a body, and the operation documents none.
    """
    if body is None:
        return None
    documented = list(operation.request_media)
    if isinstance(body, dict) and any(isinstance(value, UploadedFile) for value in body.values()):
        return "multipart/form-data"
    if not documented:
        raise UsageError(f"{operation.contract.id} {operation.id} takes no body")
    return documented[0]
