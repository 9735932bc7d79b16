"""Redacts exchanges before they are written: masks likely and used secrets in headers, URLs and bodies."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.errors import DataError
from voicegauge.formats.bodies import UnreadableBodyError, is_form, is_json, is_utf8, read_form, read_json
from voicegauge.model.exchange import Exchange, Headers, Request, Response, UploadedFile
from voicegauge.recording.credentials import (
    INVALID_API_KEY,
    MASK,
    MAX_CREDENTIAL_CHARACTERS,
    find_credential_kind,
    is_credential_name,
    looks_random,
    mask_credentials,
    mask_query_parameter,
    split_at_base64_runs,
)
from voicegauge.recording.secret_search import MIN_LONG_SECRET_CHARACTERS, find_secret_spelling
from voicegauge.transport.bodies import encode_body

# Masks texts inside request and response bodies, which may be JSON, forms or plain text.


TextMasker = Callable[[str, str], str]
"""A function that takes a text and its location in a body, and returns the masked text. The location of a field is a
path such as "/auth/tokens/*". For a plain-text body, or a key of a JSON object, the location is empty."""

_MIN_TEXT_PIECE_BYTES = 2**20
_MAX_TEXT_PIECE_BYTES = 4 * 2**20


def get_bare_media_type(content_type: str) -> str:
    """Return the media type in a Content-Type value, in lower case and without parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_multipart_fields(content_type: str, body: bytes) -> dict[str, str | UploadedFile] | None:
    """Return the fields and files of a multipart body in their order; `None` if `body` is not a valid one."""
    if get_bare_media_type(content_type) != "multipart/form-data":
        return None
    try:
        form = read_form(content_type, body)
    except UnreadableBodyError:
        return None
    fields: dict[str, str | UploadedFile] = {**form.fields, **form.files}
    # `read_form` returns texts and files separately, so the position of each name restores the original order.
    return dict(sorted(fields.items(), key=lambda item: body.find(f'name="{item[0]}"'.encode())))


def mask_body(content_type: str, body: bytes, mask_text: TextMasker) -> tuple[str, bytes]:
    """Pass every text in `body` through `mask_text`; if no text changes, the bytes are returned unchanged.

    Returns:
        The content type (with a new boundary if a multipart body changed) and the body.
    """
    media_type = get_bare_media_type(content_type)
    try:
        if is_json(media_type) and body:
            value = read_json(body)
            masked = _mask_json(value, "", mask_text)
            return content_type, body if masked == value else _encode_json(masked)
        if is_form(media_type) and body:
            return _mask_form(content_type, body, mask_text)
    except (UnreadableBodyError, UnicodeDecodeError):
        pass  # the body is not what its media type declares, so it is masked as plain text
    return content_type, _mask_plain_text(body, mask_text)


def _mask_plain_text(body: bytes, mask_text: TextMasker) -> bytes:
    if not is_utf8(body):
        return body
    parts, copied = [], 0
    for start, end in _find_text_pieces(body):
        text = body[start:end].decode()
        masked = mask_text(text, "")
        if masked != text:  # only then are the unchanged bytes before it copied
            parts += [body[copied:start], masked.encode()]
            copied = end
    return b"".join([*parts, body[copied:]]) if parts else body


