"""Which exchanges of a recording belong together: a submit, the polls of its job, the download of its audio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from voicegauge.contract import Contract
from voicegauge.formats import is_json
from voicegauge.model import Exchange
from voicegauge.recording.redaction import relative_path

MIN_LINK_CHARACTERS = 6
"""Of an id in a path: a shorter one may stand in any answer."""


def group_exchanges(contract: Contract, exchanges: Sequence[Exchange]) -> list[list[Exchange]]:
    """`exchanges` by what belongs together, each conversation in its order.

    They share their `group`, where it is given. Otherwise a request belongs to the last
    conversation one of whose answers names its URL or an id in its path.
    """
    found: list[list[Exchange]] = []
    by_group: dict[str, list[Exchange]] = {}
    for exchange in exchanges:
        into = by_group.get(exchange.group) if exchange.group else _asked_for(contract, exchange, found)
        if into is None:
            into = []
            found.append(into)
            if exchange.group:
                by_group[exchange.group] = into
        into.append(exchange)
    return found


def assign_groups(contract: Contract, exchanges: Sequence[Exchange]) -> Iterator[Exchange]:
    """`exchanges` in their order, those of one conversation with one `group`; single ones have none."""
    names: dict[int, str] = {}
    for number, conversation in enumerate(group_exchanges(contract, exchanges), 1):
        if len(conversation) > 1:
            names |= {id(exchange): f"conversation {number}" for exchange in conversation}
    for exchange in exchanges:
        yield msgspec.structs.replace(exchange, group=exchange.group or names.get(id(exchange)))


def _asked_for(contract: Contract, exchange: Exchange, found: list[list[Exchange]]) -> list[Exchange] | None:
    links = [link.encode() for link in _links(contract, exchange)]
    for conversation in reversed(found):
        for earlier in conversation:
            response = earlier.response
            body = response.body.replace(b"\\/", b"/") if is_json(response.media_type) else b""
            if any(link in body for link in links):
                return conversation
    return None


def _links(contract: Contract, exchange: Exchange) -> Iterator[str]:
    """What an earlier answer must have said so that this request could be made."""
    url = exchange.request.url
    operation = contract.operations.get(exchange.operation)
    if operation is None:
        yield url
        yield urlsplit(url).path
        return
    values = [unquote(value) for value in (operation.match(relative_path(contract, url) or "") or {}).values()]
    if operation.job is not None:  # elsewhere a parameter may name what any answer names: a model, a language
        values += [value for _, value in parse_qsl(urlsplit(url).query)]
    yield from (value for value in values if len(value) >= MIN_LINK_CHARACTERS)
