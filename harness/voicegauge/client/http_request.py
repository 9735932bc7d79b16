"""Builds HTTP requests from operations and values."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from voicegauge.client.keys import build_credentials
from voicegauge.client.speech_request import RequestParts, choose_media_type
from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.errors import UsageError
from voicegauge.hosts import to_http_url
from voicegauge.model.exchange import Request
from voicegauge.transport.bodies import encode_body, find_file_padding
from voicegauge.version import __version__

# Builds HTTP requests with URL, headers, key and encoded body.


_DEFAULT_PORTS = {"http": 80, "https": 443}
_DEFAULT_HEADERS = {
    "User-Agent": f"voicegauge/{__version__}",
    "Accept": "*/*",
    # Without compression the arrival of chunks can be timed as bytes of audio.
    "Accept-Encoding": "identity",
}

Origin = tuple[str, str, int]
"""Scheme, host and port (RFC 6454). It includes the scheme, because a key for https://host must not be sent to
http://host."""


@functools.lru_cache(maxsize=256)
def parse_origin(url: str) -> Origin | None:
    """Return the origin of an absolute http(s) URL; `None` for any other text.

    Return `None` for URLs with user information or control characters too, because parsers disagree about the host.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc or not url.isprintable():
        return None
    return parts.scheme, parts.hostname.lower(), port or _DEFAULT_PORTS[parts.scheme]


class RequestBuilder:
    """Builds requests for the operations of one contract."""

    def __init__(self, contract: Contract, base_urls: Mapping[str, str]) -> None:
        """Resolve the base URL of each server.

        Args:
            contract: the contract whose operations are called.
            base_urls: replacement base URLs by server name; the name "" means every other server.

        Raises:
            UnknownNameError: `base_urls` names a server that the contract does not have.
            UsageError: a base URL is not valid.
        """
        self._contract = contract
        base_urls = {name: to_http_url(url) for name, url in base_urls.items()}
        for name, url in base_urls.items():
            if name:
                contract.find_server(name)
            if parse_origin(url) is None:
                raise UsageError(f"--base-url {url!r} must be absolute, with http, https, ws or wss and without a user")
        self._bases = {
            name: base_urls.get(name, base_urls.get("", server.url)).rstrip("/")
            for name, server in contract.servers.items()
        }
        found = {name: parse_origin(url) for name, url in self._bases.items()}
        self._headers = dict(_DEFAULT_HEADERS)
        _set_headers(self._headers, contract.provider.request_headers)
        self.origins = frozenset(one for one in found.values() if one is not None)
        """The origins of the servers. Only these receive the key."""
        with_http = {one for name, one in found.items() if not contract.is_socket_server(name)}
        self.socket_origins = self.origins - with_http
        """Those that have WebSockets only."""

    def replace_base_url(self, url: str) -> str:
        """Return `url` with the base URL of the contract replaced by the one that the user has set for this server."""
        servers = self._contract.servers.values()
        server = max((one for one in servers if f"{url}/".startswith(f"{one.url}/")), key=lambda one: len(one.url))
        return self._bases[server.name] + url.removeprefix(server.url)

    def get_server_url(self, operation: Operation) -> str:
        """Return the base URL of the server of `operation`."""
        return self._bases[operation.server.name]

    def build_url(self, operation: Operation, path_values: Mapping[str, Any], server_name: str | None = None) -> str:
        """Return the URL of `operation` with the given path parameters.

        `server_name` is the name of the server; by default, it is the server of the operation.

        Raises:
            UsageError: a path parameter is missing or empty.
        """
        filled = operation.path
        for parameter in operation.parameters:
            if parameter.message_part != "path":
                continue
            text = _format_parameter_value(path_values.get(parameter.name, ""))
            if not text:
                raise UsageError(f"{operation.contract.id} {operation.id} needs path.{parameter.name}")
            filled = filled.replace("{" + parameter.name + "}", parameter.encode_segments(text))
        return self._bases[server_name or operation.server.name] + filled

    def build_request(
        self, operation: Operation, request_parts: RequestParts, key: str | None, *, url: str | None = None
    ) -> Request:
        """Return the HTTP request.

        Args:
            operation: the operation to call.
            request_parts: values of the operation's parameters and body.
            key: the API key, which is sent as the operation's security scheme documents, and only if the URL is the
                provider's own; `None` sends no key.
            url: replaces the operation's URL.

        Raises:
            UsageError: a value cannot be sent.
        """
        headers = dict(self._headers)
        media_type = request_parts.media_type or choose_media_type(operation, request_parts.body)
        body, padding = b"", None
        if request_parts.body is not None and media_type is not None:
            content_type, body = encode_body(media_type, request_parts.body)
            padding = find_file_padding(content_type, request_parts.body)
            headers["Content-Type"] = content_type
        _set_headers(headers, {name: _format_parameter_value(value) for name, value in request_parts.headers.items()})
        query = [
            (name, _format_parameter_value(item))
            for name, value in request_parts.query_parameters.items()
            for item in _convert_to_list(value)
        ]
        target = url or self.build_url(operation, request_parts.path_parameters)
        if key is not None and parse_origin(target) in self.origins:
            for credential in build_credentials(operation, key):
                if credential.location == "query":
                    query.append((credential.name, credential.value))
                elif credential.location == "cookie":
                    _set_headers(headers, {"Cookie": f"{credential.name}={credential.value}"})
                else:
                    _set_headers(headers, {credential.name: credential.value})
        if query:
            target += ("&" if "?" in target else "?") + _encode_query(query)
        return Request(
            method=operation.method, url=target, headers=_require_valid_headers(headers), body=body, padding=padding
        )


def _convert_to_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _format_parameter_value(value: Any) -> str:
    """Return a path, query or header value as text: booleans as in JSON, lists joined with commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_format_parameter_value(item) for item in value)
    return str(value)


def _encode_query(query_pairs: list[tuple[str, str]]) -> str:
    try:
        return urlencode(query_pairs, quote_via=quote)
    except UnicodeEncodeError as error:
        raise UsageError(f"a query parameter cannot be encoded as UTF-8: {error.reason}") from None


def _set_headers(headers: dict[str, str], headers_to_set: Mapping[str, str]) -> None:
    """Add `headers_to_set` to `headers`. Headers of the same name, in any case, are replaced."""
    for name, value in headers_to_set.items():
        for present in [present for present in headers if present.lower() == name.lower()]:
            del headers[present]
        headers[name] = value


def _require_valid_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise UsageError(f"the header {name} can only have printable ASCII characters")
    return tuple(headers.items())


def build_request_without_key(url: str) -> Request:
    """Return a GET of `url` without a key or other provider-specific headers."""
    return Request(method="GET", url=url, headers=tuple(_DEFAULT_HEADERS.items()))


# Adds idempotency keys to requests. A request with such a key can be sent again without a second charge.


def create_idempotency_key(operation: Operation) -> str | None:
    """Return a new key for one request; `None` if the contract documents no idempotency of `operation`."""
    return None if operation.idempotency is None else str(uuid.uuid4())


def add_idempotency_key(operation: Operation, request_parts: RequestParts, idempotency_key: str | None) -> RequestParts:
    """Return `request_parts` with the idempotency key in the header that the contract documents.

    Return it unchanged if there is no key, if the contract documents no header, or if the request has the header.
    """
    spec = operation.idempotency
    if (
        spec is None
        or idempotency_key is None
        or any(name.lower() == spec.header_name.lower() for name in request_parts.headers)
    ):
        return request_parts
    return msgspec.structs.replace(request_parts, headers={**request_parts.headers, spec.header_name: idempotency_key})
