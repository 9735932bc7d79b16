"""Speaks texts or streams recordings over WebSockets as deliveries, so that they are measured beside those over HTTP.

A connection stays open for the next text, as a voice agent keeps it. The times of a delivery count from its first text:
the handshake and earlier turns are left out. A turn can be interrupted, as the user of a voice agent does.

Each recording has a connection of its own. Times count from the moment at which its first sample would have been
spoken: the handshake is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from voicegauge.client.client import Client, RequestToRepeat
from voicegauge.client.ledger import Settlement, SubmitObserver
from voicegauge.client.socket_session import (
    SENT_AUDIO_MESSAGE_S,
    SocketLink,
    SocketSession,
    StreamedAudio,
    StreamTimes,
    TranscriptionSession,
)
from voicegauge.contract.contract import BaseSocketTarget, SocketTarget, TranscriptionSocketTarget
from voicegauge.contract.extension.sockets import SocketFormat
from voicegauge.contract.price_computation import quote_turn_price
from voicegauge.contract.socket_turns import (
    SocketTurn,
    TranscribedConversation,
    count_partial_words,
    count_words_taken_back,
)
from voicegauge.errors import TransportError, UsageError
from voicegauge.model.base import TextPacing
from voicegauge.model.exchange import (
    TRAILING_SILENCE_S,
    WEBSOCKET_VERSION,
    BillingStatus,
    Delivery,
    Exchange,
    Failure,
    Interruption,
    Response,
    SocketTraffic,
    Timing,
    TranscriptTiming,
    UploadedFile,
)
from voicegauge.transport.websocket import OVERSIZED_TRAFFIC_MESSAGE

# Pays for a delivery over a WebSocket, whether it speaks or transcribes, and says why it has failed.


_LinkT = TypeVar("_LinkT", bound=SocketLink[Any, Any])


class SocketPayment:
    """Opens the connection of one delivery over a WebSocket, and notes what is known about its charge.

    Its settlement and the observer of submits learn it before the connection is opened, after an opening that failed or
    was rejected, and after content was sent.
    """

    def __init__(
        self, target: BaseSocketTarget, settlement: Settlement, submit_observer: SubmitObserver | None
    ) -> None:
        """Prepare the payment of a delivery. Call this just before the connection is opened.

        Args:
            target: the target.
            settlement: what is known so far about the charge for the delivery.
            submit_observer: notified before the connection is opened, and after it was used; `None` notifies nobody.
        """
        self._target, self._settlement, self._observer = target, settlement, submit_observer
        if submit_observer is not None:
            submit_observer.before_submit()
        settlement.note_sending()

    async def open_connection(self, acquire: Callable[[], Awaitable[_LinkT]]) -> _LinkT | Delivery:
        """Return the connection that `acquire` opens.

        If it cannot be opened, or is already closed, return a failed delivery that costs nothing.
        """
        try:
            link = await acquire()
        except TransportError as error:
            self._settlement.status = BillingStatus.NOT_SENT
            if self._observer is not None:
                self._observer.on_submit_not_sent()
            return self.build_failed_delivery(Failure(kind="network", message=str(error)))
        if link.connection.is_open:
            return link
        status, end = link.build_traffic().status, link.describe_end_by_service()
        self._note_response_status(status, BillingStatus.REJECTED)
        if end is not None:  # after a handshake that it has accepted
            return self.build_failed_delivery(Failure(kind="network", message=f"{end} before the first turn"))
        message = f"the WebSocket was answered with status {status} instead of 101"
        message += f": {body}" if (body := link.quote_rejection()) else ""
        return self.build_failed_delivery(Failure(kind="rejected", message=message, http_status=status))

    def note_content_sent(self, link: SocketLink[Any, Any]) -> None:
        """Note that text or audio was sent over a connection, which is charged."""
        self._note_response_status(link.build_traffic().status, BillingStatus.ACCEPTED)

    def _note_response_status(self, http_status: int, billing_status: BillingStatus) -> None:
        """Note what the outcome says about the charge, and notify the observer."""
        self._settlement.status = billing_status
        if self._observer is not None:
            self._observer.after_submit(http_status, self._settlement, None)

    def build_failed_delivery(self, failure: Failure) -> Delivery:
        """Return a failed delivery with `failure`."""
        return Delivery(
            target=self._target.id,
            exchanges=(),
            submit_count=1,
            billing_status=self._settlement.status,
            failure=failure,
        )


def find_connection_failure(
    client: Client, link: SocketLink[Any, Any], error_message: str | None, service_errors: Sequence[str]
) -> Failure | None:
    """Return why a connection cannot be judged by what arrived over it; `None` if it can.

    Args:
        client: masks its key in messages.
        link: the connection.
        error_message: the message of an error of the connection; `None` without one.
        service_errors: what the service has reported as errors.
    """
    if link.connection.is_truncated:
        error_message = OVERSIZED_TRAFFIC_MESSAGE
    if error_message is not None:
        end = link.describe_end_by_service()
        return Failure(kind="network", message=client.mask_secrets(error_message) if end is None else end)
    if service_errors:
        return Failure(kind="failed", message=client.mask_secrets(f"the service reports: {service_errors[0]}")[:300])
    return None


def build_handshake_response(traffic: SocketTraffic, body: bytes) -> Response:
    """Return the response to a handshake, with what arrived over the connection as its body."""
    # The length is that of the response to the handshake, not of what came after it.
    headers = tuple(header for header in traffic.response_headers if header[0].lower() != "content-length")
    return Response(status=traffic.status, headers=headers, body=body)


# Interrupts a turn over a WebSocket, as a voice agent does when its user speaks, and measures the reaction.


async def interrupt_turn(session: SocketSession, text: str, *, asks_to_speak: bool = False) -> SocketTurn:
    """Begin a turn, and interrupt it at its first audio, as the contract documents it.

    If the contract has no message that cancels a turn, the client stops using its context. The end of the turn is
    waited for if the contract documents a confirmation, or that a cancelled turn is still finished. A turn with an
    error is not interrupted.

    Args:
        session: the connection.
        text: the text of the interrupted turn.
        asks_to_speak: whether the text is flushed, or else ended, so that a service that waits for more text speaks.

    Raises:
        TransportError: the connection has ended.
    """
    spec = session.target.spec
    context = session.begin_turn()
    await session.send_text(context, text)
    if spec.turn.ends_with == "flush-end" or (asks_to_speak and "flush" in spec.client_messages):
        session.flush(context)
    elif asks_to_speak or spec.turn.speaks_after_end:
        session.end_turn(context)
    turn = session.find_turn(context)
    await session.wait_for_first_audio(turn)
    if turn.errors:
        return turn
    if spec.cancel_effect is not None:
        session.cancel(context)
    elif turn.end_ms is None:
        session.end_turn(context)
    if spec.cancel_effect != "stops" or spec.has_event("cancel-end"):
        await session.wait_for_end(turn)
    return turn


def measure_interruption(
    turn: SocketTurn, next_turn: SocketTurn | None, *, bytes_per_second: int | None, connections_apart_ms: float = 0.0
) -> Interruption:
    """Return how a service reacted, once the next turn is over.

    Args:
        turn: the interrupted turn.
        next_turn: the turn after it; `None` if it could not be spoken.
        bytes_per_second: size of a second of audio; `None` for compressed audio.
        connections_apart_ms: milliseconds from the opening of the connection of `turn` to that of `next_turn`;
            0 on one connection.
    """
    left_ms = turn.cancelled_ms if turn.cancelled_ms is not None else turn.end_ms
    assert left_ms is not None, "the turn was cancelled, or its end was sent"
    late = list(turn.iterate_audio_after(left_ms))
    next_ms = None
    if next_turn is not None and next_turn.first_audio_ms is not None:
        next_ms = connections_apart_ms + next_turn.first_audio_ms - left_ms
    late_bytes = sum(len(piece) for _, piece in late)
    return Interruption(
        last_audio_ms=late[-1][0] - left_ms if late else None,
        late_audio_s=None if bytes_per_second is None else late_bytes / bytes_per_second,
        next_audio_ms=next_ms,
    )


class SocketDeliveries:
    """Delivers texts, on connections that are kept until `close`."""

    def __init__(self) -> None:
        """Create the deliveries without any open connection."""
        self._idle_by_target: dict[SocketTarget, list[SocketSession]] = {}

    async def speak(
        self,
        client: Client,
        target: SocketTarget,
        text: str,
        *,
        pacing: TextPacing | None = None,
        flushes: bool = False,
        interrupts: bool = False,
        submit_observer: SubmitObserver | None = None,
        price_usd: float | None = None,
        request_to_repeat: RequestToRepeat | None = None,
    ) -> Delivery:
        """Speak a text in one turn, and return its audio, or why there is none. Works like `Client.speak`.

        Args:
            client: builds the handshake, and has the budget.
            target: the target that speaks.
            text: the text.
            pacing: how the text is cut into pieces, if the target accepts them; `None` sends it whole.
            flushes: whether to flush the text before the turn ends, if the contract has such a message.
            interrupts: whether to send another turn with the same text first, and interrupt it at its first audio, if
                the target can be interrupted. Both turns are charged.
            submit_observer: notified before the text is sent, and after the turn; `None` notifies nobody.
            price_usd: the price of this turn in dollars, instead of the contract's price; `None` keeps that price.
            request_to_repeat: the earlier turn that this one repeats; `None` for a new one.

        Raises:
            UsageError: there is a budget, and the price is unknown.
            BudgetError: the price exceeds the rest of the budget. Nothing was sent.
        """
        characters = target.count_charged_characters(text)
        price = quote_turn_price(target, characters, user_usd_per_request=price_usd, interrupts=interrupts).reserved_usd
        with client.reserve_and_settle(target, price, request_to_repeat) as settlement:
            sending_options = _SendingOptions(pacing, flushes, interrupts and target.can_be_interrupted)
            return await self._deliver(client, target, text, sending_options, settlement, submit_observer)

    async def _deliver(
        self,
        client: Client,
        target: SocketTarget,
        text: str,
        sending_options: _SendingOptions,
        settlement: Settlement,
        submit_observer: SubmitObserver | None,
    ) -> Delivery:
        payment = SocketPayment(target, settlement, submit_observer)
        session = await payment.open_connection(lambda: self._acquire_session(client, target))
        if isinstance(session, Delivery):
            return session
        is_new = not session.turns
        spoken = await _speak_and_interrupt(session, text, sending_options)
        payment.note_content_sent(session)
        turn = spoken.turn
        failure = _find_turn_failure(client, session, turn, spoken.error_message)
        # After a failure, messages of the failed turn may still arrive, and would be taken for those of the next one.
        if failure is None and not target.spec.turn.is_only_one:
            self._idle_by_target.setdefault(target, []).append(session)
        else:
            with contextlib.suppress(TransportError):
                await session.close()
        if failure is not None:
            return payment.build_failed_delivery(failure)
        assert turn is not None, "otherwise it has failed"
        exchange = _build_turn_exchange(session, turn, spoken.started_at, is_new=is_new)
        return Delivery(
            target=target.id,
            exchanges=(exchange,),
            submit_count=1,
            audio=exchange.response.body,
            audio_exchange_index=0,
            submit_exchange_index=0,
            interruption=_measure_interruption(target, spoken),
        )

    async def close(self) -> None:
        """Close the connections that no turn uses."""
        for sessions in self._idle_by_target.values():
            for session in sessions:
                with contextlib.suppress(TransportError):
                    await session.close()
        self._idle_by_target.clear()

    async def _acquire_session(self, client: Client, target: SocketTarget) -> SocketSession:
        """Return a connection that no turn uses: one that is open, or a new one, which may have been rejected."""
        idle = self._idle_by_target.get(target, [])
        while idle:
            session = idle.pop()  # of those that are idle, the service will close this one last
            if session.connection.is_open:
                return session
        return await SocketSession(client, target, timeout_s=client.max_wait_s).open()


class _SendingOptions(NamedTuple):
    """The options with which a text is sent: its pieces, a flush, an interrupted turn before it."""

    pacing: TextPacing | None
    flushes: bool
    interrupts: bool
    """Whether a turn with the same text is interrupted first."""


class _SpokenText(NamedTuple):
    """A text that was sent, and the turn in which it was spoken."""

    turn: SocketTurn | None
    """The turn; `None` if the connection ended before any."""
    started_at: float
    """Unix time, in seconds, at which the text was sent."""
    error_message: str | None = None
    """The message of an error of the connection; `None` without one."""
    interrupted_turn: SocketTurn | None = None
    """The previous turn, which was interrupted; `None` if no turn was interrupted."""


async def _speak_and_interrupt(session: SocketSession, text: str, sending_options: _SendingOptions) -> _SpokenText:
    """Speak a text, after an interrupted turn with the same text if that is wanted."""
    interrupted, started_at = None, time.time()
    try:
        if sending_options.interrupts:
            interrupted = await interrupt_turn(session, text, asks_to_speak=True)
            started_at = time.time()
        turn = await session.speak(text, sending_options.pacing, flushes=sending_options.flushes)
    except TransportError as error:
        return _SpokenText(session.turns[-1] if session.turns else None, started_at, str(error), interrupted)
    return _SpokenText(turn, started_at, None, interrupted)


def _measure_interruption(target: SocketTarget, spoken: _SpokenText) -> Interruption | None:
    interrupted = spoken.interrupted_turn
    if interrupted is None or (interrupted.errors and interrupted.cancelled_ms is None):
        return None  # a turn that is answered with an error instead of audio cannot be interrupted
    bytes_per_second = target.default_format.bytes_per_second
    return measure_interruption(interrupted, spoken.turn, bytes_per_second=bytes_per_second)


def _find_turn_failure(
    client: Client, session: SocketSession, turn: SocketTurn | None, error_message: str | None
) -> Failure | None:
    if turn is None and error_message is None:
        error_message = "nothing was sent"
    failure = find_connection_failure(client, session, error_message, turn.errors if turn is not None else ())
    if failure is not None or turn is None:
        return failure
    if turn.finished_ms is None:
        end = session.describe_end_by_service()
        if end is not None:
            return Failure(kind="network", message=f"{end} in the middle of a turn")
        unknown = session.describe_unknown_messages(turn.first_text_ms or 0.0)
        return Failure(kind="timeout", message=f"no end of the turn within {session.timeout_s:g} s{unknown}")
    return None if turn.audio_bytes else Failure(kind="audio", message="the turn has no audio")


def _build_turn_exchange(session: SocketSession, turn: SocketTurn, started_at: float, *, is_new: bool) -> Exchange:
    """Return a turn as an exchange: the handshake as the request, the audio as the body, times from the first text.

    Sending the text is the phase of sending. Audio may begin before the last text: the time to the first byte is then
    negative, because it counts from the end of the request.
    """
    assert turn.first_text_ms is not None
    assert turn.last_text_ms is not None
    assert turn.first_audio_ms is not None
    assert turn.finished_ms is not None
    traffic, sent_ms = session.build_traffic(), turn.first_text_ms
    return Exchange(
        provider=traffic.provider,
        operation=traffic.operation,
        request=traffic.request,
        response=build_handshake_response(traffic, turn.audio_bytes),
        timing=Timing(
            started_at=started_at,
            started_ms=session.connection.opened_ms + sent_ms,
            connection_wait_ms=0.0,
            connect_ms=traffic.handshake_ms if is_new else None,
            tls_ms=None,
            send_ms=turn.last_text_ms - sent_ms,
            flush_ms=turn.flushes_ms[-1] - sent_ms if turn.flushes_ms else None,
            ttfb_ms=turn.first_audio_ms - turn.last_text_ms,
            receive_ms=turn.finished_ms - turn.first_audio_ms,
            total_ms=turn.finished_ms - sent_ms,
            chunk_arrivals=tuple((at - sent_ms, len(piece)) for at, piece in turn.audio),
            http_version=WEBSOCKET_VERSION,
        ),
    )


# Streams a recording over a WebSocket, and measures when its transcript arrives.


class SpokenRecording(NamedTuple):
    """A recording in the format of a target, with the times of its speech in seconds."""

    audio: StreamedAudio
    speech_start_s: float
    speech_end_s: float


async def deliver_transcription(
    client: Client,
    target: TranscriptionSocketTarget,
    file: UploadedFile,
    *,
    submit_observer: SubmitObserver | None = None,
    price_usd: float | None = None,
    request_to_repeat: RequestToRepeat | None = None,
) -> Delivery:
    """Stream a recording over its own connection. Return its transcript, or the reason why there is none.

    Args:
        client: builds the handshake, has the budget, and says how long the service has to report the end of a turn.
        target: the target that transcribes.
        file: the recording.
        submit_observer: notified before the recording is sent, and after it; `None` notifies nobody.
        price_usd: the price of the recording with `TRAILING_SILENCE_S`, in dollars; `None` if it is not known.
        request_to_repeat: the earlier request that this one repeats; `None` for a new one.

    Raises:
        UsageError: the recording cannot be sent in the format of the target, or there is a budget and the price is
            unknown.
        BudgetError: the price exceeds the rest of the budget. Nothing was sent.
    """
    recording = await asyncio.to_thread(prepare_recording, file, target.default_format)
    with client.reserve_and_settle(target, price_usd, request_to_repeat) as settlement:
        payment = SocketPayment(target, settlement, submit_observer)
        session = await payment.open_connection(TranscriptionSession(client, target, timeout_s=client.max_wait_s).open)
        if isinstance(session, Delivery):
            return session
        started_at = time.time()
        times, error_message = await _send_recording(session, recording)
        payment.note_content_sent(session)
        failure = _find_stream_failure(client, session, error_message)
        if failure is not None:
            return payment.build_failed_delivery(failure)
        exchange = _build_stream_exchange(session, times.compute_spoken_time_ms(0.0), started_at)
        return Delivery(
            target=target.id,
            exchanges=(exchange,),
            submit_count=1,
            transcript=session.transcribed.text,
            audio_exchange_index=0,
            submit_exchange_index=0,
            transcript_timing=measure_transcript_timing(session.transcribed, recording, times),
        )


async def _send_recording(session: TranscriptionSession, recording: SpokenRecording) -> tuple[StreamTimes, str | None]:
    """Stream a recording, and return when it was sent, and the message of an error of the connection."""
    times = StreamTimes(SENT_AUDIO_MESSAGE_S, session.connection.elapsed_ms, [])

    def has_ended() -> bool:
        # Only an end that is reported after the speech is one: another may follow after an early one.
        end_ms = times.started_ms + recording.speech_end_s * 1000
        return session.transcribed.last_end_ms is not None and session.transcribed.last_end_ms > end_ms

    try:
        times = await session.stream(recording.audio, should_stop=has_ended)
        if not has_ended():
            await session.wait_for_turn_end(len(session.transcribed.turns) or 1)
        await session.close()
    except TransportError as error:
        return times, str(error)
    finally:
        with contextlib.suppress(TransportError):
            await session.connection.close()
    return times, None


def prepare_recording(
    file: UploadedFile, audio_format: SocketFormat, trailing_silence_s: float = TRAILING_SILENCE_S
) -> SpokenRecording:
    """Return a recording in a format, with silence after it, and the times of its speech.

    Args:
        file: the recording, in any format that can be decoded.
        audio_format: a format of samples.
        trailing_silence_s: duration of the silence in seconds.

    Raises:
        UsageError: the format is not one of samples, or the file is not audio.
    """
    import numpy as np

    from voicegauge.speech.audio_measurement import measure_leading_silence_s
    from voicegauge.speech.decoding import UndecodableAudioError, decode
    from voicegauge.speech.encoding import encode, resample

    rate, width = audio_format.sample_rate_hz, audio_format.sample_width_bytes
    if width is None:
        raise UsageError(
            f"a recording cannot be streamed as {audio_format.codec}: the first format of the target must be samples"
        )
    try:
        decoded = decode(file.content)
    except UndecodableAudioError as error:
        raise UsageError(f"{file.filename} is not audio: {error}") from error
    samples = resample(decoded.samples, decoded.sample_rate_hz, rate)
    start_s = measure_leading_silence_s(samples, rate)
    # The silence at the end, read backwards, is measured as that at the beginning.
    end_s = len(samples) / rate - measure_leading_silence_s(samples[::-1], rate)
    padded = np.concatenate((samples, np.zeros(round(trailing_silence_s * rate), np.float32)))
    data, _ = encode(padded, rate, audio_format.codec)
    return SpokenRecording(StreamedAudio(data, rate * width, width), start_s, end_s)


def measure_transcript_timing(
    transcribed: TranscribedConversation, recording: SpokenRecording, times: StreamTimes
) -> TranscriptTiming:
    """Return when a service reported texts and ends of turns, as times after the start and the end of the speech.

    Args:
        transcribed: what the service has reported.
        recording: what was streamed to the service.
        times: when the recording was sent.
    """
    start_ms, end_ms = map(times.compute_spoken_time_ms, (recording.speech_start_s, recording.speech_end_s))
    texts = [text for turn in transcribed.turns for text in turn.texts]
    first_ms = next((one.at_ms for one in texts if one.text.strip()), None)
    new_text_delays_ms, previous_text = [], ""
    for turn in transcribed.turns:
        for text in turn.texts:
            if text.text.strip() and text.text != previous_text:
                new_text_delays_ms.append(text.at_ms - end_ms)
            previous_text = text.text
        previous_text = ""
    return TranscriptTiming(
        turn_ends_ms=tuple(
            turn.ended_ms - end_ms for turn in transcribed.turns if turn.ended_ms is not None and turn.text.strip()
        ),
        new_texts_ms=tuple(new_text_delays_ms),
        first_text_ms=None if first_ms is None else first_ms - start_ms,
        flip_count=sum(map(count_words_taken_back, transcribed.turns)),
        partial_word_count=sum(map(count_partial_words, transcribed.turns)),
    )


def _find_stream_failure(client: Client, session: TranscriptionSession, error_message: str | None) -> Failure | None:
    transcribed = session.transcribed
    failure = find_connection_failure(client, session, error_message, transcribed.errors)
    if failure is not None:
        return failure
    if not transcribed.turns:
        unknown = session.describe_unknown_messages(0.0)
        return Failure(kind="timeout", message=f"no text within {session.timeout_s:g} s after the audio{unknown}")
    return None  # a turn that is never reported to have ended has a transcript, and counts as never answered


def _build_stream_exchange(session: TranscriptionSession, spoken_ms: float, started_at: float) -> Exchange:
    """Return the connection as an exchange: the handshake as the request, the transcript as the body.

    Sending is the phase until the last audio that was needed. Texts may arrive before: the time to the first byte is
    then negative, because it counts from the end of the request.
    """
    traffic, transcribed = session.build_traffic(), session.transcribed
    sent_ms = max((one.at_ms for one in traffic.messages if one.sender == "client"), default=spoken_ms)
    first_ms = next((text.at_ms for turn in transcribed.turns for text in turn.texts if text.text), sent_ms)
    ended_ms = max((turn.ended_ms for turn in transcribed.turns if turn.ended_ms is not None), default=first_ms)
    return Exchange(
        provider=traffic.provider,
        operation=traffic.operation,
        request=traffic.request,
        response=build_handshake_response(traffic, json.dumps({"text": transcribed.text}).encode()),
        timing=Timing(
            started_at=started_at,
            started_ms=session.connection.opened_ms + spoken_ms,
            connection_wait_ms=0.0,
            connect_ms=traffic.handshake_ms,
            tls_ms=None,
            send_ms=sent_ms - spoken_ms,
            ttfb_ms=first_ms - sent_ms,
            receive_ms=ended_ms - first_ms,
            total_ms=ended_ms - spoken_ms,
            chunk_arrivals=(),
            http_version=WEBSOCKET_VERSION,
        ),
    )
