"""Grouping of exchanges that belong together: a submit, the polls of its job and the download of its audio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from voicegauge.contract import Contract
from voicegauge.formats import is_json
from voicegauge.model import Exchange
from voicegauge.recording.redaction import relative_path

MIN_ID_CHARACTERS = 6
"""Shorter path parameters are not used as links: a number like "1" occurs in any response by chance."""


def group_exchanges(contract: Contract, exchanges: Sequence[Exchange]) -> list[list[Exchange]]:
    """Split `exchanges` into groups, each in the original order.

    Exchanges with a `group` are grouped by it. Others belong to the latest group with a response that contains their
    URL, or an id from their path; without such a response they start a group.
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
    """Yield `exchanges` in their order with the name of their group; an exchange alone in its group gets none."""
    names: dict[int, str] = {}
    for number, group in enumerate(group_exchanges(contract, exchanges), 1):
        if len(group) > 1:
            names |= {id(exchange): f"conversation {number}" for exchange in group}
    for exchange in exchanges:
        yield msgspec.structs.replace(exchange, group=exchange.group or names.get(id(exchange)))


def _find_linked_group(contract: Contract, exchange: Exchange, groups: list[list[Exchange]]) -> list[Exchange] | None:
    links = [link.encode() for link in _links(contract, exchange)]
    for group in reversed(groups):
        for earlier in group:
            response = earlier.response
            body = response.body.replace(b"\\/", b"/") if is_json(response.media_type) else b""
            if any(link in body for link in links):
                return group
    return None


def _links(contract: Contract, exchange: Exchange) -> Iterator[str]:
    """URLs and ids, one of which an earlier response must have contained for the client to send this request."""
    url = exchange.request.url
    operation = contract.operations.get(exchange.operation)
    if operation is None:  # a download: the response of the job named its URL
        yield url
        yield urlsplit(url).path
        return
    values = [unquote(value) for value in (operation.match(relative_path(contract, url) or "") or {}).values()]
    if operation.job is not None:  # of other operations, a query parameter may name a model or a language
        values += [value for _, value in parse_qsl(urlsplit(url).query)]
    yield from (value for value in values if len(value) >= MIN_ID_CHARACTERS)
