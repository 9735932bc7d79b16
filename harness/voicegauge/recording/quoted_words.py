"""Masks, in texts that quote a response, words that could be a secret and that no contract documents.

Findings and failures quote what a service sent, and are published with logs, reports and code scanning. A recording
contains no values of undocumented fields at all. A quotation keeps the ordinary words of such values, without which
nobody could see what went wrong ("voice not found"), and masks the others: words with digits, long words, words of
mixed case, and words after a name such as "password".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.errors import DataError
from voicegauge.model.exchange import Exchange
from voicegauge.recording.masking import MASK, may_name_credential
from voicegauge.recording.redaction import Redactor

_WORD_PATTERN = re.compile(r"[^\s\"'<>{}\[\]()|,;:=&?\\`]+")
"""Matches a word: everything between blanks, quotation marks, brackets and separators of JSON and URLs."""
_NOT_ASCII_PATTERN = re.compile(r"[^\x00-\x7f]+")
"""Matches a run of characters that no key has."""
_ORDINARY_WORD_PATTERN = re.compile(
    r"(?:[A-Za-z]{1,20}|v[0-9](?=/))(?:[-_./@+#*!~^]+(?:[A-Za-z]{1,20}|v?[0-9])){0,7}"
    r"|[0-9]{1,4}(?:[.][0-9]{1,4})?|[A-Za-z]{1,3}[0-9][A-Za-z]?"
)
"""Matches words of a language, names such as `invalid_request_error`, `large-v3` and `mp3`, paths such as `v1/models`,
and short numbers. Keys are ASCII: other characters, of languages without spaces between words, count as separators."""
_CASE_CHANGE_PATTERN = re.compile(r"[a-z][A-Z]")
"""Matches the place in `maxTokens` at which a new word begins."""
_MAX_CASE_CHANGES_OF_ORDINARY_WORD = 2
"""Largest number of changes from a small to a capital letter in an ordinary word, such as `maxNewTokens`."""
_NAME_BEFORE_WORD_PATTERN = re.compile(r"(?<![\w/-])([\w-]{1,60})[\"'\\]*\s*(?:[:=>]|\bis\b)\s*[\"'\\]*$")
"""Matches, before a word, the name of which it is the value: `"token": ` or "token is "."""
_ESCAPE_PATTERN = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrtbf])")
"""Matches an escape of JSON, which would join two words to one."""
_ESCAPE_BYTES_PATTERN = re.compile(_ESCAPE_PATTERN.pattern.encode())
_EDGE_CHARACTERS = ".…!-_/*#~+^"
"""Punctuation at the edges of a word, which does not belong to it."""
_MIN_PREFIX_CHARACTERS = 4
"""Minimum number of characters by which a word is recognized if its end was cut off."""
MAX_COMPARED_BYTES = 256 * 1024
"""Maximum size of a body that is compared with its redacted form. Every word of a larger body that could be a secret is
masked, unless the request contains the word."""
_MAX_ESCAPES = 100_000
"""Maximum number of escapes in a large body that are resolved. If a body has more, every word of a quotation that could
be a secret is masked."""
_QUOTED_BYTES_PATTERN = re.compile(r"(bytearray\(b|\bb)(['\"])(.*?)\2", re.DOTALL)
"""Matches bytes as Python prints them, with escapes of their own."""
_PROTOCOL_WORD_PATTERN = re.compile(r"HTTP/[0-9.]{1,3}", re.IGNORECASE)
"""Matches the version of HTTP, which has digits but no secret."""


def mask_undocumented_words(contract: Contract, exchanges: Iterable[Exchange], text: str) -> str:
    """Return `text`, which quotes `exchanges`, with undocumented words that could be a secret masked.

    Args:
        contract: contract of the provider, which says what is documented.
        exchanges: the exchanges that the text may quote.
        text: one line or more, not longer than some thousand characters.
    """
    matches = [match for match in _WORD_PATTERN.finditer(text) if could_be_secret(text, match)]
    if not matches:
        return text
    found: set[str] = set()
    for exchange in exchanges:
        words = _find_undocumented_words(contract, _ExchangeKey(exchange))
        if words is None:
            quoted = {match.group().strip(_EDGE_CHARACTERS) for match in matches}
            found |= _find_received_words(exchange, quoted - _list_words_of_request(exchange))
        else:
            found |= words
    found.discard("")
    return _mask_words(text, found) if found else text


def mask_quoted_bytes(text: str) -> str:
    """Return `text`, the message of a protocol error, with words in quoted bytes that could be a secret masked."""

    def mask(match: re.Match[str]) -> str:
        opening, quote, quoted = match.groups()
        words = {word.group().strip(_EDGE_CHARACTERS) for word in _WORD_PATTERN.finditer(quoted)}
        return f"{opening}{quote}{_mask_words(quoted, words)}{quote}"

    return _QUOTED_BYTES_PATTERN.sub(mask, text)


def could_be_secret(text: str, match: re.Match[str]) -> bool:
    """Whether the word that `match` finds in `text` could be a secret: by itself, or by the name before it."""
    word = match.group().strip(_EDGE_CHARACTERS)
    ascii_word = _NOT_ASCII_PATTERN.sub("-", word).strip(_EDGE_CHARACTERS)
    if not ascii_word or word == MASK.strip("[]") or _PROTOCOL_WORD_PATTERN.fullmatch(word):
        return False
    is_ordinary = _ORDINARY_WORD_PATTERN.fullmatch(ascii_word) is not None
    if not is_ordinary or len(_CASE_CHANGE_PATTERN.findall(word)) > _MAX_CASE_CHANGES_OF_ORDINARY_WORD:
        return True
    # A name has at most 60 characters, and a few signs may follow it.
    name = _NAME_BEFORE_WORD_PATTERN.search(text[max(0, match.start() - 80) : match.start()])
    return name is not None and may_name_credential(name[1])


def _mask_words(text: str, words_to_mask: set[str]) -> str:
    def mask(match: re.Match[str]) -> str:
        word = match.group().strip(_EDGE_CHARACTERS)
        if not could_be_secret(text, match):
            return match.group()
        # A quotation may end inside of a word: its beginning reveals as much.
        is_cut = match.end() == len(text) or match.group().endswith(("…", "...")) or text[match.end() :].isspace()
        is_part = is_cut and len(word) >= _MIN_PREFIX_CHARACTERS and any(one.startswith(word) for one in words_to_mask)
        return match.group().replace(word, MASK) if word in words_to_mask or is_part else match.group()

    return _WORD_PATTERN.sub(mask, text)


class _ExchangeKey:
    """An exchange as a key of a cache: equal to itself alone, so that bodies are neither hashed nor compared."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ExchangeKey) and other.exchange is self.exchange

    def __hash__(self) -> int:
        return id(self.exchange)


