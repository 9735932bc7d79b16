"""Getting the audio: the body itself, base64 in it, or a file behind a URL."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from voicegauge.client.delivery.audio_stream import join_stream_audio
from voicegauge.client.delivery.exchange_log import ExchangeLog
from voicegauge.client.delivery.failures import DeliveryFailedError, describe, refusal
from voicegauge.client.delivery.response_values import ParsedResponse
from voicegauge.client.delivery.ssrf_guard import ForbiddenAddressError, check_literal, public_addresses
from voicegauge.client.requests.http_request import bare_request, origin
from voicegauge.client.requests.speech_request import RequestParts
from voicegauge.contract import Operation
from voicegauge.contract.extension import ResponseAudio
from voicegauge.errors import UnreachableError
from voicegauge.model import DOWNLOAD, Failure, Request
from voicegauge.transport import proxy_for

MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


class DownloadedAudio(NamedTuple):
    """What was delivered."""

    data: bytes
    media_type: str | None
    exchange: int
    """Index of the exchange that carried it."""


def _fail(message: str) -> DeliveryFailedError:
    return DeliveryFailedError(Failure(kind="protocol", message=message))


async def fetch_audio(
    calls: ExchangeLog, answer: ParsedResponse, place: ResponseAudio, operation: Operation, index: int
) -> DownloadedAudio:
    """The audio that `answer` (exchange `index`, of `operation`) carries or leads to.

    Raises:
        DeliveryFailedError: there is none, or it could not be had.
    """
    declared = answer.text(place.media_type)
    if place.delivered == "stream":
        audio = DownloadedAudio(join_stream_audio(calls.connection, answer, operation), declared, index)
    elif place.delivered == "bytes":
        audio = DownloadedAudio(answer.response.body, declared or answer.response.media_type or None, index)
    else:
        text = answer.text(place.at)
        if text is None:
            said = describe(answer.response, calls.connection.secrets)
            raise _fail(f"{operation.id} answered without audio at {place.at}: {said}")
        if place.delivered == "base64" or text.startswith("data:"):
            data, named = _inline(text)
            audio = DownloadedAudio(data, declared or named, index)
        else:
            audio = await _Download(calls, place).fetch(text, answer, declared)
    if not audio.data:
        raise _fail(f"{operation.id} led to audio of no bytes")
    return audio


def _inline(text: str) -> tuple[bytes, str | None]:
    """The bytes of base64, or of a data URL (RFC 2397), and the media type that the URL names."""
    named = None
    if text.startswith("data:"):
        head, comma, text = text[len("data:") :].partition(",")
        if not comma:
            raise _fail("the data URL of the audio has no data")
        named = head.split(";")[0].strip().lower() or None
        if not head.endswith(";base64"):
            return unquote_to_bytes(text), named
    try:
        return base64.b64decode("".join(text.split()), validate=True), named
    except (binascii.Error, ValueError) as error:
        raise _fail(f"the audio is no base64: {error}") from error


def _join(base: str, url: str) -> str:
    try:
        return urljoin(base, url)
    except ValueError as error:
        raise _fail(f"the audio's URL is no URL: {error}") from error


class _Download:
    """Fetches a URL from an answer: without the key, not from private addresses, redirects counted."""

    def __init__(self, calls: ExchangeLog, place: ResponseAudio) -> None:
        self._calls, self._connection = calls, calls.connection
        self._described = self._connection.contract.operation(place.download) if place.download else None

    async def fetch(self, url: str, source: ParsedResponse, declared: str | None) -> DownloadedAudio:
        """Follow `url` and its redirects to the audio."""
        url = _join(source.exchange.request.url, url)
        for _ in range(MAX_REDIRECTS + 1):
            request, addresses = self._request(url), await self._addresses(url)
            name = self._described.id if self._described else DOWNLOAD
            answer = await self._calls.insist(request, name, addresses)
            status, location = answer.response.status, answer.response.header("location")
            if status in _REDIRECTS and location:
                url = _join(url, location)
                continue
            if not 200 <= status < 300:
                raise DeliveryFailedError(refusal(answer.response, self._connection.secrets, "fetching the audio"))
            media_type = declared or answer.response.media_type or None
            return DownloadedAudio(answer.response.body, media_type, len(self._calls.exchanges) - 1)
        raise _fail(f"the audio's URL redirects more than {MAX_REDIRECTS} times")

    def _request(self, url: str) -> Request:
        """A GET with nothing of ours in it; the key only where a described download of the provider needs it."""
        parts = origin(url)
        if parts is None:
            raise _fail(f"the audio's URL is no plain http(s) URL: {self._connection.mask_secrets(url)[:100]!r}")
        if self._described is not None and self._described.needs_key and parts in self._connection.origins:
            return self._connection.build(self._described, RequestParts(), url=url)
        return bare_request(url)

    async def _addresses(self, url: str) -> tuple[str | None, ...]:
        """The addresses to connect to; `None` where the URL is the provider's own, or a proxy resolves it."""
        if origin(url) in self._connection.origins or self._connection.transport.in_process:
            return (None,)
        try:
            if proxy_for(url) is not None:
                check_literal(url)
                return (None,)
            return await public_addresses(url)
        except ForbiddenAddressError as error:
            raise _fail(f"the audio's URL is not followed: {error}") from error
        except UnreachableError as error:
            host = urlsplit(url).hostname
            raise DeliveryFailedError(
                Failure(kind="network", message=f"fetching the audio from {host}: {error}")
            ) from error
