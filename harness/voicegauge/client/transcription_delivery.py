"""Streams single recordings over WebSockets as deliveries, so that they are measured beside files sent over HTTP.

Each recording has a connection of its own. Times count from the moment at which its first sample would have been
spoken: the handshake is apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, NamedTuple

from voicegauge.client.client import Client, RequestToRepeat
from voicegauge.client.settlement import SubmitObserver
from voicegauge.client.socket_delivery import SocketPayment, build_response, find_connection_failure
from voicegauge.client.socket_session import (
    DEFAULT_TURN_END_TIMEOUT_S,
    FRAME_S,
    StreamedAudio,
    StreamTimes,
    TranscriptionSession,
)
from voicegauge.contract.extension.sockets import SocketFormat
from voicegauge.contract.socket_turns import TranscribedConversation, count_partial_words, count_words_taken_back
from voicegauge.contract.targets import TranscriptionSocketTarget
from voicegauge.errors import TransportError, UsageError
from voicegauge.model.exchange import (
    TRAILING_SILENCE_S,
    WEBSOCKET_VERSION,
    Exchange,
    Timing,
    TranscriptTiming,
    UploadedFile,
)
from voicegauge.model.job import Delivery, Failure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
        submit_observer: notified before the recording is sent, and after it.
        price_usd: the price of the recording with `TRAILING_SILENCE_S`, in dollars.
        request_to_repeat: the earlier request that this one repeats; `None` for a new one.

    Raises:
        UsageError: the recording cannot be sent in the format of the target, or there is a budget and the price is
            unknown.
        BudgetError: the price exceeds the rest of the budget. Nothing was sent.
    """
    recording = await asyncio.to_thread(prepare_recording, file, target.default_format)
    with client.reserve_and_settle(target, price_usd, request_to_repeat) as settlement:
        payment = SocketPayment(target, settlement, submit_observer)
        session = await payment.open_connection(lambda: _open_session(client, target))
        if isinstance(session, Delivery):
            return session
        started_at = time.time()
        times, error_message = await _stream(session, recording)
        payment.note_acceptance(session)
        failure = _find_failure(client, session, error_message)
        if failure is not None:
            return payment.build_failure(failure)
        exchange = _build_exchange(session, times.find_spoken_ms(0.0), started_at)
        return Delivery(
            target=target.id,
            exchanges=(exchange,),
            submit_count=1,
            transcript=session.transcribed.text,
            audio_exchange_index=0,
            submit_exchange_index=0,
            transcript_timing=measure_transcript_timing(session.transcribed, recording, times),
        )


async def _open_session(client: Client, target: TranscriptionSocketTarget) -> TranscriptionSession:
    session = TranscriptionSession(client, target, timeout_s=client.max_wait_s or DEFAULT_TURN_END_TIMEOUT_S)
    await session.open()
    return session


async def _stream(session: TranscriptionSession, recording: SpokenRecording) -> tuple[StreamTimes, str | None]:
    """Stream a recording, and return when it was sent, and the message of an error of the connection."""
    times = StreamTimes(FRAME_S, session.connection.now_ms, [])

    def has_ended() -> bool:
        # Only an end that is reported after the speech is one: another may follow after an early one.
        end_ms = times.started_ms + recording.speech_end_s * 1000
        return any(turn.ended_ms is not None and turn.ended_ms > end_ms for turn in session.transcribed.turns)

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
    from voicegauge.speech.encoding import resample

    rate = audio_format.sample_rate_hz
    try:
        decoded = decode(file.content)
    except UndecodableAudioError as error:
        raise UsageError(f"{file.filename} is not audio: {error}") from error
    samples = resample(decoded.samples, decoded.sample_rate_hz, rate)
    start_s = measure_leading_silence_s(samples, rate)
    # The silence at the end, read backwards, is measured as that at the beginning.
    end_s = len(samples) / rate - measure_leading_silence_s(samples[::-1], rate)
    padded = np.concatenate((samples, np.zeros(round(trailing_silence_s * rate), np.float32)))
    data = _encode_samples(padded, audio_format)
    width = audio_format.sample_width_bytes or 1
    return SpokenRecording(StreamedAudio(data, rate * width, width), start_s, end_s)


def _encode_samples(samples: NDArray[np.float32], audio_format: SocketFormat) -> bytes:
    from voicegauge.speech.encoding import encode

    codec = audio_format.codec
    if audio_format.sample_width_bytes is None:
        raise UsageError(f"a recording cannot be streamed as {codec}: the first format of the target must be samples")
    return encode(samples, audio_format.sample_rate_hz, codec)[0]


def measure_transcript_timing(
    transcribed: TranscribedConversation, recording: SpokenRecording, times: StreamTimes
) -> TranscriptTiming:
    """Return when a service reported texts and ends of turns, from the start and the end of the speech.

    Args:
        transcribed: what it has reported.
        recording: what was streamed to it.
        times: when it was sent.
    """
    start_ms, end_ms = map(times.find_spoken_ms, (recording.speech_start_s, recording.speech_end_s))
    texts = [text for turn in transcribed.turns for text in turn.texts]
    first_ms = next((one.at_ms for one in texts if one.text.strip()), None)
    new, before = [], ""
    for turn in transcribed.turns:
        for text in turn.texts:
            if text.text.strip() and text.text != before:
                new.append(text.at_ms - end_ms)
            before = text.text
        before = ""
    return TranscriptTiming(
        turn_ends_ms=tuple(
            turn.ended_ms - end_ms for turn in transcribed.turns if turn.ended_ms is not None and turn.text.strip()
        ),
        new_texts_ms=tuple(new),
        first_text_ms=None if first_ms is None else first_ms - start_ms,
        flip_count=sum(map(count_words_taken_back, transcribed.turns)),
        partial_word_count=sum(map(count_partial_words, transcribed.turns)),
    )


def _find_failure(client: Client, session: TranscriptionSession, error_message: str | None) -> Failure | None:
    transcribed = session.transcribed
    failure = find_connection_failure(client, session, error_message, transcribed.errors)
    if failure is not None:
        return failure
    if not transcribed.turns:
        return Failure(kind="timeout", message=f"no text within {session.timeout_s:g} s after the audio")
    return None  # a turn that is never reported to have ended has a transcript, and counts as never answered


def _build_exchange(session: TranscriptionSession, spoken_ms: float, started_at: float) -> Exchange:
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
        response=build_response(traffic, json.dumps({"text": transcribed.text}).encode()),
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
