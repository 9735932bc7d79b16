"""A provider on a real socket that accepts a single key and counts requests."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
from mutation.mutant import Mutant

from voicegauge.client.keys import build_credentials
from voicegauge.conformance.check_settings import EMULATOR_API_KEY, build_emulator_settings
from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.emulator.app import create_app
from voicegauge.emulator.server import running_app

REJECTED_KEY = b"invalid"
"""The key that the emulator rejects. The emulator accepts every other key, which no live service does."""


class ServedProvider(NamedTuple):
    """A running provider."""

    url: str
    """Base URL of the provider."""
    root: str
    """Base URL of the emulator that serves the provider."""

    def counts(self, operation: Operation) -> RequestCounts:
        """Count the requests since the start."""
        entries = httpx.get(f"{self.root}/_emulator/journal").json()
        accepted = sum(entry["operation"] == operation.id and entry["status"] < 300 for entry in entries)
        return RequestCounts(len(entries), accepted)


class RequestCounts(NamedTuple):
    """Requests that a provider received."""

    sent: int
    accepted: int
    """Speech requests with a 2xx response, for which a live service would charge."""


@contextlib.contextmanager
def serve_provider(contract: Contract, operation: Operation, mutant: Mutant | None = None) -> Iterator[ServedProvider]:
    """Start a provider with empty state.

    Args:
        contract: the contract of the provider.
        operation: the operation that takes the key.
        mutant: serve this faulty provider instead of the correct one.
    """
    emulated_contract, faults = (mutant.emulated_contract(), mutant.faults) if mutant else (contract, ())
    settings = build_emulator_settings(faults=mutant.emulator_faults if mutant else ())
    app = create_app([emulated_contract], settings, extra_faults=faults)
    [credential] = build_credentials(operation, EMULATOR_API_KEY)
    name, value = credential.name.lower().encode(), credential.value.encode()

    async def accept_one_key(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(key, REJECTED_KEY if key == name and text != value else text) for key, text in scope["headers"]]
            scope = {**scope, "headers": headers}
        await app(scope, receive, send)

    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # Schemathesis sends invalid HTTP on purpose
    with running_app(accept_one_key) as root:
        yield ServedProvider(f"{root}/{contract.id}", root)
