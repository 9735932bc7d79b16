"""Faults of transcription over WebSockets."""

from __future__ import annotations

from dataclasses import replace

from voicegauge.contract.targets import BaseSocketTarget
from voicegauge.emulator._fault import Fault, SocketFault, TextStep

_LATE_END_S = 2.0
_EARLY_END_S = 0.08
_OTHER_WORD = "otherwise"
_UNKNOWN_MESSAGE = '{"type":"heartbeat-v2","heartbeat":1}'


def _transcribes(target: BaseSocketTarget) -> bool:
    return target.spec.transcribes


def _lose_last_word_of_end(steps: list[TextStep]) -> list[TextStep]:
    return [replace(one, text=one.text.rpartition(" ")[0]) if one.kind == "turn-end" else one for one in steps]


def _resume_first(steps: list[TextStep]) -> list[TextStep]:
    resumed = [TextStep("resumed", step.text) for step in steps if step.kind == "partial"]
    return [*resumed, *steps]


def _lose_second_half(steps: list[TextStep]) -> list[TextStep]:
    def cut(text: str) -> str:
        words = text.split()
        return " ".join(words[: len(words) // 3])

    return [replace(one, text=cut(one.text)) if one.kind in ("eager-end", "turn-end") else one for one in steps]


def _leave_out_end(steps: list[TextStep]) -> list[TextStep]:
    return [one for one in steps if one.kind != "turn-end"]


def _delay_end(steps: list[TextStep]) -> list[TextStep]:
    return [replace(one, delay_s=_LATE_END_S) if one.kind == "turn-end" else one for one in steps]


def _replace_last_word_of_partials(steps: list[TextStep]) -> list[TextStep]:
    return [
        replace(one, text=f"{one.text.rpartition(' ')[0]} {_OTHER_WORD}".strip()) if one.kind == "partial" else one
        for one in steps
    ]


def _add_unknown_message(steps: list[TextStep]) -> list[TextStep]:
    return [TextStep("raw", _UNKNOWN_MESSAGE), *steps]


TRANSCRIPT_FAULTS = (
    Fault(
        id="socket-transcript-end-differs",
        description="The text at the end of a turn lacks the last word of the text when it had probably ended.",
        socket=SocketFault(change_texts=_lose_last_word_of_end),
        applies_to_socket=lambda target: target.spec.transcript.end_repeats_eager_end,
    ),
    Fault(
        id="socket-transcript-resumed-alone",
        description="A turn is reported as resumed although nothing said that it had probably ended.",
        socket=SocketFault(change_texts=_resume_first),
        applies_to_socket=lambda target: target.spec.transcript.resumes_after_eager_end_only,
    ),
    Fault(
        id="socket-transcript-words-lost",
        description="The text at the end of a turn has only its first third.",
        socket=SocketFault(change_texts=_lose_second_half),
        applies_to_socket=_transcribes,
    ),
    Fault(
        id="socket-transcript-end-missing",
        description="The end of a turn is never reported.",
        socket=SocketFault(change_texts=_leave_out_end),
        applies_to_socket=_transcribes,
    ),
    Fault(
        id="socket-transcript-unknown-message",
        description="The service sends a message that no document describes, before each text.",
        socket=SocketFault(change_texts=_add_unknown_message),
        applies_to_socket=_transcribes,
    ),
    Fault(
        id="socket-transcript-end-late",
        description="The end of a turn is reported two seconds late.",
        socket=SocketFault(change_texts=_delay_end),
        applies_to_socket=_transcribes,
        unfound_reason="A check does not measure times. `voicegauge bench` does.",
    ),
    Fault(
        id="socket-transcript-cut-early",
        description="A turn ends at the first short silence, in the middle of a sentence.",
        socket=SocketFault(turn_end_s=_EARLY_END_S),
        applies_to_socket=_transcribes,
        unfound_reason="No document says how long a speaker may pause. `voicegauge bench` counts turns cut early.",
    ),
    Fault(
        id="socket-transcript-words-flip",
        description="The last word of each text that may change is another one.",
        socket=SocketFault(change_texts=_replace_last_word_of_partials),
        applies_to_socket=_transcribes,
        unfound_reason="Such a text may change. `voicegauge bench` counts the words that were taken back.",
    ),
)
