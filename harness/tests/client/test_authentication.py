"""Access tokens and signatures, against an emulator that verifies them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voicegauge.client.client import Client
from voicegauge.client.http_request import build_curl_command
from voicegauge.client.keys import read_client_key
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.process import EmulatorSettings, RunningEmulator, running_emulator
from voicegauge.emulator.server import running_app
from voicegauge.errors import ContractError, TransportError, UsageError
from voicegauge.transport.http import Transport

from ..builders.documented_examples import build_acme

ENVIRONMENT = {
    "ACME_API_KEY": "emulated-key",
    "ACME_CLIENT_ID": "client-7",
    "ACME_ACCESS_KEY_ID": "AK7",
}
SPEECH = RequestParts(body={"text": "Hello", "model": "swift-2"})


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Contract]:
    def load_example(name: str, **changes: object) -> Contract:
        path = tmp_path / "openapi.yaml"
        path.write_text(
            yaml.safe_dump({**build_acme("authentication.md", name), **changes}, sort_keys=False), encoding="utf-8"
        )
        return load_contract(path)

    return load_example


@pytest.fixture
def emulator(load: Callable[..., Contract]) -> Iterator[RunningEmulator]:
    with running_emulator([load("acme with OAuth 2")], EmulatorSettings(clock="virtual")) as emulator:
        yield emulator


@asynccontextmanager
async def opened(contract: Contract, emulator: RunningEmulator, **environment: str) -> AsyncIterator[Client]:
    async with Transport() as transport:
        key = read_client_key(contract, ENVIRONMENT | environment)
        yield Client(contract, transport, base_urls={"": emulator.base_url("acme")}, key=key)


def journal(emulator: RunningEmulator) -> list[tuple[str, int]]:
    return [(one["path"], one["status"]) for one in httpx.get(f"{emulator.control_url}/journal").json()]


def advance_clock(emulator: RunningEmulator, seconds: float) -> None:
    httpx.post(f"{emulator.control_url}/clock", json={"advance_s": seconds})


async def test_a_token_is_requested_once_and_stays_out_of_exchanges(load, emulator) -> None:
    contract = load("acme with OAuth 2")
    async with opened(contract, emulator) as client:
        operation = contract.find_operation("createSpeech")
        exchanges = [await client.send_operation(operation, SPEECH) for _ in range(2)]
    assert [one.response.status for one in exchanges] == [202, 202]
    assert {one.request.find_header("authorization") for one in exchanges} == {"Bearer computed-when-sent-1"}
    assert [path for path, _ in journal(emulator)] == ["/oauth/token", "/v1/speech", "/v1/speech"]


async def test_a_token_that_the_provider_has_ended_is_replaced_once(load, emulator) -> None:
    contract = load("acme with OAuth 2")
    async with opened(contract, emulator) as client:
        operation = contract.find_operation("createSpeech")
        await client.send_operation(operation, SPEECH)
        advance_clock(emulator, 4000)
        assert (await client.send_operation(operation, SPEECH)).response.status == 202
    assert journal(emulator)[2:] == [("/v1/speech", 401), ("/oauth/token", 200), ("/v1/speech", 202)]


async def test_rejected_client_credentials_are_one_line_without_them(load, emulator) -> None:
    contract = load("acme with OAuth 2")
    async with opened(contract, emulator, ACME_API_KEY="invalid-secret") as client:
        with pytest.raises(UsageError, match=r"no access token.*check ACME_API_KEY and ACME_CLIENT_ID") as caught:
            await client.send_operation(contract.find_operation("createSpeech"), SPEECH)
    assert "invalid-secret" not in str(caught.value)


async def test_an_unreachable_token_url_sends_nothing(load, emulator) -> None:
    contract = load("acme with OAuth 2")
    async with Transport() as transport:
        key = read_client_key(contract, ENVIRONMENT)
        base_urls = {"api": emulator.base_url("acme"), "login": "http://127.0.0.1:9"}
        client = Client(contract, transport, base_urls=base_urls, key=key)
        with pytest.raises(TransportError, match="no access token") as caught:
            await client.send_operation(contract.find_operation("createSpeech"), SPEECH)
    assert not caught.value.request_was_sent
    assert journal(emulator) == []


@pytest.mark.parametrize(
    ("lifetime", "token_count"),
    [(10**400, 1), ("9" * 400, 1), (None, 1), ("soon", 1), (0, 2), (-(10**400), 1), ("60", 1)],
)
async def test_a_token_lives_as_long_as_its_server_says_in_any_form(load, lifetime, token_count) -> None:
    tokens = []

    async def respond(request: Request) -> Response:
        if request.url.path != "/oauth/token":
            return Response(status_code=202)
        tokens.append(f"token-{len(tokens)}")
        return Response(json.dumps({"access_token": tokens[-1], "expires_in": lifetime}), media_type="application/json")

    contract = load("acme with OAuth 2")
    with running_app(Starlette(routes=[Route("/{path:path}", respond, methods=["POST"])])) as url:
        async with Transport() as transport:
            key = read_client_key(contract, ENVIRONMENT)
            client = Client(contract, transport, base_urls={"api": url, "login": url}, key=key)
            for _ in range(2):
                await client.send_operation(contract.find_operation("createSpeech"), SPEECH)
    assert len(tokens) == token_count


def test_a_token_url_must_be_on_a_server(load) -> None:
    with pytest.raises(ContractError, match="which is not on one of the servers: add it to servers"):
        load("acme with OAuth 2", servers=[{"url": "https://api.acme.example"}])


@pytest.mark.parametrize(("key", "status"), [("emulated-key", 202), ("another secret", 401)])
async def test_a_signature_proves_the_secret(load, key, status) -> None:
    contract = load("acme with AWS signatures")
    with running_emulator([contract]) as emulator:
        async with opened(contract, emulator) as client:
            exchange = await client.send_operation(contract.find_operation("createSpeech"), SPEECH, key=key)
    assert exchange.response.status == status
    assert "Signature" not in str(exchange.request.headers)


def test_curl_signs_by_itself_and_leaves_the_token_to_the_user(load) -> None:
    commands = []
    for name in ("acme with AWS signatures", "acme with OAuth 2"):
        contract = load(name)
        client = Client(contract, Transport(), key=read_client_key(contract, ENVIRONMENT))
        request = client.build_request(contract.find_operation("createSpeech"), SPEECH)
        commands.append(build_curl_command(request, contract, key=client.key))
    assert '--aws-sigv4 aws:amz:eu-central-1:speech -u "$ACME_ACCESS_KEY_ID:$ACME_API_KEY"' in commands[0]
    assert '"Authorization: Bearer $ACCESS_TOKEN"' in commands[1]
