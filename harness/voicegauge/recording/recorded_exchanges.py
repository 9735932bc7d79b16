"""What recordings of any tool consist of: exchanges with the contract's URLs, and conversations of them.

A conversation is a submit with its polls and its download.

"Interaction" is the term of VCR for a request with its response, as another tool recorded them.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.formats.bodies import UnreadableBodyError, is_json, parse_http_date, read_json
from voicegauge.model.base import Provenance, Record
from voicegauge.model.exchange import Exchange, Headers, Request, Response, SocketMessageLog, Timing


class NotImportedError(Exception):
    """Raised with the reason why an interaction cannot be imported. The import continues with the next interaction."""


class ParsedInteraction(NamedTuple):
    """One request with its response, in a form that does not depend on the tool that recorded them."""

    request: Request
    """The request as it is stored in the file. Its body may still be compressed, as that of the response."""
    response: Response
    recorded_at: dt.datetime | None = None
    """When the request was sent; `None` if the file does not say."""
    timing: Timing | None = None
    """The measured times; `None` if there are none. The arrival times of chunks are missing in all foreign formats."""
    socket: SocketMessageLog | None = None
    """The messages of a WebSocket, whose handshake the request is; `None` for any other request."""
    notes: tuple[str, ...] = ()
    """Notes on information that is missing in the file."""


class UnparsedInteraction(NamedTuple):
    """An interaction that has not been parsed yet. Parsing it may fail."""

    method: str
    """HTTP method of the request; "?" if it cannot be read."""
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
    """Encode `text` in `encoding`; in UTF-8 if that is `None`, is unknown, or cannot represent `text`."""
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


# Rewrites base URLs in recorded traffic between the emulator, the contract's servers and a replay server.


UrlRewriter = Callable[[str], str]
"""Function that replaces base URLs in a text."""
OTHER_HOSTS_PATH_PREFIX = "_at"
"""A replay serves URLs of hosts outside the contract below this path segment, which follows the provider id:
"/<provider id>/_at/cdn.example/a.wav"."""
_URL_HEADERS = frozenset({"location", "content-location", "link"})
"""Headers whose values are URLs, in lower case."""
_URL_PATH_REGEX = r"(?![\w.:-])((?:\\?/[^\s\"'<>\\?#]*)*)"
"""Matches the path after a base URL. Its slashes may be escaped, as JSON allows. The look-ahead rejects a longer host
name."""


def build_url_rewriter(url_builder_by_base_url: Mapping[str, Callable[[str], str]]) -> UrlRewriter:
    """Create a function that replaces base URLs in a text.

    The longest matching base URL is replaced. Slashes may be escaped, as JSON allows; the result has unescaped slashes.

    Args:
        url_builder_by_base_url: for each base URL to replace, a function that takes the path after the base URL and
            returns the new URL.
    """
    base_urls = sorted(url_builder_by_base_url, key=len, reverse=True)
    if not base_urls:
        return lambda text: text
    either = "|".join(f"({re.escape(url).replace('/', chr(92) * 2 + '?/')})" for url in base_urls)
    pattern = re.compile(f"(?:{either}){_URL_PATH_REGEX}")

    def replace(url_match: re.Match[str]) -> str:
        index = next(i for i, group in enumerate(url_match.groups()) if group is not None)
        path = url_match[len(base_urls) + 1]
        return url_builder_by_base_url[base_urls[index]](path.replace("\\/", "/"))

    return lambda text: pattern.sub(replace, text)


def rewrite_response_urls(response: Response, rewrite_urls: UrlRewriter) -> Response:
    """Rewrite the URLs in the text body and the headers of `response`."""
    body = response.body
    if is_json(response.media_type) or response.media_type.startswith("text/"):
        text = body.decode("latin-1")  # URLs are ASCII, and each byte stays one character
        rewritten = rewrite_urls(text)
        body = body if rewritten == text else rewritten.encode("latin-1")
    length = {"content-length": str(len(body))} if body != response.body else {}
    headers = _rewrite_headers(response.headers, rewrite_urls, length)
    return Response(status=response.status, headers=headers, body=body)


def _rewrite_headers(headers: Headers, rewrite_urls: UrlRewriter, new_value_by_name: Mapping[str, str]) -> Headers:
    return tuple(
        (name, new_value_by_name.get(name.lower(), rewrite_urls(value) if name.lower() in _URL_HEADERS else value))
        for name, value in headers
    )


class UrlCanonicalizer:
    """Rewrites URLs of an emulator or a staging server to URLs of the contract's servers.

    A recording then does not depend on a port, and can be replayed to a client that knows only the contract.
    """

    def __init__(self, contract: Contract, base_urls: Mapping[str, str]) -> None:
        """Create a canonicalizer for the traffic of one provider.

        Args:
            contract: contract of the provider.
            base_urls: base URLs that the client used, by server name. The name "" means all servers.

        Raises:
            UnknownNameError: the contract has no server of a name in `base_urls`.
        """
        self._contract = contract
        default = next(iter(contract.servers.values())).url
        replacements: dict[str, Callable[[str], str]] = {}
        for name, url in base_urls.items():
            server_url = contract.find_server(name).url if name else default
            replacements[url.rstrip("/")] = self._build_server_rewriter(server_url, uses_operation_server=not name)
            parts, server = urlsplit(url), urlsplit(server_url)
            # Responses may contain URLs outside the base path, such as downloads. These keep their path.
            origin = f"{parts.scheme}://{parts.netloc}"
            server_origin = f"{server.scheme}://{server.netloc}"
            replacements.setdefault(origin, self._build_server_rewriter(server_origin, uses_operation_server=False))
        self._rewrite = build_url_rewriter(replacements)

    def _build_server_rewriter(self, server_url: str, *, uses_operation_server: bool) -> Callable[[str], str]:
        """Return a function that puts a path on `server_url`, or on the server of the operation with the path."""

        def build_url(path: str) -> str:
            match = self._contract.match_operation("GET", path) if uses_operation_server and path else None
            return f"{match[0].server.url if match else server_url}{path}"

        return build_url

    def rewrite_exchange(self, exchange: Exchange) -> Exchange:
        """Rewrite `exchange` as if it had been sent to the servers of the contract."""
        request = exchange.request
        url = self._rewrite(request.url)
        operation = self._contract.operations.get(exchange.operation)
        if exchange.socket is not None:
            url = self._rewrite_socket_url(exchange, url)
        path = find_relative_path(self._contract, url)
        if operation is not None and path is not None:
            query = urlsplit(url).query
            url = f"{operation.server.url}{path}{'?' if query else ''}{query}"
        host = {"host": urlsplit(url).netloc} if url != request.url else {}
        headers = _rewrite_headers(request.headers, self._rewrite, host)
        rewritten = Request(method=request.method, url=url, headers=headers, body=request.body)
        response = rewrite_response_urls(exchange.response, self._rewrite)
        return msgspec.structs.replace(exchange, request=rewritten, response=response)

    def _rewrite_socket_url(self, exchange: Exchange, rewritten_url: str) -> str:
        """Return the URL of a handshake on the server of its channel, which other operations may not have."""
        if rewritten_url == exchange.request.url:
            return rewritten_url
        parts = urlsplit(rewritten_url)
        named = self._contract.socket_operations.get(exchange.operation)
        channels = self._contract.socket_operations.values() if named is None else [named]
        matches = [(one, match) for one in channels if (match := one.match_path_end(parts.path)) is not None]
        if not matches:
            return rewritten_url
        channel, match = min(matches, key=lambda pair: len(pair[1].path_parameters))
        path = parts.path[len(match.base_path) :]
        return f"{channel.server.url.rstrip('/')}{path}{'?' if parts.query else ''}{parts.query}"


def find_relative_path(contract: Contract, url: str) -> str | None:
    """Return the path of `url` relative to the server of `contract` that serves it; `None` if no server does."""
    parts = urlsplit(url)
    # Longest first, because the URL of one server may be below the path of another.
    for server in sorted(contract.servers.values(), key=lambda server: len(server.url), reverse=True):
        server_parts = urlsplit(server.url)
        base_path = server_parts.path.rstrip("/")
        if parts.netloc.lower() == server_parts.netloc.lower() and (parts.path + "/").startswith(base_path + "/"):
            return parts.path[len(base_path) :] or "/"
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
            named.get(exchange.conversation_id)
            if exchange.conversation_id
            else index.find_conversation_number(exchange)
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

    def find_conversation_number(self, exchange: Exchange) -> int | None:
        """Return the number of the conversation to which the request of `exchange` belongs; `None` if there is none."""
        links = _find_linking_texts(self._contract, exchange)
        return max((self._numbers[link] for link in links if link in self._numbers), default=None)

    def forget_conversation(self, conversation_number: int) -> None:
        """Forget the ids and URLs of a conversation that has ended."""
        self._numbers = {link: other for link, other in self._numbers.items() if other != conversation_number}


def _iterate_texts(json_value: Any) -> Iterator[str]:
    """Yield every text inside a JSON value, and every number as text."""
    if isinstance(json_value, str):
        if len(json_value) <= MAX_SEARCHED_TEXT_CHARACTERS:
            yield json_value
    elif isinstance(json_value, int):
        yield str(json_value)
    for item in (
        json_value.values() if isinstance(json_value, dict) else json_value if isinstance(json_value, list) else ()
    ):
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
    """`info.version` of the contract at the time of recording."""
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
