"""Builds provider-specific requests for speech, and requests that send audio to be transcribed or converted."""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from typing import Any

from voicegauge.contract.contract import AudioInputTarget, BaseTarget, Target
from voicegauge.contract.extension.speech import AudioInputField, FieldMapping, SpeechField, TargetSpec
from voicegauge.contract.operation import Operation
from voicegauge.errors import UsageError
from voicegauge.formats.bodies import is_form
from voicegauge.formats.locations import Location, parse_location, write_value_at_pointer
from voicegauge.model.base import Record, SpeechRequest
from voicegauge.model.exchange import UploadedFile

_ADVICE_BY_MISSING_FIELD: dict[SpeechField, str] = {
    "text": "give it a text",
    "voice": "name a voice",
    "voice_description": "describe the voice in words",
    "voice_sample_url": "give the URL of a voice sample",
    "voice_sample_upload": "give a voice sample as a file",
    "language": "name a language",
    "format": "name a format",
    "container": "name a container",
    "sample_rate": "give a sample rate",
    "bit_rate": "give a bit rate",
    "speed": "give a speed",
    "seed": "give a seed",
}
"""What the user can do if a request lacks a required field, for the error message."""


class RequestParts(Record, frozen=True, kw_only=True):
    """The values of one request by location. The URL, the key and the encoded body are not part of it."""

    path_parameters: dict[str, Any] = {}
    """Parameters in the path by name."""
    query_parameters: dict[str, Any] = {}
    """Query parameters by name. A list is sent as one parameter per item."""
    headers: dict[str, str] = {}
    """Headers of this request by name, beside those that every request has."""
    body: Any = None
    """The body: a JSON value, a dict of form fields (values may be `UploadedFile`), text, or raw bytes."""
    media_type: str | None = None
    """Media type of the body; `None` for multipart with an upload, otherwise JSON or the first documented one."""


def map_speech_request(target: Target, speech_request: SpeechRequest) -> RequestParts:
    """Return the request of `target` for `speech_request`.

    The headers that every request must have come first, then the target's constants, the fields of `speech_request`
    with the target's defaults, and `speech_request.extra`. Of several values for one place, the last one is sent.

    Raises:
        UsageError: a required field is missing, the target has no parameter for a given field, or a location in
            `speech_request.extra` cannot be written.
    """
    fields = _collect_speech_fields(target, speech_request)
    for required in target.target_spec.required_fields:
        if required not in fields:
            advice = _ADVICE_BY_MISSING_FIELD[required]
            raise UsageError(f"{target.id} needs a {_get_display_name(required)}: {advice}")
    draft = _RequestPartsBuilder(target)
    for constant, value in target.target_spec.request_constants.items():
        draft.set_value(constant, copy.deepcopy(value))  # fields may be written into it, and the contract keeps its own
    for name, value in fields.items():
        mapping = target.speech.request_fields.get(name)
        if mapping is not None:
            draft.set_value(mapping.location, _convert_to_provider_value(mapping, value))
        elif not _is_implied_by_target(target.target_spec, name, value):
            raise UsageError(
                f"{target.id} takes no {_get_display_name(name)}; it takes "
                f"{', '.join(map(_get_display_name, target.speech.request_fields))}"
            )
    for written, value in speech_request.extra.items():
        try:
            location = parse_location(written)
        except ValueError as error:
            raise UsageError(f"extra parameter: {error}") from None
        draft.set_value(location, copy.deepcopy(value))
    return draft.build_parts(target.target_spec.request_media_type or choose_media_type(target.operation, draft.body))


def _collect_speech_fields(target: Target, speech_request: SpeechRequest) -> dict[SpeechField, Any]:
    """Return the fields of a request, with the target's defaults for fields that the target has a parameter for."""
    spec = target.target_spec
    given: dict[SpeechField, Any] = {
        "text": speech_request.text,
        "voice": speech_request.voice,
        "voice_description": speech_request.voice_description,
        "language": speech_request.language,
        "format": speech_request.format,
        "speed": speech_request.speed,
        "seed": speech_request.seed,
        **_choose_voice_sample_field(target, speech_request),
    }
    defaults: dict[SpeechField, Any] = {
        "voice": spec.default_voice_by_language.get(speech_request.language or "", spec.default_voice),
        "voice_description": spec.default_voice_description,
        "voice_sample_url": spec.default_voice_sample_url if speech_request.voice_sample is None else None,
        "language": spec.default_language,
        "format": None if speech_request.leaves_out_format else spec.default_format,
    }
    for name, value in defaults.items():
        if given.get(name) is None and name in target.speech.request_fields:
            given[name] = value
    return {name: value for name, value in given.items() if value is not None}


def _choose_voice_sample_field(target: Target, speech_request: SpeechRequest) -> dict[SpeechField, Any]:
    """Return the field that holds the voice sample, its URL or the uploaded file, whichever the target accepts.

    Returns:
        One field with its value; empty if the request has no voice sample.

    Raises:
        UsageError: the sample has neither a URL nor data, or only the one that the target does not accept.
    """
    sample = speech_request.voice_sample
    if sample is None:
        return {}
    accepted = target.speech.request_fields
    if sample.url is not None and ("voice_sample_url" in accepted or sample.data is None):
        if "voice_sample_url" not in accepted and "voice_sample_upload" in accepted:
            raise UsageError(f"{target.id} takes a voice sample as a file, not as a URL: give a file")
        return {"voice_sample_url": sample.url}
    if sample.data is None:
        raise UsageError("the voice sample has neither a URL nor data")
    if "voice_sample_upload" not in accepted and "voice_sample_url" in accepted:
        raise UsageError(f"{target.id} takes a voice sample as a URL, not as a file: give a URL")
    upload = UploadedFile(filename=sample.filename, media_type=sample.media_type, data=sample.data)
    return {"voice_sample_upload": upload}


