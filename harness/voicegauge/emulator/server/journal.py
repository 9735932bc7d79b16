"""Keeps a journal of requests, without credentials, for tests and for users."""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from voicegauge.contract import Contract
from voicegauge.emulator.http import IncomingRequest
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.emulator.settings import SCENARIO_HEADER

MAX_ENTRIES = 10_000
MASK = "[redacted]"
_CREDENTIAL_NAME = re.compile("key|token|secret|auth|passw|passphrase|credential|sig|cookie|session", re.IGNORECASE)
"""Matches the names of documented parameters that may contain a credential."""
_MIN_SECRET_LENGTH = 8
"""Minimum length of a credential that is masked within other texts. Shorter keys, which only tests use, would match
parts of ordinary words."""
_SHOWN_HEADERS = frozenset(
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
        """Start empty."""
        self._entries: deque[dict[str, Any]] = deque(maxlen=MAX_ENTRIES)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over the entries, oldest first."""
        return iter(self._entries)

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()

    def record(
        self, contract: Contract, incoming_request: IncomingRequest, response: EmulatedResponse, now_s: float
    ) -> None:
        """Add a request; credentials are masked, and its body is not stored."""
        shown_headers = _find_shown_names(contract, response, "header") | _SHOWN_HEADERS
        shown_query = _find_shown_names(contract, response, "query")
        secrets = set(_find_secrets(contract, incoming_request))
        self._entries.append(
            {
                "at": now_s,
                "provider": contract.id,
                "method": incoming_request.method,
                "path": _remove_secrets(secrets, incoming_request.path),
                "query": _mask_values(incoming_request.query, shown_query, secrets),
                "headers": _mask_values(incoming_request.headers, shown_headers, secrets),
                "body_bytes": len(incoming_request.body),
                "operation": response.operation.id if response.operation else None,
                "target": response.target.id if response.target else None,
                "status": response.status,
                "rejection_reason": response.rejection_reason,
                "job": response.job.id if response.job else None,
            }
        )


def _find_shown_names(contract: Contract, response: EmulatedResponse, location: str) -> frozenset[str]:
    """Return the lower-case names of the documented parameters at `location`, except for those that contain keys."""
    if response.operation is None:
        return frozenset()
    documented = {p.name.lower() for p in response.operation.parameters if p.location == location}
    return frozenset(name for name in documented if not _is_credential(contract, name))


def _is_credential(contract: Contract, name: str) -> bool:
    return name not in _SHOWN_HEADERS and (
        name in _find_key_names(contract) or _CREDENTIAL_NAME.search(name) is not None
    )


@functools.lru_cache(maxsize=64)
def _find_key_names(contract: Contract) -> frozenset[str]:
    names = {str(scheme.get("name", "authorization")).lower() for scheme in contract.security_schemes.values()}
    return frozenset(names | {"authorization", "proxy-authorization", "cookie"})


def _find_secrets(contract: Contract, incoming_request: IncomingRequest) -> Iterator[str]:
    """Yield the credentials of a request and their parts, none of which may appear anywhere in the request's entry."""
    pairs = (*incoming_request.headers.items(), *incoming_request.query.items())
    hidden = [value for name, value in pairs if _is_credential(contract, name.lower())]
    for value in hidden:
        # "Bearer <key>", and cookies such as "session=<key>; theme=dark"
        for part in (value, *value.replace(";", " ").replace("=", " ").split()):
            if len(part) >= _MIN_SECRET_LENGTH:
                yield part


def _mask_values(values: Mapping[str, str], shown: Iterable[str], secrets: Iterable[str]) -> dict[str, str]:
    return {name: _remove_secrets(secrets, value) if name.lower() in shown else MASK for name, value in values.items()}


def _remove_secrets(secrets: Iterable[str], text: str) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        for form in (secret, quote(secret, safe="")):
            text = text.replace(form, MASK)
    return text
