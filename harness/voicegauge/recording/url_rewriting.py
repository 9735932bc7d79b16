"""Rewrites base URLs in recorded traffic between the emulator, the contract's servers and a replay server."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.formats.bodies import is_json
from voicegauge.model.exchange import Exchange, Headers, Request, Response

UrlRewriter = Callable[[str], str]
"""Function that replaces base URLs in a text."""
OTHER_HOSTS_PATH_PREFIX = "_at"
"""A replay serves URLs of hosts outside the contract below this path segment, which follows the provider id:
"/<provider id>/_at/cdn.example/a.wav"."""
_URL_HEADERS = frozenset({"location", "content-location", "link"})
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
