"""Downloads audio, in one response or as a stream, from hosts that a provider may name."""

from __future__ import annotations

import asyncio
import binascii
import ipaddress
import socket
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from voicegauge.client.connection import ProviderConnection
from voicegauge.client.exchange_log import (
    DeliveryDeadline,
    DeliveryFailedError,
    ExchangeLog,
    build_masked_excerpt,
    describe_exchange,
)
from voicegauge.client.http_request import build_request_without_key, parse_origin
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import AudioInputTarget
from voicegauge.contract.extension.speech import ResponseAudio
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import ParsedExchange, parse_exchange
from voicegauge.errors import UnreachableError
from voicegauge.formats.bodies import UnreadableBodyError, decode_base64
from voicegauge.formats.locations import Location
from voicegauge.model.exchange import DOWNLOAD_OPERATION, Exchange, Failure, FailureKind, Request
from voicegauge.recording.secret_search import find_secret_spelling
from voicegauge.transport.http import find_proxy

# Joins the audio of the events of a streamed response to one file.


def join_stream_audio(exchange: ParsedExchange, operation: Operation, connection: ProviderConnection) -> bytes:
    """Return the audio of all events of a stream that ended in success.

    Args:
        exchange: the streamed response.
        operation: the operation that was requested; it has an `x-stream`.
        connection: masks what must not be in failure messages.

    Raises:
        DeliveryFailedError: the response is not an event stream, is incomplete or ends in failure, or its audio cannot
            be decoded.
    """
    assert operation.stream is not None, "audio delivered as stream has an x-stream"
    response = exchange.exchange.response

    def build_stream_error(failure_kind: FailureKind, message: str) -> DeliveryFailedError:
        masked = connection.mask_quotation(exchange.exchange, message)
        return DeliveryFailedError(Failure(kind=failure_kind, message=masked))

    if response.media_type != operation.stream.response_media_type:
        shown = describe_exchange(exchange.exchange, connection)
        raise build_stream_error("protocol", f"the response of {operation.id} is not an event stream: {shown}")
    stream = exchange.read_stream(operation.stream)
    if stream.error is not None:
        raise build_stream_error("protocol", f"the stream {stream.error}")
    if stream.has_failed and stream.ending is not None:
        reason = stream.ending.read_value(operation.stream.failure_reason_location)
        shown = build_masked_excerpt(reason, connection.secrets) if isinstance(reason, str) else ""
        raise build_stream_error("failed", f"{stream.ending.event_type}: {shown or 'no reason given'}")
    if not stream.is_complete:
        kinds = [event.event_type for event in stream.events]
        last = (
            f"the last of {len(kinds)} is {connection.mask_quotation(exchange.exchange, kinds[-1] or '')[:100]!r}"
            if kinds
            else "it has no events"
        )
        raise build_stream_error("protocol", f"the stream broke off without an event that ends it: {last}")
    try:
        return b"".join(piece for _, piece in stream.iterate_audio_events())
    except UnreadableBodyError as error:
        raise build_stream_error("protocol", f"an event of the stream {error}") from error


# Protects against server-side request forgery: rejects URLs from responses that point into the user's network.


