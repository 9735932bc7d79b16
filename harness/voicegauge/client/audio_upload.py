"""Uploads audio for transcription or conversion."""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

from voicegauge.client._audio_download import fetch_audio
from voicegauge.client.connection import ProviderConnection
from voicegauge.client.exchange_log import Deadline, DeliveryFailedError, ExchangeLog
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.extension.speech import AudioInputField, FieldMapping, ResponseAudio
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import ParsedExchange, parse_exchange
from voicegauge.contract.targets import AudioInputTarget
from voicegauge.errors import UsageError
from voicegauge.formats.bodies import is_form
from voicegauge.formats.locations import Location
from voicegauge.model.exchange import Exchange, UploadedFile
from voicegauge.model.job import Failure

MAX_STEMS = 32
"""Maximum number of stems that are downloaded. Source separation yields a small number of stems, and a hostile list of
thousands must not cause as many downloads."""


class FetchedAudio(NamedTuple):
    """The audio that a response contains or links to."""

    audio_files: tuple[bytes, ...]
    """The audio files in the order of the response; empty for a transcript or an analysis."""
    exchanges: tuple[Exchange, ...]
    """The exchanges that downloaded the files."""
    failure: Failure | None = None
    """The reason why a file could not be downloaded; `audio_files` then has the files before it. `None` without one."""


def build_audio_input_request(
    audio_input_target: AudioInputTarget, audio: UploadedFile, fields: Mapping[AudioInputField, Any] = {}
) -> RequestParts:
    """Return the request that sends `audio`.

    The target's constants and defaults come first, then `fields`.

    Raises:
        UsageError: the operation has no parameter for one of `fields`.
    """
    spec, mappings = audio_input_target.target_spec, audio_input_target.audio_input.request_fields
    defaults: dict[AudioInputField, Any] = {"voice": spec.default_voice, "language": spec.default_language}
    given = {name: value for name, value in defaults.items() if name in mappings and value is not None}
    values: dict[Location, Any] = {location: copy.deepcopy(value) for location, value in spec.request_constants.items()}
    for name, value in {**given, **fields}.items():
        values[_find_mapping(audio_input_target, name).location] = _map_value(audio_input_target, name, value)
    return _place_values(
        audio_input_target.operation, _find_mapping(audio_input_target, "audio").location, audio, values
    )


def _find_mapping(audio_input_target: AudioInputTarget, field: AudioInputField) -> FieldMapping:
    """Return where and how a field is sent; raise `UsageError` if the target has no such field."""
    mappings = audio_input_target.audio_input.request_fields
    if field not in mappings:
        raise UsageError(f"{audio_input_target.id} takes no {field.replace('_', ' ')}; it takes {', '.join(mappings)}")
    return mappings[field]


def _map_value(audio_input_target: AudioInputTarget, field: AudioInputField, value: Any) -> Any:
    """Return the provider's value for a provider-independent value of a field."""
    name = str(value).lower() if isinstance(value, bool) else str(value)
    return _find_mapping(audio_input_target, field).provider_values.get(name, value)


def _place_values(
    operation: Operation, audio_location: Location, audio: UploadedFile, values: Mapping[Location, Any]
) -> RequestParts:
    """Return the request with the audio as its body, as a file of a form, or in base64 in a JSON body."""
    parameters: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": dict(operation.required_headers)}
    takes_form = not operation.request_media or any(is_form(name) for name in operation.request_media)
    body: Any = None
    if audio_location.is_in_body and audio_location.pointer_tokens:
        body = audio_location.write_body(None, audio if takes_form else base64.b64encode(audio.data).decode())
    for location, value in values.items():
        if location.is_in_body:
            body = location.write_body(body, value)
        else:
            parameters[location.message_part][location.name] = value
    return RequestParts(
        path_parameters=parameters["path"],
        query_parameters=parameters["query"],
        headers={name: str(value) for name, value in parameters["header"].items()},
        body=audio if body is None else body,
        media_type=audio.media_type if body is None else "multipart/form-data" if takes_form else "application/json",
    )


async def fetch_response_audio(
    connection: ProviderConnection, audio_input_target: AudioInputTarget, exchange: Exchange
) -> FetchedAudio:
    """Return the audio that the response to an accepted request contains or links to."""
    log = ExchangeLog(connection, Deadline(connection))
    log.exchanges.append(exchange)
    source = parse_exchange(exchange)
    files: list[bytes] = []
    failure = None
    try:
        for location in _list_audio_locations(audio_input_target, source):
            audio = await fetch_audio(log, source, location, audio_input_target.operation, 0)
            files.append(audio.audio_bytes)
    except DeliveryFailedError as error:
        failure = error.failure
    return FetchedAudio(tuple(files), tuple(log.exchanges[1:]), failure)


def _list_audio_locations(audio_input_target: AudioInputTarget, source_exchange: ParsedExchange) -> list[ResponseAudio]:
    conversion = audio_input_target.conversion
    if conversion is None:
        return []
    stems = conversion.response.stems
    locations = [conversion.response.audio] if conversion.response.audio else []
    if stems is not None:
        listed = source_exchange.read_response_value(stems.list_location)
        count = min(len(listed), MAX_STEMS) if isinstance(listed, list) else 0
        locations += [
            ResponseAudio(
                location=stems.list_location.child(str(index), stems.url_field),
                delivery_method="url",
                download_operation_id=stems.download_operation_id,
            )
            for index in range(count)
        ]
    return locations
