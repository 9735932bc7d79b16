"""Streams recordings over WebSockets as a case says, and makes the subjects of the rules from what was transcribed."""

from __future__ import annotations

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.client.connection import USE_CLIENT_KEY, ApiKeyOrSentinel
from voicegauge.client.transcription_delivery import prepare_recording
from voicegauge.client.transcription_session import DEFAULT_TURN_END_TIMEOUT_S, TranscriptionSession
from voicegauge.conformance._request_sender import API_KEY_BY_VALIDITY, SentCase
from voicegauge.conformance._socket_case_sender import REFUSAL_TIMEOUT_S, SocketCaseSender
from voicegauge.conformance.checked_service import CheckedService
from voicegauge.contract.targets import TranscriptionSocketTarget
from voicegauge.rules.socket_subjects import ConnectionExpectation, TranscribedConnection


class TranscriptionSender(SocketCaseSender[TranscriptionSocketTarget]):
    """Carries out one case on a WebSocket that transcribes."""

    def __init__(
        self, service: CheckedService, case: ConformanceCase, target: TranscriptionSocketTarget, sent_case: SentCase
    ) -> None:
        """Prepare to carry out `case`; what is received is added to `sent_case`."""
        super().__init__(service, case, target, sent_case)
        self._session: TranscriptionSession | None = None
        self._has_sent_audio = False
        self._reference: str | None = None
        self._timeout_s = service.settings.max_wait_s or DEFAULT_TURN_END_TIMEOUT_S

    @property
    def _has_sent_content(self) -> bool:
        return self._has_sent_audio

    def _iterate_sessions(self) -> tuple[TranscriptionSession, ...]:
        return () if self._session is None else (self._session,)

    async def _carry_out(self) -> None:
        if self._scenario.kind == "key":
            session = await self._open(API_KEY_BY_VALIDITY[self._case.api_key_validity])
            if session.connection.is_open and self._target.spec.sends_key_in_message:
                await session.wait_for_close(REFUSAL_TIMEOUT_S)
            return
        audio_format = self._target.target_spec.formats[self._scenario.format_name or ""]
        sentence = load_spoken_sentence()
        recording = prepare_recording(sentence.file, audio_format)
        session = await self._open()
        if not session.connection.is_open:
            return
        for number in range(1, self._scenario.turn_count + 1):
            self._has_sent_audio = True
            self._reference = " ".join([sentence.text] * number)
            ended = _count_ends(session)
            # The emulator follows the time of the audio, so that nothing is gained by sending it slowly.
            await session.stream(
                recording.audio,
                should_stop=lambda before=ended: _count_ends(session) > before,  # type: ignore[misc]
                is_paced=not self._service.is_emulated,
            )
            if not await session.wait_for_turn_end(ended + 1) or session.transcribed.errors:
                return

    async def _open(self, key: ApiKeyOrSentinel = USE_CLIENT_KEY) -> TranscriptionSession:
        name = self._scenario.format_name
        audio_format = self._target.target_spec.formats[name] if name is not None else None
        session = TranscriptionSession(
            self._service.client, self._target, audio_format=audio_format, key=key, timeout_s=self._timeout_s
        )
        await session.open()
        self._session = session
        return session

    def _add_subjects(self) -> None:
        if self._session is None:
            return
        expectation: ConnectionExpectation = "rejected" if self._scenario.kind == "key" else "accepted"
        traffic = self._add_connection(self._session, expectation).traffic
        if expectation == "accepted" and traffic.is_open:
            transcribed = TranscribedConnection(self._target, traffic, self._reference, self._timeout_s)
            self._sent.subjects.append(transcribed)


def _count_ends(session: TranscriptionSession) -> int:
    return sum(turn.ended_ms is not None for turn in session.transcribed.turns)
