"""Faults of emulated WebSockets that speak or transcribe."""

from __future__ import annotations

from dataclasses import replace

from voicegauge.contract.contract import BaseSocketTarget
from voicegauge.emulator._output import (
    Fault,
    FaultCondition,
    ReportedText,
    SocketFault,
    SocketOutput,
    SocketTurnState,
    add_faults,
    declare_fault,
)
from voicegauge.emulator._speech_faults import create_field_replacer, speak_other_sentence

_LEAKED_AUDIO_DURATION_S = 1.5
"""Duration, in seconds, of the audio of another turn that a turn begins with."""
_AUDIO_DELAY_S = 2.0
"""Delay of the first audio, in seconds."""
_TIMESTAMP_SHIFT_S = 60.0
"""Number of seconds by which stated times are too late."""
_UNKNOWN_MESSAGE = '{"type":"heartbeat-v2","heartbeat":1}'
"""A message that no contract documents."""
_LOW_SAMPLE_RATE_HZ = 8_000
"""Sample rate of speech whatever rate was requested."""
_UNDOCUMENTED_CLOSE_CODE = 4999
"""Close code that no contract documents."""


def _is_audio(output: SocketOutput) -> bool:
    return output.kind == "audio"


def _take_end_of_audio(state: SocketTurnState, audio: bytes) -> bytes:
    """Return the last `_LEAKED_AUDIO_DURATION_S` seconds of `audio`, in whole samples."""
    # Half a sample would turn all that follows into noise, which is another fault.
    length = int(_LEAKED_AUDIO_DURATION_S * state.bytes_per_second)
    length -= length % state.sample_width_bytes
    return audio[-length:]


def list_changeable_members(target: BaseSocketTarget, event_kind: str) -> list[str]:
    """Return the members, of the message for an event, that have a fixed value and do not identify the message."""
    message = next((one for one in target.spec.server_messages if one.event == event_kind and one.value), None)
    if message is None or message.value is None:
        return []
    fixed = (
        key
        for key, item in message.value.items()
        if isinstance(item, bool | int | float) or (isinstance(item, str) and "{" not in item)
    )
    return [key for key in fixed if f"/{key}" not in message.recognized_by]


def _sends_raw_samples(target: BaseSocketTarget) -> bool:
    return target.default_format.codec == "pcm_s16le"


_SocketCondition = FaultCondition[BaseSocketTarget]
_TOO_MANY_CONTEXTS_CLOSE_CONNECTION = _SocketCondition(
    "too many contexts close the connection, with a documented code",
    lambda target: target.spec.limits.contexts is not None and target.spec.limits.contexts.close_code is not None,
)
_CONNECTION_OUTLIVES_TURNS = _SocketCondition(
    "a connection can have several turns", lambda target: not target.spec.turn.is_only_one
)


