"""The journal of received requests."""

from __future__ import annotations

import base64
import functools
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from voicegauge.contract.contract import Contract
from voicegauge.emulator._request import IncomingRequest
from voicegauge.emulator._response import EmulatedResponse
from voicegauge.emulator.settings import SCENARIO_HEADER

MAX_JOURNAL_ENTRIES = 10_000
"""Maximum number of recorded requests."""
MASK_TEXT = "[redacted]"
"""Text that replaces each credential."""
MAX_JOURNAL_BYTES = 32 * 1024 * 1024
"""Maximum memory of all recorded requests, in bytes, as estimated from the sizes of paths, queries and headers."""
_ENTRY_OVERHEAD_BYTES = 1024
"""Memory, in bytes, that each recorded request takes in addition to its path, query and headers."""
_NAME_AND_VALUE_OVERHEAD_BYTES = 200
"""Memory, in bytes, that each header or query parameter of a request takes in addition to its texts."""
MAX_SECRETS_PER_REQUEST = 20
"""Maximum number of credentials in one request whose other texts are shown. No API takes more, and the search for each
credential in every spelling takes time."""
_CREDENTIAL_NAME_PATTERN = re.compile(
    "key|token|secret|auth|passw|passphrase|credential|sig|cookie|session", re.IGNORECASE
)
"""Matches the names of documented parameters that may contain a credential."""
_MIN_SECRET_LENGTH = 8
"""Minimum length of a credential that is masked within other texts. Shorter keys, which only tests use, would match
parts of ordinary words."""
_UNMASKED_HEADERS = frozenset(
    (
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "expect",
        "host",
        "idempotency-key",
        "origin",
        "range",
        "traceparent",
        "transfer-encoding",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-request-id",
        SCENARIO_HEADER.lower(),
    )
)
"""Headers whose values are shown although the contract does not document them. Any other header may contain a key."""


class RequestJournal:
    """The latest requests to all providers, in the order of their responses."""

    def __init__(self) -> None:
        """Create a journal without recorded requests."""
        self._entries: deque[tuple[dict[str, Any], int]] = deque()
        self._size_bytes = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over the recorded requests, oldest first."""
        return (entry for entry, _ in self._entries)

    def clear(self) -> None:
        """Remove all recorded requests."""
        self._entries.clear()
        self._size_bytes = 0

    def _add_entry(self, entry: dict[str, Any], size_bytes: int) -> None:
        self._entries.append((entry, size_bytes))
        self._size_bytes += size_bytes
        while len(self._entries) > MAX_JOURNAL_ENTRIES or self._size_bytes > MAX_JOURNAL_BYTES:
            self._size_bytes -= self._entries.popleft()[1]

    def record_request(
        self, contract: Contract, incoming_request: IncomingRequest, response: EmulatedResponse, now_s: float
    ) -> None:
        """Add a request; credentials are masked, and its body is not stored."""
        shown_headers = _find_unmasked_parameter_names(contract, response, "header") | _UNMASKED_HEADERS
        shown_query = _find_unmasked_parameter_names(contract, response, "query")
        secrets = tuple(sorted(set(_find_secrets(contract, incoming_request))))
        self._add_entry(
            {
                "at": now_s,
                "provider": contract.id,
                "method": incoming_request.method,
                "path": _mask_text(secrets, incoming_request.path),
                "query": _mask_values(incoming_request.query, shown_query, secrets),
                "headers": _mask_values(incoming_request.headers, shown_headers, secrets),
                "body_bytes": incoming_request.body_size_bytes,
                "operation": response.operation.id if response.operation else None,
                "target": response.target.id if response.target else None,
                "status": response.status,
                "rejection_reason": response.rejection_reason,
                "job": response.job.id if response.job else None,
            },
            _estimate_entry_bytes(incoming_request),
        )


def _estimate_entry_bytes(incoming_request: IncomingRequest) -> int:
    pairs = (*incoming_request.headers.items(), *incoming_request.query.items())
    return (
        _ENTRY_OVERHEAD_BYTES
        + len(incoming_request.path)
        + sum(_NAME_AND_VALUE_OVERHEAD_BYTES + len(name) + len(value) for name, value in pairs)
    )


def _find_unmasked_parameter_names(
    contract: Contract, response: EmulatedResponse, parameter_kind: str
) -> frozenset[str]:
    """Return the lower-case names of the parameters of one kind, such as "header", whose values are shown.

    These are the documented parameters, except for credentials.
    """
    if response.operation is None:
        return frozenset()
    documented = {p.name.lower() for p in response.operation.parameters if p.message_part == parameter_kind}
    return frozenset(name for name in documented if not _is_credential_parameter(contract, name))


def _is_credential_parameter(contract: Contract, name: str) -> bool:
    return name not in _UNMASKED_HEADERS and (
        name in _list_key_parameter_names(contract) or _CREDENTIAL_NAME_PATTERN.search(name) is not None
    )


@functools.lru_cache(maxsize=64)
def _list_key_parameter_names(contract: Contract) -> frozenset[str]:
    names = {str(scheme.get("name", "authorization")).lower() for scheme in contract.security_schemes.values()}
    return frozenset(names | {"authorization", "proxy-authorization", "cookie"})


def _find_secrets(contract: Contract, incoming_request: IncomingRequest) -> Iterator[str]:
    """Yield the credentials of a request and their parts. None of these texts may appear in the journal."""
    pairs = (*incoming_request.headers.items(), *incoming_request.query.items())
    hidden = [value for name, value in pairs if _is_credential_parameter(contract, name.lower())]
    for value in hidden:
        # "Bearer <key>", and cookies such as "session=<key>; theme=dark"
        for part in (value, *value.replace(";", " ").replace("=", " ").split()):
            if len(part) >= _MIN_SECRET_LENGTH:
                yield part


def _mask_values(values: Mapping[str, str], unmasked_names: Iterable[str], secrets: tuple[str, ...]) -> dict[str, str]:
    return {
        name: _mask_text(secrets, value) if name.lower() in unmasked_names else MASK_TEXT
        for name, value in values.items()
    }


def _mask_text(secrets: tuple[str, ...], text: str) -> str:
    if len(secrets) > MAX_SECRETS_PER_REQUEST:
        return MASK_TEXT
    return _compile_secret_pattern(secrets).sub(MASK_TEXT, text) if secrets else text


@functools.lru_cache(maxsize=256)  # most clients send the same key each time
def _compile_secret_pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern for the secrets as plain text, URL-encoded, in hexadecimal or in base64, in any letter case."""
    spellings: list[str] = []
    for secret in secrets:
        data = secret.encode("latin-1")  # as headers are encoded
        spellings += [secret, quote(secret, safe=""), "".join(f"%{byte:02x}" for byte in data), data.hex()]
        spellings += [base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()]
    longest_first = sorted(spellings, key=len, reverse=True)
    return re.compile("|".join(re.escape(spelling) for spelling in longest_first), re.IGNORECASE)
