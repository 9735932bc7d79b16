"""Does on WebSockets what a case says, and makes the subjects of the rules from it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.sockets import ANSWER_TEXT, LONG_TEXT, OTHER_TEXT, TURN_TEXT
from voicegauge.client.connection import USE_CLIENT_KEY, ApiKeyOrSentinel
from voicegauge.client.socket_interruption import interrupt_turn, measure_interruption
from voicegauge.client.socket_session import DEFAULT_TURN_TIMEOUT_S, SocketSession
from voicegauge.conformance._request_sender import API_KEY_BY_VALIDITY, SentCase
from voicegauge.conformance._socket_case_sender import REFUSAL_TIMEOUT_S, SocketCaseSender
from voicegauge.conformance.checked_service import CheckedService
from voicegauge.contract.extension.sockets import SocketFormat
from voicegauge.contract.socket_turns import SocketTurn
from voicegauge.contract.targets import SocketTarget
from voicegauge.errors import TransportError
from voicegauge.model.socket import Interruption
from voicegauge.model.text_pieces import TextPacing
from voicegauge.rules.socket_subjects import (
    ComparedTurns,
    ConnectionExpectation,
    SpokenTurn,
    TurnPair,
)

EMULATED_TURN_TIMEOUT_S = 3.0
"""Time for a turn at the emulator, where nothing takes time, so that a missing end does not make a check slow."""


class SocketSender(SocketCaseSender[SocketTarget]):
    """Carries out one case on WebSockets that speak."""

    def __init__(
        self, service: CheckedService, case: ConformanceCase, target: SocketTarget, sent_case: SentCase
    ) -> None:
        """Prepare to carry out `case`; what is received is added to `sent_case`."""
        super().__init__(service, case, target, sent_case)
        max_wait_s = service.settings.max_wait_s or DEFAULT_TURN_TIMEOUT_S
        self._timeout_s = EMULATED_TURN_TIMEOUT_S if service.is_emulated else max_wait_s
        self._expectation: ConnectionExpectation = "accepted"
        self._sessions: list[tuple[SocketSession, SocketFormat]] = []
        self._turns: list[tuple[SocketSession, SocketTurn]] = []
        self._pairs: list[tuple[SocketTurn, SocketTurn, ComparedTurns]] = []
        self._interruptions: list[Interruption] = []

    @property
    def _has_sent_content(self) -> bool:
        return any(turn.text for session, _ in self._sessions for turn in session.turns)

    async def _carry_out(self) -> None:
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
            await self._interrupt()
        else:
            self._expectation = "limit"
            await self._exceed_contexts()

    # Connections and turns.

    async def _open(
        self, audio_format: SocketFormat | None = None, key: ApiKeyOrSentinel = USE_CLIENT_KEY
    ) -> SocketSession:
        audio_format = audio_format or self._target.default_format
        session = SocketSession(
            self._service.client, self._target, audio_format=audio_format, key=key, timeout_s=self._timeout_s
        )
        await session.open()
        self._sessions.append((session, audio_format))
        return session

    async def _find_open_session(self, audio_format: SocketFormat | None = None) -> SocketSession:
        """Return the latest connection if it can have another turn, or a new one."""
        wanted = audio_format or self._target.default_format
        if self._sessions and not self._target.spec.turn.is_only_one:
            session, used = self._sessions[-1]
            if used is wanted and session.connection.is_open:
                return session
        return await self._open(wanted)

    async def _speak(
        self,
        text: str,
        *,
        pacing: TextPacing | None = None,
        flushed_part: str | None = None,
        audio_format: SocketFormat | None = None,
    ) -> SocketTurn | None:
        """Speak a text in a turn; `None` if the connection was rejected.

        Args:
            text: the text.
            pacing: how it is cut into pieces; by default it is sent whole.
            flushed_part: the beginning of the text, after which a flush is sent.
            audio_format: the format; by default the target's first.
        """
        session = await self._find_open_session(audio_format)
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
        self._turns.append((session, turn))
        await session.wait_for_end(turn)
        return turn

    def _compare(self, base: SocketTurn | None, changed: SocketTurn | None, comparison: ComparedTurns) -> None:
        if base is not None and changed is not None:
            self._pairs.append((base, changed, comparison))

    # Scenarios.

    async def _connect_with_wrong_key(self) -> None:
        session = await self._open(key=API_KEY_BY_VALIDITY[self._case.api_key_validity])
        if session.connection.is_open and self._target.spec.sends_key_in_message:
            await session.wait_for_close(REFUSAL_TIMEOUT_S)
        if session.connection.is_open and self._service.is_emulated:
            # Text is sent to the emulator only, because a service that speaks for a wrong key may charge for it.
            with contextlib.suppress(TransportError):
                turn = await session.speak(ANSWER_TEXT)
                await session.wait_for_end(turn)

    async def _speak_turns(self) -> None:
        spec, seed = self._target.spec, self._service.settings.seed
        whole = await self._speak(TURN_TEXT)
        if spec.turn.accepts_pieces:
            self._compare(whole, await self._speak(TURN_TEXT, pacing=TextPacing(seed=seed)), "pieces")
        if "flush" in spec.client_messages and spec.turn.ends_with != "flush-end" and whole is not None:
            part = TURN_TEXT[: TURN_TEXT.index("We will")]
            self._compare(whole, await self._speak(TURN_TEXT, flushed_part=part), "flush")

    async def _speak_in_parallel(self) -> None:
        alone = [await self._speak(text) for text in (TURN_TEXT, OTHER_TEXT)]
        session = await self._find_open_session()
        if not session.connection.is_open:
            return
        contexts = [session.begin_turn() for _ in range(2)]
        texts = (TURN_TEXT, OTHER_TEXT)
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
            self._compare(base, turn, "parallel")

    async def _speak_in_formats(self) -> None:
        other = self._target.target_spec.formats[self._scenario.format_name or ""]
        base = await self._speak(TURN_TEXT)
        self._compare(base, await self._speak(TURN_TEXT, audio_format=other), "format")

    async def _interrupt(self) -> None:
        base = await self._speak(ANSWER_TEXT)
        for _ in range(self._scenario.interruption_count):
            session = await self._find_open_session()
            if not session.connection.is_open:
                return
            turn = await interrupt_turn(session, LONG_TEXT)
            if turn.errors and turn.cancelled_ms is None:
                self._turns.append((session, turn))
                continue
            answer = await self._speak(ANSWER_TEXT)
            self._interruptions.append(self._measure_interruption(session, turn, answer))
            self._compare(base, answer, "after-cancel")

    def _measure_interruption(
        self, session: SocketSession, turn: SocketTurn, answer: SocketTurn | None
    ) -> Interruption:
        # The next turn may need a connection of its own, whose times count from another moment.
        return measure_interruption(
            turn,
            answer,
            bytes_per_second=self._target.default_format.bytes_per_second,
            connections_apart_ms=self._sessions[-1][0].connection.opened_ms - session.connection.opened_ms,
        )

    async def _exceed_contexts(self) -> None:
        limit = self._target.spec.limits.contexts
        session = await self._open()
        assert limit is not None
        for _ in range(limit.max_count + 1):
            if not session.connection.is_open:
                break
            context = session.begin_turn()
            if "start" not in self._target.spec.client_messages:
                await session.send_text(context, ANSWER_TEXT)
        await session.wait_for_close(REFUSAL_TIMEOUT_S)

    # What was received.

    def _iterate_sessions(self) -> Iterator[SocketSession]:
        return (session for session, _ in self._sessions)

    def _add_subjects(self) -> None:
        self._sent.interruptions = tuple(self._interruptions)
        spoken: dict[int, SpokenTurn] = {}
        for session, audio_format in self._sessions:
            connection = self._add_connection(session, self._expectation)
            if self._expectation == "accepted":
                for turn in self._list_turns(session):
                    # Read again from the traffic, which has what arrived later, and a close that ends the turn.
                    read = connection.conversation.turns[turn.index]
                    spoken[id(turn)] = SpokenTurn(self._target, connection.traffic, read, audio_format, self._timeout_s)
        self._sent.subjects += spoken.values()
        for base, changed, comparison in self._pairs:
            if id(base) in spoken and id(changed) in spoken:
                one, other = spoken[id(base)], spoken[id(changed)]
                self._sent.subjects.append(TurnPair(self._target, other.traffic, one, other, comparison))

    def _list_turns(self, session: SocketSession) -> Sequence[SocketTurn]:
        return [turn for owner, turn in self._turns if owner is session]
