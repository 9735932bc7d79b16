"""Recognizes the channel, the target and the audio format of a WebSocket connection by what its client has sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.sockets import SocketFormat
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import parse_text_value
from voicegauge.contract.socket_messages import read_message
from voicegauge.contract.targets import BaseSocketTarget
from voicegauge.formats.locations import MISSING, Location, read_pointer
from voicegauge.model.exchange import SocketTraffic


class RecognizedTarget(NamedTuple):
    """What a client has asked for."""

    target: BaseSocketTarget
    audio_format: SocketFormat | None
    """The format; `None` for one that the target does not have."""


def find_socket_operation(contract: Contract, url: str) -> Operation | None:
    """Return the channel that a URL on its own server addresses; `None` if no channel does.

    `url` has http, https, ws or wss. A path without parameters takes precedence.
    """
    parts = urlsplit(url)
    found: list[tuple[int, Operation]] = []
    for operation in contract.socket_operations.values():
        server = urlsplit(operation.server.url)
        base_path = server.path.rstrip("/")
        if parts.netloc.lower() != server.netloc.lower() or not f"{parts.path}/".startswith(f"{base_path}/"):
            continue
        parameters = operation.match_path(parts.path[len(base_path) :] or "/")
        if parameters is not None:
            found.append((len(parameters), operation))
    return min(found, key=lambda pair: pair[0], default=(0, None))[1]


def find_handshake_violation(
    operation: Operation, query: Mapping[str, str], find_header: Callable[[str], str | None]
) -> str | None:
    """Return how a handshake breaks the description of its channel; `None` if it does not.

    A required parameter may be missing, or a documented one have a value that is not. Other parameters are not judged:
    documents of WebSockets leave many out.

    Args:
        operation: the channel.
        query: the parameters of the URL.
        find_header: returns the value of a header; `None` if there is none.
    """
    for parameter in operation.parameters:
        if parameter.message_part not in ("query", "header"):
            continue
        in_query = parameter.message_part == "query"
        text = query.get(parameter.name) if in_query else find_header(parameter.name)
        if text is None:
            if parameter.is_required:
                return f"the {parameter.message_part} parameter {parameter.name} is missing"
            continue
        # The pointer of a parameter in the bindings of a channel is that of its schema.
        value = parse_text_value(parameter.schemas, parameter.schema, text)
        violation = next(parameter.schemas.iterate_violations(parameter.pointer, value), None)
        if violation is not None:
            return f"{parameter.name}: {violation.message}"
    return None


def recognize_target(operation: Operation, traffic: SocketTraffic) -> RecognizedTarget | None:
    """Return the target and the format that the client of a connection has asked for.

    A constant that the client did not send counts neither for a target nor against it, and neither does another value
    of a header, such as the version of the API. `None` if what was sent contradicts every target, such as a model that
    the contract does not have.
    """
    values = _read_sent_values(operation, traffic)
    rated = [(_rate_target(values, one), one) for one in operation.socket_targets]
    fitting = [(count, target) for count, target in rated if count is not None]
    if not fitting:
        return None
    target = max(fitting, key=lambda pair: pair[0])[1]
    return RecognizedTarget(target, _find_format(values, target))


def _find_format(values: Mapping[Location, Any], target: BaseSocketTarget) -> SocketFormat | None:
    formats = target.target_spec.formats.values()
    for audio_format in formats:
        constants = audio_format.request_constants
        if constants and all(_is_same(values.get(at, MISSING), value) for at, value in constants.items()):
            return audio_format
    is_another = any(location in values for one in formats for location in one.request_constants)
    return None if is_another else target.default_format


def _rate_target(values: Mapping[Location, Any], target: BaseSocketTarget) -> int | None:
    """Return how many constants of a target were sent; `None` if another value was sent for one of them."""
    count, spec = 0, target.target_spec
    for location, constant in spec.request_constants.items():
        value = values.get(location, MISSING)
        if value is MISSING:
            continue
        if _is_same(value, constant):
            count += 1
        elif location.message_part != "header" and not spec.allows_value(location, value):
            return None
    return count


def _is_same(value: Any, constant: Any) -> bool:
    """Whether a sent value has a constant. Values in a URL are text; a sent object may have more members."""
    if isinstance(constant, dict):
        return isinstance(value, dict) and all(
            name in value and _is_same(value[name], item) for name, item in constant.items()
        )
    if isinstance(value, str) and not isinstance(constant, str):
        return value.lower() == str(constant).lower()
    return bool(value == constant)


def _read_sent_values(operation: Operation, traffic: SocketTraffic) -> dict[Location, Any]:
    """Return what the handshake and the first messages of the client have at the locations of constants."""
    wanted = set(_iterate_locations(operation))
    url = urlsplit(traffic.request.url)
    match = operation.match_path_end(url.path)
    values_by_part: dict[str, Mapping[str, str]] = {
        "query": dict(parse_qsl(url.query, keep_blank_values=True)),
        "path": {name: unquote(value) for name, value in match.path_parameters.items()} if match is not None else {},
    }
    values: dict[Location, Any] = {}
    for location in wanted:
        if location.message_part == "header":
            found: Any = traffic.request.find_header(location.name)
        else:
            found = values_by_part.get(location.message_part, {}).get(location.name)
        if found is not None:
            values[location] = found
    waiting = {location for location in wanted if location.is_in_body}
    for message in traffic.messages:
        if not waiting:
            break
        if message.sender == "client" and not message.is_binary:
            data = read_message(message.data)
            for location in list(waiting):
                value = read_pointer(data, location.pointer_tokens)
                if value is not MISSING:
                    values[location] = value
                    waiting.discard(location)
    return values


def _iterate_locations(operation: Operation) -> Iterator[Location]:
    assert operation.socket is not None, "only channels have sockets"
    for target in operation.socket.spec.targets.values():
        yield from target.request_constants
        for audio_format in target.formats.values():
            yield from audio_format.request_constants
