"""How a delivery without audio ends: its message, what its observer notes, and whether its job stays open."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import JSONResponse, Response

from voicegauge.client.client import Client
from voicegauge.client.exchange_log import (
    MAX_SUBMIT_AND_DOWNLOAD_S,
    DeliveryDeadline,
    DeliveryFailedError,
    DeliveryInterruptedError,
    describe_response,
)
from voicegauge.client.ledger import Ledger
from voicegauge.errors import StorageError
from voicegauge.model.exchange import Response as Answer
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from ..builders.scripted_provider import HELLO, KEY, Watcher, job_script

NOBODY = "http://127.0.0.1:1"
NOT_SHOWN = "\U0010ffff"
"""A character of four bytes that is not printable, of which several are shown as one space."""


async def unreachable(contract, **options):
    loaded, watcher = contract(), Watcher()
    async with Transport() as transport:
        client = Client(loaded, transport, base_urls={"": NOBODY}, key=KEY, clock=VirtualClock(), **options)
        return await client.speak(loaded.find_target_by_name("one"), HELLO, submit_observer=watcher), watcher.events


async def test_a_submit_that_cannot_connect_is_noted_as_not_sent_each_time(contract):
    delivery, events = await unreachable(contract)
    assert events == ["submitting", "not sent"] * 3
    assert (delivery.target, delivery.submit_count, delivery.billing_status) == ("acme/one", 3, "not_sent")
    assert not delivery.has_open_job
    assert "may have been charged" not in delivery.failure.message


async def test_a_delivery_without_time_for_a_retry_says_why_it_is_needed(contract):
    delivery, events = await unreachable(contract, max_wait_s=1)
    reason, _, limit = delivery.failure.message.partition("; ")
    assert "connect" in reason
    assert limit.startswith("a delivery may take 1 s, and the next attempt is due in 2")
    assert delivery.failure.kind == "timeout"
    assert events == ["submitting", "not sent"]


class LostResponse(Response):
    """A response that ends in the middle."""

    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})


async def test_a_lost_submit_is_not_noted_as_unsent(speak, script):
    script.on("POST /speech", LostResponse())
    watcher = Watcher()
    delivery, _ = await speak(submit_observer=watcher)
    assert watcher.events == ["submitting"]
    assert delivery.failure.message.endswith("; it may have been charged, so it was not sent again")


async def test_a_submit_that_cannot_be_noted_is_neither_sent_nor_spent(speak, script):
    class FullDisk(Watcher):
        def before_submit(self, idempotency_key=None):
            raise StorageError("no space left")

    ledger = Ledger(1.0)
    with pytest.raises(StorageError, match="no space left"):
        await speak(submit_observer=FullDisk(), ledger=ledger)
    assert script.requests == []
    assert (ledger.spent_usd, ledger.reserved_usd) == (0, 0)


async def test_a_job_whose_polls_get_no_response_stays_open(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", LostResponse())
    delivery, _ = await speak()
    assert delivery.failure.kind == "network"
    assert delivery.failure.message.endswith(" in 6 consecutive polls")
    assert script.routes.count("GET /jobs/j1") == 6
    assert delivery.has_open_job


async def test_a_job_whose_audio_comes_too_late_stays_open(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /files/a.wav", Response("loading", 503))
    delivery, _ = await speak(max_wait_s=2)
    assert delivery.failure.message.startswith(
        "HTTP 503: loading; a delivery may take 2 s, and the next attempt is due in 2"
    )
    assert (delivery.failure.kind, delivery.has_open_job) == ("timeout", True)


@pytest.mark.parametrize(
    ("body", "excerpt"),
    [
        ("very " * 40, ("very " * 40).strip()),
        ("very " * 41, "very " * 40 + "..."),
        ("a\n\tb", "a b"),
        ("", None),
        ("very " * 1000, "very " * 40 + "..."),
        ("\U00010000" * 4096, "\U00010000" * 200 + "..."),
        (NOT_SHOWN * 4000 + "\U00010000" * 96, "\U00010000" * 96),
        (NOT_SHOWN * 4000 + "\U00010000" * 97, "\U00010000" * (96 - len(KEY))),  # the cut may have split a key
        (NOT_SHOWN * 4000 + "\U00010000" * 200, "\U00010000" * (96 - len(KEY))),
    ],
)
async def test_a_rejection_quotes_the_beginning_of_its_body(speak, script, body, excerpt):
    script.on("POST /speech", Response(body, 422))
    delivery, _ = await speak()
    expected = f"HTTP 422: {excerpt}" if excerpt else "HTTP 422 with an empty body"
    assert (delivery.failure.kind, delivery.failure.message) == ("rejected", expected)


async def interrupted(contract, script, serve, target="one", routes=1, **options):
    """Speak, and cancel the task after so many requests have arrived."""
    base, loaded = await serve(script), contract()
    async with Transport() as transport:
        client = Client(loaded, transport, base_urls={"": base}, key=KEY)
        task = asyncio.create_task(client.speak(loaded.find_target_by_name(target), HELLO, **options))
        while len(script.requests) < routes:  # noqa: ASYNC110 - a script has no event
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(DeliveryInterruptedError) as caught:
            await task
    return caught.value.delivery


async def _never(_request):
    await asyncio.sleep(3600)


@pytest.mark.parametrize(("target", "route"), [("sync", "POST /say"), ("one", "POST /speech")])
async def test_a_delivery_that_is_interrupted_before_its_response_has_no_open_job(
    contract, script, serve, target, route
):
    script.on(route, _never)
    delivery = await interrupted(contract, script, serve, target)
    assert (delivery.failure.kind, delivery.has_open_job) == ("interrupted", False)
    assert delivery.failure.message == "interrupted before the delivery was complete"
    assert delivery.job is None


async def test_a_job_that_is_interrupted_stays_open_and_names_its_state(contract, script, serve, status):
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued"}, 202)).on("GET /jobs/j1", _never)
    delivery = await interrupted(contract, script, serve, routes=2)
    assert delivery.has_open_job
    assert delivery.failure.message == "interrupted before the delivery was complete, last seen: state 'queued'"


async def test_a_deadline_that_has_passed_says_how_long_a_delivery_may_take(contract):
    clock = VirtualClock()
    async with Transport() as transport:
        connection = Client(contract(), transport, key=KEY, clock=clock, max_wait_s=5)
    deadline = DeliveryDeadline(connection, max_job_duration_s=60)
    deadline.require_time("waiting")
    deadline.extend(1)
    await clock.sleep(5.5)
    deadline.require_time("waiting")
    await clock.sleep(0.5)
    with pytest.raises(DeliveryFailedError) as caught:
        deadline.require_time("no time is left for the next request")
    assert caught.value.failure.message == "no time is left for the next request; a delivery may take 5 s"
    assert str(caught.value) == caught.value.failure.message
    assert caught.value.is_temporary


def test_a_long_body_is_quoted_without_a_key_to_mask():
    assert describe_response(Answer(status=500, body=b"x" * 5_000), ()) == f"HTTP 500: {'x' * 200}..."
    body = (NOT_SHOWN * 4000 + "x" * 97).encode()
    assert describe_response(Answer(status=500, body=body), ()) == f"HTTP 500: {'x' * 95}"


async def test_a_delivery_may_take_as_long_as_its_job_and_its_transfers(contract):
    async with Transport() as transport:
        connection = Client(contract(), transport, key=KEY, clock=VirtualClock())
    assert DeliveryDeadline(connection).limit_s == MAX_SUBMIT_AND_DOWNLOAD_S
    assert DeliveryDeadline(connection, max_job_duration_s=60).limit_s == MAX_SUBMIT_AND_DOWNLOAD_S + 60


@pytest.mark.parametrize(
    ("media_type", "body", "shown"),
    [
        ("audio/wav", b"RIFF\0\0", "6 bytes of audio/wav"),
        ("", b"\0", "1 bytes of unknown type"),
        ("text/plain", b"a\0b", "a b"),
        ("application/json", b"{}", "{}"),
    ],
)
def test_binary_data_is_counted_and_text_is_quoted(media_type, body, shown):
    headers = (("Content-Type", media_type),) if media_type else ()
    assert describe_response(Answer(status=500, headers=headers, body=body), ()) == f"HTTP 500: {shown}"
