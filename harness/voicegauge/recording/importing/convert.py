"""From a file of another tool to exchanges with a provider, and what was left out on the way."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from voicegauge.contract import Contract
from voicegauge.errors import DataError, OversizeError
from voicegauge.formats import is_json
from voicegauge.model import DOWNLOAD, Exchange, Headers, Record, Request, Response, header
from voicegauge.recording.grouping import assign_groups
from voicegauge.recording.importing.har import parse_har
from voicegauge.recording.importing.interaction import (
    InteractionFile,
    NotImportedError,
    ParsedInteraction,
    UnparsedInteraction,
    to_time,
)
from voicegauge.recording.importing.plain_data import read_plain
from voicegauge.recording.importing.tapes import parse_huggingface_tapes
from voicegauge.recording.importing.vcr import parse_vcr_cassette
from voicegauge.recording.redaction import MASK, UrlCanonicalizer, relative_path
from voicegauge.transport import decode_body

MAX_BODY_BYTES = 64 * 2**20
MIN_SECRET_CHARACTERS = 8
"""A shorter word in the place of a key ("none", "xxx") stands in for one."""
_UNREAD_CODINGS = ("br", "zstd", "compress")
_FLATTENED = "a stream, flattened: when its pieces arrived is not in the file"


class ImportRemark(Record, frozen=True, kw_only=True):
    """What is to be said of one interaction."""

    number: int
    """Counted from 1, in the order of the file."""
    request: str
    """The method and the URL without its query, which may hold a key."""
    imported: bool
    message: str


class ImportedRecording(Record, frozen=True, kw_only=True):
    """One file as exchanges: not masked yet."""

    format: str
    """In words: "a cassette of vcrpy"."""
    exchanges: tuple[Exchange, ...]
    remarks: tuple[ImportRemark, ...]
    """Of what is left out, and of what is there but not whole."""
    recorded_at: dt.datetime | None
    """The earliest time in the file; `None` where it tells none."""
    secrets: tuple[str, ...]
    """What stands in the places of keys: to be searched for and masked everywhere."""


def import_recording(path: Path, contract: Contract, base_urls: Mapping[str, str] | None = None) -> ImportedRecording:
    """Read a file of another tool.

    Args:
        path: a VCR cassette (vcrpy, Ruby VCR, betamax), a HAR file, or tapes of huggingface.js.
        contract: of the provider; interactions with others are left out.
        base_urls: other places where the provider was reached, by server name or "" for all.

    Raises:
        DataError: the file cannot be read or is of no known format.
        UnknownNameError: `base_urls` names a server that the contract does not.
    """
    source = _recognise(path)
    reader = _Reader(contract, base_urls or {})
    for entry in source.entries:
        reader.take(entry)
    exchanges = tuple(assign_groups(contract, reader.exchanges))
    return ImportedRecording(
        format=source.format,
        exchanges=exchanges,
        remarks=tuple(reader.remarks),
        recorded_at=min(reader.times, default=None),
        secrets=tuple(dict.fromkeys(_secrets(contract, exchanges))),
    )


def is_recording(path: Path) -> bool:
    """Whether `path` is a recording of voicegauge itself, which `load_har` reads.

    Raises:
        DataError: the file cannot be read.
    """
    data = read_plain(path)
    log = data.get("log") if isinstance(data, dict) else None
    return isinstance(log, dict) and "_voicegauge" in log


def _recognise(path: Path) -> InteractionFile:
    data = read_plain(path)
    for recognise in (parse_har, parse_vcr_cassette, parse_huggingface_tapes):
        source = recognise(data)
        if source is not None:
            return source
    raise DataError(f"{path}: is no VCR cassette, no HAR file and no file of tapes")


class _Reader:
    """Takes interactions one after another; what one answer names, a later one may download."""

    def __init__(self, contract: Contract, base_urls: Mapping[str, str]) -> None:
        self._contract = contract
        self._canonical = UrlCanonicalizer(contract, base_urls)
        self._number = 0
        self.exchanges: list[Exchange] = []
        self.remarks: list[ImportRemark] = []
        self.times: list[dt.datetime] = []

    def take(self, entry: UnparsedInteraction) -> None:
        """Add an exchange, a remark, or both."""
        self._number += 1
        try:
            interaction = entry.read()
            exchange = self._exchange(interaction)
        except NotImportedError as reason:
            self._remark(entry, imported=False, message=str(reason))
            return
        self.exchanges.append(exchange)
        sent = to_time(exchange.response.header("date"))
        self.times += [time for time in (interaction.recorded_at or sent,) if time is not None]
        for note in (*interaction.notes, *_losses(exchange)):
            self._remark(entry, imported=True, message=note)

    def _remark(self, entry: UnparsedInteraction, *, imported: bool, message: str) -> None:
        request = f"{entry.method[:20]} {entry.url.partition('?')[0][:200]}"
        self.remarks.append(ImportRemark(number=self._number, request=request, imported=imported, message=message))

    def _exchange(self, interaction: ParsedInteraction) -> Exchange:
        request = Request(
            method=interaction.method,
            url=_readable_url(interaction.url),
            headers=interaction.request_headers,
            body=_inflated(interaction.request_headers, interaction.request_body, "request"),
        )
        body = _inflated(interaction.response_headers, interaction.response_body, "answer")
        response = Response(status=interaction.status, headers=interaction.response_headers, body=body)
        exchange = Exchange(provider=self._contract.id, operation=DOWNLOAD, request=request, response=response)
        exchange = self._canonical.exchange(exchange)
        return Exchange(
            provider=self._contract.id,
            operation=self._operation(exchange.request),
            request=exchange.request,
            response=exchange.response,
            timing=interaction.timing,
        )

    def _operation(self, request: Request) -> str:
        path = relative_path(self._contract, request.url)
        match = self._contract.match(request.method, path) if path is not None else None
        if match is not None:
            return match[0].id
        if request.method == "GET" and self._was_named(request.url):
            return DOWNLOAD
        if path is not None:
            raise NotImportedError(f"no operation of the contract is {request.method} {path}")
        host = urlsplit(request.url).netloc.rpartition("@")[2]
        hosts = ", ".join(sorted(self._contract.hosts))
        raise NotImportedError(f"its host {host!r} is none of the contract's ({hosts}), and no answer names its URL")

    def _was_named(self, url: str) -> bool:
        """Whether an earlier answer holds `url`, in JSON perhaps with escaped slashes, or redirects to it."""
        plain = url.encode("utf-8", "replace")
        forms = (plain, plain.replace(b"/", b"\\/"), plain.replace(b"&", b"\\u0026"))
        for exchange in self.exchanges:
            response = exchange.response
            if response.header("location") == url:
                return True
            if is_json(response.media_type) and any(form in response.body for form in forms):
                return True
        return False


_DEFAULT_PORT = re.compile(r"^(?:(https://[^/?#]*):443|(http://[^/?#]*):80)(?=[/?#]|$)")


def _readable_url(url: str) -> str:
    """`url` without the port that every client leaves out and some tools write."""
    try:
        urlsplit(url)
    except ValueError:
        raise NotImportedError("its URL cannot be read") from None
    return _DEFAULT_PORT.sub(lambda found: found[1] or found[2], url)


def _inflated(headers: Headers, body: bytes, what: str) -> bytes:
    """`body` without its content encoding, if the tool left it on."""
    coding = header(headers, "content-encoding") or ""
    if not body or not coding:
        return body
    try:
        decoded = decode_body(body, coding, limit=MAX_BODY_BYTES, host="the file")
    except OversizeError:
        raise NotImportedError(f"its {what} decompresses to more than {MAX_BODY_BYTES} bytes") from None
    unread = [name for name in coding.lower().replace(" ", "").split(",") if name in _UNREAD_CODINGS]
    if decoded == body and unread and not _is_readable(headers, body):
        raise NotImportedError(f"its {what} is compressed with {unread[0]}, which is not read")
    return decoded


def _is_readable(headers: Headers, body: bytes) -> bool:
    """Whether the tool has decompressed the body already: text is text, audio begins as audio does."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return (header(headers, "content-type") or "").startswith("audio/") and body[:4] in _AUDIO
    return True


