"""Groups exchanges that belong together, such as a submit, the polls of its job and the download of its audio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from voicegauge.contract import Contract
from voicegauge.formats import is_json
from voicegauge.model import Exchange
from voicegauge.recording.redaction import relative_path

MIN_ID_CHARACTERS = 6
"""Number of characters that an id needs to link exchanges. A shorter one, such as "1", occurs in any response by
chance."""


def group_exchanges(contract: Contract, exchanges: Sequence[Exchange]) -> list[list[Exchange]]:
    """Split `exchanges` into groups, each in the original order.

    Exchanges that name the same `group` are grouped together. An exchange without a `group` joins the latest group
    that has a response with the URL of the exchange, or with an id from this URL. If there is no such response, the
    exchange starts a new group.
    """
    groups: list[list[Exchange]] = []
    named: dict[str, list[Exchange]] = {}
    for exchange in exchanges:
        group = named.get(exchange.group) if exchange.group else _find_linked_group(contract, exchange, groups)
        if group is None:
            group = []
            groups.append(group)
            if exchange.group:
                named[exchange.group] = group
        group.append(exchange)
    return groups


def assign_groups(contract: Contract, exchanges: Sequence[Exchange]) -> Iterator[Exchange]:
    """Yield `exchanges` in order, each with the name of its group; an exchange alone in its group gets no name."""
    names: dict[int, str] = {}
    for number, group in enumerate(group_exchanges(contract, exchanges), 1):
        if len(group) > 1:
            names |= {id(exchange): f"conversation {number}" for exchange in group}
    for exchange in exchanges:
        yield msgspec.structs.replace(exchange, group=exchange.group or names.get(id(exchange)))


def _find_linked_group(contract: Contract, exchange: Exchange, groups: list[list[Exchange]]) -> list[Exchange] | None:
    links = [link.encode() for link in _find_links(contract, exchange)]
    for group in reversed(groups):
        for earlier in group:
            response = earlier.response
            body = response.body.replace(b"\\/", b"/") if is_json(response.media_type) else b""
            if any(link in body for link in links):
                return group
    return None


def _find_links(contract: Contract, exchange: Exchange) -> Iterator[str]:
    """Yield URLs and ids of this request; the client must have found at least one of them in an earlier response."""
    url = exchange.request.url
    operation = contract.operations.get(exchange.operation)
    if operation is None:  # a download, whose URL was in a response of the job
        yield url
        yield urlsplit(url).path
        return
    values = [unquote(value) for value in (operation.match(relative_path(contract, url) or "") or {}).values()]
    if operation.job is not None:  # in other operations, a query parameter may name a model or a language
        values += [value for _, value in parse_qsl(urlsplit(url).query)]
    yield from (value for value in values if len(value) >= MIN_ID_CHARACTERS)
