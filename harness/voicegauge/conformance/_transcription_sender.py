"""Streams recordings over WebSockets as a case says, and makes the subjects of the rules from what was transcribed."""

from __future__ import annotations

import contextlib
from http import HTTPStatus

from voicegauge.cases.case import ConformanceCase, SocketScenario
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.client.connection import USE_CLIENT_KEY, ApiKeyOrSentinel
from voicegauge.client.settlement import settle_when_done
from voicegauge.client.transcription_delivery import prepare_recording
from voicegauge.client.transcription_session import DEFAULT_TURN_END_TIMEOUT_S, TranscriptionSession
from voicegauge.conformance._request_sender import API_KEY_BY_VALIDITY, SentCase
from voicegauge.conformance._socket_sender import REFUSAL_TIMEOUT_S
from voicegauge.conformance.checked_service import CheckedService
from voicegauge.conformance.prices import compute_case_price_usd
from voicegauge.contract.targets import TranscriptionSocketTarget
from voicegauge.errors import TransportError
from voicegauge.model.job import BillingStatus
from voicegauge.rules.socket_subjects import ConnectionExpectation, SocketConnection, TranscribedConnection
from voicegauge.transport.websocket import OVERSIZED_TRAFFIC_MESSAGE


class TranscriptionSender:
    """Carries out one case on a WebSocket that transcribes."""

    def __init__(
        self, service: CheckedService, case: ConformanceCase, target: TranscriptionSocketTarget, sent_case: SentCase
    ) -> None:
        """Prepare to carry out `case`; what is received is added to `sent_case`."""
        assert case.socket_scenario is not None
        self._service, self._case, self._target, self._sent = service, case, target, sent_case
        self._scenario: SocketScenario = case.socket_scenario
        self._session: TranscriptionSession | None = None
        self._has_sent_audio = False
        self._reference: str | None = None
        self._timeout_s = service.settings.max_wait_s or DEFAULT_TURN_END_TIMEOUT_S

    async def send(self) -> None:
        """Carry out the case. Its whole price is reserved before, and counts as spent once audio was sent.

        Raises:
            TransportError: there was no response to the handshake.
            BudgetError: the case costs more than is left in the budget.
            StorageError: the spending could not be noted.
        """
        ledger, journal, case = self._service.ledger, self._service.case_journal, self._case
        price_usd = None
        if ledger is not None and case.is_billable:
            price_usd = compute_case_price_usd(self._target.contract, case, self._service.settings.price_usd_by_name)
        reservation = None
        if ledger is not None and price_usd is not None:
            reservation = ledger.reserve(price_usd, self._target.id)
        recorder = journal.create_submit_recorder(case.id, price_usd) if journal is not None else None
        with settle_when_done(reservation) as settlement:
            if recorder is not None and reservation is not None:
                recorder.before_submit()
            settlement.note_sending()
            try:
                await self._carry_out()
            except TransportError as error:
                if not error.request_was_sent and not self._has_sent_audio:
                    settlement.note_failure(error)
                    if recorder is not None and reservation is not None:
                        recorder.on_submit_not_sent()
                    raise
            finally:
                if self._session is not None:
                    with contextlib.suppress(TransportError):
                        await self._session.close()
                self._add_subjects()
            settlement.status = BillingStatus.ACCEPTED if self._has_sent_audio else BillingStatus.NOT_SENT
            if recorder is not None and reservation is not None:
                status = HTTPStatus.OK if self._has_sent_audio else HTTPStatus.UNAUTHORIZED
                recorder.after_submit(int(status), settlement, None)

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
        """Add the subjects of the rules. A lost connection is judged, not raised."""
        if self._session is None:
            return
        traffic = self._session.build_traffic()
        if traffic.is_truncated:
            self._sent.no_verdict_reason = OVERSIZED_TRAFFIC_MESSAGE
        expectation: ConnectionExpectation = "rejected" if self._scenario.kind == "key" else "accepted"
        connection = SocketConnection(self._target, traffic, expectation)
        self._sent.subjects.append(connection)
        self._sent.exchanges.append(connection.exchange)
        self._sent.status = traffic.status
        if expectation == "accepted" and traffic.is_open:
            transcribed = TranscribedConnection(self._target, traffic, self._reference, self._timeout_s)
            self._sent.subjects.append(transcribed)


def _count_ends(session: TranscriptionSession) -> int:
    return sum(turn.ended_ms is not None for turn in session.transcribed.turns)
