"""Rules over what comes back for audio that was sent: transcripts, converted audio, stems."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeGuard

from voicegauge.checks.registry import Violation, rule
from voicegauge.checks.rules.charges import read_amount
from voicegauge.checks.subjects import AudioInputCall
from voicegauge.contract import MISSING, quote_price
from voicegauge.contract.extension import AudioInputField, ConversionSpec
from voicegauge.formats import Location

MAX_WER = 0.5
"""Half of the words of clean speech: no recogniser is that bad, and another recording's transcript is worse."""
LENGTH_TOLERANCE_S = 0.5
"""Codecs pad their frames, and a length may be rounded to half a second."""
LENGTH_TOLERANCE = 0.05
"""Of the length: a change of pitch or speed cuts at whole periods."""
ORDER_TOLERANCE_S = 0.011
"""Times are rounded to hundredths."""
CHARGE_TOLERANCE = 0.02
"""Relative: a provider may count the length of an MP3 with its padding or without."""


def _transcript(taken: AudioInputCall) -> tuple[str, Location] | None:
    """The transcript and its place, from a transcription or from what else transcribes."""
    use = taken.intake.audio_input
    place = use.response.facts.get("transcript") if isinstance(use, ConversionSpec) else use.response.text
    text = taken.read_response(place) if place else MISSING
    return (text, place) if isinstance(text, str) and place else None


@rule(
    "transcript-wrong",
    on=AudioInputCall,
    proves="The transcript of clean speech is what was spoken, but for less than half of its words.",
    basis="x-transcription.response.text, x-conversion.response.facts.transcript",
)
def _transcript_wrong(taken: AudioInputCall) -> Iterator[Violation]:
    from voicegauge.speech.transcripts import score

    found = _transcript(taken)
    if taken.reference is None or found is None:
        return
    text, place = found
    scored = score(sample_id="", reference=taken.reference, transcript=text, language="en", content="speech")
    if scored.error_rate >= MAX_WER:
        message = f"word error rate {scored.error_rate:.0%} against what was spoken"
        yield Violation(
            message, f"{taken.pointer}/response", place.pointer, f"heard: {text!r}; said: {taken.reference!r}"
        )


@rule(
    "transcript-duration",
    on=AudioInputCall,
    proves="The length that a transcript names is that of the audio that was sent.",
    basis="x-transcription.response.audio_s",
)
def _transcript_duration(taken: AudioInputCall) -> Iterator[Violation]:
    use = taken.intake.transcription
    named = taken.read_response(use.response.audio_s) if use else MISSING
    if use is None or taken.uploaded is None or not _is_number(named):
        return
    if not _about(named, taken.uploaded.audio_s):
        message = f"{named:g} s are named, {taken.uploaded.audio_s:.2f} s were sent"
        yield Violation(message, f"{taken.pointer}/response/audio_s", str(use.response.audio_s).partition("#")[2])


@rule(
    "transcript-segments",
    on=AudioInputCall,
    proves="The segments of a transcript are in order, end after they begin, and lie within the audio.",
    basis="x-transcription.response.segments",
)
def _transcript_segments(taken: AudioInputCall) -> Iterator[Violation]:
    use = taken.intake.transcription
    listed = taken.read_response(use.response.segments) if use else MISSING
    if use is None or taken.uploaded is None or not isinstance(listed, list):
        return
    keys, before = use.response.segment, 0.0
    at, pointer = f"{taken.pointer}/response/segments", str(use.response.segments).partition("#")[2]
    for index, segment in enumerate(listed):
        start, end = (segment.get(key) if isinstance(segment, dict) else None for key in (keys.start, keys.end))
        if not _is_number(start) or not _is_number(end):
            continue  # response-schema tells of it
        if start < before - ORDER_TOLERANCE_S:
            yield Violation(f"begins at {start:g} s, before the one before it", at, f"{pointer}/{index}")
        if end < start - ORDER_TOLERANCE_S:
            yield Violation(f"ends at {end:g} s, before it begins at {start:g} s", at, f"{pointer}/{index}")
        if end > taken.uploaded.audio_s + LENGTH_TOLERANCE_S:
            length = taken.uploaded.audio_s
            yield Violation(f"ends at {end:g} s of {length:.2f} s of audio", at, f"{pointer}/{index}")
        before = start


@rule(
    "transcript-words",
    on=AudioInputCall,
    proves="Word timestamps come where they are asked for.",
    basis="x-transcription.request.timestamps",
)
def _transcript_words(taken: AudioInputCall) -> Iterator[Violation]:
    use = taken.intake.transcription
    if use is None or use.response.segment.words is None or taken.input_value("timestamps") is not True:
        return
    listed = taken.read_response(use.response.segments)
    segments = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    if segments and not any(item.get(use.response.segment.words) for item in segments):
        yield Violation("asked for, but no segment has any", f"{taken.pointer}/request/timestamps")


