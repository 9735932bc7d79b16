"""Asks a server that users run themselves for its models and voices, and whether it needs a key."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from voicegauge.client.connection import ProviderConnection
from voicegauge.client.requests import RequestParts
from voicegauge.contract import Contract, Operation, parse_exchange
from voicegauge.contract.extension import ServerList
from voicegauge.errors import MissingKeyError, TransportError, UsageError
from voicegauge.model import Exchange

MAX_NAMES = 1_000
"""Number of names in a list that are read."""
MAX_NAME_CHARACTERS = 200
MAX_LIST_S = 10.0
"""Maximum time of one list in seconds. A server that needs longer is used with the names of the contract."""


_USABLE_NAME = re.compile(r"\w[\w .+@/-]*")
"""A name as it is. Lists also have patterns such as "clone:<id>", which are not names."""


class ServerNames(NamedTuple):
    """What a server says that it has; a list is empty if the server does not say it."""

    models: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    missing_operations: tuple[str, ...] = ()
    """Ids of the operations for lists of voices that the server does not have."""


async def read_server_names(connection: ProviderConnection) -> ServerNames:
    """Return the models and voices of a server of the user's own.

    Raises:
        MissingKeyError: the server requires a key, and none is set.
        UsageError: the server rejects the key, or the base URL is not that of the API; the message names the right one.
        UnreachableError: there is no server.
    """
    spec = connection.contract.provider.self_hosted
    assert spec is not None, "only called for contracts with self_hosted"
    statuses: set[int] = set()
    names_by_operation: dict[str, tuple[str, ...]] = {}
    for server_list in (*([spec.models] if spec.models is not None else []), *spec.voices):
        exchange = await _request_list(connection, server_list)
        if exchange is not None:
            statuses.add(exchange.response.status)
            names_by_operation[server_list.operation] = _read_names(exchange, server_list)
    if statuses & {401, 403}:
        _raise_key_error(connection, min(statuses & {401, 403}))
    if not any(names_by_operation.values()):  # a server with a web page may answer every path with it
        await _check_base_url(connection)
    models = names_by_operation.get(spec.models.operation, ()) if spec.models is not None else ()
    voices = [names_by_operation.get(one.operation, ()) for one in spec.voices]
    missing = (one.operation for one, names in zip(spec.voices, voices, strict=True) if not names)
    return ServerNames(models, next(filter(None, voices), ()), tuple(missing))


async def _request_list(connection: ProviderConnection, server_list: ServerList) -> Exchange | None:
    operation = connection.contract.find_operation(server_list.operation)
    request = connection.build_request(operation, RequestParts())
    try:
        return await connection.send(request, operation.id, max_total_s=MAX_LIST_S)
    except TransportError as error:
        if not error.sent:
            raise
        return None


def _read_names(exchange: Exchange, server_list: ServerList) -> tuple[str, ...]:
    body = parse_exchange(exchange).response_json if 200 <= exchange.response.status < 300 else None
    items: Any = next((found for at in server_list.items if isinstance(found := at.read_body(body), list)), [])
    names = (_read_name(item) for item in items[:MAX_NAMES])
    return tuple(dict.fromkeys(name for name in names if _USABLE_NAME.fullmatch(name)))


def _read_name(item: Any) -> str:
    if isinstance(item, dict):
        item = next((item[key] for key in ("id", "name") if isinstance(item.get(key), str)), None)
    return item if isinstance(item, str) and len(item) <= MAX_NAME_CHARACTERS else ""


def _raise_key_error(connection: ProviderConnection, status: int) -> None:
    contract = connection.contract
    if connection.key is None:
        raise MissingKeyError(contract.id, contract.provider.key_env)
    raise UsageError(f"the server rejects the key in {contract.provider.key_env} with status {status}")


async def _check_base_url(connection: ProviderConnection) -> None:
    """Check that a server of which no list was read has the speech operation, by a request without text.

    Raises:
        UsageError: it does not; the message has the base URL under which it does.
    """
    operation = _find_speech_operation(connection.contract)
    right = connection.build_request(operation, RequestParts())
    if not await _is_missing(connection, right.url, operation):
        return
    base = right.url.removesuffix(operation.path)
    parts = urlsplit(base)
    root = f"{parts.scheme}://{parts.netloc}"
    documented = urlsplit(operation.server.url).path
    for other in dict.fromkeys((f"{base}{documented}", f"{root}{documented}", root)):
        if other != base and not await _is_missing(connection, other + operation.path, operation):
            raise UsageError(f"{base} has no {operation.path} (404): use --base-url {other}")
    raise UsageError(f"{base} has no {operation.path} (404): name the base URL of the API with --base-url")


async def _is_missing(connection: ProviderConnection, url: str, operation: Operation) -> bool:
    request = connection.build_request(operation, RequestParts(), url=url)
    request = msgspec.structs.replace(
        request, body=b"{}", headers=(*request.headers, ("Content-Type", "application/json"))
    )
    exchange = await connection.send(request, operation.id, max_total_s=MAX_LIST_S)
    return exchange.response.status in (404, 405)


def _find_speech_operation(contract: Contract) -> Operation:
    return next(operation for operation in contract.operations.values() if operation.speech is not None)
