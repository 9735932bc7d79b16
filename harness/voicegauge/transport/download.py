"""Downloads one file over https, with limits of size and time."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from voicegauge.errors import UsageError
from voicegauge.hosts import is_loopback
from voicegauge.model import Request, Response
from voicegauge.transport.http import Timeouts, Transport

MAX_REDIRECTS = 5
_DOWNLOAD_TIMEOUTS = Timeouts(read_s=30.0, total_s=60.0)
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_MAX_URL_CHARACTERS_IN_MESSAGE = 200


async def download(url: str, *, max_bytes: int) -> Response:
    """Return the successful response to a GET request; redirects are followed.

    No key, cookie or password is sent. Plain http is used only for this machine, and never after https.

    Args:
        url: the https URL.
        max_bytes: maximum size of the file.

    Raises:
        UsageError: the URL cannot be used, there are too many redirects, or the status is not 200.
        TransportError: the host cannot be reached, or the response is too large or too slow.
    """
    requested = url
    async with Transport(timeouts=_DOWNLOAD_TIMEOUTS, max_body_bytes=max_bytes) as transport:
        for _ in range(MAX_REDIRECTS + 1):
            _require_allowed_url(
                url, is_redirect=url is not requested, is_previous_url_https=requested.startswith("https://")
            )
            request = Request(method="GET", url=url, headers=(("Accept", "*/*"), ("Accept-Encoding", "gzip")))
            response = (await transport.send(request, provider_id="", operation_id="")).response
            location = response.find_header("location")
            if response.status in _REDIRECT_STATUSES and location:
                url = urljoin(url, location)
                continue
            if response.status != 200:
                raise UsageError(f"{_remove_query(url)}: the server responds with status {response.status}")
            return response
    raise UsageError(f"{_remove_query(requested)}: more than {MAX_REDIRECTS} redirects")


def _require_allowed_url(url: str, *, is_redirect: bool, is_previous_url_https: bool) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    source = "it is redirected to" if is_redirect else "the URL"
    if not host or parts.scheme not in ("http", "https"):
        raise UsageError(f"{source} {_remove_query(url)!r}, which is not an https URL")
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{source} of {host} has a user name or password: remove it")
    if parts.scheme == "http" and (is_previous_url_https or not is_loopback(host)):
        raise UsageError(f"{source} {_remove_query(url)!r} is not encrypted: use https")


def _remove_query(url: str) -> str:
    """Return `url` without its query, which may contain a key."""
    return url.partition("?")[0][:_MAX_URL_CHARACTERS_IN_MESSAGE]
