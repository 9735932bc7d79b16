"""Downloading a file: redirects, limits and refused URLs, over real sockets."""

from __future__ import annotations

import re
from typing import Any

import pytest

from voicegauge.errors import OversizeError, UnreachableError, UsageError
from voicegauge.transport.http import download

from ..builders.servers import serving


def respond(status: int = 200, body: bytes = b"content", **headers: str) -> Any:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        assert not {name for name, _ in scope["headers"]} & {b"authorization", b"cookie"}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        is_end = scope["path"] == "/end"
        await send({"type": "http.response.start", "status": 200 if is_end else status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"end" if is_end else body})

    return app


async def test_the_body_is_returned() -> None:
    async with serving(respond()) as url:
        assert (await download(url, max_bytes=100)).body == b"content"


async def test_redirects_are_followed() -> None:
    async with serving(respond(302, location="/end")) as url:
        assert (await download(url, max_bytes=100)).body == b"end"


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        (respond(404), "responds with status 404"),
        (respond(302, location="/again"), "more than 5 redirects"),
        (respond(302, location="http://acme.test/"), "is redirected to 'http://acme.test/' is not encrypted"),
        (respond(302, location="file:///etc/passwd"), "which is not an https URL"),
        (respond(302, location="https://me:pw@acme.test/"), "has a user name or password"),
    ],
)
async def test_a_response_that_is_no_file_is_refused(app: Any, reason: str) -> None:
    async with serving(app) as url:
        with pytest.raises(UsageError, match=re.escape(reason)) as raised:
            await download(url, max_bytes=100)
    assert "pw@" not in str(raised.value)


async def test_a_large_file_is_refused() -> None:
    async with serving(respond(body=b"x" * 101)) as url:
        with pytest.raises(OversizeError, match="larger than 100 bytes"):
            await download(url, max_bytes=100)


async def test_a_host_that_does_not_answer_is_reported() -> None:
    with pytest.raises(UnreachableError, match="cannot connect"):
        await download("http://127.0.0.1:1/", max_bytes=100)


@pytest.mark.parametrize(
    "url", ["http://acme.test/a.json", "ftp://acme.test/", "https://", "https://[", "https://a:b@c/"]
)
async def test_other_urls_are_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(UsageError):
        await download(url, max_bytes=100)
