"""`voicegauge_judged_emulator` in a user's tests: a mistake of the client on a WebSocket fails the test."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import asyncio
import json

import pytest
from websockets.asyncio.client import connect

PATH = "/v1/speak?model=aura-2-thalia-en&encoding=linear16&sample_rate=24000"


async def speak(url, is_flushed):
    async with connect(url.replace("http", "ws", 1) + PATH, additional_headers={"Authorization": "Token k"}) as socket:
        await socket.send(json.dumps({"type": "Speak", "text": "Hello."}))
        if is_flushed:
            await socket.send(json.dumps({"type": "Flush"}))
            while "Flushed" not in str(await socket.recv()):
                pass


@pytest.mark.parametrize("is_flushed", [False, True])
def test_agent(voicegauge_judged_emulator, is_flushed):
    asyncio.run(speak(voicegauge_judged_emulator.base_url("deepgram"), is_flushed))
"""


@pytest.mark.slow
def test_a_mistake_of_the_client_fails_its_test_and_no_other(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    # Not in this process: pytester would import a C++ extension of the emulator twice, which ends the process.
    result = pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function"
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_agent?False?*", "client-text-lost: deepgram *"])
