"""Writes the exchanges that passed through the proxy to a recording, one by one."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from voicegauge.conformance.proxy.session_redactor import SessionRedactor
from voicegauge.contract import Contract
from voicegauge.emulator import is_emulated
from voicegauge.errors import DataError
from voicegauge.model import Exchange, Provenance
from voicegauge.recording import GrowingHar, Recording, find_secret_spelling, load_har


class TrafficRecorder:
    """Writes one recording."""

    def __init__(self, path: Path, contract: Contract, redactor: SessionRedactor) -> None:
        """Prepare to write `path`.

        Raises:
            StorageError: the file exists or cannot be written.
        """
        self._har, self._contract, self._redactor = GrowingHar(path), contract, redactor
        self._recorded_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._provenance = Provenance.RECORDED
        self._has_exchanges = False

    def add_exchange(self, exchange: Exchange) -> None:
        """Add a redacted exchange; the file is complete afterwards.

        Raises:
            DataError: the file is full.
            StorageError: the file cannot be written.
        """
        if is_emulated(exchange):
            self._provenance = Provenance.EMULATED
        self._har.add_exchange(exchange, self._build_recording_metadata())
        self._has_exchanges = True

    def remove_secrets(self, new_secrets: Sequence[str]) -> None:
        """Redact the recorded exchanges again if one of them contains one of `new_secrets`.

        These secrets were not known when the exchanges were recorded.

        An exchange that still contains something like a credential is removed.

        Raises:
            StorageError: the file cannot be written.
        """
        if not self._has_exchanges or not new_secrets:
            return
        exchanges = load_har(self._har.path).exchanges
        if not any(
            find_secret_spelling(data, new_secrets)
            for exchange in exchanges
            for data in _list_url_headers_and_bodies(exchange)
        ):
            return
        redacted = []
        for exchange in exchanges:
            with contextlib.suppress(DataError):
                redacted.append(self._redactor.redact(exchange))
        self._har.replace_exchanges(redacted, self._build_recording_metadata())

    def _build_recording_metadata(self) -> Recording:
        return Recording(
            provenance=self._provenance,
            provider=self._contract.id,
            contract_version=self._contract.version,
            contract_sha256=self._contract.document.sha256,
            recorded_at=self._recorded_at,
            exchanges=(),
            redaction_count_by_location=self._redactor.redaction_count_by_location,
        )


def _list_url_headers_and_bodies(exchange: Exchange) -> tuple[bytes, ...]:
    headers = "\n".join(f"{name}: {value}" for name, value in (*exchange.request.headers, *exchange.response.headers))
    return exchange.request.url.encode(), headers.encode(), exchange.request.body, exchange.response.body
