"""Any request to a provider without faults gets a documented response."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voicegauge.contract.contract import Contract
from voicegauge.emulator.process import EmulatorSettings, RunningEmulator, running_emulator

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("text", "model", "voice", "lang", "format", "speed", "seed", "sample", "strength")
BODY = st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["small", "auto", "zh", "mp3", 1.5]), max_size=6)


@pytest.fixture(scope="module")
def emulator(plain_acme: Contract) -> Iterator[RunningEmulator]:
    with running_emulator(
        [plain_acme], EmulatorSettings(clock="per-poll", credits=1e12, enforces_rate_limits=False)
    ) as running:
        yield running


@pytest.fixture(scope="module")
def http(emulator: RunningEmulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=emulator.base_url("acme"), headers={"Authorization": "Bearer k"}, timeout=60) as client:
        yield client


FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(body=BODY | JSON)
def test_any_json_gets_a_documented_response(http: httpx.Client, body: Any) -> None:
    response = http.post("/speech", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert response.status_code in (202, 400, 422)
    assert isinstance(response.json(), dict)


@FUZZ
@given(body=BODY, files=st.dictionaries(st.sampled_from(FIELDS), st.binary(max_size=60), max_size=3))
def test_any_form_gets_a_documented_response(http: httpx.Client, body: Any, files: Any) -> None:
    fields = {name: str(value) for name, value in body.items() if name not in files}
    response = http.post("/clone", data=fields, files=files or {"other": b""})
    assert response.status_code in (200, 400, 413)


@FUZZ
@given(
    body=st.binary(max_size=80),
    media_type=st.sampled_from(
        [
            "application/json",
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
        ]
    ),
    path=st.sampled_from(["/speech", "/clone", "/now"]),
)
def test_any_bytes_get_a_documented_response(http: httpx.Client, body: bytes, media_type: str, path: str) -> None:
    response = http.post(path, content=body, headers={"Content-Type": media_type})
    assert response.status_code in (200, 202, 400, 413, 422)


@FUZZ
@given(
    path=st.text(st.characters(codec="utf-8"), max_size=30), method=st.sampled_from(["GET", "POST", "DELETE", "PUT"])
)
def test_any_path_gets_a_documented_response(http: httpx.Client, path: str, method: str) -> None:
    try:
        response = http.request(method, f"/jobs/{path}")
    except httpx.InvalidURL:
        return
    assert response.status_code in (404, 405)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.sampled_from(["Hi there", "Good day", "How now"]), min_size=2, max_size=8))
def test_concurrent_jobs_have_their_own_ids_and_texts(emulator: RunningEmulator, texts: list[str]) -> None:
    async def ask() -> list[Any]:
        headers = {"Authorization": "Bearer k"}
        async with httpx.AsyncClient(base_url=emulator.base_url("acme"), headers=headers) as client:
            return await asyncio.gather(*(client.post("/speech", json={"text": text}) for text in texts))

    responses = [response.json() for response in asyncio.run(ask())]
    assert len({response["id"] for response in responses}) == len(texts)
    assert {response["cost"] for response in responses} == {30}