def _is_implied_by_target(target_spec: TargetSpec, field_name: SpeechField, value: Any) -> bool:
    """Whether the target does what the field requests although it has no parameter for the field.

    The language is implied by the text and the voice. A target with only one format always uses that format.
    """
    if field_name == "language":
        return value in (target_spec.supported_languages or (target_spec.default_language,))
    if field_name == "format":
        return [value] == [*(target_spec.supported_formats or [target_spec.default_format])]
    return False


def _get_display_name(field_name: SpeechField) -> str:
    return field_name.replace("_", " ")


def _convert_to_provider_value(field_mapping: FieldMapping, neutral_value: Any) -> Any:
    """Return the provider's value for a provider-neutral value.

    The result is a text if the contract has a text template other than "{}" or a markup language for the field.
    Otherwise a number remains a number. An uploaded file is always returned unchanged.
    """
    if isinstance(neutral_value, UploadedFile):
        return neutral_value
    mapped = field_mapping.provider_values.get(str(neutral_value), neutral_value)
    is_sent_unchanged = field_mapping.text_template == "{}" and field_mapping.markup_language is None
    return mapped if is_sent_unchanged else field_mapping.fill_template(str(mapped))


class _RequestPartsBuilder:
    """Collects the values of a `RequestParts`."""

    def __init__(self, target: BaseTarget) -> None:
        self._target = target
        headers = dict(target.operation.required_headers)
        self._parameters: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": headers}
        self.body: Any = None

    def set_value(self, location: Location, value: Any) -> None:
        """Set the value of a parameter, a header or a part of the body, as `location` says."""
        if location.message_part != "body":
            self._parameters[location.message_part][location.name] = value
            return
        try:
            self.body = write_value_at_pointer(self.body, location.pointer_tokens, value)
        except (TypeError, ValueError, AttributeError):
            reason = "a value on the way is neither a mapping nor a list"
            raise UsageError(f"{self._target.id}: cannot write to {location}: {reason}") from None

    def build_parts(self, media_type: str | None) -> RequestParts:
        """Return the collected values; the body has `media_type`, which is `None` if there is no body."""
        return RequestParts(
            path_parameters=self._parameters["path"],
            query_parameters=self._parameters["query"],
            headers={name: str(value) for name, value in self._parameters["header"].items()},
            body=self.body,
            media_type=media_type,
        )


def choose_media_type(operation: Operation, body: Any) -> str | None:
    """Return the media type for `body`: multipart for an upload, otherwise JSON or the first documented one.

    JSON is preferred, because a form has no agreed way to write lists and objects. Return `None` if there is no body.

    Raises:
        UsageError: there is a body, but the operation documents none.
    """
    if body is None:
        return None
    documented = list(operation.request_media)
    if isinstance(body, dict) and any(isinstance(value, UploadedFile) for value in body.values()):
        return "multipart/form-data"
    if not documented:
        raise UsageError(f"{operation.contract.id} {operation.id} takes no body")
    return "application/json" if "application/json" in documented else documented[0]


# Requests that send audio, to be transcribed or converted.


def build_audio_input_request(
    audio_input_target: AudioInputTarget, audio: UploadedFile, fields: Mapping[AudioInputField, Any] = {}
) -> RequestParts:
    """Return the request that sends `audio`: as its body, as a file of a form, or in base64 in a JSON body.

    Values in `fields` replace the target's constants and defaults.

    Raises:
        UsageError: the operation has no parameter for one of `fields`.
    """
    spec, mappings = audio_input_target.target_spec, audio_input_target.audio_input.request_fields
    defaults: dict[AudioInputField, Any] = {"voice": spec.default_voice, "language": spec.default_language}
    used_defaults = {name: value for name, value in defaults.items() if name in mappings and value is not None}
    draft = _RequestPartsBuilder(audio_input_target)
    audio_location = _find_field_mapping(audio_input_target, "audio").location
    documented = audio_input_target.operation.request_media
    takes_form = not documented or any(map(is_form, documented))
    if audio_location.is_in_body and audio_location.pointer_tokens:
        draft.set_value(audio_location, audio if takes_form else base64.b64encode(audio.data).decode())
    for location, value in spec.request_constants.items():
        draft.set_value(location, copy.deepcopy(value))
    for name, value in {**used_defaults, **fields}.items():
        mapping = _find_field_mapping(audio_input_target, name)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        draft.set_value(mapping.location, mapping.provider_values.get(text, value))
    if draft.body is None:
        draft.body = audio
        return draft.build_parts(audio.media_type)
    return draft.build_parts("multipart/form-data" if takes_form else "application/json")


def _find_field_mapping(audio_input_target: AudioInputTarget, field: AudioInputField) -> FieldMapping:
    """Return where and how a field is sent; raise `UsageError` if the target has no such field."""
    mappings = audio_input_target.audio_input.request_fields
    if field not in mappings:
        raise UsageError(f"{audio_input_target.id} takes no {field.replace('_', ' ')}; it takes {', '.join(mappings)}")
    return mappings[field]
