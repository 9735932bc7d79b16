"""Uploads audio for transcription or conversion."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

from voicegauge.client._audio_download import fetch_audio
from voicegauge.client.connection import ProviderConnection
from voicegauge.client.exchange_log import Deadline, DeliveryFailedError, ExchangeLog
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import AudioInputTarget
from voicegauge.contract.extension.audio_input import AudioInputField
from voicegauge.contract.extension.speech import ResponseAudio
from voicegauge.contract.parsed_exchange import ParsedExchange, parse_exchange
from voicegauge.errors import UsageError
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
    body: Any = None
    for location, value in spec.request_constants.items():
        body = location.write_body(body, copy.deepcopy(value))
    for name, value in {**given, **fields, "audio": audio}.items():
        mapping = mappings.get(name)
        if mapping is None:
            raise UsageError(
                f"{audio_input_target.id} takes no {name.replace('_', ' ')}; it takes {', '.join(mappings)}"
            )
        mapped = value if isinstance(value, UploadedFile) else mapping.provider_values.get(str(value), value)
        body = mapping.location.write_body(body, mapped)
    return RequestParts(body=body, media_type="multipart/form-data")


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
