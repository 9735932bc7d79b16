"""Carries out a case over WebSockets, which speak or transcribe, and makes from it the subjects that rules judge."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Generic, TypeVar

import msgspec

from voicegauge.cases.case import ConformanceCase, SocketScenario
from voicegauge.cases.delivery_cases import (
    ANSWER_TEXT,
    LONG_TEXT,
    SIMULTANEOUS_TURN_TEXT,
    TEXT_LANGUAGE,
    TURN_TEXT,
)
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.client.connection import USE_CLIENT_KEY, ApiKeyOrSentinel
from voicegauge.client.ledger import settle_when_done
from voicegauge.client.socket_delivery import interrupt_turn, measure_interruption, prepare_recording
from voicegauge.client.socket_session import (
    DEFAULT_TURN_END_TIMEOUT_S,
    DEFAULT_TURN_TIMEOUT_S,
    ServiceWorkCheck,
    SocketSession,
    TranscriptionSession,
)
from voicegauge.conformance._sent_case import API_KEY_BY_VALIDITY, SentCase
from voicegauge.conformance.check_settings import CheckedService
from voicegauge.conformance.spending import compute_case_price_usd
from voicegauge.contract.contract import BaseSocketTarget, SocketTarget, TranscriptionSocketTarget
from voicegauge.contract.extension.sockets import SocketFormat
from voicegauge.contract.socket_turns import SocketTurn
from voicegauge.emulator.client_findings import ClientFindings
from voicegauge.errors import HandshakeError, TransportError
from voicegauge.model.base import TextPacing
from voicegauge.model.exchange import BillingStatus, Interruption, Request
from voicegauge.rules.socket_subjects import (
    ConnectionExpectation,
    SocketConnection,
    SpokenTurn,
    TranscribedConnection,
    TurnComparison,
    TurnPair,
)
from voicegauge.transport.websocket import OVERSIZED_TRAFFIC_MESSAGE

# One case on a WebSocket: its price is reserved, it is carried out, and what was received is judged.


CONNECTION_REJECTION_TIMEOUT_S = 3.0
"""Seconds in which the service must close a connection that it has to reject: one beyond a limit, or with a wrong
key."""
_TargetT = TypeVar("_TargetT", bound=BaseSocketTarget)
"""The class of targets that a subclass of `SocketCaseSender` uses."""


class SocketCaseSender(ABC, Generic[_TargetT]):
    """Carries out one case on WebSockets. What is sent is up to the subclass."""

    def __init__(self, service: CheckedService, case: ConformanceCase, target: _TargetT, sent_case: SentCase) -> None:
        """Prepare to carry out `case`; what is received is added to `sent_case`."""
        assert case.socket_scenario is not None
        self._service, self._case, self._target, self._sent = service, case, target, sent_case
        self._scenario: SocketScenario = case.socket_scenario
        self._is_interrupted = False
        """Whether the check ended while the case was carried out, so that a missing message says nothing."""

    async def send(self) -> None:
        """Carry out the case. Its whole price is reserved first, and counts as spent once text or audio was sent.

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
            settlement.note_sending()  # before the handshake: from now on an interruption leaves the price spent
            try:
                await self._carry_out_scenario()
            except asyncio.CancelledError:
                self._is_interrupted = True
                self._sent.no_verdict_reason = "interrupted before the last step"
                raise
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
    def _service_work_check(self) -> ServiceWorkCheck | None:
        """A function that asks the emulator whether it is still working; `None` for a live service.

        With it, a slow machine causes no finding.
        """
        return None if self._service.settings.emulator_control_url is None else self._is_emulator_working

    async def _is_emulator_working(self) -> bool:
        url = f"{self._service.settings.emulator_control_url}/client-findings"
        exchange = await self._service.client.transport.send(
            Request(method="GET", url=url), provider_id=self._target.contract.id, operation_id="(client-findings)"
        )
        return bool(msgspec.json.decode(exchange.response.body, type=ClientFindings).working_connection_count)

    @property
    @abstractmethod
    def _has_sent_content(self) -> bool:
        """Whether text or audio was sent, for which the service may charge."""

    @abstractmethod
    async def _carry_out_scenario(self) -> None:
        """Open connections, and send what the scenario of the case says."""

    @abstractmethod
    def _iterate_sessions(self) -> Iterable[SocketSession | TranscriptionSession]:
        """Yield the sessions that were opened for the case, in the order of opening."""

    @abstractmethod
    def _add_subjects(self) -> None:
        """Add what rules judge to the `SentCase`. A lost connection raises no error: rules judge it."""

    async def _open(self, session: SocketSession | TranscriptionSession) -> None:
        """Open the connection of a session.

        Without a valid key, a handshake without an answer counts as rejected. An answer 101 that opens no WebSocket is
        judged.
        """
        try:
            await session.open()
        except HandshakeError:
            if self._scenario.kind != "key" and session.connection.upgrade_violation is None:
                raise

    def _add_connection(
        self, session: SocketSession | TranscriptionSession, expectation: ConnectionExpectation
    ) -> SocketConnection:
        """Add what was sent and received over a connection to what the rules judge, and return it."""
        traffic = session.build_traffic()
        if traffic.is_truncated:
            self._sent.no_verdict_reason = OVERSIZED_TRAFFIC_MESSAGE
        violation = session.connection.upgrade_violation
        upgrade_violation = None if violation is None else self._service.client.mask_secrets(violation)
        connection = SocketConnection(
            self._target, traffic, expectation, upgrade_violation, rejection=session.quote_rejection()
        )
        self._sent.subjects.append(connection)
        self._sent.exchanges.append(connection.exchange)
        self._sent.status = traffic.status or None
        return connection


