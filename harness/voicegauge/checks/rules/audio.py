"""Rules over delivered audio: that it is audio, what was asked for, and all there."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.checks.registry import Violation, rule
from voicegauge.checks.rules.speech_duration import spoken_range_s
from voicegauge.checks.subjects import SpeechDelivery

_GENERIC = ("", "application/octet-stream", "binary/octet-stream")
"""Media types that say nothing of what the bytes are."""


def _audio_place(delivered: SpeechDelivery) -> str:
    """Where the contract says how the audio is delivered."""
    status = delivered.target.job_operation
    return f"{status.pointer}/x-job/audio" if status else f"{delivered.operation.pointer}/x-speech/response/audio"


def _text_instead(data: bytes) -> str | None:
    """What kind of text stands where audio should; `None` where it looks like no text."""
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        return "HTML"
    if start.startswith((b"<?xml", b"<error")):
        return "XML"
    return "JSON" if start.startswith((b"{", b"[")) and start.isascii() else None


@rule(
    "audio-missing",
    on=SpeechDelivery,
    proves="A request that is done leads to audio: the answer or its URL gives some bytes of it.",
    basis="x-job.audio, x-speech.response.audio",
)
def _missing(delivered: SpeechDelivery) -> Iterator[Violation]:
    failure = delivered.delivery.failure
    if failure is not None and delivered.succeeded:
        yield Violation(f"done, but no audio could be had: {failure.message}", _audio_place(delivered))


@rule(
    "audio-not-audio",
    on=SpeechDelivery,
    proves="What is delivered as audio is no web page and no JSON.",
    basis="x-job.audio, x-speech.response.audio",
)
def _not_audio(delivered: SpeechDelivery) -> Iterator[Violation]:
    data = delivered.delivery.audio or b""
    kind = _text_instead(data)
    if kind:
        shown = data[:300].decode(errors="replace")
        yield Violation(f"{kind} was delivered as audio", _audio_place(delivered), evidence=shown)


@rule(
    "audio-undecodable",
    on=SpeechDelivery,
    proves="The audio can be decoded.",
    basis="x-job.audio, x-speech.response.audio",
)
def _undecodable(delivered: SpeechDelivery) -> Iterator[Violation]:
    data = delivered.delivery.audio or b""
    if data and delivered.decode_error is not None and _text_instead(data) is None:
        yield Violation(f"cannot be decoded: {delivered.decode_error}", _audio_place(delivered), evidence=_hex(data))


@rule(
    "audio-truncated",
    on=SpeechDelivery,
    proves="The audio is as long as its own container says.",
    basis="x-job.audio, x-speech.response.audio",
)
def _truncated(delivered: SpeechDelivery) -> Iterator[Violation]:
    decoded = delivered.decoded
    if decoded is not None and decoded.truncated:
        message = f"the {decoded.container} states {decoded.declared_s:.2f} s, but holds {decoded.audio_s:.2f} s"
        yield Violation(message, _audio_place(delivered))


@rule(
    "audio-format",
    on=SpeechDelivery,
    proves="The audio has the format that was asked for, or that the document says it always has.",
    basis="x-speech.request.format, x-job.audio.format",
)
def _format(delivered: SpeechDelivery) -> Iterator[Violation]:
    from voicegauge.speech.audio import AUDIO_FORMATS

    place, at = delivered.documented_audio, _audio_place(delivered)
    asked = delivered.speech.format if "format" in delivered.target.speech.request else None
    wanted = asked or (place.format if place else None)
    if delivered.decoded is None or wanted not in AUDIO_FORMATS:
        return
    container = {"RAW": "pcm"}.get(AUDIO_FORMATS[wanted].container, AUDIO_FORMATS[wanted].container.lower())
    if delivered.decoded.container != container:
        at = f"{delivered.operation.pointer}/x-speech/request/format" if asked else at
        yield Violation(
            f"{wanted} was expected, {delivered.decoded.container} came", at, evidence=_audio_head(delivered)
        )


@rule(
    "audio-media-type",
    on=SpeechDelivery,
    proves="The audio is what its declared media type says.",
    basis="x-job.audio.media_type, Content-Type",
)
def _media_type(delivered: SpeechDelivery) -> Iterator[Violation]:
    from voicegauge.speech.audio import container_of_media_type

    if delivered.decoded is None:
        return
    container, at = delivered.decoded.container, _audio_place(delivered)
    declared = (delivered.delivery.media_type or "").lower()
    for said in dict.fromkeys((declared, delivered.exchange.response.media_type)):
        meant = container_of_media_type(said)
        if meant is not None and meant != container:
            yield Violation(f"declared {said}, but it is {container}", at, evidence=_audio_head(delivered))
        elif meant is None and said == declared and not said.startswith(("audio/", "video/")) and said not in _GENERIC:
            yield Violation(f"declared {said}, which is no media type of audio", at)


@rule(
    "audio-silent",
    on=SpeechDelivery,
    proves="The audio holds sound.",
    basis="x-speech.request.text",
)
def _silent(delivered: SpeechDelivery) -> Iterator[Violation]:
    from voicegauge.speech.audio import is_silent, rms_dbfs

    decoded = delivered.decoded
    if decoded is not None and is_silent(decoded.samples, decoded.sample_rate_hz):
        message = f"{decoded.audio_s:.2f} s of silence ({rms_dbfs(decoded.samples):.0f} dBFS) for the text"
        yield Violation(message, f"{delivered.operation.pointer}/x-speech", evidence=delivered.speech.text)


@rule(
    "audio-length",
    on=SpeechDelivery,
    proves="The audio is about as long as it takes to say the text, by bounds that no voice passes.",
    basis="x-speech.request.text",
)
def _length(delivered: SpeechDelivery) -> Iterator[Violation]:
    decoded = delivered.decoded
    if decoded is None:
        return
    language = delivered.speech.language or delivered.target.spec.language
    low, high = spoken_range_s(delivered.speech.text, language, delivered.speech.speed or 1.0)
    at = f"{delivered.operation.pointer}/x-speech"
    text = delivered.speech.text
    if decoded.audio_s < low:
        message = f"{decoded.audio_s:.2f} s for {len(text)} characters: at least {low:.2f} s are plausible"
        yield Violation(message, at, evidence=text)
    elif decoded.audio_s > high:
        message = f"{decoded.audio_s:.2f} s for {len(text)} characters: at most {high:.2f} s are plausible"
        yield Violation(message, at, evidence=text)


def _audio_head(delivered: SpeechDelivery) -> str:
    data = delivered.delivery.audio or b""
    return f"{_hex(data)}, Content-Type: {delivered.exchange.response.media_type or 'none'}"


def _hex(data: bytes) -> str:
    return f"begins {data[:16].hex(' ')}"
