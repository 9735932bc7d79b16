"""Audio sent to be transcribed or converted: words to a request, an answer to what it leads to."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

from voicegauge.client.connection import ProviderConnection
from voicegauge.client.delivery.audio_download import fetch_audio
from voicegauge.client.delivery.exchange_log import ExchangeLog
from voicegauge.client.delivery.failures import DeliveryFailedError
from voicegauge.client.delivery.response_values import ParsedResponse
from voicegauge.client.requests.speech_request import RequestParts
from voicegauge.contract import AudioInputTarget
from voicegauge.contract.extension import AudioInputField, ResponseAudio
from voicegauge.errors import UsageError
from voicegauge.model import Exchange, Failure, UploadedFile

MAX_STEMS = 32
"""A mix has a handful; of an answer that lists more the first ones are fetched."""


class FetchedAudio(NamedTuple):
    """What an answer leads to."""

    pieces: tuple[bytes, ...]
    """Audio, in the answer's order; none for a transcript or facts."""
    exchanges: tuple[Exchange, ...]
    """Those that fetched it."""
    failure: Failure | None = None
    """Why a piece could not be had; those before it are there."""


def audio_input_request(
    intake: AudioInputTarget, audio: UploadedFile, words: Mapping[AudioInputField, Any] = {}
) -> RequestParts:
    """A request that sends `audio`: the target's constants and defaults, then `words`.

    Raises:
        UsageError: the operation has no place for a word.
    """
    spec, slots = intake.spec, intake.use.request
    defaults: dict[AudioInputField, Any] = {"voice": spec.voice, "language": spec.language}
    given = {word: value for word, value in defaults.items() if word in slots and value is not None}
    body: Any = None
    for place, value in spec.constants.items():
        body = place.write_body(body, copy.deepcopy(value))
    for word, value in {**given, **words, "audio": audio}.items():
        slot = slots.get(word)
        if slot is None:
            raise UsageError(f"{intake.id} takes no {word.replace('_', ' ')}; it takes {', '.join(slots)}")
        mapped = value if isinstance(value, UploadedFile) else slot.map.get(str(value), value)
        body = slot.at.write_body(body, mapped)
    return RequestParts(body=body, media_type="multipart/form-data")


async def fetch_response_audio(
    connection: ProviderConnection, intake: AudioInputTarget, exchange: Exchange
) -> FetchedAudio:
    """The audio that an accepted request's answer carries or leads to."""
    calls = ExchangeLog(connection)
    calls.exchanges.append(exchange)
    answer = ParsedResponse(exchange)
    pieces: list[bytes] = []
    try:
        for place in _places(intake, answer):
            audio = await fetch_audio(calls, answer, place, intake.operation, 0)
            pieces.append(audio.data)
    except DeliveryFailedError as error:
        return FetchedAudio(tuple(pieces), tuple(calls.exchanges[1:]), error.failure)
    return FetchedAudio(tuple(pieces), tuple(calls.exchanges[1:]))


def _places(intake: AudioInputTarget, answer: ParsedResponse) -> list[ResponseAudio]:
    conversion = intake.conversion
    if conversion is None:
        return []
    stems = conversion.response.stems
    places = [conversion.response.audio] if conversion.response.audio else []
    if stems is not None:
        listed = answer.read(stems.at)
        count = min(len(listed), MAX_STEMS) if isinstance(listed, list) else 0
        places += [
            ResponseAudio(at=stems.at.child(str(index), stems.url), delivered="url", download=stems.download)
            for index in range(count)
        ]
    return places
