"""Finds and decodes the audio of responses."""

from __future__ import annotations

from voicegauge.contract.extension.speech import ResponseAudio
from voicegauge.contract.targets import Target
from voicegauge.formats.bodies import UnreadableBodyError, decode_base64
from voicegauge.formats.locations import MISSING
from voicegauge.model.base import SpeechRequest
from voicegauge.model.job import Delivery
from voicegauge.rules.call import Call
from voicegauge.rules.subjects import SpeechDelivery
from voicegauge.speech.spoken_text import is_ordinary_text

_GENERIC_MEDIA_TYPES = ("", "application/octet-stream", "binary/octet-stream")
"""Media types that may declare audio without naming its format."""


def read_response_delivery(call: Call, *, has_documented_text: bool = True) -> SpeechDelivery | None:
    """Return the audio in an accepted response as a delivery; `None` if the response contains no audio to judge.

    A response with a job or a link contains no audio: further requests would fetch it. Raw PCM with an undocumented
    sample rate is only judged in complete deliveries.

    Args:
        call: the call.
        has_documented_text: whether the documents say that such a text is spoken. The duration of other texts is not
            judged.
    """
    target = call.target
    location = target.response.audio if target is not None else None
    if target is None or location is None or not call.is_accepted:
        return None
    audio = _read_audio(call, location)
    speech = read_speech_request(call, target)
    if not audio or not any(character.isalnum() for character in speech.text):
        return None  # such a text contains nothing to speak, and no document says whether there should be audio
    media_type = call.exchange.response.media_type or None if location.delivery_method == "bytes" else None
    delivery = Delivery(
        target=target.id,
        exchanges=(call.exchange,),
        submit_count=1,
        audio=audio,
        media_type=media_type,
        audio_exchange_index=0,
        submit_exchange_index=0,
    )
    delivered = SpeechDelivery(
        target, speech, delivery, has_ordinary_text=has_documented_text and is_ordinary_text(speech.text)
    )
    return None if delivered.has_unknown_sample_rate else delivered


def _read_audio(call: Call, response_audio: ResponseAudio) -> bytes:
    if response_audio.delivery_method == "stream":
        return read_streamed_audio(call)
    if response_audio.delivery_method == "base64":
        return read_inline_audio(call, response_audio)
    media_type = call.exchange.response.media_type
    is_audio = response_audio.delivery_method == "bytes" and (
        media_type.startswith("audio/") or media_type in _GENERIC_MEDIA_TYPES
    )
    return call.exchange.response.body if is_audio else b""


def read_inline_audio(call: Call, response_audio: ResponseAudio) -> bytes:
    """Return the audio in a JSON response; empty if there is none, or if it is not valid base64."""
    text = call.read_response_value(response_audio.location)
    if not isinstance(text, str) or text.startswith("data:"):
        return b""
    try:
        return decode_base64(text)
    except ValueError:
        return b""


def read_streamed_audio(call: Call) -> bytes:
    """Return the audio of a stream that ended without an error.

    The result is empty for a stream that broke off, failed or cannot be read, which other rules report.
    """
    if call.event_stream is None or not call.event_stream.is_complete or call.event_stream.has_failed:
        return b""
    try:
        return b"".join(chunk for _, chunk in call.event_stream.iterate_audio_events())
    except UnreadableBodyError:
        return b""


def read_speech_request(submit_call: Call, target: Target) -> SpeechRequest:
    """Return the speech that a request asks for, in provider-independent terms."""
    values = {
        name: submit_call.read_request(target.speech.request_fields[name].location)
        for name in ("text", "language", "format", "speed")
        if name in target.speech.request_fields
    }
    text = values.get("text", MISSING)
    speed = values.get("speed", MISSING)
    return SpeechRequest(
        text=target.speech.request_fields["text"].remove_template(text) if isinstance(text, str) else "",
        language=_get_text_or_none(values.get("language")),
        format=_get_text_or_none(values.get("format")),
        speed=float(speed) if isinstance(speed, int | float) else None,
    )


def _get_text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