# Each text of a finding, and each finding about the exchange, asks for its words.
@functools.lru_cache(maxsize=2)
def _find_undocumented_words(contract: Contract, exchange_key: _ExchangeKey) -> frozenset[str] | None:
    """Return the received words that redaction would mask, because no document describes them.

    `None` if the exchange is too large to be compared, or cannot be redacted.
    """
    exchange = exchange_key.exchange
    compared = _remove_audio_from_exchange(exchange)
    messages_bytes = compared.socket.size_bytes if compared.socket is not None else 0
    if len(compared.response.body) + messages_bytes > MAX_COMPARED_BYTES:
        return None
    try:
        masked = Redactor(contract).mask_exchange(compared)
    except DataError:
        return None
    kept = {word for text in _iterate_received_texts(masked) for word in _iterate_words(text)}
    kept |= _list_words_of_request(exchange)
    return frozenset(word for text in _iterate_received_texts(compared) for word in _iterate_words(text)) - kept


def _remove_audio_from_exchange(exchange: Exchange) -> Exchange:
    """Return the exchange without the audio in its body and the binary messages, which no text quotes."""
    response, socket = exchange.response, exchange.socket
    if response.media_type.startswith(("audio/", "video/")) and b"\0" in response.body[:4096]:
        exchange = msgspec.structs.replace(exchange, response=msgspec.structs.replace(response, body=b""))
    if socket is not None:
        texts = tuple(message for message in socket.messages if not message.is_binary)
        exchange = msgspec.structs.replace(exchange, socket=msgspec.structs.replace(socket, messages=texts))
    return exchange


def _find_received_words(exchange: Exchange, words: set[str]) -> set[str]:
    """Return those of `words` with which a word of the response begins, whether it is documented or not.

    Voicegauge's own words in a quotation, such as a number of bytes, are in no response. The response is searched for
    each word, which takes a fraction of a second for the largest response; looking up each word of the response would
    take a minute.
    """
    parts = {word: max(_NOT_ASCII_PATTERN.split(word), key=len).encode() for word in words}
    found: set[str] = set()
    escape_count = 0
    for data in _iterate_received_bytes(_remove_audio_from_exchange(exchange)):
        data = data.replace(b"\\/", b"/")  # of which base64 has many
        escape_count += data.count(b"\\")
        if escape_count > _MAX_ESCAPES:
            return words
        resolved = _ESCAPE_BYTES_PATTERN.sub(lambda match: _resolve_escape(match).encode(errors="replace"), data)
        found.update(
            word for word, part in parts.items() if word not in found and _has_word_beginning_with(resolved, part)
        )
    return found


def _has_word_beginning_with(data: bytes, beginning: bytes) -> bool:
    start = data.find(beginning)
    while start > 0 and data[start - 1 : start].isalnum():
        start = data.find(beginning, start + len(beginning))
    return start >= 0


def _iterate_received_bytes(exchange: Exchange) -> Iterator[bytes]:
    yield exchange.response.body
    for _, value in exchange.response.headers:
        yield value.encode(errors="replace")
    if exchange.socket is not None:
        for message in exchange.socket.messages:
            if message.sender == "server":
                yield message.data
        if exchange.socket.close is not None:
            yield (exchange.socket.close.reason or "").encode(errors="replace")


def _iterate_received_texts(exchange: Exchange) -> Iterator[str]:
    for data in _iterate_received_bytes(exchange):
        yield data.decode(errors="replace")


def _iterate_words(text: str) -> Iterator[str]:
    for spelled in {text, _ESCAPE_PATTERN.sub(_resolve_escape, text.replace("\\/", "/"))}:
        for match in _WORD_PATTERN.finditer(spelled):
            yield match.group().strip(_EDGE_CHARACTERS)


def _resolve_escape(match: re.Match[str] | re.Match[bytes]) -> str:
    return chr(int(match[1], 16)) if match[1] else " "


def _list_words_of_request(exchange: Exchange) -> set[str]:
    """Return the words of the request: a service that repeats them reveals nothing."""
    request = exchange.request
    texts = [request.url]
    if exchange.socket is not None:
        sent = (one for one in exchange.socket.messages if one.sender == "client" and not one.is_binary)
        texts += (message.data.decode(errors="replace") for message in sent)
    if len(request.body) <= MAX_COMPARED_BYTES:
        texts.append(request.body.decode(errors="replace"))
    return {word for text in texts for word in _iterate_words(text)}
