"""Recordings of any tool as exchanges, grouped into conversations: a submit, its polls and its download.

"Interaction" is the term of VCR for a request with its response, as another tool recorded them.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.formats.bodies import UnreadableBodyError, is_json, parse_http_date, read_json
from voicegauge.model.base import Provenance, Record
from voicegauge.model.exchange import Exchange, Request, Response, SocketMessageLog, Timing
from voicegauge.recording.url_rewriting import find_relative_path


class NotImportedError(Exception):
    """Raised with the reason why an interaction cannot be imported. The import continues with the next interaction."""


class ParsedInteraction(NamedTuple):
    """One request with its response, in a form that does not depend on the tool that recorded them."""

    request: Request
    """The request as it is stored in the file. Its body may still be compressed, as that of the response."""
    response: Response
    recorded_at: dt.datetime | None = None
    timing: Timing | None = None
    """The measured times; `None` if there are none. The arrival times of chunks are missing in all foreign formats."""
    socket: SocketMessageLog | None = None
    """The messages of a WebSocket, whose handshake the request is; `None` for any other request."""
    notes: tuple[str, ...] = ()
    """Notes on information that is missing in the file."""


class UnparsedInteraction(NamedTuple):
    """An interaction that has not been parsed yet. Parsing it may fail."""

    method: str
    url: str
    """URL of the request for messages; "?" if it cannot be read."""
    parse: Callable[[], ParsedInteraction]
    """Function that parses the interaction. Raises `NotImportedError` if the interaction cannot be imported."""


class InteractionFile(NamedTuple):
    """The content of a file of another tool whose format was recognized."""

    file_format: str
    """Description of the file format for messages, such as "a cassette of vcrpy"."""
    interactions: Iterator[UnparsedInteraction]


def require_mapping(value: Any, value_name: str) -> dict[str, Any]:
    """Return `value` if it is a mapping.

    Raises:
        NotImportedError: `value` is not a mapping. The message contains `value_name`.
    """
    if isinstance(value, dict):
        return value
    raise NotImportedError(f"has no {value_name}" if value is None else f"its {value_name} is not a mapping")


def require_text(value: Any, value_name: str) -> str:
    """Return `value` if it is text; bytes are decoded as UTF-8.

    Raises:
        NotImportedError: `value` is neither text nor bytes. The message contains `value_name`.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    raise NotImportedError(f"has no {value_name}" if value is None else f"its {value_name} is not text")


def parse_status_code(value: Any) -> int:
    """Return a status code that is stored as a number or as text.

    Raises:
        NotImportedError: no response was received, or `value` is not a status code.
    """
    try:
        status = int(value)
    except (TypeError, ValueError):
        raise NotImportedError("has no status code") from None
    if status == 0:  # browsers and proxies write 0 for a request without a response
        raise NotImportedError("no response was received: the request was blocked or aborted")
    if not 100 <= status <= 599:
        raise NotImportedError(f"its status code {status} is not valid")
    return status


def encode_text(text: str, encoding: str | None = None) -> bytes:
    """Encode `text` in `encoding`; if that is unknown or cannot represent `text`, encode it in UTF-8."""
    if encoding:
        try:
            return text.encode(codecs.lookup(encoding).name)
        except (LookupError, UnicodeError, ValueError):
            pass
    return text.encode("utf-8", "surrogatepass")


def parse_base64(text: Any, value_name: str) -> bytes:
    """Decode base64, ignoring line breaks.

    Raises:
        NotImportedError: `text` is not valid base64. The message contains `value_name`.
    """
    try:
        return base64.b64decode("".join(require_text(text, value_name).split()), validate=True)
    except (binascii.Error, ValueError):
        raise NotImportedError(f"its {value_name} is not valid base64") from None


def parse_time(text: Any) -> dt.datetime | None:
    """Parse an ISO 8601 or HTTP date and convert it to UTC; `None` if `text` is neither."""
    if not isinstance(text, str):
        return None
    try:
        time = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return parse_http_date(text)
    try:
        return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)
    except OverflowError:
        return None


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


def iterate_exchanges_with_conversation_ids(contract: Contract, exchanges: Sequence[Exchange]) -> Iterator[Exchange]:
    """Yield `exchanges` in their order, each with the same `conversation_id` as the others of its conversation.

    Existing ids are kept. An exchange that is alone in its conversation gets no id.
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
        links = _find_linking_texts(self._contract, exchange)
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


def _find_linking_texts(contract: Contract, exchange: Exchange) -> Iterator[str]:
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