@declare_fault(
    "change_outputs",
    "socket-audio-reordered",
    "The second half of the audio of every second turn is sent before the first half.",
)
def _reorder_audio(state: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """Send the second half of the audio before the first, in every second turn."""
    if state.turn_index % 2 == 0:
        return outputs
    at = [index for index, output in enumerate(outputs) if _is_audio(output)]
    moved = [outputs[index] for index in (*at[len(at) // 2 :], *at[: len(at) // 2])]
    result = list(outputs)
    for index, output in zip(at, moved, strict=True):
        result[index] = output
    return result


@declare_fault("change_outputs", "socket-end-missing", "The message that a turn is complete is not sent.")
def _leave_out_turn_end(state: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """Leave out the messages that end a turn, or the one that ends a flush if a turn ends with a flush."""
    ends_with = state.target.spec.turn.ends_with
    left_out = ("turn-end", "close") if ends_with != "flush-end" else ("flush-end",)
    return [output for output in outputs if output.kind not in left_out]


@declare_fault(
    "change_outputs",
    "socket-other-context",
    "Audio names the context of another turn that is open.",
    _SocketCondition("messages name a context", lambda target: target.spec.has_contexts),
)
def _send_audio_as_other_context(state: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """Send the audio under the name of another open context."""
    if state.other_context is None:
        return outputs
    return [replace(output, context=state.other_context) if _is_audio(output) else output for output in outputs]


@declare_fault(
    "change_outputs",
    "socket-audio-leaked",
    "A turn begins with audio of another turn of the connection.",
    _CONNECTION_OUTLIVES_TURNS,
)
def _leak_other_audio(state: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """Send audio of another turn before the audio of this one."""
    if not state.other_audio or not state.is_first_speech or not any(map(_is_audio, outputs)):
        return outputs
    return [SocketOutput("audio", _take_end_of_audio(state, state.other_audio), state.context), *outputs]


@declare_fault(
    "change_outputs",
    "socket-audio-stale",
    "After a cancelled turn, the next one begins with audio of the cancelled one.",
    _SocketCondition("a client can cancel a turn", lambda target: "cancel" in target.spec.client_messages),
)
def _send_stale_audio(state: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """Begin a turn with audio of the turn that was cancelled before it."""
    if not state.stale_audio:
        return outputs
    return [SocketOutput("audio", _take_end_of_audio(state, state.stale_audio), state.context), *outputs]


@declare_fault(
    "change_outputs",
    "socket-first-audio-late",
    "The first audio of a turn comes two seconds late.",
    why_checks_miss_it="A check does not measure times. `voicegauge bench` does.",
)
def _delay_first_audio(state: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """Delay the first audio of a turn by `_AUDIO_DELAY_S` seconds."""
    if not state.is_first_speech or not outputs:
        return outputs
    return [replace(outputs[0], delay_s=_AUDIO_DELAY_S), *outputs[1:]]


@declare_fault(
    "change_outputs", "socket-closed-early", "The connection ends in the middle of the audio, without a close frame."
)
def _end_connection_in_audio(_: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """End the connection in the middle of the audio, without a close frame."""
    at = [index for index, output in enumerate(outputs) if _is_audio(output)]
    return [*outputs[: at[len(at) // 2]], SocketOutput("abort")] if at else outputs


@declare_fault(
    "change_outputs",
    "socket-audio-repeated",
    "The audio that a flush asked for is sent twice.",
    _SocketCondition(
        "a flush does not end the turn",
        lambda target: "flush" in target.spec.client_messages and target.spec.turn.ends_with != "flush-end",
    ),
)
def _repeat_audio_after_flush(state: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """Send all audio twice after the client has flushed a turn."""
    if not state.was_flushed or state.purpose != "speech":
        return outputs
    return [*outputs, *(output for output in outputs if _is_audio(output))]


@declare_fault(
    "change_outputs",
    "socket-samples-cut",
    "The samples of a turn have an odd number of bytes.",
    _SocketCondition("audio is 16-bit PCM by default", _sends_raw_samples),
)
def _cut_last_byte(_: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """Leave out the last byte of the audio."""
    last = max((index for index, output in enumerate(outputs) if _is_audio(output)), default=None)
    return [
        replace(output, audio=output.audio[:-1]) if index == last else output for index, output in enumerate(outputs)
    ]


@declare_fault("change_outputs", "socket-audio-lost", "The second half of the audio of every second turn is not sent.")
def _lose_second_half_of_audio(state: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """Leave out the second half of the audio, in every second turn."""
    if state.turn_index % 2 == 0:
        return outputs
    audio = [output for output in outputs if _is_audio(output)]
    lost = {id(output) for output in audio[len(audio) // 2 :]}
    return [output for output in outputs if id(output) not in lost]


@declare_fault("change_outputs", "socket-unknown-message", "The service sends a message that no document describes.")
def _add_unknown_message(state: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """Send a message that no contract documents before the speech."""
    return [SocketOutput("raw", text=_UNKNOWN_MESSAGE), *outputs] if state.purpose == "speech" else outputs


@declare_fault(
    "change_outputs",
    "socket-wrong-message",
    "Members of messages have another type than documented.",
    _SocketCondition(
        "messages of the service have members with a fixed value",
        lambda target: any(list_changeable_members(target, one.event) for one in target.spec.server_messages),
    ),
)
def _replace_fixed_members(state: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """In each message, put an object in place of every member whose value the contract fixes.

    Members that identify the message stay.
    """
    return [
        replace(
            output,
            changed_members={key: {"unexpected": True} for key in list_changeable_members(state.target, output.kind)},
        )
        for output in outputs
    ]


@declare_fault(
    "change_outputs",
    "socket-timestamps-shifted",
    "The times of words are a minute late.",
    _SocketCondition(
        "messages carry the times of characters or words", lambda target: target.spec.has_event("timestamps")
    ),
)
def _shift_timestamps(_: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """State the times of words far too late."""
    return [
        replace(
            output,
            values={
                **output.values,
                "starts": [second + _TIMESTAMP_SHIFT_S for second in output.values["starts"]],
                "ends": [second + _TIMESTAMP_SHIFT_S for second in output.values["ends"]],
            },
        )
        if output.kind == "timestamps"
        else output
        for output in outputs
    ]


@declare_fault(
    "change_outputs",
    "socket-audio-after-end",
    "Audio of a turn is sent after the message that it is complete.",
    _CONNECTION_OUTLIVES_TURNS,
)
def _send_audio_after_end(state: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """Send audio of another turn after the end of a turn or a flush."""
    if state.purpose not in ("end", "flush") or not state.other_audio:
        return outputs
    length = state.bytes_per_second // 10
    length -= length % state.sample_width_bytes
    return [*outputs, SocketOutput("audio", state.other_audio[:length], state.context)]


@declare_fault(
    "change_outputs",
    "socket-close-code",
    "The connection is closed with a code that is not documented.",
    _TOO_MANY_CONTEXTS_CLOSE_CONNECTION,
)
def _close_with_undocumented_code(state: SocketTurnState, outputs: list[SocketOutput]) -> list[SocketOutput]:
    """Close the connection with an undocumented code if a limit is exceeded."""
    if state.purpose != "limit":
        return outputs
    return [
        replace(output, values={**output.values, "code": _UNDOCUMENTED_CLOSE_CODE})
        if output.kind == "close"
        else output
        for output in outputs
    ]


add_faults(
    Fault(
        id="socket-cancel-ignored",
        description="A cancelled turn is spoken to its end.",
        socket=SocketFault(ignores_cancel=True),
        applies_to_socket=_SocketCondition(
            "the documented effect of a cancellation is `stops`", lambda target: target.spec.cancel_effect == "stops"
        ),
    ),
    Fault(
        id="socket-silent",
        description="The audio of a turn is silent.",
        socket=SocketFault(change_synthesis=create_field_replacer(is_silent=True)),
    ),
    Fault(
        id="socket-other-text",
        description="Each sentence is spoken as another one, which is always the same.",
        socket=SocketFault(change_synthesis=speak_other_sentence),
    ),
    Fault(
        id="socket-rate-ignored",
        description="Speech has 8 kHz, whatever sample rate was asked for.",
        socket=SocketFault(change_synthesis=create_field_replacer(sample_rate_hz=_LOW_SAMPLE_RATE_HZ)),
        applies_to_socket=_SocketCondition(
            "audio is 16-bit PCM by default, and other formats can be chosen",
            lambda target: _sends_raw_samples(target) and len(target.target_spec.formats) > 1,
        ),
    ),
    Fault(
        id="socket-piece-lost",
        description="Of a text that comes in pieces, every third piece is not spoken.",
        socket=SocketFault(change_text_piece=lambda index, text: "" if index % 3 == 2 else text),
        applies_to_socket=_SocketCondition("a text may come in pieces", lambda target: target.spec.turn.accepts_pieces),
    ),
    Fault(
        id="socket-key-ignored",
        description="A connection without a key, or with a wrong one, is accepted.",
        socket=SocketFault(ignores_key=True),
        applies_to_socket=_SocketCondition(
            "connections need a key", lambda target: target.needs_key or target.spec.sends_key_in_message
        ),
    ),
    Fault(
        id="socket-limit-ignored",
        description="More contexts are opened than the limit allows.",
        socket=SocketFault(ignores_limits=True),
        applies_to_socket=_TOO_MANY_CONTEXTS_CLOSE_CONNECTION,
    ),
)


_TURN_END_DELAY_S = 2.0
"""Delay, in seconds, of the report that a turn has ended."""
_EARLY_TURN_END_SILENCE_S = 0.08
"""Duration of silence, in seconds, that ends a turn too early."""
_REPLACEMENT_WORD = "otherwise"
"""Word that replaces the last word of partial transcripts."""


_TARGET_TRANSCRIBES = _SocketCondition("a target transcribes", lambda target: target.spec.transcribes)


@declare_fault(
    "change_reported_texts",
    "socket-transcript-end-differs",
    "The text at the end of a turn lacks the last word of the text when it had probably ended.",
    _SocketCondition(
        "the end of a turn repeats the text that probably ended it",
        lambda target: target.spec.transcript.end_repeats_eager_end,
    ),
)
def _lose_last_word_of_turn(reports: list[ReportedText]) -> list[ReportedText]:
    """Leave out the last word of the text with which a turn ends."""
    return [replace(one, text=one.text.rpartition(" ")[0]) if one.kind == "turn-end" else one for one in reports]


@declare_fault(
    "change_reported_texts",
    "socket-transcript-resumed-alone",
    "A turn is reported as resumed although nothing said that it had probably ended.",
    _SocketCondition(
        "a turn is resumed only after it had probably ended",
        lambda target: target.spec.transcript.resumes_after_eager_end_only,
    ),
)
def _report_resumption_first(reports: list[ReportedText]) -> list[ReportedText]:
    """Report before each partial transcript that the turn has resumed, although its end was not reported."""
    resumed = [ReportedText("resumed", report.text) for report in reports if report.kind == "partial"]
    return [*resumed, *reports]


@declare_fault(
    "change_reported_texts",
    "socket-transcript-words-lost",
    "The text at the end of a turn has only its first third.",
    _TARGET_TRANSCRIBES,
)
def _lose_end_of_transcript(reports: list[ReportedText]) -> list[ReportedText]:
    """Leave out all but the first third of the text of a turn that ends."""

    def cut(text: str) -> str:
        words = text.split()
        return " ".join(words[: len(words) // 3])

    return [replace(one, text=cut(one.text)) if one.kind in ("eager-end", "turn-end") else one for one in reports]


@declare_fault(
    "change_reported_texts",
    "socket-transcript-end-late",
    "The end of a turn is reported two seconds late.",
    _TARGET_TRANSCRIBES,
    why_checks_miss_it="A check does not measure times. `voicegauge bench` does.",
)
def _delay_turn_end(reports: list[ReportedText]) -> list[ReportedText]:
    """Report the end of a turn `_TURN_END_DELAY_S` seconds late."""
    return [replace(one, delay_s=_TURN_END_DELAY_S) if one.kind == "turn-end" else one for one in reports]


@declare_fault(
    "change_reported_texts",
    "socket-transcript-words-flip",
    "The last word of each text that may change is another one.",
    _TARGET_TRANSCRIBES,
    why_checks_miss_it="Such a text may change. `voicegauge bench` counts the words that were taken back.",
)
def _replace_last_word_of_partials(reports: list[ReportedText]) -> list[ReportedText]:
    """Replace the last word of each partial transcript."""
    return [
        replace(one, text=f"{one.text.rpartition(' ')[0]} {_REPLACEMENT_WORD}".strip())
        if one.kind == "partial"
        else one
        for one in reports
    ]


add_faults(
    Fault(
        id="socket-transcript-end-missing",
        description="The end of a turn is never reported.",
        socket=SocketFault(change_reported_texts=lambda reports: [one for one in reports if one.kind != "turn-end"]),
        applies_to_socket=_TARGET_TRANSCRIBES,
    ),
    Fault(
        id="socket-transcript-unknown-message",
        description="The service sends a message that no document describes, before each text.",
        socket=SocketFault(change_reported_texts=lambda reports: [ReportedText("raw", _UNKNOWN_MESSAGE), *reports]),
        applies_to_socket=_TARGET_TRANSCRIBES,
    ),
    Fault(
        id="socket-transcript-cut-early",
        description="A turn ends at the first short silence, in the middle of a sentence.",
        socket=SocketFault(turn_end_silence_s=_EARLY_TURN_END_SILENCE_S),
        applies_to_socket=_TARGET_TRANSCRIBES,
        why_checks_miss_it="No document says how long a speaker may pause. `voicegauge bench` counts turns cut early.",
    ),
)
