"""Rules about transcription and conversion of audio, over HTTP and WebSockets."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, TypeGuard

from voicegauge.contract.extension.speech import (
    AudioInputField,
    AudioInputTargetSpec,
    ConversionSpec,
    TranscriptionResponse,
)
from voicegauge.contract.parsed_exchange import read_cues, read_transcript
from voicegauge.contract.price_computation import quote_price
from voicegauge.contract.socket_turns import TranscribedText, TranscribedTurn
from voicegauge.formats.bodies import UnreadableSubtitlesError, read_finite_number
from voicegauge.formats.locations import MISSING, Location
from voicegauge.rules.charges import read_amount
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule
from voicegauge.rules.socket_subjects import TranscribedConnection
from voicegauge.rules.subjects import AudioInputCall

REFERENCE_LANGUAGE = "en"
"""Language of the recording whose transcript is known."""
MAX_TRANSCRIPT_WER = 0.5
"""Word error rate above which a transcript counts as wrong. Every recognizer has a lower rate on clean speech. The
transcript of another recording has a higher rate."""
DURATION_TOLERANCE_S = 0.5
"""Tolerance for durations in seconds, because codecs pad frames and a duration may be rounded to half a second."""
RELATIVE_DURATION_TOLERANCE = 0.05
"""Relative tolerance for durations, because a change of pitch or speed cuts audio at whole periods of the voice."""
SEGMENT_ORDER_TOLERANCE_S = 0.011
"""Tolerance in seconds for the order of timestamps, which are rounded to hundredths of a second."""
RELATIVE_CHARGE_TOLERANCE = 0.02
"""Relative tolerance for charges, because the duration of an MP3 can be counted with or without encoder padding."""


def _find_transcript(call: AudioInputCall) -> tuple[str, Location] | None:
    """Return the transcript in the response and its location; `None` if the response contains no transcript."""
    use = call.audio_input_target.audio_input
    if not isinstance(use, ConversionSpec):
        try:
            transcript = read_transcript(call.parsed_exchange, use.response)
        except UnreadableSubtitlesError:
            return None  # the rule transcript-format reports this
        return None if transcript is None else (transcript, use.response.text_location)
    location = use.response.fact_locations.get("transcript")
    text = call.read_response_value(location) if location else MISSING
    return (text, location) if isinstance(text, str) and location else None


@register_rule(
    "transcript-wrong",
    subject_class=AudioInputCall,
    description="The transcript of clean speech has a word error rate below 50%.",
    contract_condition="x-transcription.targets, x-conversion.response.fact_locations.transcript",
    explanation=Explanation(
        consequence=(
            "A transcript with more wrong words than right ones belongs to other audio, or to another language."
        ),
        conforming_example='Clean speech of "the kettle is on the stove" returns these words.',
        violating_example='Clean speech of "the kettle is on the stove" returns "thanks for watching".',
    ),
    shown_by=(FaultExample("other-transcript", target_id="ttsai/stt-whisper", found_in="upload"),),
)
def _check_transcript_wrong(call: AudioInputCall) -> Iterator[Violation]:
    from voicegauge.speech.transcripts import score_transcript

    found = _find_transcript(call)
    if call.reference_transcript is None or found is None or not _is_reference_in_requested_language(call):
        return
    text, location = found
    scored = score_transcript(
        sample_id="", reference=call.reference_transcript, transcript=text, language="en", audio_content="speech"
    )
    # Half, not a few percent: the rule tells another recording from a poor recognizer, which breaks no contract.
    if scored.error_rate >= MAX_TRANSCRIPT_WER:
        message = f"word error rate {scored.error_rate:.0%} against the spoken text"
        yield Violation(
            message,
            call.response_pointer,
            location.json_pointer,
            f"transcript: {text!r}; reference: {call.reference_transcript!r}",
        )


def _is_reference_in_requested_language(call: AudioInputCall) -> bool:
    """Whether the request names no language, or that of the reference.

    In another language, other words would be right.
    """
    language = call.read_neutral_value("language")
    named = language.lower() if isinstance(language, str) else ""
    return named in ("", "auto", "multi") or re.split(r"[-_]", named)[0] == REFERENCE_LANGUAGE


@register_rule(
    "transcript-format",
    subject_class=AudioInputCall,
    description="Subtitles have the documented format, SRT or WebVTT.",
    contract_condition="x-transcription.response.subtitle_format, x-transcription.targets.*.response.subtitle_format",
    explanation=Explanation(
        consequence="A player shows no subtitles, or shows their times as text.",
        conforming_example="response_format=vtt returns a text that begins with WEBVTT.",
        violating_example="response_format=vtt returns the transcript alone.",
    ),
    unshown_reason="No fault changes the format of subtitles.",
)
def _check_transcript_format(call: AudioInputCall) -> Iterator[Violation]:
    use = call.audio_input_target.transcription
    if use is None or use.response.subtitle_format is None:
        return
    if not isinstance(call.parsed_exchange.read_response_value(use.response.text_location), str):
        shown = call.exchange.response.media_type or "no Content-Type"
        yield Violation(f"expected {use.response.subtitle_format}, got {shown}", call.response_pointer)
        return
    try:
        read_cues(call.parsed_exchange, use.response)
    except UnreadableSubtitlesError as error:
        yield Violation(f"this is not {use.response.subtitle_format}: {error}", call.response_pointer)


@register_rule(
    "transcript-duration",
    subject_class=AudioInputCall,
    description="The duration in a transcript is that of the uploaded audio.",
    contract_condition=(
        "x-transcription.response.audio_duration_location, x-transcription.targets.*.response.audio_duration_location"
    ),
    explanation=Explanation(
        consequence="Transcription is charged by duration.",
        conforming_example="An upload of 4.0 s is reported as 4.0 s.",
        violating_example="An upload of 4.0 s is reported as 60 s.",
    ),
    unshown_reason="No fault changes the duration that a transcript reports.",
)
def _check_transcript_duration(call: AudioInputCall) -> Iterator[Violation]:
    use = call.audio_input_target.transcription
    named = call.read_response_value(use.response.audio_duration_location) if use else MISSING
    if use is None or call.uploaded_audio is None or not _is_finite_number(named):
        return
    if not _is_close_in_duration(named, call.uploaded_audio.duration_s):
        message = f"the response states {named:g} s, but {call.uploaded_audio.duration_s:.2f} s were sent"
        yield Violation(
            message,
            f"{call.response_pointer}/audio_duration_location",
            str(use.response.audio_duration_location).partition("#")[2],
        )


@register_rule(
    "transcript-segments",
    subject_class=AudioInputCall,
    description="Transcript segments are in order, end after they begin, and lie within the audio.",
    contract_condition=(
        "x-transcription.response.segments_location, x-transcription.targets.*.response.segments_location, "
        "x-transcription.response.subtitle_format, x-transcription.targets.*.response.subtitle_format"
    ),
    explanation=Explanation(
        consequence="Subtitles overlap, jump back, or come after the end.",
        conforming_example="0 to 1.5 s and 1.5 to 3 s in audio of 3 s",
        violating_example="0 to 1.5 s and 1.2 to 9 s in audio of 3 s",
    ),
    unshown_reason="No fault changes the times of segments.",
)
def _check_transcript_segments(call: AudioInputCall) -> Iterator[Violation]:
    use = call.audio_input_target.transcription
    if use is None or call.uploaded_audio is None:
        return
    before, at = 0.0, f"{call.response_pointer}/segments_location"
    pointer = str(use.response.segments_location).partition("#")[2]
    for index, (start, end) in enumerate(_list_segment_times(call, use.response)):
        if not _is_finite_number(start) or not _is_finite_number(end):
            continue  # the rule response-schema reports this
        # Compared with the previous start, not with its end: the segments of two speakers may overlap.
        if start < before - SEGMENT_ORDER_TOLERANCE_S:
            yield Violation(f"starts at {start:g} s, before the previous segment", at, f"{pointer}/{index}")
        if end < start - SEGMENT_ORDER_TOLERANCE_S:
            yield Violation(f"ends at {end:g} s, before its start at {start:g} s", at, f"{pointer}/{index}")
        if end > call.uploaded_audio.duration_s + DURATION_TOLERANCE_S:
            length = call.uploaded_audio.duration_s
            yield Violation(f"ends at {end:g} s, after the audio at {length:.2f} s", at, f"{pointer}/{index}")
        before = start


@register_rule(
    "transcript-segments-missing",
    subject_class=AudioInputCall,
    description="A response of a kind that has segments or words has them.",
    contract_condition="x-transcription.targets.*.response.segments_location",
    explanation=Explanation(
        consequence="A client that asked for the times of words finds none, and may fail.",
        conforming_example='timestamp_granularities[]=word returns {"words": [{"word": "a", "start": 0}]}',
        violating_example='timestamp_granularities[]=word returns "segments", but no "words"',
    ),
    unshown_reason="No fault leaves out segments.",
)
def _check_transcript_segments_missing(call: AudioInputCall) -> Iterator[Violation]:
    target = call.audio_input_target
    response = target.target_spec.response if isinstance(target.target_spec, AudioInputTargetSpec) else None
    found = _find_transcript(call)
    if response is None or response.segments_location is None or found is None or not found[0].strip():
        return
    if not isinstance(call.read_response_value(response.segments_location), list):
        pointer = response.segments_location.json_pointer
        yield Violation(
            f"the transcript has no list {response.segments_location}", f"{target.pointer}/response", pointer
        )


def _list_segment_times(call: AudioInputCall, response: TranscriptionResponse) -> list[tuple[Any, Any]]:
    """Return the start and the end of each segment, or of each cue of subtitles, as the response has them."""
    try:
        cues = read_cues(call.parsed_exchange, response)
    except UnreadableSubtitlesError:
        return []  # the rule transcript-format reports this
    if cues is not None:
        return [(cue.start_s, cue.end_s) for cue in cues]
    keys, listed = response.segment_field_names, call.read_response_value(response.segments_location)
    segments = [item if isinstance(item, dict) else {} for item in listed] if isinstance(listed, list) else []
    return [(segment.get(keys.start_field), segment.get(keys.end_field)) for segment in segments]


@register_rule(
    "transcript-words",
    subject_class=AudioInputCall,
    description="Word timestamps are present if they were requested.",
    contract_condition="x-transcription.request_fields.timestamps",
    explanation=Explanation(
        consequence="A client that asked for the times of words finds none.",
        conforming_example='timestamps=word returns {"words": [{"word": "the", "start": 0.1, "end": 0.2}]}',
        violating_example='timestamps=word returns no "words"',
    ),
    unshown_reason="No fault leaves out the times of words.",
)
def _check_transcript_words(call: AudioInputCall) -> Iterator[Violation]:
    use = call.audio_input_target.transcription
    if (
        use is None
        or use.response.segment_field_names.words_field is None
        or str(call.read_neutral_value("timestamps")).lower() != "true"  # in a query or a form, it is a text
    ):
        return
    listed = call.read_response_value(use.response.segments_location)
    segments = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    if segments and not any(item.get(use.response.segment_field_names.words_field) for item in segments):
        yield Violation(
            "word timestamps were requested, but no segment has any",
            f"{call.extension_pointer}/request_fields/timestamps",
        )


@register_rule(
    "converted-audio",
    subject_class=AudioInputCall,
    description="Converted audio can be decoded, and is not silent unless the upload was.",
    contract_condition="x-conversion.response.audio, x-conversion.response.stems",
    explanation=Explanation(
        consequence="The result of a paid conversion cannot be played.",
        conforming_example="Speech is uploaded, and speech is returned.",
        violating_example="Speech is uploaded, and digital silence is returned.",
    ),
    unshown_reason="The only fault of conversions is a wrong sample rate.",
)
def _check_converted_audio(call: AudioInputCall) -> Iterator[Violation]:
    from voicegauge.speech.audio_measurement import is_silent

    if call.download_error is not None:
        yield Violation(
            f"accepted, but the audio cannot be downloaded: {call.download_error}",
            f"{call.extension_pointer}/response",
        )
    for index, audio in enumerate(call.decoded_response_audio):
        if audio is None:
            yield Violation(
                f"file {index + 1} of {len(call.decoded_response_audio)} cannot be decoded",
                f"{call.extension_pointer}/response",
            )
    decoded = [audio for audio in call.decoded_response_audio if audio is not None]
    sent = call.uploaded_audio
    if sent is None or is_silent(sent.samples, sent.sample_rate_hz) or not decoded:
        return
    if all(is_silent(audio.samples, audio.sample_rate_hz) for audio in decoded):
        yield Violation("the result is silent, but the upload is not", f"{call.extension_pointer}/response")


@register_rule(
    "converted-format",
    subject_class=AudioInputCall,
    description="Converted audio has the requested format, sample rate and number of channels.",
    contract_condition="x-conversion.request_fields.format, x-conversion.request_fields.sample_rate, "
    "x-conversion.request_fields.channels, x-conversion.formats",
    explanation=Explanation(
        consequence="The format is the purpose of a conversion.",
        conforming_example="Requested: flac, 16,000 Hz, mono. The file has these.",
        violating_example="Requested: flac, 16,000 Hz, mono. The file has 32,000 Hz.",
    ),
    shown_by=(FaultExample("other-rate", target_id="ttsai/convert", found_in="upload"),),
)
def _check_converted_format(call: AudioInputCall) -> Iterator[Violation]:
    from voicegauge.speech.encoding import find_container_of_format

    facts: tuple[tuple[AudioInputField, str], ...] = (
        ("format", "container"),
        ("sample_rate", "sample_rate_hz"),
        ("channels", "source_channels"),
    )
    documented = call.audio_format
    for word, attribute in facts:
        requested = call.read_neutral_value(word)
        if documented is not None and word != "channels":
            requested = find_container_of_format(documented.codec) if word == "format" else documented.sample_rate_hz
        for audio in call.decoded_response_audio:
            actual = getattr(audio, attribute, None)
            if requested is not None and actual is not None and str(requested) != str(actual):
                place = "formats" if documented is not None else f"request_fields/{word}"
                yield Violation(f"requested {word} {requested}, got {actual}", f"{call.extension_pointer}/{place}")
    yield from _check_stated_sample_rates(call)


def _check_stated_sample_rates(call: AudioInputCall) -> Iterator[Violation]:
    """Yield a violation for an audio event that states a sample rate other than the requested one."""
    spec, documented = call.operation.stream, call.audio_format
    location = spec.audio.sample_rate_location if spec is not None else None
    if location is None or call.event_stream is None or documented is None or documented.sample_rate_hz is None:
        return
    for event in call.event_stream.events:
        stated = event.read_value(location)
        if stated is not MISSING and stated != documented.sample_rate_hz:
            message = f"requested sample_rate {documented.sample_rate_hz}, an event states {stated}"
            yield Violation(message, f"{call.operation.pointer}/x-stream/audio/sample_rate_location")
            return


@register_rule(
    "converted-length",
    subject_class=AudioInputCall,
    description="Converted audio is as long as the upload, divided by the requested speed.",
    contract_condition="x-conversion.response.audio, x-conversion.response.stems",
    explanation=Explanation(
        consequence="Video and audio run apart, or the end is missing.",
        conforming_example="4.0 s are uploaded with speed 2, and 2.0 s are returned.",
        violating_example="4.0 s are uploaded with speed 2, and 4.0 s are returned.",
    ),
    unshown_reason="The only fault of conversions is a wrong sample rate.",
)
def _check_converted_length(call: AudioInputCall) -> Iterator[Violation]:
    use = call.audio_input_target.conversion
    if use is None or use.purpose == "translate" or call.uploaded_audio is None:
        return  # the same in another language takes another time
    speed = call.read_neutral_value("speed")
    expected = call.uploaded_audio.duration_s / (speed if _is_finite_number(speed) and speed > 0 else 1.0)
    for audio in call.decoded_response_audio:
        if audio is not None and not _is_close_in_duration(audio.duration_s, expected):
            at = (
                f"{call.extension_pointer}/request_fields/speed"
                if speed is not None
                else f"{call.extension_pointer}/response"
            )
            yield Violation(f"expected {expected:.2f} s, got {audio.duration_s:.2f} s", at)


@register_rule(
    "stems-count",
    subject_class=AudioInputCall,
    description="As many stems are returned as were requested, each with a different name.",
    contract_condition="x-conversion.response.stems",
    explanation=Explanation(
        consequence="A client that mixes the stems misses a part, or uses one twice.",
        conforming_example="Requested: 2 stems. Response: vocals, music",
        violating_example="Requested: 2 stems. Response: vocals, vocals",
    ),
    unshown_reason="The only fault of conversions is a wrong sample rate.",
)
def _check_stems_count(call: AudioInputCall) -> Iterator[Violation]:
    stems = call.audio_input_target.conversion.response.stems if call.audio_input_target.conversion else None
    listed = call.read_response_value(stems.list_location) if stems else MISSING
    if stems is None or not isinstance(listed, list):
        return
    requested, pointer = call.read_neutral_value("stems"), stems.list_location.json_pointer
    if _is_finite_number(requested) and len(listed) != requested:
        yield Violation(
            f"requested {requested:g} stems, got {len(listed)}",
            f"{call.extension_pointer}/request_fields/stems",
            pointer,
        )
    names = [item.get(stems.name_field) for item in listed if isinstance(item, dict)]
    if len(set(map(str, names))) < len(names):
        yield Violation(
            f"stems share a name: {', '.join(map(str, names))}", f"{call.extension_pointer}/response/stems", pointer
        )


@register_rule(
    "charge-per-minute",
    subject_class=AudioInputCall,
    description="The charge for audio is the documented price for its duration.",
    contract_condition="x-transcription.response.charge_location and x-pricing, "
    "x-conversion.response.charge_location and x-pricing",
    explanation=Explanation(
        consequence="The bill is higher than the price list.",
        conforming_example="$0.006 per minute is documented, and 30 s cost 0.003.",
        violating_example="$0.006 per minute is documented, and 30 s cost 0.006.",
    ),
    unshown_reason="The fault of charges applies to speech.",
)
def _check_charge_per_minute(call: AudioInputCall) -> Iterator[Violation]:
    price, location = call.audio_input_target.pricing, call.audio_input_target.audio_input.response.charge_location
    charged = call.read_response_value(location)
    if price is None or price.unit != "minute" or call.uploaded_audio is None or charged is MISSING:
        return
    amount = read_amount(charged)
    if amount is None:
        return
    whole = math.ceil(call.uploaded_audio.duration_s / 60) * 60.0
    unit = call.contract.provider.credits
    rates = [
        reading.credits_per_unit if unit is not None else reading.usd_per_unit
        for reading in (price, *price.alternatives)
    ]
    # From the exact duration to whole minutes: a provider may count seconds, tens of seconds or minutes begun.
    due = [(rate * call.uploaded_audio.duration_s / 60, rate * whole / 60) for rate in rates if rate is not None]
    if any(
        low * (1 - RELATIVE_CHARGE_TOLERANCE) <= amount <= high * (1 + RELATIVE_CHARGE_TOLERANCE) for low, high in due
    ):
        return
    exact = quote_price(call.audio_input_target, 0, audio_s=call.uploaded_audio.duration_s)
    documented = exact.price_credits if unit is not None else exact.price_usd or exact.reserved_usd
    message = f"charged {amount:g} for {call.uploaded_audio.duration_s:.2f} s; documented: {documented or 0:g}"
    own = (
        f"{call.audio_input_target.pointer}/pricing"
        if call.audio_input_target.target_spec.pricing
        else f"{call.operation.pointer}/x-pricing"
    )
    yield Violation(
        message, own, location.json_pointer or None if location is not None else None, f"{location}: {amount:g}"
    )


def _is_close_in_duration(actual_s: float, expected_s: float) -> bool:
    """Whether two durations are equal within the tolerances for rounding, padding and changes of pitch."""
    return abs(actual_s - expected_s) <= max(DURATION_TOLERANCE_S, RELATIVE_DURATION_TOLERANCE * expected_s)


def _is_finite_number(value: Any) -> TypeGuard[float]:
    return read_finite_number(value) is not None


MAX_STREAMED_WER = 0.5
"""Word error rate above which the transcript of a streamed recording counts as wrong, as for a file over HTTP."""
_TARGET_ID_OF_TURN_FAULTS = "deepgram/flux-listen"
"""The target that shows the faults of transcription in turns in `shown_by`."""


@register_rule(
    "socket-transcript-unfinished",
    subject_class=TranscribedConnection,
    description="The service reports the end of every turn that it has begun to transcribe.",
    contract_condition="x-socket.client_messages.audio",
    explanation=Explanation(
        consequence="An agent waits for the end of a turn that is over, and does not answer.",
        conforming_example="partial text, partial text, end of the turn",
        violating_example="partial text, partial text, and nothing more",
    ),
    shown_by=(
        FaultExample("socket-transcript-end-missing", target_id=_TARGET_ID_OF_TURN_FAULTS, found_in="transcription"),
    ),
)
def _check_streamed_turn_unfinished(connection: TranscribedConnection) -> Iterator[Violation]:
    transcribed, close = connection.transcribed, connection.traffic.close
    if transcribed.errors or connection.traffic.is_truncated or connection.reference_text is None:
        return  # a recorded client may have left before
    if close is not None and close.closed_by == "server" and not connection.has_asked_to_close:
        return  # reported by socket-closed-early
    pointer = f"{connection.extension_pointer}/server_messages"
    ended = sum(turn.ended_ms is not None for turn in transcribed.turns)
    if not transcribed.turns:
        yield Violation(f"nothing is reported within {connection.waited_s:g} s after the speech", pointer)
    elif ended < len(transcribed.turns):
        turn = next(turn for turn in transcribed.turns if turn.ended_ms is None)
        yield Violation(
            f"the end of turn {turn.index + 1} ({_quote_shortened_text(turn.text)}) is not reported", pointer
        )


@register_rule(
    "socket-transcript-wrong",
    subject_class=TranscribedConnection,
    description="The texts of clean speech that is streamed have a word error rate below 50%.",
    contract_condition="x-socket.client_messages.audio",
    explanation=Explanation(
        consequence="An agent answers something that nobody said.",
        conforming_example='Clean speech of "the kettle is on the stove" ends with these words.',
        violating_example='Clean speech of "the kettle is on the stove" ends with "the".',
    ),
    shown_by=(
        FaultExample("socket-transcript-words-lost", target_id=_TARGET_ID_OF_TURN_FAULTS, found_in="transcription"),
    ),
)
def _check_streamed_transcript_wrong(connection: TranscribedConnection) -> Iterator[Violation]:
    from voicegauge.speech.transcripts import score_transcript

    reference, text = connection.reference_text, connection.transcribed.text
    if reference is None or not any(turn.ended_ms is not None for turn in connection.transcribed.turns):
        return  # without an end, socket-transcript-unfinished reports it
    scored = score_transcript(sample_id="", reference=reference, transcript=text, language="en", audio_content="speech")
    if scored.error_rate >= MAX_STREAMED_WER:
        yield Violation(
            f"word error rate {scored.error_rate:.0%} against the spoken text",
            f"{connection.extension_pointer}/transcript",
            None,
            f"transcript: {text!r}; reference: {reference!r}",
        )


@register_rule(
    "socket-transcript-end-differs",
    subject_class=TranscribedConnection,
    description="The text at the end of a turn equals that of the preceding message that the turn has probably ended.",
    contract_condition="x-socket.transcript.end_repeats_eager_end",
    explanation=Explanation(
        consequence="An agent that prepared its answer early answers another sentence than the one that was said.",
        conforming_example='EagerEndOfTurn "yes please", EndOfTurn "yes please"',
        violating_example='EagerEndOfTurn "yes please", EndOfTurn "yes"',
    ),
    shown_by=(
        FaultExample("socket-transcript-end-differs", target_id=_TARGET_ID_OF_TURN_FAULTS, found_in="transcription"),
    ),
)
def _check_streamed_end_differs_from_eager_end(connection: TranscribedConnection) -> Iterator[Violation]:
    for turn in connection.transcribed.turns:
        eager: TranscribedText | None = None
        for text in turn.texts:
            if text.kind == "eager-end":
                eager = text
            elif text.kind == "resumed":
                eager = None
            elif text.kind == "turn-end" and eager is not None and text.text != eager.text:
                yield Violation(
                    f"turn {turn.index + 1} ends with {_quote_shortened_text(text.text)}, after "
                    f"{_quote_shortened_text(eager.text)} was reported",
                    f"{connection.extension_pointer}/transcript/end_repeats_eager_end",
                )
                return


@register_rule(
    "socket-transcript-resumed-alone",
    subject_class=TranscribedConnection,
    description="A turn is reported as resumed only after a message that it has probably ended.",
    contract_condition="x-socket.transcript.resumes_after_eager_end_only",
    explanation=Explanation(
        consequence="A client that follows the documented states drops its answer, or stops with an error.",
        conforming_example="EagerEndOfTurn, TurnResumed",
        violating_example="StartOfTurn, Update, TurnResumed",
    ),
    shown_by=(
        FaultExample("socket-transcript-resumed-alone", target_id=_TARGET_ID_OF_TURN_FAULTS, found_in="transcription"),
    ),
)
def _check_streamed_resumed_without_eager_end(connection: TranscribedConnection) -> Iterator[Violation]:
    for turn in connection.transcribed.turns:
        if _resumes_without_eager_end(turn):
            yield Violation(
                f"turn {turn.index + 1} is resumed, although nothing said that it had probably ended",
                f"{connection.extension_pointer}/transcript/resumes_after_eager_end_only",
            )
            return


def _resumes_without_eager_end(turn: TranscribedTurn) -> bool:
    """Whether the service reported `resumed` without an `eager-end` that it takes back."""
    has_probably_ended = False
    for text in turn.texts:
        if text.kind == "resumed" and not has_probably_ended:
            return True
        if text.kind in ("eager-end", "resumed"):
            has_probably_ended = text.kind == "eager-end"
    return False


def _quote_shortened_text(text: str) -> str:
    """Return at most 100 characters of a text, in quotes."""
    return repr(text if len(text) <= 100 else f"{text[:100]}…")
