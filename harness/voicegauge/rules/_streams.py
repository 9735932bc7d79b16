"""Rules about event streams."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise

from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.parsed_exchange import StreamEvent
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING
from voicegauge.rules._responses import MAX_SCHEMA_VIOLATIONS, convert_schema_violation
from voicegauge.rules.call import Call
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule

MAX_VIOLATIONS_PER_RULE = 5
"""Maximum number of violations of one rule that are reported for one stream. A hostile stream could have thousands."""


def _build_stream_pointer(call: Call, *pointer_tokens: str) -> str:
    return "/".join([f"{call.operation.pointer}/x-stream", *map(escape_pointer_token, pointer_tokens)])


def _get_stream_spec(call: Call) -> StreamSpec:
    assert call.operation.stream is not None, "only operations with an x-stream have a stream"
    return call.operation.stream


def _list_stream_events(call: Call) -> list[StreamEvent]:
    return call.event_stream.events if call.event_stream is not None else []


def _list_documented_events(call: Call) -> list[StreamEvent]:
    return [event for event in _list_stream_events(call) if event.event_type in _get_stream_spec(call).events]


def _quote_event(event: StreamEvent) -> str:
    return f"{event.event_type or 'no kind'}: {event.text[:200]}"


@register_rule(
    "response-kind-ignored",
    subject_class=Call,
    description="A request field that selects a stream of events or audio alone does so.",
    contract_condition="x-speech.targets.*.response_audio",
    explanation=Explanation(
        consequence=(
            "A client that asked for events waits for one, and gets bytes it cannot parse, or the other way round."
        ),
        conforming_example='{"stream_format": "sse"} is answered with text/event-stream',
        violating_example='{"stream_format": "sse"} is answered with audio/mpeg',
    ),
    shown_by=(
        FaultExample("response-kind-ignored", target_id="openai/gpt-4o-mini-tts-sse", also_found_by=("audio-missing",)),
    ),
)
def _check_response_kind_ignored(call: Call) -> Iterator[Violation]:
    variants = {audio.delivery_method for audio in call.operation.response_audio_variants}
    target = call.operation.find_target(call.read_request) if len(variants) > 1 and call.is_accepted else None
    audio = target.response.audio if target is not None else None
    if target is None or audio is None or "stream" not in variants:
        return
    media_type = call.exchange.response.media_type
    if call.is_stream != (audio.delivery_method == "stream"):
        fields = ", ".join(f"{location} {value!r}" for location, value in target.selecting_constants.items())
        expected = f"expected {'a stream of events' if audio.delivery_method == 'stream' else 'audio alone'}"
        yield Violation(
            f"{expected} for {fields or 'a request without a selecting field'}, got {media_type or 'no media type'}",
            f"{target.pointer}/response_audio"
            if target.target_spec.response_audio is not None
            else f"{call.operation.pointer}/x-speech/response",
        )


@register_rule(
    "stream-unreadable",
    subject_class=Call,
    description="A streamed response can be parsed as server-sent events or lines of JSON, and has at least one.",
    contract_condition="x-stream",
    explanation=Explanation(
        consequence="A client of server-sent events or JSON lines finds no event and plays nothing.",
        conforming_example='data: {"audio": "..."} and an empty line',
        violating_example="Audio bytes with the Content-Type text/event-stream",
    ),
    unshown_reason="The faults of streams change events, and leave the form of the stream as it is.",
)
def _check_stream_unreadable(call: Call) -> Iterator[Violation]:
    stream = call.event_stream
    if stream is not None and stream.error is not None:
        yield Violation(f"the stream {stream.error}", _build_stream_pointer(call))
    elif stream is not None and not stream.events:
        shown = call.exchange.response.body[:200].decode(errors="replace")
        yield Violation("the stream has no events", _build_stream_pointer(call, "events"), evidence=shown)


@register_rule(
    "stream-event-unknown",
    subject_class=Call,
    description="Every event of a stream is of a documented kind.",
    contract_condition="x-stream.events",
    explanation=Explanation(
        consequence="A client that switches on the kind of event drops it, perhaps with audio in it, or fails.",
        conforming_example="Documented: audio, done. Events: audio, audio, done",
        violating_example="Documented: audio, done. Events: audio, heartbeat, done",
    ),
    shown_by=(FaultExample("stream-unknown-event", target_id="ttsai/kokoro-stream"),),
)
def _check_stream_event_unknown(call: Call) -> Iterator[Violation]:
    # One violation for each kind, however often it occurs.
    unknown = {
        event.event_type: event
        for event in _list_stream_events(call)
        if event.event_type not in _get_stream_spec(call).events
    }
    known = ", ".join(_get_stream_spec(call).events) if unknown else ""
    for kind, event in list(unknown.items())[:MAX_VIOLATIONS_PER_RULE]:
        named = (
            f"of the kind {kind!r}"
            if kind is not None
            else f"without a kind at {_get_stream_spec(call).event_type_location}"
        )
        yield Violation(
            f"an event {named}; documented: {known}",
            _build_stream_pointer(call, "events"),
            evidence=_quote_event(event),
        )


@register_rule(
    "stream-order",
    subject_class=Call,
    description="Events come in a documented order: the first one first, none after the end.",
    contract_condition="x-stream.events.*.successor_names",
    explanation=Explanation(
        consequence="A player starts with the first event, and closes at the last one; what comes later is lost.",
        conforming_example="start, audio, audio, done",
        violating_example="audio, start, audio, done",
    ),
    shown_by=(FaultExample("stream-reordered", target_id="ttsai/kokoro-stream"),),
)
def _check_stream_order(call: Call) -> Iterator[Violation]:
    events = _list_documented_events(call)
    if not events:
        return
    spec, count = _get_stream_spec(call), 0
    first = next(iter(spec.events))
    # A stream that fails at once has nothing but its error.
    if events[0].event_type != first and spec.events[events[0].event_type or ""].terminal_outcome != "failure":
        message = f"the stream begins with {events[0].event_type!r}, not with {first!r}"
        yield Violation(message, _build_stream_pointer(call, "events", first), evidence=_quote_event(events[0]))
    for before, event in pairwise(events):
        if (
            event.event_type not in spec.events[before.event_type or ""].successor_names
            and count < MAX_VIOLATIONS_PER_RULE
        ):
            count += 1
            end = spec.events[before.event_type or ""].terminal_outcome
            effect = (
                "ends the stream"
                if end
                else f"leads to {' or '.join(spec.events[before.event_type or ''].successor_names)}"
            )
            message = f"{event.event_type!r} follows {before.event_type!r}, which {effect}"
            yield Violation(
                message, _build_stream_pointer(call, "events", before.event_type or ""), evidence=_quote_event(event)
            )


@register_rule(
    "stream-end-missing",
    subject_class=Call,
    description="A stream ends with a final event, and with its end marker if one is documented.",
    contract_condition="x-stream.events.*.terminal_outcome, x-stream.end_marker",
    explanation=Explanation(
        consequence="Without it a client cannot tell a complete stream from a lost connection.",
        conforming_example='audio, audio, done, then the documented end marker "data: [DONE]"',
        violating_example="audio, audio, and the connection closes",
    ),
    shown_by=(FaultExample("stream-truncated", target_id="ttsai/kokoro-stream", also_found_by=("audio-missing",)),),
)
def _check_stream_end_missing(call: Call) -> Iterator[Violation]:
    stream = call.event_stream
    if stream is None or stream.is_complete or stream.error is not None or not stream.events:
        return
    last = stream.events[-1]
    if stream.ending is not None:
        yield Violation(
            f"the stream ends without {_get_stream_spec(call).end_marker!r}",
            _build_stream_pointer(call, "end_marker"),
            evidence=_quote_event(last),
        )
        return
    ends = " or ".join(name for name, event in _get_stream_spec(call).events.items() if event.terminal_outcome)
    within = ", within an event" if stream.has_partial_event else ""
    message = f"the stream breaks off after {len(stream.events)} events{within}"
    message += f": {ends} should end it" if not _get_stream_spec(call).ends_with_response else ""
    yield Violation(message, _build_stream_pointer(call, "events"), evidence=_quote_event(last))


@register_rule(
    "stream-event-schema",
    subject_class=Call,
    description="The data of each event is JSON that matches the schema of its kind.",
    contract_condition="x-stream.events.*.data_schema",
    explanation=Explanation(
        consequence="A client with typed events rejects it in the middle of the playback.",
        conforming_example='Documented: {audio: string, required}. Event: {"audio": "UklG..."}',
        violating_example='Documented: {audio: string, required}. Event: {"chunk": "UklG..."}',
    ),
    shown_by=(
        FaultExample(
            "stream-wrong-data",
            target_id="ttsai/kokoro-stream",
            also_found_by=("audio-missing", "stream-audio-unreadable"),
        ),
    ),
)
def _check_stream_event_schema(call: Call) -> Iterator[Violation]:
    seen: set[tuple[str, str]] = set()  # a violation that recurs in a hundred events is reported once
    schemas = call.contract.schemas
    for event in _list_documented_events(call):
        kind = event.event_type or ""
        at = _build_stream_pointer(call, "events", kind, "data_schema")
        if _get_stream_spec(call).events[kind].data_schema is None or len(seen) >= MAX_SCHEMA_VIOLATIONS:
            continue
        if event.json_value is MISSING:
            if (kind, "") not in seen:
                seen.add((kind, ""))
                yield Violation(f"the data of {kind!r} is not valid JSON", at, evidence=_quote_event(event))
            continue
        for error in schemas.iterate_violations(at, event.json_value):
            if (kind, error.keyword_pointer) not in seen and len(seen) < MAX_SCHEMA_VIOLATIONS:
                seen.add((kind, error.keyword_pointer))
                violation = convert_schema_violation(error, event.json_value)
                yield violation._replace(message=f"event {kind!r}: {violation.message}", value_pointer=None)


@register_rule(
    "stream-audio-unreadable",
    subject_class=Call,
    description="Every audio event has audio in the documented encoding.",
    contract_condition="x-stream.audio",
    explanation=Explanation(
        consequence="The player has a gap, or stops.",
        conforming_example='Documented: base64. Event: {"audio": "UklGRg=="}',
        violating_example='Documented: base64. Event: {"audio": "*#!"}',
    ),
    shown_by=(
        FaultExample("stream-unreadable-audio", target_id="ttsai/kokoro-stream", also_found_by=("audio-missing",)),
    ),
)
def _check_stream_audio_unreadable(call: Call) -> Iterator[Violation]:
    errors = call.event_stream.iterate_audio_errors() if call.event_stream is not None else ()
    for event, error in islice(errors, MAX_VIOLATIONS_PER_RULE):
        yield Violation(
            f"event {event.event_type!r} {error}", _build_stream_pointer(call, "audio"), evidence=_quote_event(event)
        )


@register_rule(
    "stream-audio-missing",
    subject_class=Call,
    description="A stream that ends in success has audio.",
    contract_condition="x-stream.audio",
    explanation=Explanation(
        consequence="A charged request without speech looks like a success.",
        conforming_example="audio, audio, done",
        violating_example="start, done",
    ),
    unshown_reason="The faults of streams leave at least one audio event.",
)
def _check_stream_audio_missing(call: Call) -> Iterator[Violation]:
    stream = call.event_stream
    if stream is None or stream.has_failed or not (stream.ending is not None or stream.is_complete):
        return
    if not any(event.event_type == _get_stream_spec(call).audio.event_type for event in stream.events):
        last = stream.ending or stream.events[-1]
        message = f"the stream ends in {last.event_type!r} without any {_get_stream_spec(call).audio.event_type!r}"
        yield Violation(message, _build_stream_pointer(call, "audio", "event_type"), evidence=_quote_event(last))


@register_rule(
    "stream-index",
    subject_class=Call,
    description="The index of audio events increases by one: none is missing or repeated.",
    contract_condition="x-stream.audio.sequence_number_location",
    explanation=Explanation(
        consequence="A missing or repeated piece is audible, and a client that sorts by index waits for it forever.",
        conforming_example="index: 0, 1, 2, 3",
        violating_example="index: 0, 1, 3",
    ),
    shown_by=(
        FaultExample(
            "stream-event-missing",
            target_id="ttsai/kokoro-stream",
            also_found_by=("audio-length", "audio-truncated", "spoken-text-incomplete", "spoken-words-differ"),
        ),
    ),
)
def _check_stream_audio_indexes(call: Call) -> Iterator[Violation]:
    audio_spec = _get_stream_spec(call).audio if call.event_stream is not None else None
    if audio_spec is None or audio_spec.sequence_number_location is None:
        return
    audio = [event for event in _list_documented_events(call) if event.event_type == audio_spec.event_type]
    numbers = [event.read_value(audio_spec.sequence_number_location) for event in audio]
    # Compared with the one before, not counted: no document says whether the first index is 0 or 1.
    steps = pairwise(zip(audio, numbers, strict=True))
    wrong = ((event, b, a) for (_, b), (event, a) in steps if _is_integer(a) and _is_integer(b) and a != b + 1)
    for (event, before, after), _ in zip(wrong, range(MAX_VIOLATIONS_PER_RULE), strict=False):
        message = f"index {after} follows index {before} at {audio_spec.sequence_number_location}"
        yield Violation(
            message, _build_stream_pointer(call, "audio", "sequence_number_location"), evidence=_quote_event(event)
        )


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@register_rule(
    "stream-stalled",
    subject_class=Call,
    description="The pauses between chunks of a stream are not longer than documented.",
    contract_condition="x-stream.max_gap_s",
    explanation=Explanation(
        consequence="A player that buffers as much as documented runs empty, and the speech stops.",
        conforming_example="max_gap_s: 2. The longest pause is 0.4 s.",
        violating_example="max_gap_s: 2. The longest pause is 3.1 s.",
    ),
    shown_by=(FaultExample("stream-stalled", found_in="timed-stream"),),
)
def _check_stream_stalled(call: Call) -> Iterator[Violation]:
    timing, bound = call.exchange.timing, _get_stream_spec(call).max_gap_s if call.event_stream is not None else None
    if timing is None or bound is None:
        return
    # Between arrivals only: how long the first chunk takes is not a pause, and is measured by benchmarks.
    gaps = [(after - before) / 1000 for (before, _), (after, _) in pairwise(timing.chunk_arrivals)]
    longest = max(gaps, default=0.0)
    if longest > bound:
        where = f"after {gaps.index(longest) + 1} of {len(timing.chunk_arrivals)} chunks"
        yield Violation(
            f"no data for {longest:.2f} s {where}; at most {bound:g} s are documented",
            _build_stream_pointer(call, "max_gap_s"),
        )
