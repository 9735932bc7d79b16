"""One case on a WebSocket: its price is reserved, it is carried out, and what was received is judged."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from http import HTTPStatus
from typing import Generic, TypeVar

from voicegauge.cases.case import ConformanceCase, SocketScenario
from voicegauge.client.settlement import settle_when_done
from voicegauge.client.socket_session import SocketSession
from voicegauge.client.transcription_session import TranscriptionSession
from voicegauge.conformance._request_sender import SentCase
from voicegauge.conformance.checked_service import CheckedService
from voicegauge.conformance.prices import compute_case_price_usd
from voicegauge.contract.targets import BaseSocketTarget
from voicegauge.errors import TransportError
from voicegauge.model.job import BillingStatus
from voicegauge.rules.socket_subjects import ConnectionExpectation, SocketConnection
from voicegauge.transport.websocket import OVERSIZED_TRAFFIC_MESSAGE

REFUSAL_TIMEOUT_S = 3.0
"""Time for the service to close a connection that it refuses: beyond its limit, or with a wrong key. In seconds."""
_TargetT = TypeVar("_TargetT", bound=BaseSocketTarget)


class SocketCaseSender(ABC, Generic[_TargetT]):
    """Carries out one case on WebSockets. What is sent is up to the subclass."""

    def __init__(self, service: CheckedService, case: ConformanceCase, target: _TargetT, sent_case: SentCase) -> None:
        """Prepare to carry out `case`; what is received is added to `sent_case`."""
        assert case.socket_scenario is not None
        self._service, self._case, self._target, self._sent = service, case, target, sent_case
        self._scenario: SocketScenario = case.socket_scenario

    async def send(self) -> None:
        """Carry out the case. Its whole price is reserved before, and counts as spent once text or audio was sent.

        Raises:
            TransportError: there was no response to a handshake.
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
                if not error.request_was_sent and not self._has_sent_content:
                    settlement.note_failure(error)
                    if recorder is not None and reservation is not None:
                        recorder.on_submit_not_sent()
                    raise
            finally:
                for session in self._iterate_sessions():
                    with contextlib.suppress(TransportError):
                        await session.close()
                self._add_subjects()
            settlement.status = BillingStatus.ACCEPTED if self._has_sent_content else BillingStatus.NOT_SENT
            if recorder is not None and reservation is not None:
                status = HTTPStatus.OK if self._has_sent_content else HTTPStatus.UNAUTHORIZED
                recorder.after_submit(int(status), settlement, None)

    @property
    @abstractmethod
    def _has_sent_content(self) -> bool:
        """Whether text or audio was sent, for which the service may charge."""

    @abstractmethod
    async def _carry_out(self) -> None:
        """Open connections, and send what the scenario of the case says."""

    @abstractmethod
    def _iterate_sessions(self) -> Iterable[SocketSession | TranscriptionSession]:
        """Yield the sessions that were opened."""

    @abstractmethod
    def _add_subjects(self) -> None:
        """Add the subjects of the rules. A lost connection is judged, not raised."""

    def _add_connection(
        self, session: SocketSession | TranscriptionSession, expectation: ConnectionExpectation
    ) -> SocketConnection:
        """Add what was sent and received over a connection to what the rules judge, and return it."""
        traffic = session.build_traffic()
        if traffic.is_truncated:
            self._sent.no_verdict_reason = OVERSIZED_TRAFFIC_MESSAGE
        connection = SocketConnection(self._target, traffic, expectation)
        self._sent.subjects.append(connection)
        self._sent.exchanges.append(connection.exchange)
        self._sent.status = traffic.status
        return connection