# Streams recordings over WebSockets as a case says, and makes the subjects of the rules from what was transcribed.


class TranscriptionSocketSender(SocketCaseSender[TranscriptionSocketTarget]):
    """Carries out one case on a WebSocket that transcribes."""

    def __init__(
        self, service: CheckedService, case: ConformanceCase, target: TranscriptionSocketTarget, sent_case: SentCase
    ) -> None:
        """Prepare to carry out `case`; what is received is added to `sent_case`."""
        super().__init__(service, case, target, sent_case)
        self._session: TranscriptionSession | None = None
        self._has_sent_audio = False
        self._reference_text: str | None = None
        """What was said in the recordings that were streamed so far; `None` before the first."""
        self._timeout_s = service.settings.max_wait_s or DEFAULT_TURN_END_TIMEOUT_S

    @property
    def _has_sent_content(self) -> bool:
        return self._has_sent_audio

    def _iterate_sessions(self) -> tuple[TranscriptionSession, ...]:
        return () if self._session is None else (self._session,)

    async def _carry_out_scenario(self) -> None:
        if self._scenario.kind == "key":
            session = await self._open_session(API_KEY_BY_VALIDITY[self._case.api_key_validity])
            if session.connection.is_open and self._target.spec.sends_key_in_message:
                await session.wait_for_close(CONNECTION_REJECTION_TIMEOUT_S)
            return
        audio_format = self._target.target_spec.formats[self._scenario.format_name or ""]
        sentence = load_spoken_sentence()
        recording = prepare_recording(sentence.file, audio_format)
        session = await self._open_session()
        if not session.connection.is_open:
            return
        for number in range(1, self._scenario.turn_count + 1):
            self._has_sent_audio = True
            self._reference_text = " ".join([sentence.text] * number)
            ended = session.transcribed.ended_turn_count
            # The emulator follows the time of the audio, so that nothing is gained by sending it slowly.
            await session.stream(
                recording.audio,
                should_stop=lambda before=ended: session.transcribed.ended_turn_count > before,  # type: ignore[misc]
                is_paced=not self._service.is_emulated,
            )
            if not await session.wait_for_turn_end(ended + 1) or session.transcribed.errors:
                return

    async def _open_session(self, key: ApiKeyOrSentinel = USE_CLIENT_KEY) -> TranscriptionSession:
        name = self._scenario.format_name
        audio_format = self._target.target_spec.formats[name] if name is not None else None
        session = TranscriptionSession(
            self._service.client,
            self._target,
            audio_format=audio_format,
            key=key,
            timeout_s=self._timeout_s,
            is_service_working=self._service_work_check,
        )
        await self._open(session)
        self._session = session
        return session

    def _add_subjects(self) -> None:
        if self._session is None:
            return
        expectation: ConnectionExpectation = "rejected" if self._scenario.kind == "key" else "accepted"
        traffic = self._add_connection(self._session, expectation).traffic
        if expectation == "accepted" and traffic.is_open and not self._is_interrupted:
            transcribed = TranscribedConnection(self._target, traffic, self._reference_text, self._timeout_s)
            self._sent.subjects.append(transcribed)


# Does on WebSockets what a case says, and makes the subjects of the rules from it.


EMULATED_TURN_TIMEOUT_S = 0.5
"""Seconds to wait for the end of a turn at the emulator, after which it is asked whether it is still working. A longer
wait for a missing end would only make the check slow."""
MAX_UNFINISHED_LIVE_TURNS = 2
"""Number of turns of a live case without an end after which no further one is interrupted: each would take the whole
time limit, and be charged."""


