"""No credential that passes through the proxy is written or printed, in any encoding."""

from __future__ import annotations

import base64
import json
import random
import string
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import msgspec
import pytest
from rich.console import Console

import voicegauge
from voicegauge.cli._check_tables import NewFindingPrinter
from voicegauge.recording.secret_search import find_secret_spelling

SECRETS_PER_REQUEST = 10
REQUESTS = 20
REQUESTS_PER_PROXY = 2
SIGNS = string.ascii_letters + string.digits + '-_/+=&"\\%ä'
TOKEN_SIGNS = string.ascii_letters + string.digits + "-_"


def make_secrets() -> list[list[str]]:
    """200 secrets, ten for each request: the first six go to places where only the signs of tokens may be."""
    numbers = random.Random(7)
    return [
        [
            "".join(numbers.choices(TOKEN_SIGNS if place < 6 else SIGNS, k=numbers.randrange(12, 40)))
            for place in range(SECRETS_PER_REQUEST)
        ]
        for _ in range(REQUESTS)
    ]


def build_request(url: str, number: int, secrets: list[str]) -> httpx.Request:
    """A request with a secret in each place: headers, a cookie, the query, and the fields of a JSON body or a form."""
    bearer, key, cookie, header, user, password, query, field, nested, other = secrets
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    headers = {
        "Authorization": f"Bearer {bearer}" if number % 2 else f"Basic {basic}",
        "X-Api-Key": key,
        "Cookie": f"session={cookie}; theme=dark",
        "X-Auth-Token": header,
        "X-Access-Token": bearer,
    }
    target = f"{url}/v1/audio/speech?api_key={quote(query, safe='')}&token={quote_plus(other)}"
    if number % 2:
        fields: dict[str, Any] = {"input": "hello", "user_token": user, "auth": {"password": [nested]}}
        body = json.dumps({**fields, "api_key": field, "client_secret": password}, ensure_ascii=number % 4 == 1)
        return httpx.Request("POST", target, headers={**headers, "Content-Type": "application/json"}, content=body)
    form = {"input": "hello", "api_key": field, "client_secret": nested}
    if number % 4:
        return httpx.Request("POST", target, headers=headers, data=form)
    return httpx.Request("POST", target, headers=headers, files={name: (None, value) for name, value in form.items()})


def echo_in_encodings(secrets: list[str]) -> bytes:
    """A body that repeats secrets as a service might in an error, in several encodings."""
    return json.dumps(
        {
            "error": {
                "message": f"wrong key {secrets[0]}",
                "param": [quote(one, safe="") for one in secrets],
                "code": [base64.b64encode(one.encode()).decode() for one in secrets],
                "hex": [one.encode().hex() for one in secrets],
                "json": [json.dumps(one) for one in secrets],
                secrets[1]: "a name",
            }
        }
    ).encode()


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
async def test_two_hundred_secrets_are_in_no_file_and_no_output(serve, tmp_path: Path, capsys) -> None:
    all_secrets = make_secrets()
    remaining = iter(all_secrets)

    async def echo(_scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        secrets = next(remaining)
        headers = [(b"content-type", b"application/json"), (b"x-echo", secrets[0].encode())]
        headers.append((b"location", f"/x?q={quote(secrets[7], safe='')}".encode()))
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": echo_in_encodings(secrets)})

    upstream = f"{await serve(echo)}/v1"
    console = Console()
    reports = []
    async with httpx.AsyncClient() as client:
        for first in range(0, REQUESTS, REQUESTS_PER_PROXY):
            running = voicegauge.proxy(
                "openai",
                upstream=upstream,
                recording_path=tmp_path,
                on_finding=NewFindingPrinter(console).print_finding,
            )
            async with running as proxied:
                for number in range(first, first + REQUESTS_PER_PROXY):
                    response = await client.send(build_request(proxied.url, number, all_secrets[number]))
                    assert response.status_code == 401
            reports.append(proxied.report)
    assert sum(report.recorded_count for report in reports) >= REQUESTS / 2
    written = read_files(tmp_path)
    written["the reports"] = msgspec.json.encode(reports)
    written["the output"] = "".join(capsys.readouterr()).encode()
    for number, secrets in enumerate(all_secrets):
        for place, secret in enumerate(secrets):
            for name, content in written.items():
                assert find_secret_spelling(content, [secret]) is None, (
                    f"secret {place} of request {number} is in {name}"
                )


async def test_a_credential_is_removed_from_what_was_written_before(serve, tmp_path: Path) -> None:
    secret = "plain-words-as-a-key"

    async def respond(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps({"object": secret, "data": []}).encode()})

    url = await serve(respond)
    path = tmp_path / "a.har"
    async with (
        voicegauge.proxy("openai", upstream=f"{url}/v1", recording_path=path) as proxied,
        httpx.AsyncClient() as client,
    ):
        await client.get(f"{proxied.url}/v1/models")
        await client.get(f"{proxied.url}/v1/models", headers={"Authorization": f"Bearer {secret}"})
    assert proxied.report.recorded_count == 2
    assert secret.encode() not in path.read_bytes()
