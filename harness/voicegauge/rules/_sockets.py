"""Rules about WebSockets: their messages, turns and limits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from voicegauge.model.exchange import ABNORMAL_CLOSE_CODE, NO_STATUS_CLOSE_CODE, PROTOCOL_ERROR_CLOSE_CODE
from voicegauge.rules._metamorphic import MAX_SAME_WORDS_MISMATCH, MIN_COMPARED_SPEECH_S
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule
from voicegauge.rules.socket_subjects import (
    DESCRIPTION_BY_COMPARISON,
    SocketConnection,
    SocketSubject,
    SpokenTurn,
    TurnAmongOthers,
    TurnPair,
)
from voicegauge.speech.spoken_text import SpokenTextVerdict

MAX_EXAMINED_WRONG_MESSAGES = 1_000
"""Maximum number of wrong messages that are examined, because describing what is wrong takes a millisecond each."""
MAX_REPORTED_MESSAGES = 5
"""Maximum number of messages of one connection that a rule reports."""
CANCEL_GRACE_S = 1.0
"""Seconds after a cancellation in which audio may still arrive, because it was on the way, if the service does not
confirm the cancellation."""
MAX_SAME_TEXT_DURATION_RATIO = 1.3
"""Largest ratio between the durations of the same text in two turns. Repeated syntheses of one text differ in duration
by a few percent, and rarely by a fifth."""
TIMESTAMP_TOLERANCE_S = 0.5
"""Seconds by which the stated times of words may exceed the duration of the audio."""
_NORMAL_CLOSE_CODES = (1000, 1001)
"""Close codes with which a service may end any connection: 1000, "normal closure", and 1001, "going away"."""
_WRONG_TEXT_VERDICTS: tuple[SpokenTextVerdict, ...] = (
    "other text",
    "end missing",
    "start missing",
    "part missing",
    "said twice",
    "other words",
    "other rate",
)
"""Verdicts which mean that a turn does not say its text."""


def _was_closed_as_requested(subject: SocketSubject) -> bool:
    """Whether the service has closed the connection in a normal way, after the client had asked for that."""
    close = subject.traffic.close
    if close is None or close.closed_by != "server" or not subject.has_asked_to_close:
        return False
    return subject.target.spec.transcribes or close.code in (*_NORMAL_CLOSE_CODES, NO_STATUS_CLOSE_CODE)


@register_rule(
    "socket-handshake",
    subject_class=SocketConnection,
    description="A WebSocket with a valid key and valid parameters is opened, one without a valid key is not.",
    contract_condition="x-socket",
    explanation=Explanation(
        consequence="A client cannot connect, or anybody can use the account.",
        conforming_example="With a key: 101 Switching Protocols. Without one: 401.",
        violating_example="Without a key: 101 Switching Protocols, and speech.",
    ),
    shown_by=(FaultExample("socket-key-ignored", target_id="cartesia/sonic-3.5-socket", found_in="turns"),),
)
def _check_handshake_response(connection: SocketConnection) -> Iterator[Violation]:
    traffic, pointer = connection.traffic, connection.operation.pointer
    if connection.expectation == "rejected":
        is_closed_by_server = traffic.close is not None and traffic.close.closed_by == "server"
        # A service that reads the key from a message can only refuse by closing the connection afterwards.
        refused = not traffic.is_open or (is_closed_by_server and not connection.has_asked_to_close)
        speaks = any(turn.audio for turn in connection.conversation.turns)
        if not refused or speaks:
            yield Violation("a connection without a valid key is opened", pointer)
    elif connection.upgrade_violation is not None:
        reason = f"the answer 101 to a valid handshake opens no WebSocket: {connection.upgrade_violation}"
        yield Violation(reason, pointer)
    elif not traffic.is_open:
        reason = f"a valid handshake is answered with status {traffic.status} instead of 101"
        yield Violation(reason, pointer, evidence=connection.rejection or None)


@register_rule(
    "socket-message-schema",
    subject_class=SocketConnection,
    description="Every message of the service has the documented form of one of its messages.",
    contract_condition="x-socket",
    explanation=Explanation(
        consequence="A client that was generated from the document fails on the message, in the middle of speech.",
        conforming_example='{"type": "done", "context_id": "c1", "done": true}',
        violating_example='{"type": "done", "context_id": 1}',
    ),
    shown_by=(
        FaultExample("socket-wrong-message", target_id="cartesia/sonic-3.5-socket", found_in="turns"),
        FaultExample("socket-unknown-message", target_id="cartesia/sonic-3.5-socket", found_in="turns"),
        FaultExample("socket-transcript-unknown-message", target_id="deepgram/flux-listen", found_in="transcription"),
    ),
)
def _check_message_schema(connection: SocketConnection) -> Iterator[Violation]:
    # A message that recurs a thousand times is one violation, and a hostile service can send any number of others.
    reported, wrong = 0, 0
    seen: set[tuple[str, str | None]] = set()
    for message in connection.traffic.messages:
        if message.sender != "server":
            continue
        if wrong >= MAX_EXAMINED_WRONG_MESSAGES:
            return
        is_wrong = False
        for violation in connection.target.socket.iterate_violations(
            "server", message.data, is_binary=message.is_binary
        ):
            key = (violation.contract_pointer, violation.value_pointer)
            wrong += not is_wrong
            is_wrong = True
            if key in seen:
                continue
            seen.add(key)
            evidence = None if message.is_binary else message.data[:400].decode(errors="replace")
            yield Violation(
                f"a message {violation.reason}", violation.contract_pointer, violation.value_pointer, evidence
            )
            reported += 1
            if reported >= MAX_REPORTED_MESSAGES:
                return


@register_rule(
    "socket-error",
    subject_class=SpokenTurn,
    description="A valid turn is spoken without an error message.",
    contract_condition="x-socket.client_messages.text",
    explanation=Explanation(
        consequence="What the document allows is not spoken.",
        conforming_example="Text, end: audio, done.",
        violating_example='Text, end: {"type": "error", "message": "internal error"}',
    ),
    unshown_reason="The emulator reports no error for a valid turn.",
)
def _check_turn_error(spoken_turn: SpokenTurn) -> Iterator[Violation]:
    if spoken_turn.turn.errors:
        yield Violation(
            f"a valid turn is answered with an error: {spoken_turn.turn.errors[0] or 'without a text'}",
            spoken_turn.extension_pointer,
        )


@register_rule(
    "socket-turn-unfinished",
    subject_class=SpokenTurn,
    description="The service reports the end of every turn.",
    contract_condition="x-socket.client_messages.text",
    explanation=Explanation(
        consequence="An agent waits for the end and stays silent until its own time limit.",
        conforming_example="audio, audio, done",
        violating_example="audio, audio, and nothing more",
    ),
    shown_by=(
        FaultExample("socket-end-missing", target_id="cartesia/sonic-3.5-socket", found_in="turns"),
        # It closes the connection when the client asks for that after it has waited.
        FaultExample("socket-end-missing", target_id="deepgram/aura-2-socket", found_in="turns"),
        # A connection that is closed early has an unfinished turn too; the rule about closing says why.
    ),
)
def _check_turn_finished(spoken_turn: SpokenTurn) -> Iterator[Violation]:
    turn, close = spoken_turn.turn, spoken_turn.traffic.close
    if turn.finished_ms is not None or turn.errors or turn.cancelled_ms is not None:
        return
    if spoken_turn.traffic.is_truncated:
        return  # voicegauge has ended the connection
    if close is not None and close.closed_by == "server" and not _was_closed_as_requested(spoken_turn):
        return  # reported by socket-closed-early
    event = {
        "turn-end": "the end of the turn",
        "flush-end": "the end of the flush that ends the turn",
        "close": "the end of the turn by closing the connection",
    }
    yield Violation(
        f"the service does not report {event[spoken_turn.target.spec.turn.ends_with]} within "
        f"{spoken_turn.waited_s:g} s",
        f"{spoken_turn.extension_pointer}/turn",
    )


@register_rule(
    "socket-closed-early",
    subject_class=SocketConnection,
    description="The service closes a connection in a documented way only, and not in the middle of a turn.",
    contract_condition="x-socket",
    explanation=Explanation(
        consequence="A speaker is cut off, and the client cannot tell why.",
        conforming_example="done, then close 1000",
        violating_example="audio, then the connection is lost without a close frame",
    ),
    shown_by=(FaultExample("socket-closed-early", target_id="cartesia/sonic-3.5-socket", found_in="turns"),),
)
def _check_closed_early(connection: SocketConnection) -> Iterator[Violation]:
    close = connection.traffic.close
    # With this code the client ends a connection on which the service has sent an invalid frame.
    if close is not None and close.closed_by == "client" and close.code == PROTOCOL_ERROR_CLOSE_CODE:
        yield Violation(close.describe(), connection.extension_pointer)
    if close is None or close.closed_by != "server" or connection.expectation != "accepted":
        return
    pointer = f"{connection.extension_pointer}"
    if _was_closed_as_requested(connection):
        return  # what is missing is reported by the rules about turns and transcripts
    if connection.has_open_turn or not connection.has_begun:
        when = "in the middle of a turn" if connection.has_open_turn else "before the first turn"
        yield Violation(f"{close.describe()} {when}", pointer)
        return
    # If the document lists no codes, any code with which the service says why is as good as another.
    documented = connection.target.spec.close_codes
    allowed = {*_NORMAL_CLOSE_CODES, *(int(code) for code in documented if code.isdecimal()), NO_STATUS_CLOSE_CODE}
    if close.code not in allowed and (documented or close.code == ABNORMAL_CLOSE_CODE):
        yield Violation(f"{close.describe()}, which no document states", pointer)


@register_rule(
    "socket-limit",
    subject_class=SocketConnection,
    description="Beyond the documented limit of contexts, the connection is closed with the documented code.",
    contract_condition="x-socket.limits.contexts.close_code",
    explanation=Explanation(
        consequence="A client that reacts to the code does not notice that it has leaked contexts.",
        conforming_example="The sixth context: close 1008.",
        violating_example="The sixth context: close 1011.",
    ),
    shown_by=(
        FaultExample("socket-limit-ignored", target_id="elevenlabs/flash-multi-context", found_in="turns"),
        FaultExample("socket-close-code", target_id="elevenlabs/flash-multi-context", found_in="turns"),
    ),
)
def _check_context_limit(connection: SocketConnection) -> Iterator[Violation]:
    limit = connection.target.spec.limits.contexts
    if connection.expectation != "limit" or limit is None or not connection.traffic.is_open:
        return
    close, pointer = connection.traffic.close, f"{connection.extension_pointer}/limits/contexts"
    if close is None or close.closed_by == "client":
        yield Violation(f"more than {limit.max_count} contexts are open, and the connection is not closed", pointer)
    elif close.code != limit.close_code:
        yield Violation(
            f"beyond {limit.max_count} contexts the connection is closed with code {close.code} instead of "
            f"{limit.close_code}",
            pointer,
        )


@register_rule(
    "socket-audio-outside-turn",
    subject_class=SocketConnection,
    description="Audio belongs to a turn that is open: it names a context of the client, and precedes the end.",
    contract_condition="x-socket.client_messages.text",
    explanation=Explanation(
        consequence="An agent plays words of one turn in another one, or drops them.",
        conforming_example="audio of c1, done of c1",
        violating_example="done of c1, audio of c1",
    ),
    shown_by=(
        FaultExample(
            "socket-audio-after-end",
            target_id="cartesia/sonic-3.5-socket",
            found_in="turns",
            also_found_by=("socket-speech-differs",),
        ),
    ),
)
def _check_audio_outside_turn(connection: SocketConnection) -> Iterator[Violation]:
    pointer = f"{connection.extension_pointer}/turn"
    stray = [event for _, event in connection.conversation.stray_events if event.kind == "audio"]
    if stray:
        named = f" names the context {stray[0].context!r}, which" if stray[0].context is not None else ""
        yield Violation(f"audio{named} belongs to no turn of the client", pointer)
    # The first turn is enough: a service that is one message late is so in each turn.
    is_bounded = connection.target.spec.turn.audio_is_between_start_and_end
    for turn in connection.conversation.turns:
        if turn.finished_ms is not None and any(turn.iterate_audio_after(turn.finished_ms)):
            yield Violation(f"audio of turn {turn.index + 1} arrives after its end was reported", pointer)
            return
        first = turn.first_audio_ms
        if is_bounded and first is not None and (turn.started_ms is None or first < turn.started_ms):
            yield Violation(f"audio of turn {turn.index + 1} arrives before its start was reported", pointer)
            return


@register_rule(
    "socket-audio-after-cancel",
    subject_class=SocketConnection,
    description="After a turn was cancelled, no more of its audio arrives.",
    contract_condition="x-socket.client_messages.cancel",
    explanation=Explanation(
        consequence="The agent goes on talking although it was interrupted, or its next answer begins with old words.",
        conforming_example="cancel, confirmed, audio of the next turn",
        violating_example="cancel, confirmed, ten seconds of audio of the cancelled turn",
    ),
    shown_by=(
        FaultExample(
            "socket-cancel-ignored",
            target_id="deepgram/aura-2-socket",
            found_in="turns",
            also_found_by=(
                "socket-speech-differs",
                "socket-text-differs",
                "socket-audio-outside-turn",
                "socket-turn-unfinished",
            ),
        ),
    ),
)
def _check_audio_after_cancel(connection: SocketConnection) -> Iterator[Violation]:
    if connection.target.spec.cancel_effect != "stops":
        return
    for turn in connection.conversation.turns:
        if turn.cancelled_ms is None:
            continue
        # Nothing may follow a confirmation; without one, what was on the way when the turn was cancelled may.
        end_ms = turn.cancel_confirmed_ms or turn.cancelled_ms + CANCEL_GRACE_S * 1000
        late = list(turn.iterate_audio_after(end_ms))
        if late:
            size = sum(len(piece) for _, piece in late)
            yield Violation(
                f"{size} bytes of audio arrive after the turn was cancelled, the last of them "
                f"{(late[-1][0] - turn.cancelled_ms) / 1000:.2f} s later",
                f"{connection.extension_pointer}/client_messages/cancel",
            )
            return


@register_rule(
    "socket-audio-silent",
    subject_class=SpokenTurn,
    description="A complete turn has audible audio that can be decoded.",
    contract_condition="x-socket.client_messages.text",
    explanation=Explanation(
        consequence="The caller hears nothing, and the turn is charged.",
        conforming_example="96,000 bytes of samples, -20 dBFS",
        violating_example="96,000 bytes of zeros",
    ),
    shown_by=(FaultExample("socket-silent", target_id="cartesia/sonic-3.5-socket", found_in="turns"),),
)
def _check_turn_silent(spoken_turn: SpokenTurn) -> Iterator[Violation]:
    # A turn of spaces has nothing to speak; one that did not end is reported by socket-turn-unfinished.
    if not spoken_turn.turn.is_complete or not spoken_turn.turn.text.strip() or not spoken_turn.is_silent:
        return
    size = len(spoken_turn.turn.audio_bytes)
    what = (
        "no audio" if not size else "no audible audio" if spoken_turn.decoded_audio else "audio that cannot be decoded"
    )
    yield Violation(
        f"a complete turn of {len(spoken_turn.turn.text)} characters has {what} ({size} bytes)",
        f"{spoken_turn.extension_pointer}/server_messages",
    )


@register_rule(
    "socket-samples-cut",
    subject_class=SpokenTurn,
    description="The samples of a turn are whole: their bytes divide by the size of a sample.",
    contract_condition="x-socket.client_messages.text",
    explanation=Explanation(
        consequence="A player that joins turns plays noise from there on.",
        conforming_example="48,000 bytes of 16-bit samples",
        violating_example="47,999 bytes of 16-bit samples. A single message of odd length is normal.",
    ),
    shown_by=(
        FaultExample(
            "socket-samples-cut",
            target_id="cartesia/sonic-3.5-socket",
            found_in="turns",
            also_found_by=("socket-speech-differs", "socket-text-differs"),
        ),
    ),
)
def _check_turn_samples_cut(spoken_turn: SpokenTurn) -> Iterator[Violation]:
    codec, size = spoken_turn.audio_format.codec, len(spoken_turn.turn.audio_bytes)
    if spoken_turn.turn.is_complete and size % (spoken_turn.audio_format.sample_width_bytes or 1):
        yield Violation(
            f"the turn has {size} bytes of {codec}, which is not a whole number of samples",
            f"{spoken_turn.target.pointer}/formats",
        )


@register_rule(
    "socket-timestamps",
    subject_class=SpokenTurn,
    description="The times of words do not decrease and lie within the audio of the turn.",
    contract_condition="x-socket.client_messages.text",
    explanation=Explanation(
        consequence="Captions and the place of an interruption are wrong.",
        conforming_example="hello 0.1 to 0.4 s, audio of 1.2 s",
        violating_example="hello 60.1 to 60.4 s, audio of 1.2 s",
    ),
    shown_by=(FaultExample("socket-timestamps-shifted", target_id="cartesia/sonic-3.5-socket", found_in="turns"),),
)
def _check_turn_timestamps(spoken_turn: SpokenTurn) -> Iterator[Violation]:
    decoded = spoken_turn.decoded_audio
    if decoded is None or not spoken_turn.turn.is_complete:
        return
    events = [event for _, event in spoken_turn.turn.events if event.kind == "timestamps"]
    starts = [second for event in events for second in event.starts_s]
    ends = [second for event in events for second in event.ends_s]
    pointer = f"{spoken_turn.extension_pointer}/server_messages"
    limit_s = decoded.duration_s + TIMESTAMP_TOLERANCE_S
    if any(after < before for before, after in itertools.pairwise(starts)):
        yield Violation("the times of words decrease", pointer)
    elif any(second > limit_s or second < 0 for second in (*starts, *ends)):
        last = max((*starts, *ends))
        yield Violation(
            f"a word is said to be spoken at {last:.2f} s, but the audio has {decoded.duration_s:.2f} s", pointer
        )


@register_rule(
    "socket-text-differs",
    subject_class=TurnAmongOthers,
    description=(
        "A turn says its text: all of it, once, and nothing else (English; a warning with a voice that is not "
        "recognized clearly)."
    ),
    contract_condition="x-socket.client_messages.text",
    explanation=Explanation(
        consequence="A caller hears something else than the agent meant to say.",
        conforming_example="Sent and spoken: Of course, I will wait here.",
        violating_example="Sent: Of course, I will wait here. Spoken: The weather will stay mild.",
    ),
    shown_by=(
        FaultExample(
            "socket-other-text",
            target_id="cartesia/sonic-3.5-socket",
            found_in="turns",
            also_found_by=("socket-speech-differs",),
        ),
    ),
)
def _check_turn_text_differs(turn_among_others: TurnAmongOthers) -> Iterator[Violation]:
    judgement, spoken_turn = turn_among_others.spoken_turn.spoken_text, turn_among_others.spoken_turn
    if judgement is None:
        return
    is_doubtful = judgement.verdict == "does not fit" and turn_among_others.can_doubt_text
    if is_doubtful or judgement.verdict in _WRONG_TEXT_VERDICTS:
        yield Violation(
            judgement.explanation,
            f"{spoken_turn.extension_pointer}/client_messages/text",
            evidence=spoken_turn.audio_evidence,
            audio_start_s=judgement.start_s,
            is_warning=is_doubtful,
        )


@register_rule(
    "socket-speech-differs",
    subject_class=TurnPair,
    description="The same text is spoken as the same words, however it is sent and whatever else is spoken.",
    contract_condition="x-socket.client_messages.text",
    explanation=Explanation(
        consequence="Words are lost, repeated, or belong to another turn: the listener hears something else.",
        conforming_example="Whole: 4.1 s. In pieces: 4.2 s of the same words.",
        violating_example="Whole: 4.1 s. In pieces: 2.9 s, because every third piece is missing.",
    ),
    shown_by=tuple(
        FaultExample(
            fault,
            target_id="cartesia/sonic-3.5-socket",
            found_in="turns",
            also_found_by=("socket-text-differs", *others),
        )
        for fault, others in (
            ("socket-piece-lost", ()),
            ("socket-audio-reordered", ()),
            ("socket-audio-leaked", ()),
            ("socket-audio-stale", ()),
            ("socket-audio-repeated", ()),
            ("socket-audio-lost", ("socket-timestamps",)),
            ("socket-rate-ignored", ("socket-timestamps",)),
            ("socket-other-context", ("socket-audio-silent", "socket-audio-outside-turn", "socket-timestamps")),
        )
    ),
)
def _check_turn_speech_differs(turn_pair: TurnPair) -> Iterator[Violation]:
    from voicegauge.speech.audio_measurement import measure_speech_mismatch

    base, changed = turn_pair.base_turn, turn_pair.changed_turn
    one, other = base.active_duration_s, changed.active_duration_s
    if not base.turn.is_complete or not changed.turn.is_complete or one is None or other is None:
        return
    # One turn may be shorter than that: then it lacks most of what the other one says.
    if min(one, other) < MIN_COMPARED_SPEECH_S and max(one, other) < 2 * MIN_COMPARED_SPEECH_S:
        return
    how = DESCRIPTION_BY_COMPARISON[turn_pair.comparison]
    pointer = f"{turn_pair.extension_pointer}/turn"
    if max(one, other) / min(one, other) > MAX_SAME_TEXT_DURATION_RATIO:
        yield Violation(f"the text takes {other:.2f} s {how}, and {one:.2f} s without that", pointer)
        return
    assert base.decoded_audio is not None and changed.decoded_audio is not None  # noqa: PT018
    mismatch = measure_speech_mismatch(
        base.decoded_audio.samples,
        base.decoded_audio.sample_rate_hz,
        changed.decoded_audio.samples,
        changed.decoded_audio.sample_rate_hz,
    )
    if mismatch is not None and mismatch > MAX_SAME_WORDS_MISMATCH:
        yield Violation(
            f"other words are spoken {how}: the spectra cannot be aligned (mismatch {mismatch:.2f}, at most "
            f"{MAX_SAME_WORDS_MISMATCH:g} for the same words)",
            pointer,
        )
