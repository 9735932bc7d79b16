"""Rules about transcription over WebSockets."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.contract.transcript_turns import TranscribedText, TranscribedTurn
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule
from voicegauge.rules.socket_subjects import TranscribedConnection

MAX_STREAMED_WER = 0.5
"""Word error rate above which a transcript counts as wrong, as for a file over HTTP."""
_FLUX = "deepgram/flux-listen"


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
    shown_by=(FaultExample("socket-transcript-end-missing", target_id=_FLUX, found_in="transcription"),),
)
def _check_unfinished(connection: TranscribedConnection) -> Iterator[Violation]:
    transcribed, close = connection.transcribed, connection.traffic.close
    if transcribed.errors or connection.traffic.is_truncated or connection.reference_text is None:
        return  # a recorded client may have left before
    if close is not None and close.closed_by == "server" and not connection.has_asked_to_close:
        return  # reported by socket-closed-early
    pointer = f"{connection.description_pointer}/server_messages"
    ended = sum(turn.ended_ms is not None for turn in transcribed.turns)
    if not transcribed.turns:
        yield Violation(f"nothing is reported within {connection.waited_s:g} s after the speech", pointer)
    elif ended < len(transcribed.turns):
        turn = next(turn for turn in transcribed.turns if turn.ended_ms is None)
        yield Violation(f"the end of turn {turn.index + 1} ({_quote(turn.text)}) is not reported", pointer)


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
    shown_by=(FaultExample("socket-transcript-words-lost", target_id=_FLUX, found_in="transcription"),),
)
def _check_wrong(connection: TranscribedConnection) -> Iterator[Violation]:
    from voicegauge.speech.transcripts import score_transcript

    reference, text = connection.reference_text, connection.transcribed.text
    if reference is None or not any(turn.ended_ms is not None for turn in connection.transcribed.turns):
        return  # without an end, socket-transcript-unfinished reports it
    scored = score_transcript(sample_id="", reference=reference, transcript=text, language="en", audio_content="speech")
    if scored.error_rate >= MAX_STREAMED_WER:
        yield Violation(
            f"word error rate {scored.error_rate:.0%} against the spoken text",
            f"{connection.description_pointer}/transcript",
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
    shown_by=(FaultExample("socket-transcript-end-differs", target_id=_FLUX, found_in="transcription"),),
)
def _check_end_differs(connection: TranscribedConnection) -> Iterator[Violation]:
    for turn in connection.transcribed.turns:
        eager: TranscribedText | None = None
        for text in turn.texts:
            if text.kind == "eager-end":
                eager = text
            elif text.kind == "resumed":
                eager = None
            elif text.kind == "turn-end" and eager is not None and text.text != eager.text:
                yield Violation(
                    f"turn {turn.index + 1} ends with {_quote(text.text)}, after {_quote(eager.text)} was reported",
                    f"{connection.description_pointer}/transcript/end_repeats_eager_end",
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
    shown_by=(FaultExample("socket-transcript-resumed-alone", target_id=_FLUX, found_in="transcription"),),
)
def _check_resumed_alone(connection: TranscribedConnection) -> Iterator[Violation]:
    for turn in connection.transcribed.turns:
        if _resumes_alone(turn):
            yield Violation(
                f"turn {turn.index + 1} is resumed, although nothing said that it had probably ended",
                f"{connection.description_pointer}/transcript/resumes_after_eager_end_only",
            )
            return


def _resumes_alone(turn: TranscribedTurn) -> bool:
    has_probably_ended = False
    for text in turn.texts:
        if text.kind == "resumed" and not has_probably_ended:
            return True
        if text.kind in ("eager-end", "resumed"):
            has_probably_ended = text.kind == "eager-end"
    return False


def _quote(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:100]}…")