_IPV4_IN_IPV6_NETWORKS = [ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96")]
"""Networks of NAT64 (RFC 6052) and IPv4-compatible addresses, which have an IPv4 address in their last four bytes."""


class ForbiddenAddressError(Exception):
    """Raised when the host of a URL has an address that is not public."""


async def resolve_public_addresses(url: str) -> tuple[str, ...]:
    """Resolve the host of `url` and return the addresses to connect to.

    The caller must connect to these addresses, because a second lookup could return other ones (DNS rebinding). If
    the host has both IPv6 and IPv4 addresses, one of each is returned, in the system's order, because one of the two
    networks may not work.

    Raises:
        ForbiddenAddressError: one of the host's addresses is loopback, private, link-local, multicast or reserved.
        UnreachableError: the name cannot be resolved.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    loop = asyncio.get_running_loop()
    try:
        address_infos = await loop.getaddrinfo(host, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(f"{host}: name resolution failed: {error}", request_was_sent=False) from None
    families: dict[int, str] = {}
    for family, _, _, _, socket_address in address_infos:
        require_public_address(host, str(socket_address[0]))
        families.setdefault(family, str(socket_address[0]))
    return tuple(families.values())


def require_public_address(host: str, address: str) -> None:
    """Check that `address`, and any IPv4 address embedded in it, is public.

    Raises:
        ForbiddenAddressError: an address is not public.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    for candidate in (ip, *_list_embedded_ipv4_addresses(ip)):
        if not candidate.is_global or candidate.is_multicast:  # Python counts multicast addresses as global
            raise ForbiddenAddressError(f"{host} is {address}, which is not a public address")


def _list_embedded_ipv4_addresses(
    ip_address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses to which an IPv6 address is translated or tunneled."""
    if isinstance(ip_address, ipaddress.IPv4Address):
        return []
    addresses = [ip_address.ipv4_mapped, ip_address.sixtofour, *(ip_address.teredo or ())]
    if any(ip_address in network for network in _IPV4_IN_IPV6_NETWORKS):
        addresses.append(ipaddress.IPv4Address(int(ip_address) & 0xFFFFFFFF))
    return [address for address in addresses if address is not None]


def reject_private_host_literal(url: str) -> None:
    """Check that the host of `url` is not written as an address that is not public, and is not `localhost`.

    This check is used if a proxy resolves the name, because the addresses of other names are then not known here.

    Raises:
        ForbiddenAddressError: the host is such an address, `localhost`, or a name that ends with `.localhost`.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")  # a fully qualified name may end with a dot
    if host == "localhost" or host.endswith(".localhost"):
        raise ForbiddenAddressError(f"{host} is this machine")
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        try:  # "2130706433" and "0x7f.1" are IPv4 addresses for inet_aton, and therefore for many proxies
            address = socket.inet_ntoa(socket.inet_aton(host))
        except OSError:
            return
    require_public_address(host, address)


# Gets the audio of a response from the body, from base64 text, from stream events, or from a file behind a URL.


MAX_REDIRECTS = 5
"""Maximum number of redirects that are followed. Storage services redirect once or twice; browsers give up after 20.
The limit is low, because each redirect is a chance to probe the user's network."""
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
"""Statuses with a `Location` to follow (RFC 9110, section 15.4). 300 and 304 are not among them."""


WHOLE_BODY_AUDIO = ResponseAudio(location=Location("body"), delivery_method="bytes")
"""Description of a response whose whole body is the audio. Some providers respond to a submit with cached or short
audio at once, instead of with a job."""


class DownloadedAudio(NamedTuple):
    """Audio that was received, with the media type that a response states for it."""

    audio_bytes: bytes
    """The audio file, as it was received."""
    media_type: str | None
    """The media type that a response states; `None` if none does."""
    exchange_index: int
    """Index of the exchange whose response contained the audio."""


def _build_protocol_error(message: str) -> DeliveryFailedError:
    return DeliveryFailedError(Failure(kind="protocol", message=message))


async def fetch_audio(
    exchange_log: ExchangeLog,
    source_exchange: ParsedExchange,
    response_audio: ResponseAudio,
    source_operation: Operation,
    source_exchange_index: int,
) -> DownloadedAudio:
    """Return the audio that a response contains or links to.

    Args:
        exchange_log: sends and keeps download requests.
        source_exchange: the exchange with the response.
        response_audio: where the response has the audio, as the contract documents.
        source_operation: the operation that `source_exchange` requested.
        source_exchange_index: the index of `source_exchange` in the log.

    Raises:
        DeliveryFailedError: there is no audio, it could not be downloaded, or it contains the API key.
    """
    response, connection = source_exchange.exchange.response, exchange_log.connection
    declared_media_type = source_exchange.read_response_text(response_audio.media_type_location)
    if response_audio.delivery_method == "stream":
        audio = DownloadedAudio(
            join_stream_audio(source_exchange, source_operation, connection), declared_media_type, source_exchange_index
        )
    elif response_audio.delivery_method == "bytes":
        audio = DownloadedAudio(
            response.body, declared_media_type or response.media_type or None, source_exchange_index
        )
    else:
        text = source_exchange.read_response_text(response_audio.location)
        if text is None:
            shown = describe_exchange(source_exchange.exchange, connection)
            raise _build_protocol_error(
                f"the response of {source_operation.id} has no audio at {response_audio.location}: {shown}"
            )
        # A data URL has the audio in it, even where the contract documents a URL to download from.
        if response_audio.delivery_method == "base64" or text.startswith("data:"):
            data, media_type = _decode_inline_audio(text)
            audio = DownloadedAudio(data, declared_media_type or media_type, source_exchange_index)
        else:
            audio = await _AudioDownload(exchange_log, response_audio).download(
                text, source_exchange, declared_media_type
            )
    if not audio.audio_bytes:
        raise _build_protocol_error(f"the audio of {source_operation.id} is empty")
    # Audio is saved as it is. An emulator in this process has not been sent a key.
    if not connection.transport.in_process and find_secret_spelling(audio.audio_bytes, connection.secrets) is not None:
        raise _build_protocol_error(f"the audio of {source_operation.id} contains the API key, so it is not saved")
    return audio


def _decode_inline_audio(text: str) -> tuple[bytes, str | None]:
    """Decode base64 or a data URL (RFC 2397); return the bytes, and the media type that the data URL names."""
    media_type = None
    if text.startswith("data:"):
        head, comma, text = text[len("data:") :].partition(",")
        if not comma:
            raise _build_protocol_error("the data URL of the audio has no data")
        media_type = head.split(";")[0].strip().lower() or None
        if not head.endswith(";base64"):
            return unquote_to_bytes(text), media_type
    try:
        return decode_base64(text), media_type
    except (binascii.Error, ValueError) as error:
        raise _build_protocol_error(f"the audio is not valid base64: {error}") from error


def _resolve_url(base_url: str, url: str) -> str:
    try:
        return urljoin(base_url, url)
    except ValueError as error:
        raise _build_protocol_error(f"the URL of the audio is not valid: {error}") from error


class _AudioDownload:
    """Downloads from a URL that a response names. The URL is untrusted.

    The key is sent only to a documented download from the provider itself. Private addresses are not contacted, and
    the number of redirects is limited.
    """

    def __init__(self, exchange_log: ExchangeLog, response_audio: ResponseAudio) -> None:
        self._log, self._connection = exchange_log, exchange_log.connection
        self._download_operation = (
            self._connection.contract.find_operation(response_audio.download_operation_id)
            if response_audio.download_operation_id
            else None
        )

    async def download(
        self, url: str, source_exchange: ParsedExchange, declared_media_type: str | None
    ) -> DownloadedAudio:
        """Download the audio at `url`, which may be relative to the URL of `source_exchange`, and follow redirects.

        `declared_media_type` is the one that `source_exchange` states, and takes precedence over that of the download;
        `None` if it states none.
        """
        url = _resolve_url(source_exchange.exchange.request.url, url)
        # Each redirect is examined like the first URL: a public host could lead into the user's network.
        for _ in range(MAX_REDIRECTS + 1):
            request, addresses = self._build_request(url), await self._resolve_addresses(url)
            exchange = await self._log.send_with_retries(request, self._find_operation_id(url), addresses)
            response = exchange.exchange.response
            redirect = response.find_header("location")
            if response.status in _REDIRECT_STATUSES and redirect:
                url = _resolve_url(url, redirect)
                continue
            if not 200 <= response.status < 300:
                raise self._log.build_rejection_error(exchange, "downloading the audio")
            media_type = declared_media_type or response.media_type or None
            return DownloadedAudio(response.body, media_type, len(self._log.exchanges) - 1)
        raise _build_protocol_error(f"the URL of the audio redirects more than {MAX_REDIRECTS} times")

    def _find_operation_id(self, url: str) -> str:
        """Return the id of the documented download operation if `url` has its path, else `DOWNLOAD_OPERATION`."""
        operation = self._download_operation
        is_documented = operation is not None and operation.match_path_end(urlsplit(url).path) is not None
        return operation.id if operation is not None and is_documented else DOWNLOAD_OPERATION

    def _build_request(self, url: str) -> Request:
        """Return a plain GET, with the key only for a documented download from the provider itself."""
        url_origin = parse_origin(url)
        if url_origin is None:
            shown = self._connection.mask_secrets(url)[:100]
            raise _build_protocol_error(f"the URL of the audio is not a plain http(s) URL: {shown!r}")
        if (
            self._download_operation is not None
            and self._download_operation.needs_key
            and url_origin in self._connection.origins
        ):
            return self._connection.build_request(self._download_operation, RequestParts(), url=url)
        return build_request_without_key(url)

    async def _resolve_addresses(self, url: str) -> tuple[str | None, ...]:
        """Return the IP addresses to connect to.

        The result is `(None,)` if no address is looked up here: the URL is the provider's own, or a proxy resolves the
        host name.
        """
        if parse_origin(url) in self._connection.origins or self._connection.transport.in_process:
            return (None,)
        try:
            if find_proxy(url) is not None:
                reject_private_host_literal(url)
                return (None,)
            return await resolve_public_addresses(url)
        except ForbiddenAddressError as error:
            raise _build_protocol_error(f"the URL of the audio is not followed: {error}") from error
        except UnreachableError as error:
            message = f"downloading the audio from {urlsplit(url).hostname}: {error}"
            raise DeliveryFailedError(Failure(kind="network", message=message)) from error


# Fetches the audio files of a conversion or a source separation.


MAX_DOWNLOADED_STEMS = 32
"""Maximum number of stems that are downloaded. Source separation yields a small number of stems, and a hostile list of
thousands must not cause as many downloads."""


class FetchedAudio(NamedTuple):
    """The audio that a response contains or links to."""

    audio_files: tuple[bytes, ...]
    """The audio files in the order of the response; empty for a transcript or an analysis."""
    exchanges: tuple[Exchange, ...]
    """The exchanges that downloaded the files."""
    failure: Failure | None = None
    """The reason why a file could not be downloaded; `audio_files` then has the files before it. `None` if all were."""


async def fetch_response_audio(
    connection: ProviderConnection, audio_input_target: AudioInputTarget, exchange: Exchange
) -> FetchedAudio:
    """Return the audio that the response to an accepted request contains or links to."""
    log = ExchangeLog(connection, DeliveryDeadline(connection))
    log.exchanges.append(exchange)
    source = parse_exchange(exchange)
    files: list[bytes] = []
    failure = None
    try:
        for location in _list_audio_locations(audio_input_target, source):
            audio = await fetch_audio(log, source, location, audio_input_target.operation, 0)
            files.append(audio.audio_bytes)
    except DeliveryFailedError as error:
        failure = error.failure
    return FetchedAudio(tuple(files), tuple(log.exchanges[1:]), failure)


def _list_audio_locations(audio_input_target: AudioInputTarget, source_exchange: ParsedExchange) -> list[ResponseAudio]:
    conversion = audio_input_target.conversion
    if conversion is None:
        return []
    stems = conversion.response.stems
    locations = [conversion.response.audio] if conversion.response.audio else []
    if stems is not None:
        listed = source_exchange.read_response_value(stems.list_location)
        count = min(len(listed), MAX_DOWNLOADED_STEMS) if isinstance(listed, list) else 0
        locations += [
            ResponseAudio(
                location=stems.list_location.get_inner_location(str(index), stems.url_field),
                delivery_method="url",
                download_operation_id=stems.download_operation_id,
            )
            for index in range(count)
        ]
    return locations
