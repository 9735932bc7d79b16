"""Defines `Recording`, which contains exchanges and describes their origin."""

from __future__ import annotations

from collections.abc import Iterable

from voicegauge.model import Exchange, Provenance, Record


class Recording(Record, frozen=True, kw_only=True):
    """Exchanges with one provider and where they came from."""

    provenance: Provenance
    provider: str
    """Id of the provider's contract."""
    contract_version: str
    contract_sha256: str
    """SHA-256 of the contract document at the time of recording. It shows whether the contract has changed since."""
    recorded_at: str
    """Time of the recording in UTC, as an ISO 8601 text."""
    exchanges: tuple[Exchange, ...]
    redaction_count_by_location: dict[str, int] = {}
    """Number of masked values by location, such as "request header authorization"."""


def collect_exchanges_by_conversation_id(exchanges: Iterable[Exchange]) -> dict[str | None, tuple[Exchange, ...]]:
    """Return the exchanges by `conversation_id`, in their order. Exchanges without such an id are under `None`."""
    groups: dict[str | None, list[Exchange]] = {}
    for exchange in exchanges:
        groups.setdefault(exchange.conversation_id, []).append(exchange)
    return {name: tuple(group) for name, group in groups.items()}
