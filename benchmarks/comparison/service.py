"""A provider on a real socket that knows one key, and counts what it is asked."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
from mutation.mutant import Mutant

from voicegauge.client import credentials
from voicegauge.conformance import emulator_settings
from voicegauge.conformance.emulator_setup import EMULATED_KEY
from voicegauge.contract import Contract, Operation
from voicegauge.emulator import create_app
from voicegauge.emulator.server.socket_server import running_app

REFUSED = b"invalid"
"""A key that the emulator refuses: it takes any other, which no service does."""


class Served(NamedTuple):
    """A provider that answers."""

    url: str
    """Of the provider."""
    root: str

    def counts(self, operation: Operation) -> Counts:
        """What was asked since it was started."""
        entries = httpx.get(f"{self.root}/_emulator/journal").json()
        accepted = sum(entry["operation"] == operation.id and entry["status"] < 300 for entry in entries)
        return Counts(len(entries), accepted)


class Counts(NamedTuple):
    """Requests, as the provider counts them."""

    sent: int
    accepted: int
    """Requests for speech answered with 2xx: what a live service would charge."""


@contextlib.contextmanager
def serving(contract: Contract, operation: Operation, mutant: Mutant | None = None) -> Iterator[Served]:
    """The provider of `contract`, or `mutant` of it, anew."""
    played, faults = (mutant.played(), mutant.faults) if mutant else (contract, ())
    settings = emulator_settings(faults=mutant.planted if mutant else ())
    app = create_app([played], settings, extra_faults=faults)
    [credential] = credentials(operation, EMULATED_KEY)
    name, value = credential.name.lower().encode(), credential.value.encode()

    async def one_key(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(key, REFUSED if key == name and text != value else text) for key, text in scope["headers"]]
            scope = {**scope, "headers": headers}
        await app(scope, receive, send)

    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # Schemathesis sends what is no HTTP on purpose
    with running_app(one_key) as root:
        yield Served(f"{root}/{contract.id}", root)
