"""Adds idempotency keys to requests. A request with such a key can be sent again without a second charge."""

from __future__ import annotations

import uuid

import msgspec

from voicegauge.client.requests.speech_request import RequestParts
from voicegauge.contract import Operation


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