@rule(
    "converted-audio",
    on=AudioInputCall,
    proves="What comes back as audio can be decoded, and holds sound where sound was sent.",
    basis="x-conversion.response.audio, x-conversion.response.stems",
)
def _converted_audio(taken: AudioInputCall) -> Iterator[Violation]:
    from voicegauge.speech.audio import is_silent

    if taken.failure is not None:
        yield Violation(f"taken, but no audio could be had: {taken.failure}", f"{taken.pointer}/response")
    for index, piece in enumerate(taken.received):
        if piece is None:
            yield Violation(
                f"audio {index + 1} of {len(taken.received)} cannot be decoded", f"{taken.pointer}/response"
            )
    heard = [piece for piece in taken.received if piece is not None]
    sent = taken.uploaded
    if sent is None or is_silent(sent.samples, sent.sample_rate_hz) or not heard:
        return
    if all(is_silent(piece.samples, piece.sample_rate_hz) for piece in heard):
        yield Violation("silence came back for sound", f"{taken.pointer}/response")


@rule(
    "converted-format",
    on=AudioInputCall,
    proves="Converted audio has the format, sample rate and number of channels that were asked for.",
    basis="x-conversion.request",
)
def _converted_format(taken: AudioInputCall) -> Iterator[Violation]:
    facts: tuple[tuple[AudioInputField, str], ...] = (
        ("format", "container"),
        ("sample_rate", "sample_rate_hz"),
        ("channels", "channels"),
    )
    for word, attribute in facts:
        asked = taken.input_value(word)
        for piece in taken.received:
            came = getattr(piece, attribute, None)
            if asked is not None and came is not None and str(asked) != str(came):
                yield Violation(f"{word} {asked} was asked for, {came} came", f"{taken.pointer}/request/{word}")


@rule(
    "converted-length",
    on=AudioInputCall,
    proves="Converted audio is as long as what was sent, or as the speed that was asked for makes it.",
    basis="x-conversion.request.speed",
)
def _converted_length(taken: AudioInputCall) -> Iterator[Violation]:
    use = taken.intake.conversion
    if use is None or use.purpose == "translate" or taken.uploaded is None:
        return
    speed = taken.input_value("speed")
    expected = taken.uploaded.audio_s / (speed if _is_number(speed) and speed > 0 else 1.0)
    for piece in taken.received:
        if piece is not None and not _about(piece.audio_s, expected):
            at = f"{taken.pointer}/request/speed" if speed is not None else f"{taken.pointer}/response"
            yield Violation(f"{expected:.2f} s were expected, {piece.audio_s:.2f} s came", at)


@rule(
    "stems-count",
    on=AudioInputCall,
    proves="As many stems come as were asked for, each with a name of its own.",
    basis="x-conversion.request.stems",
)
def _stems_count(taken: AudioInputCall) -> Iterator[Violation]:
    place = taken.intake.conversion.response.stems if taken.intake.conversion else None
    listed = taken.read_response(place.at) if place else MISSING
    if place is None or not isinstance(listed, list):
        return
    asked, pointer = taken.input_value("stems"), place.at.pointer
    if _is_number(asked) and len(listed) != asked:
        yield Violation(
            f"{asked:g} stems were asked for, {len(listed)} came", f"{taken.pointer}/request/stems", pointer
        )
    names = [item.get(place.name) for item in listed if isinstance(item, dict)]
    if len(set(map(str, names))) < len(names):
        yield Violation(f"stems share a name: {', '.join(map(str, names))}", f"{taken.pointer}/response/stems", pointer)


@rule(
    "charge-per-minute",
    on=AudioInputCall,
    proves="What is charged for audio is the documented price of its length.",
    basis="x-pricing",
)
def _charge_per_minute(taken: AudioInputCall) -> Iterator[Violation]:
    price, place = taken.intake.pricing, taken.intake.audio_input.response.charged
    charged = taken.read_response(place)
    if price is None or price.per != "minute" or taken.uploaded is None or charged is MISSING:
        return
    amount = read_amount(charged)
    if amount is None:
        return
    whole = math.ceil(taken.uploaded.audio_s / 60) * 60.0
    unit = taken.contract.provider.credits
    rates = [reading.credits if unit is not None else reading.usd for reading in (price, *price.alternatives)]
    due = [(rate * taken.uploaded.audio_s / 60, rate * whole / 60) for rate in rates if rate is not None]
    if any(low * (1 - CHARGE_TOLERANCE) <= amount <= high * (1 + CHARGE_TOLERANCE) for low, high in due):
        return
    exact = quote_price(taken.intake, 0, audio_s=taken.uploaded.audio_s)
    documented = exact.credits if unit is not None else exact.usd
    says = f"charged {amount:g} for {taken.uploaded.audio_s:.2f} s; documented: {documented or 0:g}"
    own = f"{taken.intake.pointer}/pricing" if taken.intake.spec.pricing else f"{taken.operation.pointer}/x-pricing"
    yield Violation(says, own, str(place).partition("#")[2] or None, f"{place}: {amount:g}")


def _about(seconds: float, expected: float) -> bool:
    return abs(seconds - expected) <= max(LENGTH_TOLERANCE_S, LENGTH_TOLERANCE * expected)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and read_amount(value) is not None
