"""Defines recordings, and groups their exchanges into conversations: a submit, its polls and its download."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.formats.bodies import UnreadableBodyError, is_json, read_json
from voicegauge.model.base import Provenance, Record
from voicegauge.model.exchange import Exchange
from voicegauge.recording.url_rewriting import find_relative_path

# Groups exchanges into conversations, such as a submit, the polls of its job and the download of its audio.


MIN_ID_CHARACTERS = 6
"""Smallest number of characters of an id that links exchanges. A shorter id, such as "1", occurs in any response by
chance."""
MAX_SEARCHED_TEXT_CHARACTERS = 4096
"""Largest number of characters of a text in a response that is searched for ids and URLs. A longer text is audio or a
document."""
_ID_SEPARATOR_PATTERN = re.compile(r"[\s/?&=#,;'<>()]+")
"""Matches the characters that separate an id from the rest of a URL or a sentence."""


def group_exchanges_by_conversation(contract: Contract, exchanges: Sequence[Exchange]) -> list[list[Exchange]]:
    """Return the conversations, each with its exchanges in the order of `exchanges`.

    Exchanges with the same `conversation_id` belong to one conversation. An exchange without one belongs to the latest
    conversation that has a response with the URL of the exchange, or with an id from this URL. If there is no such
    response, the exchange starts a new conversation.
    """
    groups: list[list[Exchange]] = []
    named: dict[str, int] = {}
    index = ConversationIndex(contract)
    for exchange in exchanges:
        conversation_number = (
            named.get(exchange.conversation_id) if exchange.conversation_id else index.find_conversation(exchange)
        )
        if conversation_number is None:
            conversation_number = len(groups)
            groups.append([])
            if exchange.conversation_id:
                named[exchange.conversation_id] = conversation_number
        groups[conversation_number].append(exchange)
        index.add_exchange(exchange, conversation_number)
    return groups


def iterate_with_assigned_conversation_ids(contract: Contract, exchanges: Sequence[Exchange]) -> Iterator[Exchange]:
    """Yield `exchanges` in their order, each with the same `conversation_id` as the others of its conversation.

    Ids that exchanges have are kept. An exchange that is alone in its conversation gets no id.
    """
    names: dict[int, str] = {}
    for conversation_number, group in enumerate(group_exchanges_by_conversation(contract, exchanges), 1):
        if len(group) > 1:
            names |= {id(exchange): f"conversation {conversation_number}" for exchange in group}
    for exchange in exchanges:
        yield msgspec.structs.replace(exchange, conversation_id=exchange.conversation_id or names.get(id(exchange)))


class ConversationIndex:
    """Finds the conversation to which a request belongs.

    This is the latest conversation with a response that contains the URL of the request, or an id from this URL.
    """

    def __init__(self, contract: Contract) -> None:
        """Create an index without conversations."""
        self._contract = contract
        self._numbers: dict[str, int] = {}
        """The latest conversation with each id and URL in its JSON responses."""

    def add_exchange(self, exchange: Exchange, conversation_number: int) -> None:
        """Add the ids and URLs in the response of `exchange`, which belongs to conversation `conversation_number`."""
        if not is_json(exchange.response.media_type):
            return
        try:
            values = _iterate_texts(read_json(exchange.response.body))
        except UnreadableBodyError:
            return
        for value in values:
            for link in {value, _parse_url_path(value), *_ID_SEPARATOR_PATTERN.split(value)}:
                if len(link) >= MIN_ID_CHARACTERS:
                    self._numbers[link] = max(conversation_number, self._numbers.get(link, 0))

    def find_conversation(self, exchange: Exchange) -> int | None:
        """Return the number of the conversation to which the request of `exchange` belongs; `None` if there is none."""
        links = _find_links(self._contract, exchange)
        return max((self._numbers[link] for link in links if link in self._numbers), default=None)

    def forget_conversation(self, conversation_number: int) -> None:
        """Forget the ids and URLs of a conversation that has ended."""
        self._numbers = {link: other for link, other in self._numbers.items() if other != conversation_number}


def _iterate_texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, and every number as text."""
    if isinstance(value, str):
        if len(value) <= MAX_SEARCHED_TEXT_CHARACTERS:
            yield value
    elif isinstance(value, int):
        yield str(value)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _iterate_texts(item)


def _parse_url_path(text: str) -> str:
    """Return the path of a URL; an empty text if `text` is not a URL."""
    try:
        return urlsplit(text).path
    except ValueError:
        return ""


def _find_links(contract: Contract, exchange: Exchange) -> Iterator[str]:
    """Yield the texts by which a request is linked to an earlier response: ids, or the URL of a download and its path.

    Ids are values in the path and, for polls, in the query. Ids shorter than `MIN_ID_CHARACTERS` are left out.
    """
    url = exchange.request.url
    operation = contract.operations.get(exchange.operation)
    if operation is None:  # a download, whose URL was in a response of the job
        yield url
        yield urlsplit(url).path
        return
    values = [
        unquote(value) for value in (operation.match_path(find_relative_path(contract, url) or "") or {}).values()
    ]
    if operation.job is not None:  # in other operations, a query parameter may name a model or a language
        values += [value for _, value in parse_qsl(urlsplit(url).query)]
    yield from (value for value in values if len(value) >= MIN_ID_CHARACTERS)


# Defines `Recording`, which contains exchanges and describes their origin.


class Recording(Record, frozen=True, kw_only=True):
    """Exchanges with one provider and where they came from."""

    provenance: Provenance
    provider: str
    """Id of the provider's contract."""
    contract_version: str
    contract_sha256: str
    """SHA-256 of the contract document at the time of recording. It shows whether the contract has changed since."""
    recorded_at: str
    """Time of the recording in UTC, as an ISO 8601 text."""
    exchanges: tuple[Exchange, ...]
    redaction_count_by_location: dict[str, int] = {}
    """Number of masked values by location, such as "request header authorization"."""


def collect_exchanges_by_conversation_id(exchanges: Iterable[Exchange]) -> dict[str | None, tuple[Exchange, ...]]:
    """Return the exchanges by `conversation_id`, in their order. Exchanges without such an id are under `None`."""
    groups: dict[str | None, list[Exchange]] = {}
    for exchange in exchanges:
        groups.setdefault(exchange.conversation_id, []).append(exchange)
    return {name: tuple(group) for name, group in groups.items()}
