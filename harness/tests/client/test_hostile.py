from __future__ import annotations

import asyncio
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.client.audio_download import ForbiddenAddressError, reject_private_host_literal
from voicegauge.client.client import Client
from voicegauge.model.base import SpeechRequest
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

KEY = "k-secret-123456"
odd_texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "http://[::1",
            "http://[v1.x]/",
            "http://h:99999/",
            "http://h:port/",
            "//evil.test/a",
            "/a\r\nX: y",
            "data:",
            "data:;base64,@@",
            "\ud800",
            "http://\ud800/",
            "https://xn--\u20ac.test/",
            "https://" + "a" * 300 + ".test/",
            "http://api.acme.test/\ud800",
            "https://api.acme.test/\x00",
            "..",
            "j1",
            "queued",
            "done",
            "failed",
        ]
    ),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | odd_texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
fields = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "state", "poll", "audio", "type", "reason", "cost"), values)
)
bodies = fields.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20) | st.sampled_from(
    ["http://[::1", "\xff", "99999999999999999999", "Thu, 01 Jan 99999 00:00:00 GMT", "-1"]
)
answers = st.tuples(
    st.sampled_from([200, 200, 202, 302, 429, 503, 404, 500, 599]),
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("content-type", "retry-after", "location", "x-charged"), header_values)
    ),
    bodies,
)


def without_link(document):
    del document["paths"]["/speech"]["post"]["responses"]["202"]["links"]


@settings(deadline=None, max_examples=30)
@given(
    script=st.lists(answers, min_size=1, max_size=6),
    target=st.sampled_from(["one", "sync"]),
    edit=st.sampled_from([None, without_link]),
)
def test_every_response_leads_to_a_delivery(contract, script, target, edit):
    asked = []

    async def app(scope, receive, send):
        asked.append((scope["server"][0], dict(scope["headers"])))
        status, headers, body = script[min(len(asked), len(script)) - 1]
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    async def run():
        loaded = contract(edit)
        async with Transport(app=app) as transport:
            client = Client(loaded, transport, key=KEY, clock=VirtualClock())
            return await client.speak(loaded.find_target_by_name(target), SpeechRequest(text="hi"))

    delivery = asyncio.run(run())
    assert (delivery.audio is None) != (delivery.failure is None)
    assert delivery.audio != b""
    if delivery.failure is not None:
        assert "\n" not in delivery.failure.message
        assert KEY not in delivery.failure.message
        assert len(delivery.failure.message) < 1000
    assert all(host == "api.acme.test" for host, headers in asked if b"x-key" in headers)
    assert len(delivery.exchanges) == len(asked)


@given(odd_texts)
def test_no_odd_host_slips_past_the_guard_with_a_traceback(host):
    try:
        reject_private_host_literal(f"http://{host}/")
    except (ForbiddenAddressError, ValueError):
        return


@settings(deadline=None, max_examples=40)
@given(url=odd_texts, location=header_values)
def test_wherever_the_audio_leads_a_delivery_comes_of_it(contract, url, location):
    async def app(scope, receive, send):
        body = json.dumps({"id": "j1", "state": "done", "audio": url}).encode()
        first = scope["path"] == "/speech"
        headers = [] if first else [(b"location", location.encode("latin-1"))]
        await send({"type": "http.response.start", "status": 202 if first else 302, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def run():
        async with Transport(app=app) as transport:
            client = Client(contract(), transport, key=KEY, clock=VirtualClock())
            return await client.speak(contract().find_target_by_name("one"), SpeechRequest(text="hi"))

    delivery = asyncio.run(run())
    assert (delivery.audio is None) != (delivery.failure is None)


async def test_a_flood_of_states_is_bounded(contract):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 202, "headers": [(b"retry-after", b"0")]})
        await send({"type": "http.response.body", "body": b'{"id": "j1", "state": "working"}'})

    loaded = contract()
    async with Transport(app=app) as transport:
        client = Client(loaded, transport, key=KEY, clock=VirtualClock())
        delivery = await client.speak(loaded.find_target_by_name("one"), SpeechRequest(text="hi"))
    assert delivery.failure.kind == "timeout"
    assert len(delivery.exchanges) <= 300
