"""Asks a server for the names of its models and voices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from voicegauge.client.connection import ProviderConnection
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.extension.provider import ListOperation
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.errors import MissingKeyError, TransportError, UnreachableError, UsageError
from voicegauge.model.exchange import Exchange, Request

NAME_LIST_TIMEOUT_S = 10.0
"""Maximum time, in seconds, of a request for a list of models or voices. If a server needs longer, the names in the
contract are used."""

MAX_NAME_LIST_PAGES = 20
"""Maximum number of pages of a list of voices that are requested until the documented voice is found."""

_WEB_PAGE_SIGN = "HTML"
"""Result of `_find_sign_of_missing_api` if the server responds with a web page."""


class WrongBaseUrlError(UsageError):
    """Raised if the API is not at the base URL of a server, but at another one that was tried."""

    def __init__(self, reason: str, right_base_url: str) -> None:
        """Store `right_base_url`, at which the server has the operation, and explain `reason`."""
        self.right_base_url = right_base_url
        super().__init__(f"{reason}: use --base-url {right_base_url}")


class ModelAndVoiceNames(NamedTuple):
    """Names of the models and voices that a server lists. They are empty if the server does not list them."""

    model_names: tuple[str, ...] = ()
    voice_names: tuple[str, ...] = ()
    missing_operation_ids: tuple[str, ...] = ()
    """Ids of the operations that should list voices, but of which the server returned no voices."""


async def read_model_and_voice_names(connection: ProviderConnection) -> ModelAndVoiceNames:
    """Return the models of a self-hosted server, and the voices of its first list that has any.

    Raises:
        MissingKeyError: the server requires a key, and none is set.
        UsageError: the server rejects the key, or the base URL is wrong; the message then names the right base URL.
        TransportError: there is no server, or it does not respond.
    """
    spec = connection.contract.provider.self_hosted
    assert spec is not None, "only called for contracts with self_hosted"
    statuses: set[int] = set()
    names_by_operation: dict[str, tuple[str, ...]] = {}
    lists = (*([spec.model_list] if spec.model_list is not None else []), *spec.voice_lists)
    for name_list, exchange in zip(lists, await _request_name_lists(connection, lists), strict=True):
        if exchange is not None:
            statuses.add(exchange.response.status)
            names_by_operation[name_list.operation_id] = _read_names_from_exchange(exchange, name_list)
    if statuses & {401, 403}:
        variable = connection.contract.provider.key_variable
        if connection.key is None:
            raise MissingKeyError(connection.contract.id, variable)
        raise UsageError(f"the server rejects the key in {variable} with status {min(statuses & {401, 403})}")
    if not any(names_by_operation.values()):  # a server with a web page may answer every path with it
        await _check_base_url(connection)
    models = names_by_operation.get(spec.model_list.operation_id, ()) if spec.model_list is not None else ()
    voices = [names_by_operation.get(one.operation_id, ()) for one in spec.voice_lists]
    missing = (one.operation_id for one, names in zip(spec.voice_lists, voices, strict=True) if not names)
    return ModelAndVoiceNames(models, next(filter(None, voices), ()), tuple(missing))


async def read_account_voices(connection: ProviderConnection) -> tuple[str, ...]:
    """Return the voices of an account of a hosted service; empty if none of its operations lists any.

    A list in pages is read until it has the voices that the contract names. Errors are ignored: the voices that the
    contract names are used then, and their requests show what is wrong.
    """
    contract = connection.contract
    wanted_voices = {target.target_spec.default_voice for target in contract.targets.values()} - {None}
    for voice_list in contract.provider.voice_lists:
        names: dict[str, None] = {}
        try:
            async for page in _iterate_name_pages(connection, voice_list):
                names.update(dict.fromkeys(page))
                if wanted_voices <= names.keys():
                    break
        except TransportError:
            pass  # what was listed before counts
        if names:
            return tuple(names)
    return ()


async def _iterate_name_pages(
    connection: ProviderConnection, name_list: ListOperation
) -> AsyncIterator[tuple[str, ...]]:
    """Yield the names on each page of a list; a list without pages is one page.

    Raises:
        TransportError: there is no response to a request.
    """
    operation = connection.contract.find_operation(name_list.operation_id)
    pagination = operation.pagination
    cursor: str | int | None = None
    item_count = 0
    for page_count in range(1, MAX_NAME_LIST_PAGES + 1):
        exchange = await _request_name_list(connection, name_list, cursor)
        yield _read_names_from_exchange(exchange, name_list)
        if pagination is None or not 200 <= exchange.response.status < 300:
            return
        body, previous_cursor = parse_exchange(exchange).response_json, cursor
        items = pagination.items_location.read_body(body)
        item_count += len(items) if isinstance(items, list) else 0
        cursor = pagination.find_next_cursor(body, page_count, item_count)
        if cursor is None or cursor == previous_cursor:  # some servers repeat the last cursor instead of leaving it out
            return


async def _request_name_lists(
    connection: ProviderConnection, name_lists: Sequence[ListOperation]
) -> list[Exchange | None]:
    """Request all lists at once; the result has `None` for each without a response.

    Raises:
        TransportError: there is no server, or it responds to none of the requests in time.
    """
    results = await asyncio.gather(*(_request_name_list(connection, one) for one in name_lists), return_exceptions=True)
    # A server that was reached may be slow with one of its lists only: then the others count.
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if not isinstance(error, TransportError) or not error.request_was_sent or len(errors) == len(name_lists):
            raise error
    return [None if isinstance(result, BaseException) else result for result in results]


async def _request_name_list(
    connection: ProviderConnection, name_list: ListOperation, cursor: str | int | None = None
) -> Exchange:
    """Request a list of names, or one page of it, which has the largest documented size.

    `cursor` names the page; `None` for the first page, or for the whole list if it has no pages.
    """
    operation = connection.contract.find_operation(name_list.operation_id)
    query: dict[str, str | int] = {}
    if operation.pagination is not None:
        size, at = operation.pagination.page_size_location, operation.pagination.cursor_location
        if size is not None:
            maxima = (one.schema.get("maximum") for one in operation.parameters if one.name == size.name)
            if isinstance(largest := next(maxima, None), int):
                query[size.name] = largest
        if at is not None and cursor is not None:
            query[at.name] = cursor
    parts = RequestParts(query_parameters=query, headers=operation.required_headers)
    return await _send_within_time_limit(connection, connection.build_request(operation, parts), operation)


async def _send_within_time_limit(connection: ProviderConnection, request: Request, operation: Operation) -> Exchange:
    max_total_s = (
        NAME_LIST_TIMEOUT_S if connection.max_wait_s is None else min(NAME_LIST_TIMEOUT_S, connection.max_wait_s)
    )
    try:
        return await connection.send(request, operation.id, max_total_s=max_total_s)
    except UnreachableError as error:
        if not error.request_was_sent:
            raise
    # The server may have closed the kept connection when the request came (RFC 9112, 9.5). It costs nothing to repeat.
    return await connection.send(request, operation.id, max_total_s=max_total_s)


def _read_names_from_exchange(exchange: Exchange, name_list: ListOperation) -> tuple[str, ...]:
    is_success = 200 <= exchange.response.status < 300
    return name_list.read_names(parse_exchange(exchange).response_json) if is_success else ()


async def _check_base_url(connection: ProviderConnection) -> None:
    """Check that a server speaks or transcribes, by sending a request without text or audio.

    Only a server whose lists of models and voices are empty or cannot be read is checked.

    Raises:
        WrongBaseUrlError: the server has the operation under another base URL, which the message names.
        UsageError: the server does not have the operation.
    """
    operation = next(one for one in connection.contract.operations.values() if any(one.targets))
    documented_request = connection.build_request(operation, RequestParts())
    reason = await _find_sign_of_missing_api(connection, documented_request.url, operation)
    if reason is None:
        return
    base = documented_request.url.removesuffix(operation.path)
    parts = urlsplit(base)
    root = f"{parts.scheme}://{parts.netloc}"
    documented = urlsplit(operation.server.url).path
    # Usual mistakes: the path of the API is missing, another path is there, or there should be none.
    for other in dict.fromkeys((f"{base}{documented}", f"{root}{documented}", root)):
        if other != base and await _find_sign_of_missing_api(connection, other + operation.path, operation) is None:
            raise WrongBaseUrlError(f"{base} has no {operation.path} ({reason})", other)
    if reason == _WEB_PAGE_SIGN:
        raise UsageError(
            f"{documented_request.url} answers HTML: is this the base URL of the API? Name it with --base-url"
        )
    raise UsageError(f"{base} has no {operation.path} ({reason}): name the base URL of the API with --base-url")


async def _find_sign_of_missing_api(connection: ProviderConnection, url: str, operation: Operation) -> str | None:
    """Return what shows that there is no API at `url`: the HTTP status, or "HTML" for a web page.

    Return `None` if there may be an API.
    """
    request = connection.build_request(operation, RequestParts(), url=url)
    request = msgspec.structs.replace(
        # Without a text, a server that has the operation rejects the request before it computes anything.
        request,
        body=b"{}",
        headers=(*request.headers, ("Content-Type", "application/json")),
    )
    response = (await _send_within_time_limit(connection, request, operation)).response
    if response.status in (404, 405):
        return str(response.status)
    return _WEB_PAGE_SIGN if 200 <= response.status < 300 and response.media_type == "text/html" else None