def _find_text_pieces(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each piece of a text in UTF-8.

    A large text is decoded piece by piece, because a `str` may take four times its size. Pieces end at line ends.
    A line that is longer than the maximum size of a piece is divided between two characters.
    """
    start = 0
    while start < len(body):
        end = min(start + _MAX_TEXT_PIECE_BYTES, len(body))
        line_end = body.find(b"\n", start + _MIN_TEXT_PIECE_BYTES, end) + 1
        while end < len(body) and body[end] & 0xC0 == 0x80:  # a byte that continues a character
            end -= 1
        yield start, line_end or end
        start = line_end or end


def _encode_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _mask_json(value: Any, location: str, mask_text: TextMasker) -> Any:
    if isinstance(value, str):
        return mask_text(value, location)
    if isinstance(value, list):
        return [_mask_json(item, f"{location}/*", mask_text) for item in value]
    if isinstance(value, dict):
        return {mask_text(key, ""): _mask_json(item, f"{location}/{key}", mask_text) for key, item in value.items()}
    return value


def _mask_form(content_type: str, body: bytes, mask_text: TextMasker) -> tuple[str, bytes]:
    if get_bare_media_type(content_type) == "application/x-www-form-urlencoded":
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
        masked_pairs = [(name, mask_text(value, f"/{name}")) for name, value in pairs]
        return content_type, body if masked_pairs == pairs else urlencode(masked_pairs).encode()
    fields = read_multipart_fields(content_type, body)
    if fields is None:
        raise UnreadableBodyError("is not a valid multipart body")
    masked = {name: _mask_form_part(name, value, mask_text) for name, value in fields.items()}
    return (content_type, body) if masked == fields else encode_body("multipart/form-data", masked)


def _mask_form_part(name: str, value: str | UploadedFile, mask_text: TextMasker) -> str | UploadedFile:
    if isinstance(value, str):
        return mask_text(value, f"/{name}")
    filename = mask_text(value.filename, f"/{name}, file name")
    try:
        data = mask_text(value.data.decode(), f"/{name}, file").encode()
    except UnicodeDecodeError:
        data = value.data
    return msgspec.structs.replace(value, filename=filename, data=data)


# Redacts exchanges before they are written. Likely secrets are masked; if any remains, nothing is written.


_AUTH_SCHEME_PATTERN = re.compile(r"[A-Za-z-]{1,20} ")
"""Matches the scheme before the key in an Authorization header, such as "Bearer " (RFC 9110, section 11.4)."""
_HEADERS_WITHOUT_SECRETS = frozenset(
    [
        "accept",
        "accept-encoding",
        "accept-ranges",
        "age",
        "allow",
        "cache-control",
        "connection",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-type",
        "date",
        "etag",
        "expires",
        "host",
        "last-modified",
        "location",
        "retry-after",
        "server",
        "transfer-encoding",
        "user-agent",
        "vary",
    ]
)
"""Headers whose values are not masked as a whole. Credentials inside these values are still masked."""
_EMULATOR_HEADER_PREFIX = "x-voicegauge-"
"""Prefix of the headers that control the emulator."""
_CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_MAX_LOCATION_CHARACTERS = 120
"""Number of characters after which the location of a field is cut. Locations may be long, because they contain names of
JSON fields that the provider chose."""
MAX_TEXT_CHARACTERS = 4 * 2**20
"""Maximum number of characters in one body, header or URL, not counting long runs of base64. A search for credentials
takes about a second per MiB."""
_CREDENTIAL_FIELD_NAME_PATTERN = re.compile("key|token|secret|auth|pass|cred", re.IGNORECASE)
"""Matches names of fields in which a short value that equals a key in use counts as this key."""
_HINT_IF_NOT_MASKED = "mask the field by its name with --mask, or leave the case out"


class Redactor:
    """Masks secrets in the exchanges of one provider, and rejects exchanges in which a secret remains."""

    def __init__(self, contract: Contract, secrets: Sequence[str] = (), names_to_mask: Iterable[str] = ()) -> None:
        """Create a redactor for one provider. Headers and query parameters of its security schemes are always masked.

        Args:
            contract: contract of the provider. Headers that it documents are not masked.
            secrets: API keys that were in use. They are masked in any encoding. If one remains, nothing is written.
            names_to_mask: names of additional fields, parameters and headers to mask.
        """
        self._secrets = tuple(secret for secret in secrets if secret)
        self._masked_names = frozenset(name.lower() for name in names_to_mask)
        schemes = [s for s in contract.security_schemes.values() if s.get("type") == "apiKey"]
        self._masked_queries = [str(s.get("name")) for s in schemes if s.get("in") == "query"]
        self._masked_queries += self._masked_names
        credential_headers = _CREDENTIAL_HEADERS | {str(s.get("name")).lower() for s in schemes}
        harmless = (
            (_HEADERS_WITHOUT_SECRETS | _list_documented_headers(contract)) - credential_headers - self._masked_names
        )
        self._harmless_headers = {name for name in harmless if not is_credential_name(name)}
        self._redactions: Counter[str] = Counter()

    def count_redactions_by_location(self) -> dict[str, int]:
        """Return the number of masked values by location, sorted by location."""
        return dict(sorted(self._redactions.items()))

    def mask_exchange(self, exchange: Exchange) -> Exchange:
        """Mask everything in `exchange` that is, or looks like, a secret."""
        request, response = self.mask_request(exchange.request), exchange.response
        headers, body = self._mask_message("response", response.headers, response.body)
        masked = Response(status=response.status, headers=headers, body=body)
        return msgspec.structs.replace(exchange, request=request, response=masked)

    def mask_request(self, request: Request) -> Request:
        """Mask everything in `request` that is, or looks like, a secret."""
        headers, body = self._mask_message("request", request.headers, request.sent_body)
        return Request(method=request.method, url=self._mask_url(request.url), headers=headers, body=body)

    def _mask_message(self, message_kind: str, headers: Headers, body: bytes) -> tuple[Headers, bytes]:
        content_type = next((value for name, value in headers if name.lower() == "content-type"), "")

        searched_characters = 0

        def mask_value(value: str, location: str) -> str:
            nonlocal searched_characters
            searched_characters += _count_characters_to_search(value)
            _require_searchable_size(searched_characters)
            return self._mask_field(
                value, location, f"{message_kind} body {location[:_MAX_LOCATION_CHARACTERS]}".strip()
            )

        new_type, new_body = mask_body(content_type, body, mask_value)
        changed = {"content-type": new_type, "content-length": str(len(new_body))} if new_body != body else {}
        current = ((name, changed.get(name.lower(), value)) for name, value in headers)
        return tuple((name, self._mask_header(message_kind, name.lower(), value)) for name, value in current), new_body

    def _count_redaction(self, original_text: str, masked_text: str, location: str) -> str:
        """Count a redaction at `location` if `masked_text` differs from `original_text`, and return `masked_text`."""
        if original_text != masked_text:
            self._redactions[self._mask_text(location)] += 1  # the location itself may contain a secret as a name
        return masked_text

    def _mask_field(self, value: str, field_path: str, location: str) -> str:
        # Everything below a field with the name of a secret is masked, however deeply nested.
        if value and value != INVALID_API_KEY and any(self._is_masked_name(name) for name in field_path.split("/")):
            return self._count_redaction(value, MASK, location)
        if self._is_short_secret(value, field_path):
            return self._count_redaction(value, MASK, location)
        return self._count_redaction(value, self._mask_text(value), location)

    def _is_short_secret(self, value: str, field_path: str) -> bool:
        """Whether a field contains a short key that is in use.

        The name of the field must suggest a key, because a short value such as "test" may also be the name of a voice.
        """
        is_short = len(value) < MIN_LONG_SECRET_CHARACTERS and value in self._secrets
        return is_short and _CREDENTIAL_FIELD_NAME_PATTERN.search(field_path.rpartition("/")[2]) is not None

    def _is_masked_name(self, name: str) -> bool:
        return is_credential_name(name) or name.lower() in self._masked_names

    def _mask_text(self, text: str) -> str:
        if len(text) > MAX_TEXT_CHARACTERS:
            _require_searchable_size(_count_characters_to_search(text))
        for name in self._masked_queries:
            text = mask_query_parameter(text, name)
        return mask_credentials(text, self._secrets)

    def _mask_url(self, url: str) -> str:
        return url if INVALID_API_KEY in url else self._count_redaction(url, self._mask_text(url), "request URL")

    def _mask_header(self, message_kind: str, name: str, value: str) -> str:
        if INVALID_API_KEY in value:
            return value
        location = f"{message_kind} header {name}"
        if name in self._harmless_headers or name.startswith(_EMULATOR_HEADER_PREFIX):
            return self._count_redaction(value, self._mask_text(value), location)
        scheme = _AUTH_SCHEME_PATTERN.match(value) if name == "authorization" else None
        return self._count_redaction(value, f"{scheme[0]}{MASK}" if scheme else MASK, location)

    # Verification of what masking left

    def check_exchange(self, file_name: str, exchange_number: int, exchange: Exchange) -> None:
        """Verify that nothing in a masked exchange is, or looks like, a credential.

        Args:
            file_name: name of the file that is about to be written, for the message.
            exchange_number: position of the exchange in the file, counted from 1.
            exchange: the exchange after masking.

        Raises:
            DataError: something is, or looks like, a credential. The message names its location, never the secret.
        """
        where = f"exchange {exchange_number} ({exchange.operation})"
        request, response = exchange.request, exchange.response
        self.check_bytes(file_name, f"{where}, URL", request.url.encode())
        for key, value in parse_qsl(request.url.partition("?")[2]):
            self._check_random_text(file_name, f"{where}, query parameter {key}", value)
        for side, message in (("request", request), ("response", response)):
            for key, value in message.headers:
                self.check_bytes(file_name, f"{where}, {side} header {key}", f"{key}: {value}".encode())
                self._check_random_text(file_name, f"{where}, {side} header {key}", value)
            self._check_body(file_name, f"{where}, {side} body", message)

    def _check_body(self, file_name: str, location_text: str, message: Request | Response) -> None:
        self.check_bytes(file_name, location_text, message.body)

        def check_text(value: str, location: str) -> str:
            self._check_random_text(file_name, f"{location_text} {location[:_MAX_LOCATION_CHARACTERS]}".strip(), value)
            return value

        mask_body(message.find_header("content-type") or "", message.body, check_text)

    def _check_random_text(self, file_name: str, location_text: str, value: str) -> None:
        if looks_random(value):
            raise DataError(
                f"{file_name} is not written: {location_text} holds what looks like a credential; {_HINT_IF_NOT_MASKED}"
            )

    def check_bytes(self, file_name: str, location_text: str, data: bytes) -> None:
        """Verify that `data` contains no known secret in any encoding, and no text with the form of a credential.

        Raises:
            DataError: `data` contains a secret or such a text. The message contains `location_text`.
        """
        encoding = find_secret_spelling(data, self._secrets)
        if encoding is not None:
            raise DataError(f"{file_name} is not written: {location_text} holds a key ({encoding})")
        kind = find_credential_kind(data)
        if kind is not None:
            raise DataError(
                f"{file_name} is not written: {location_text} holds what looks like {kind}; {_HINT_IF_NOT_MASKED}"
            )


def _count_characters_to_search(text: str) -> int:
    return (
        len(text)
        if len(text) <= MAX_CREDENTIAL_CHARACTERS
        else sum(len(part) for part, is_run in split_at_base64_runs(text) if not is_run)
    )


def _require_searchable_size(character_count: int) -> None:
    if character_count > MAX_TEXT_CHARACTERS:
        size = f"{MAX_TEXT_CHARACTERS // 2**20} MiB"
        raise DataError(f"the recording is not written: a text of more than {size} has to be searched for credentials")


def _list_documented_headers(contract: Contract) -> frozenset[str]:
    names = {*contract.provider.request_headers, *contract.limits.rate_limit_header_names.values()}
    for operation in contract.operations.values():
        names |= {parameter.name for parameter in operation.parameters if parameter.message_part == "header"}
        for response in operation.responses.values():
            names |= set(response.headers)
    return frozenset(name.lower() for name in names)


# Finds the values that an exchange uses as keys, tokens, cookies or passwords, so that they are masked everywhere.


MIN_SECRET_CHARACTERS = 8
"""Smallest number of characters of a value at the place of a key that counts as a secret. Shorter values, such as
"none" or "xxx", are placeholders."""
_AUTHORIZATION_HEADERS = frozenset({"authorization", "proxy-authorization"})
_COOKIE_HEADERS = frozenset({"cookie", "set-cookie"})
_COOKIE_ATTRIBUTES = frozenset({"path", "domain", "expires", "max-age", "samesite", "priority"})


def find_used_credentials(contract: Contract, exchange: Exchange) -> list[str]:
    """Return the values in the places of credentials: headers, cookies, query parameters, and fields of bodies.

    Args:
        contract: contract of the provider, whose security schemes name the headers and parameters of its keys.
        exchange: an exchange that is not redacted yet.
    """
    names = {str(scheme.get("name")).lower() for scheme in contract.security_schemes.values() if scheme.get("name")}
    request, response = exchange.request, exchange.response
    found = [
        *_find_credentials_in_headers(request.headers, names),
        *_find_credentials_in_headers(response.headers, names),
    ]
    query = urlsplit(request.url).query
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name.lower() in names or is_credential_name(name, allow_short_names=True):
            found.append(value)
    for content_type, body in (
        (request.find_header("content-type") or "", request.body),
        (response.find_header("content-type") or "", response.body),
    ):
        found += _find_credentials_in_body(content_type, body, names)
    return list(dict.fromkeys(filter(_is_secret, found)))


def _find_credentials_in_headers(headers: Headers, credential_names: set[str]) -> Iterator[str]:
    for header_name, value in headers:
        name = header_name.lower()
        if name in _COOKIE_HEADERS:
            for part in value.split(";"):
                cookie, _, content = part.strip().partition("=")
                if cookie.lower() not in _COOKIE_ATTRIBUTES:
                    yield content
                    yield unquote_plus(content)
        elif name in _AUTHORIZATION_HEADERS or name in credential_names or is_credential_name(name):
            scheme, _, token = value.strip().rpartition(" ")
            yield token
            if scheme.lower() == "basic":
                yield from _read_basic_credentials(token)


def _read_basic_credentials(encoded_credentials: str) -> Iterator[str]:
    """Yield the password of the Basic scheme (RFC 7617), and the user name, in which some services expect the key."""
    try:
        user, _, password = base64.b64decode(encoded_credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return
    yield password
    yield user


def _find_credentials_in_body(content_type: str, body: bytes, credential_names: set[str]) -> list[str]:
    found: list[str] = []

    def collect_secret(value: str, location: str) -> str:
        if any(is_credential_name(name) or name.lower() in credential_names for name in location.split("/") if name):
            found.append(value)
        return value

    mask_body(content_type, body, collect_secret)
    return found


def _is_secret(text: str) -> bool:
    return len(text) >= MIN_SECRET_CHARACTERS and MASK not in text and text != INVALID_API_KEY