_AUDIO = (b"RIFF", b"OggS", b"fLaC", b"ID3\x03", b"ID3\x04")


def _losses(exchange: Exchange) -> Iterator[str]:
    response = exchange.response
    streamed = "chunked" in (response.header("transfer-encoding") or "").lower()
    if response.media_type == "text/event-stream" or (streamed and not is_json(response.media_type)):
        yield _FLATTENED
    length = response.header("content-length")
    whole = response.header("content-encoding") is None and exchange.request.method != "HEAD"
    if whole and length is not None and length.isdecimal() and int(length) > len(response.body):
        yield f"the answer is truncated: {len(response.body)} of {length} bytes are in the file"


def _secrets(contract: Contract, exchanges: Sequence[Exchange]) -> Iterator[str]:
    """What stands in the places of keys: in cookies, and where the contract's security schemes say."""
    names = {"authorization", "proxy-authorization", "cookie"}
    queries: set[str] = set()
    for scheme in contract.security_schemes.values():
        if scheme.get("type") == "apiKey":
            (queries if scheme.get("in") == "query" else names).add(str(scheme.get("name")).lower())
    for exchange in exchanges:
        for name, value in exchange.request.headers:
            if name.lower() == "cookie":
                yield from filter(_is_secret, (part.partition("=")[2].strip() for part in value.split(";")))
            elif name.lower() in names and _is_secret(key := value.strip().rpartition(" ")[2]):
                yield key
        for part in urlsplit(exchange.request.url).query.split("&"):
            name, _, value = part.partition("=")
            if name.lower() in queries and _is_secret(value):
                yield value


def _is_secret(text: str) -> bool:
    return len(text) >= MIN_SECRET_CHARACTERS and MASK not in text
