"""Where recorded traffic lives: URLs moved between a stand-in, the contract's own servers, and a replay."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from voicegauge.contract import Contract
from voicegauge.formats import is_json
from voicegauge.model import Exchange, Headers, Request, Response

UrlRewriter = Callable[[str], str]
"""A text with the URLs in it moved."""
OTHER_HOSTS_PREFIX = "_at"
"""First part of a replayed path below its provider that stands for another host: "_at/cdn.example/a.wav"."""
_URL_HEADERS = frozenset({"location", "content-location", "link"})
_PATH = r"(?![\w.:-])((?:\\?/[^\s\"'<>\\?#]*)*)"
"""What follows a base URL, in JSON perhaps with escaped slashes; not another host that begins alike."""


def url_rewriter(homes: Mapping[str, Callable[[str], str]]) -> UrlRewriter:
    """A function that replaces each base URL in a text by what its entry makes of the path behind it.

    The longest base URL wins; JSON's escaped slashes are read and left as plain ones.
    """
    ordered = sorted(homes, key=len, reverse=True)
    if not ordered:
        return lambda text: text
    either = "|".join(f"({re.escape(home).replace('/', chr(92) * 2 + '?/')})" for home in ordered)
    pattern = re.compile(f"(?:{either}){_PATH}")

    def replace(found: re.Match[str]) -> str:
        index = next(i for i, part in enumerate(found.groups()) if part is not None)
        return homes[ordered[index]](found[len(ordered) + 1].replace("\\/", "/"))

    return lambda text: pattern.sub(replace, text)


def rewrite_response_urls(response: Response, move: UrlRewriter) -> Response:
    """`response` with the URLs in its text and its headers moved."""
    body = response.body
    if is_json(response.media_type) or response.media_type.startswith("text/"):
        try:
            text = body.decode()
        except UnicodeDecodeError:
            text = ""
        moved = move(text)
        body = body if moved == text else moved.encode()
    length = {"content-length": str(len(body))} if body != response.body else {}
    return Response(status=response.status, headers=_moved(response.headers, move, length), body=body)


def _moved(headers: Headers, move: UrlRewriter, fixed: Mapping[str, str]) -> Headers:
    return tuple(
        (name, fixed.get(name.lower(), move(value) if name.lower() in _URL_HEADERS else value))
        for name, value in headers
    )


class UrlCanonicalizer:
    """Brings traffic with stand-ins (an emulator, staging) to the contract's own servers.

    So a recording does not depend on a port, and replays to a client that knows the contract alone.
    """

    def __init__(self, contract: Contract, base_urls: Mapping[str, str]) -> None:
        """`base_urls` as given to the client: by server name, "" for all.

        Raises:
            UnknownNameError: a server that the contract does not name.
        """
        self._contract = contract
        first = next(iter(contract.servers.values())).url
        homes: dict[str, Callable[[str], str]] = {}
        for name, url in base_urls.items():
            home = contract.server(name).url if name else None
            homes[url.rstrip("/")] = self._to(home or first, by_operation=not name)
            parts = urlsplit(url)
            origin = f"{parts.scheme}://{parts.netloc}"
            own = urlsplit(home or first)
            homes.setdefault(origin, self._to(f"{own.scheme}://{own.netloc}", by_operation=False))
        self._move = url_rewriter(homes)

    def _to(self, home: str, *, by_operation: bool) -> Callable[[str], str]:
        def place(path: str) -> str:
            match = self._contract.match("GET", path) if by_operation and path else None
            return f"{match[0].server.url if match else home}{path}"

        return place

    def exchange(self, exchange: Exchange) -> Exchange:
        """`exchange` as if it had been with the contract's own servers."""
        request = exchange.request
        url = self._move(request.url)
        operation = self._contract.operations.get(exchange.operation)
        path = relative_path(self._contract, url)
        if operation is not None and path is not None:
            query = urlsplit(url).query
            url = f"{operation.server.url}{path}{'?' if query else ''}{query}"
        host = {"host": urlsplit(url).netloc} if url != request.url else {}
        headers = _moved(request.headers, self._move, host)
        moved = Request(method=request.method, url=url, headers=headers, body=request.body)
        return msgspec.structs.replace(
            exchange, request=moved, response=rewrite_response_urls(exchange.response, self._move)
        )


def relative_path(contract: Contract, url: str) -> str | None:
    """The path of `url` below the server of `contract` that it lies on; `None` where it lies elsewhere."""
    parts = urlsplit(url)
    for server in sorted(contract.servers.values(), key=lambda server: len(server.url), reverse=True):
        own = urlsplit(server.url)
        base = own.path.rstrip("/")
        if parts.netloc.lower() == own.netloc.lower() and (parts.path + "/").startswith(base + "/"):
            return parts.path[len(base) :] or "/"
    return None
