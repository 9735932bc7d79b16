from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import CONTROL_PREFIX, EmulatorSettings

from ..builders.acme import DOCUMENT
from ..builders.contracts import load_trusted

Edit = Callable[[dict[str, Any]], None]
Serve = Callable[[Any], Awaitable[str]]


@pytest.fixture(scope="session")
def plain_acme(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """The fictional contract, loaded once: validating a document takes a while."""
    path = tmp_path_factory.mktemp("acme") / "openapi.json"
    path.write_text(json.dumps(DOCUMENT))
    return load_contract(path)


@pytest.fixture
def acme(tmp_path: Path, plain_acme: Contract) -> Callable[[Edit | None], Contract]:
    """Load the fictional contract, optionally changed by `edit`."""

    def make(edit: Edit | None = None) -> Contract:
        if edit is None:
            return plain_acme
        document = copy.deepcopy(DOCUMENT)
        edit(document)
        path = tmp_path / "openapi.json"
        path.write_text(json.dumps(document))
        return load_trusted(path)

    return make


@dataclass
class Api:
    """A client of one emulated provider, and of the emulator's control routes."""

    http: httpx.AsyncClient
    url: str
    provider: str
    key: str = "k"

    async def send(self, method: str, path: str, *, key: str | None = "", **more: Any) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        key = self.key if key == "" else key
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        url = path if path.startswith("http") else f"{self.url}/{self.provider}{path}"
        return await self.http.request(method, url, headers=headers, **more)

    async def submit(self, text: str = "Hello there", *, key: str | None = "", headers: Any = (), **body: Any) -> Any:
        return await self.send("POST", "/speech", json={"text": text, **body}, key=key, headers=dict(headers))

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        response = await self.http.request(method, f"{self.url}{CONTROL_PREFIX}{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    async def states(self, job: str, polls: int = 6) -> list[str]:
        """Poll a job several times and return its states."""
        return [(await self.send("GET", f"/jobs/{job}")).json()["state"] for _ in range(polls)]


Start = Callable[..., Awaitable[Api]]


@pytest.fixture
async def start(serve: Serve, acme: Callable[[Edit | None], Contract]) -> AsyncIterator[Start]:
    """Start an emulator of the fictional contract on a real socket; by default, each poll moves jobs on."""
    # No TLS is used: with `verify=False` no certificates are loaded, which would take longer than a test.
    async with httpx.AsyncClient(timeout=30, verify=False) as http:  # noqa: S501

        async def begin(contract: Contract | None = None, *, edit: Edit | None = None, **settings: Any) -> Api:
            settings = {"clock": "per-poll", **settings}
            contract = contract or acme(edit)
            url = await serve(create_app([contract], EmulatorSettings(**settings)))
            return Api(http, url, contract.id)

        yield begin
