"""Makes the subjects of rules from recorded WebSockets, and from those that passed through the proxy.

Nobody knows whether the client of a recorded connection did everything right. What may be its own mistake is therefore
not held against the service: a rejected handshake, an error, and a close after a message that the document does not
allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec

from voicegauge.cases.case import ConformanceCase
from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.sockets import SocketFormat
from voicegauge.contract.socket_targets import find_handshake_violation, recognize_target
from voicegauge.contract.socket_turns import SocketTurn
from voicegauge.contract.targets import BaseSocketTarget
from voicegauge.model.exchange import Exchange
from voicegauge.model.socket import SocketTraffic, build_socket_traffic
from voicegauge.rules.socket_subjects import (
    ConnectionExpectation,
    SocketConnection,
    SocketSubject,
    SpokenTurn,
    TranscribedConnection,
)

MAX_TURN_WAIT_S = 30.0
"""Time in seconds without an end of a turn after which it counts as unfinished, as for the client."""
_IDLE_SHARE = 0.9
"""Share of the documented time without messages after which a close counts as the documented one: clocks differ."""


class RecordedSocket(NamedTuple):
    """What can be judged of a recorded connection."""

    subjects: tuple[SocketSubject, ...]
    not_judged_reason: str | None = None
    """Why nothing, or not everything, is judged; `None` if everything is."""


def read_recorded_socket(
    contract: Contract, exchange: Exchange, case_by_id: Mapping[str, ConformanceCase]
) -> RecordedSocket:
    """Return the connection and its turns as subjects of rules.

    Args:
        contract: the contract of the provider.
        exchange: the handshake, with the messages that followed.
        case_by_id: the planned cases by id. A connection that was recorded for a case is judged as one of that case.
    """
    operation = contract.socket_operations.get(exchange.operation)
    if operation is None:
        return RecordedSocket((), f"the contract has no WebSocket {exchange.operation!r}")
    traffic = build_socket_traffic(exchange)
    case = case_by_id.get(exchange.conversation_id or "")
    recognized = recognize_target(operation, traffic)
    if recognized is None:
        return RecordedSocket((), f"a WebSocket of no target: {operation.id} with values that no target has")
    target, audio_format = recognized
    unknown_format = f"the audio of a WebSocket of {operation.id}, in a format that the contract does not describe"
    if case is not None and case.expected_response.acceptance == "rejected":
        return RecordedSocket((SocketConnection(target, traffic, "rejected"),))
    if case is None:
        own_mistake = _find_possible_client_mistake(target, traffic)
        if own_mistake is not None:
            # What the service answers may be its reaction, but must still have the form of its messages.
            connection = SocketConnection(target, msgspec.structs.replace(traffic, close=None))
            return RecordedSocket((connection,) if traffic.is_open else (), own_mistake)
    connection = SocketConnection(target, *_find_expectation(target, traffic))
    if connection.expectation != "accepted" or not traffic.is_open or audio_format is None:
        return RecordedSocket((connection,), unknown_format if audio_format is None else None)
    return RecordedSocket((connection, *_iterate_transcribed(connection, audio_format, is_of_case=case is not None)))


def _iterate_transcribed(
    connection: SocketConnection, audio_format: SocketFormat, *, is_of_case: bool
) -> Iterator[SocketSubject]:
    """Yield the turns that are spoken, or what was transcribed, whose words nobody knows."""
    if connection.target.spec.transcribes:
        yield TranscribedConnection(connection.target, connection.traffic, None, MAX_TURN_WAIT_S)
    else:
        yield from _iterate_turns(connection, audio_format, is_of_case=is_of_case)


def _find_possible_client_mistake(target: BaseSocketTarget, traffic: SocketTraffic) -> str | None:
    """Return what the client may have done wrong, as the reason why its turns are not judged; `None` if nothing."""
    query = dict(parse_qsl(urlsplit(traffic.request.url).query, keep_blank_values=True))
    violation = find_handshake_violation(target.operation, query, traffic.request.find_header)
    if violation is not None:
        return f"the turns of a connection whose handshake is not as documented: {violation}"
    if not traffic.is_open and traffic.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"a handshake that is answered with status {traffic.status}: whether its key was valid is not known"
    for message in traffic.messages:
        if message.sender == "client" and any(
            target.socket.iterate_violations("client", message.data, is_binary=message.is_binary)
        ):
            return "the turns of a connection with a message of the client that fits no documented one"
    return None


def _find_expectation(target: BaseSocketTarget, traffic: SocketTraffic) -> tuple[SocketTraffic, ConnectionExpectation]:
    """Return the traffic and the expectation by which a connection is judged.

    A close that a documented limit explains is removed from the traffic.
    """
    close, limits = traffic.close, target.spec.limits
    if close is None or close.closed_by == "client":
        return traffic, "accepted"
    if limits.contexts is not None and close.code == limits.contexts.close_code:
        return traffic, "limit"
    sent = [message.at_ms for message in traffic.messages if message.sender == "client"]
    idle_s = (close.at_ms - max(sent, default=0.0)) / 1000
    if limits.inactivity is not None and idle_s >= limits.inactivity.max_s * _IDLE_SHARE:
        return msgspec.structs.replace(traffic, close=None), "accepted"
    return traffic, "accepted"


def _iterate_turns(
    connection: SocketConnection, audio_format: SocketFormat, *, is_of_case: bool
) -> Iterator[SpokenTurn]:
    """Yield the turns that the service should have completed."""
    traffic = connection.traffic
    times = [message.at_ms for message in traffic.messages]
    last_ms = max([*times, *([traffic.close.at_ms] if traffic.close is not None else [])], default=0.0)
    for turn in connection.conversation.turns:
        waited_s = _get_waiting_time_s(turn, last_ms)
        if turn.errors and not is_of_case:
            continue
        if turn.finished_ms is None and not is_of_case and waited_s < MAX_TURN_WAIT_S:
            continue  # the client, or the recording, ended before
        yield SpokenTurn(connection.target, traffic, turn, audio_format, round(waited_s, 1))


def _get_waiting_time_s(turn: SocketTurn, last_ms: float) -> float:
    """Return how long the connection was open after the client had ended a turn, in seconds; 0 if it did not."""
    return (last_ms - turn.end_ms) / 1000 if turn.end_ms is not None else 0.0
