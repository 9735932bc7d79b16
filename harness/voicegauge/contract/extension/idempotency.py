"""Defines `x-idempotency` on an operation: requests with the same key are performed and charged once."""

from __future__ import annotations

import msgspec

from voicegauge.contract.extension.sources import PositiveFloat, SourceReference
from voicegauge.model import Record


class IdempotencySpec(Record, frozen=True, kw_only=True):
    """`x-idempotency` on an operation that accepts an idempotency key."""

    header_name: str = msgspec.field(name="header")
    """Name of the request header that has the key, such as Idempotency-Key."""
    key_lifetime_s: PositiveFloat | None = msgspec.field(default=None, name="valid_s")
    """Time in seconds for which the provider remembers a key. `None` if no document states it; a request is then not
    sent again by a later command."""
    source: SourceReference | None = None
