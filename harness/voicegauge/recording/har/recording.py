"""The exchanges of one recording and their origin."""

from __future__ import annotations

from collections.abc import Iterable

from voicegauge.model import Exchange, Provenance, Record


class Recording(Record, frozen=True, kw_only=True):
    """Exchanges with one provider and where they came from."""

    provenance: Provenance
    provider: str
    """Contract id of the provider."""
    contract_version: str
    contract_sha256: str
    """Digest of the contract document at the time of recording, to detect that it changed."""
    recorded_at: str
    """UTC, ISO 8601."""
    exchanges: tuple[Exchange, ...]
    redactions: dict[str, int] = {}
    """Number of masked values by location, such as "request header authorization"."""


def exchanges_by_group(exchanges: Iterable[Exchange]) -> dict[str | None, tuple[Exchange, ...]]:
    """Exchanges by the name of their group, in their order; `None` is the key of those without a group."""
    groups: dict[str | None, list[Exchange]] = {}
    for exchange in exchanges:
        groups.setdefault(exchange.group, []).append(exchange)
    return {name: tuple(group) for name, group in groups.items()}