class SpeechSocketSender(SocketCaseSender[SocketTarget]):
    """Carries out one case on WebSockets that speak."""

    def __init__(
        self, service: CheckedService, case: ConformanceCase, target: SocketTarget, sent_case: SentCase
    ) -> None:
        """Prepare to carry out `case`; what is received is added to `sent_case`."""
        super().__init__(service, case, target, sent_case)
        max_wait_s = service.settings.max_wait_s or DEFAULT_TURN_TIMEOUT_S
        self._timeout_s = min(EMULATED_TURN_TIMEOUT_S, max_wait_s) if service.is_emulated else max_wait_s
        self._unfinished_turn_count = 0
        self._expectation: ConnectionExpectation = "accepted"
        self._sessions: list[tuple[SocketSession, SocketFormat]] = []
        """Each opened session with its audio format."""
        self._turns: list[tuple[SocketSession, SocketTurn]] = []
        """The turns to judge, each with its session."""
        self._pairs: list[tuple[SocketTurn, SocketTurn, TurnComparison]] = []
        """Turns with the same text: the base, the changed one, and how they differ."""
        self._interruptions: list[Interruption] = []

    @property
    def _has_sent_content(self) -> bool:
        return any(turn.text for session, _ in self._sessions for turn in session.turns)

    async def _carry_out_scenario(self) -> None:
        kind = self._scenario.kind
        if kind == "key":
            self._expectation = "rejected"
            await self._connect_with_wrong_key()
        elif kind == "turns":
            await self._speak_turns()
        elif kind == "parallel":
            await self._speak_in_parallel()
        elif kind == "format":
            await self._speak_in_formats()
        elif kind == "interruptions":
            await self._interrupt_turns()
        else:
            self._expectation = "limit"
            await self._exceed_context_limit()

    # Connections and turns.

    async def _open_session(
        self, audio_format: SocketFormat | None = None, key: ApiKeyOrSentinel = USE_CLIENT_KEY
    ) -> SocketSession:
        audio_format = audio_format or self._target.default_format
        session = SocketSession(
            self._service.client,
            self._target,
            audio_format=audio_format,
            key=key,
            timeout_s=self._timeout_s,
            is_service_working=self._service_work_check,
        )
        await self._open(session)
        self._sessions.append((session, audio_format))
        return session

    async def _reuse_or_open_session(self, audio_format: SocketFormat | None = None) -> SocketSession:
        """Return the latest session if another turn can be spoken in it, otherwise a new session.

        `audio_format` is the format of the audio; `None` for the default of the target.
        """
        wanted = audio_format or self._target.default_format
        if self._sessions and not self._target.spec.turn.is_only_one:
            session, used = self._sessions[-1]
            if used is wanted and session.connection.is_open:
                return session
        return await self._open_session(wanted)

    async def _speak_text(
        self,
        text: str,
        *,
        pacing: TextPacing | None = None,
        flushed_part: str | None = None,
        audio_format: SocketFormat | None = None,
    ) -> SocketTurn | None:
        """Speak a text in a turn, wait for its end, and return it; `None` if the connection was rejected.

        Args:
            text: the text.
            pacing: how the text is cut into pieces; by default it is sent whole.
            flushed_part: the beginning of the text, after which a flush is sent.
            audio_format: the audio format; by default the first one of the target.
        """
        session = await self._reuse_or_open_session(audio_format)
        if not session.connection.is_open:
            return None
        context = session.begin_turn()
        if flushed_part is not None:
            await session.send_text(context, flushed_part)
            session.flush(context)
            await session.wait_for_first_audio(session.find_turn(context))
            text = text[len(flushed_part) :]
        await session.send_text(context, text, pacing)
        session.end_turn(context)
        return await self._finish_turn(session, session.find_turn(context))

    async def _finish_turn(self, session: SocketSession, turn: SocketTurn) -> SocketTurn:
        """Wait for the end of a turn, and keep the turn to be judged; return it."""
        self._unfinished_turn_count += not await session.wait_for_end(turn)
        self._turns.append((session, turn))  # a turn whose wait is interrupted is not judged
        return turn

    def _add_turn_pair(self, base: SocketTurn | None, changed: SocketTurn | None, comparison: TurnComparison) -> None:
        if base is not None and changed is not None:
            self._pairs.append((base, changed, comparison))

    # Scenarios.

    async def _connect_with_wrong_key(self) -> None:
        session = await self._open_session(key=API_KEY_BY_VALIDITY[self._case.api_key_validity])
        if session.connection.is_open and self._target.spec.sends_key_in_message:
            await session.wait_for_close(CONNECTION_REJECTION_TIMEOUT_S)
        if session.connection.is_open and self._service.is_emulated:
            # Text is sent to the emulator only, because a service that speaks for a wrong key may charge for it.
            with contextlib.suppress(TransportError):
                turn = await session.speak(ANSWER_TEXT)
                await session.wait_for_end(turn)

    async def _speak_turns(self) -> None:
        # The whole text first: without that turn, the others have nothing to be compared with.
        spec, seed = self._target.spec, self._service.settings.seed
        whole = await self._speak_text(TURN_TEXT)
        if spec.turn.accepts_pieces:
            self._add_turn_pair(whole, await self._speak_text(TURN_TEXT, pacing=TextPacing(seed=seed)), "pieces")
        if "flush" in spec.client_messages and spec.turn.ends_with != "flush-end" and whole is not None:
            part = TURN_TEXT[: TURN_TEXT.index("We will")]
            self._add_turn_pair(whole, await self._speak_text(TURN_TEXT, flushed_part=part), "flush")

    async def _speak_in_parallel(self) -> None:
        alone = [await self._speak_text(text) for text in (TURN_TEXT, SIMULTANEOUS_TURN_TEXT)]
        session = await self._reuse_or_open_session()
        if not session.connection.is_open:
            return
        contexts = [session.begin_turn() for _ in range(2)]
        texts = (TURN_TEXT, SIMULTANEOUS_TURN_TEXT)
        # Alternately, so that the service has both contexts open while it gets each half.
        for part in range(2):
            for context, text in zip(contexts, texts, strict=True):
                middle = text.index(". ") + 2
                await session.send_text(context, text[:middle] if part == 0 else text[middle:])
        turns = [session.find_turn(context) for context in contexts]
        for context in contexts:
            session.end_turn(context)
        for turn in turns:
            await self._finish_turn(session, turn)
        for base, turn in zip(alone, turns, strict=True):
            self._add_turn_pair(base, turn, "parallel")

    async def _speak_in_formats(self) -> None:
        other = self._target.target_spec.formats[self._scenario.format_name or ""]
        base = await self._speak_text(TURN_TEXT)
        self._add_turn_pair(base, await self._speak_text(TURN_TEXT, audio_format=other), "format")

    async def _interrupt_turns(self) -> None:
        base = await self._speak_text(ANSWER_TEXT)
        for _ in range(self._scenario.interruption_count):
            if self._unfinished_turn_count >= MAX_UNFINISHED_LIVE_TURNS and not self._service.is_emulated:
                return
            session = await self._reuse_or_open_session()
            if not session.connection.is_open:
                return
            turn = await interrupt_turn(session, LONG_TEXT)
            if turn.errors and turn.cancelled_ms is None:  # it failed before it could be interrupted
                self._turns.append((session, turn))
                continue
            answer = await self._speak_text(ANSWER_TEXT)
            # The answer may need a connection of its own, whose times count from another moment.
            connections_apart_ms = self._sessions[-1][0].connection.opened_ms - session.connection.opened_ms
            self._interruptions.append(
                measure_interruption(
                    turn,
                    answer,
                    bytes_per_second=self._target.default_format.bytes_per_second,
                    connections_apart_ms=connections_apart_ms,
                )
            )
            self._add_turn_pair(base, answer, "after-cancel")

    async def _exceed_context_limit(self) -> None:
        limit = self._target.spec.limits.contexts
        session = await self._open_session()
        assert limit is not None
        for _ in range(limit.max_count + 1):
            if not session.connection.is_open:
                break
            context = session.begin_turn()
            if "start" not in self._target.spec.client_messages:
                await session.send_text(context, ANSWER_TEXT)
        await session.wait_for_close(CONNECTION_REJECTION_TIMEOUT_S)

    # What was received.

    def _iterate_sessions(self) -> Iterator[SocketSession]:
        return (session for session, _ in self._sessions)

    def _add_subjects(self) -> None:
        self._sent.interruptions = tuple(self._interruptions)
        spoken: dict[int, SpokenTurn] = {}
        for session, audio_format in self._sessions:
            connection = self._add_connection(session, self._expectation)
            if self._expectation == "accepted":
                for turn in (turn for owner, turn in self._turns if owner is session):
                    # Read again from the traffic, which has what arrived later, and a close that ends the turn.
                    read = connection.conversation.turns[turn.index]
                    spoken[id(turn)] = SpokenTurn(
                        self._target,
                        connection.traffic,
                        read,
                        audio_format,
                        self._timeout_s,
                        self._target.target_spec.default_language or TEXT_LANGUAGE,
                    )
        self._sent.subjects += spoken.values()
        for base, changed, comparison in self._pairs:
            if id(base) in spoken and id(changed) in spoken:
                one, other = spoken[id(base)], spoken[id(changed)]
                self._sent.subjects.append(TurnPair(self._target, other.traffic, one, other, comparison))
