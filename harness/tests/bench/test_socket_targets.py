"""Benchmarks of targets that speak over WebSockets: turns as deliveries, beside those over HTTP."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

import voicegauge
from voicegauge.bench.speech_summaries import summarize_sockets
from voicegauge.cli import run
from voicegauge.client.client import Client
from voicegauge.client.ledger import Ledger
from voicegauge.client.socket_delivery import SocketDeliveries
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.process import RunningEmulator
from voicegauge.errors import BudgetError, NothingMeasuredError, TransportError, VoicegaugeError
from voicegauge.model.base import Provenance, TextPacing
from voicegauge.model.exchange import Delivery, Failure, Interruption, Request, SocketClose
from voicegauge.model.price import PriceRange
from voicegauge.model.sample import Sample
from voicegauge.report._result_tables import build_comparison_columns
from voicegauge.transport.http import Transport

from ..builders.documented_examples import read_example
from ..builders.notices import NoticeList

CATALOGUE = load_catalogue()
TEXT = "Hello there. How are you today?"
ResultT = TypeVar("ResultT")


def speak_with(
    emulator: RunningEmulator,
    target_id: str,
    use: Callable[[Callable[[], Awaitable[Delivery]]], Awaitable[ResultT]],
    *,
    key: str = "k",
    budget_usd: float = 1.0,
    max_wait_s: float | None = None,
) -> tuple[ResultT, float]:
    """Return what `use` returns for a function that speaks `TEXT`, and what was spent."""
    target = CATALOGUE.socket_targets[target_id]

    async def run() -> tuple[ResultT, float]:
        ledger = Ledger(budget_usd)
        async with Transport() as transport:
            base_urls = {"": emulator.base_url(target.contract.id)}
            client = Client(
                target.contract, transport, base_urls=base_urls, key=key, ledger=ledger, max_wait_s=max_wait_s
            )
            deliveries = SocketDeliveries()
            try:
                result = await use(lambda: deliveries.speak(client, target, TEXT))
            finally:
                await deliveries.close()
            return result, ledger.spent_usd

    return asyncio.run(run())


async def speak_three_times(speak: Callable[[], Awaitable[Delivery]]) -> list[Delivery]:
    return [await speak() for _ in range(3)]


@pytest.mark.parametrize(
    ("target_id", "is_kept"), [("cartesia/sonic-3.5-socket", True), ("elevenlabs/flash-stream-input", False)]
)
def test_turns_of_a_connection_are_timed_from_their_own_text(target_id: str, is_kept: bool) -> None:
    with voicegauge.emulate(target_id.partition("/")[0], time_scale=0.1) as emulator:
        delivered, spent_usd = speak_with(emulator, target_id, speak_three_times)
    assert spent_usd > 0
    timings = []
    for delivery in delivered:
        (exchange,) = delivery.exchanges
        assert delivery.failure is None
        assert exchange.timing is not None
        assert delivery.audio == exchange.response.body
        assert sum(size for _, size in exchange.timing.chunk_arrivals) == len(exchange.response.body) > 24_000
        assert 0 < exchange.timing.ttfb_ms == exchange.timing.chunk_arrivals[0][0] < exchange.timing.total_ms
        timings.append(exchange.timing)
    # The handshake belongs to the first turn only, or to every turn if a connection has one.
    assert [timing.connect_ms is not None for timing in timings] == [True, not is_kept, not is_kept]
    assert len({timing.ttfb_ms for timing in timings}) == 3
    assert timings[0].started_ms + timings[0].total_ms <= timings[1].started_ms


@pytest.mark.parametrize(
    ("fault", "kind", "max_wait_s"),
    [("socket-closed-early", "network", None), ("socket-end-missing", "timeout", 2.0)],
)
def test_a_turn_that_does_not_end_is_a_failure(fault: str, kind: str, max_wait_s: float | None) -> None:
    with voicegauge.emulate("deepgram", time_scale=0.02, faults=[fault]) as emulator:
        delivered, spent_usd = speak_with(
            emulator, "deepgram/aura-2-socket", lambda speak: speak(), max_wait_s=max_wait_s
        )
    assert delivered.failure is not None
    assert delivered.failure.kind == kind
    assert spent_usd == pytest.approx(0.03 * len(TEXT) / 1000, abs=1e-6)  # the text was sent, so it may be charged


def test_a_rejected_connection_costs_nothing() -> None:
    with voicegauge.emulate("cartesia", time_scale=0.02) as emulator:
        delivery, spent_usd = speak_with(emulator, "cartesia/sonic-3.5-socket", lambda speak: speak(), key="invalid")
    assert delivery.failure is not None
    assert (delivery.failure.kind, delivery.failure.http_status, spent_usd) == ("rejected", 401, 0)


def test_nothing_is_sent_beyond_the_budget() -> None:
    with voicegauge.emulate("cartesia", time_scale=0.02) as emulator, pytest.raises(BudgetError):
        speak_with(emulator, "cartesia/sonic-3.5-socket", lambda speak: speak(), budget_usd=0.000001)


def test_targets_over_both_transports_are_in_one_run(tmp_path: Path) -> None:
    names = ["cartesia/sonic-3.5-socket", "cartesia/sonic-3.5", "deepgram/aura-2-socket"]
    texts = tmp_path / "texts.txt"
    texts.write_text(f"{TEXT}\nAnother sentence, for a second sample.\n")
    result = voicegauge.benchmark(
        names, texts=texts, asr="none", warmup=0, write_html_report=False, out=tmp_path / "runs"
    )
    assert {target.target for target in result.targets} == set(names)
    assert all(target.failure_count == 0 for target in result.targets)
    for sample in voicegauge.load_run(result.folder).samples:
        assert sample.latency is not None
        assert sample.latency.ttfa_ms is not None
        assert sample.streaming is not None
        assert sample.audio is not None
        assert sample.audio.audio_duration_s is not None
        assert sample.audio.audio_duration_s > 1


def test_a_text_in_pieces_is_timed_from_its_first_and_its_last_piece(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    text = "Yes. The train to the coast leaves from platform nine every morning."
    texts.write_text(f"{text}\n")
    pieces_per_s, burst = 40.0, 2
    text_count = len(list(TextPacing(pieces_per_s=pieces_per_s, burst=burst).split_text(text)))
    result = voicegauge.benchmark(
        ["cartesia/sonic-3.5-socket", "cartesia/sonic-3.5"],
        texts=texts,
        text_pieces_per_s=pieces_per_s,
        text_burst=burst,
        repetitions=2,
        asr="none",
        out=tmp_path / "reports",
        write_html_report=False,
    )
    run = voicegauge.load_run(result.folder)
    assert run.manifest.text_pacing is not None
    assert run.manifest.text_pacing.describe() == "40 pieces/s, 2 at a time"
    summaries = {one.target: one for one in result.targets}
    assert summaries["cartesia/sonic-3.5"].ttfa_after_text_ms is None
    differences = []
    for sample in run.samples:
        if sample.target == "cartesia/sonic-3.5-socket" and not sample.is_warmup:
            latency, phases = sample.latency, sample.request_phases
            assert latency is not None
            assert latency.ttfa_ms is not None
            assert phases is not None
            # The first piece may be late on a busy machine, the others keep their times.
            assert phases.send_ms >= 0.7 * (text_count - 1) * burst / pieces_per_s * 1000
            # Speech may begin before the last piece: nothing is cut off at zero.
            assert latency.ttfa_ms == pytest.approx(phases.send_ms + phases.server_ms)
            differences.append(latency.ttfa_ms - phases.send_ms)
    after_text = summaries["cartesia/sonic-3.5-socket"].ttfa_after_text_ms
    assert after_text is not None
    assert after_text.value == pytest.approx(sum(differences) / 2)


def test_targets_that_are_not_interrupted_or_flushed_are_named() -> None:
    notices = NoticeList()
    names = ["cartesia/sonic-3.5-socket", "elevenlabs/flash-stream-input", "deepgram/aura-2"]
    options = {"interrupts": True, "flushes_text": True, "text_pieces_per_s": 20.0}
    voicegauge.plan_benchmark(names, max_texts=1, progress=notices, **options)
    interrupted, flushed, whole = (line for line in notices.lines if line.startswith(("not ", "text sent")))
    assert interrupted.endswith("cancels a turn: elevenlabs/flash-stream-input, deepgram/aura-2")
    assert flushed.endswith("flushes a text: deepgram/aura-2")
    assert whole.endswith("accepts it in pieces: deepgram/aura-2")


def test_an_interrupted_turn_counts_in_every_price_of_a_request(tmp_path: Path) -> None:
    """Only third parties state a price of Cartesia's in dollars, so that its requests have no price of their own."""
    texts = tmp_path / "texts.txt"
    texts.write_text(f"{TEXT}\n")
    options: dict[str, Any] = {"texts": texts, "repetitions": 1, "warmup": 0, "asr": "none", "out": tmp_path / "runs"}

    def measure_price(target_id: str, *, interrupts: bool) -> PriceRange:
        result = voicegauge.benchmark([target_id], interrupts=interrupts, write_html_report=False, **options)
        (target,) = result.targets
        return target.cost.price_per_request

    for target_id in ("cartesia/sonic-3.5-socket", "deepgram/aura-2-socket"):
        alone, interrupted = (measure_price(target_id, interrupts=value) for value in (False, True))
        assert alone.high_usd
        assert interrupted.high_usd == pytest.approx(2 * alone.high_usd)
        assert interrupted.usd == (None if alone.usd is None else pytest.approx(2 * alone.usd))


@pytest.mark.slow
def test_twenty_interruptions_are_in_the_report_of_a_benchmark(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("The train to the coast leaves from platform nine every morning, and stops in four villages.\n")
    names = ["deepgram/aura-2-socket", "cartesia/sonic-3.5-socket", "elevenlabs/flash-stream-input", "deepgram/aura-2"]
    result = voicegauge.benchmark(
        names, texts=texts, repetitions=20, interrupts=True, flushes_text=True, asr="none", out=tmp_path / "reports"
    )
    summaries = {one.target: one for one in result.targets}
    assert all(one.failure_count == 0 for one in result.targets)
    assert summaries["deepgram/aura-2"].socket is None
    only_one = summaries["elevenlabs/flash-stream-input"].socket  # a connection has one turn, so nothing follows
    assert only_one is not None
    assert only_one.interruptions is None
    stopping, finishing = (summaries[name].socket for name in names[:2])
    assert stopping is not None
    assert finishing is not None
    for one in (stopping, finishing):
        assert one.interruptions is not None
        assert (one.interruptions.interruption_count, one.interruptions.silent_count) == (20, 0)
        assert one.interruptions.next_audio_ms is not None
        assert one.interruptions.next_audio_ms.value > 0
        assert one.handshake_ms is not None
        assert one.ttfa_after_flush_ms is not None
    # Deepgram documents that Clear stops; Cartesia, that a running generation is finished.
    assert stopping.interruptions is not None
    assert stopping.interruptions.late_audio_s is not None
    assert stopping.interruptions.late_audio_s.value < 1
    assert finishing.interruptions is not None
    assert finishing.interruptions.late_audio_s is not None
    assert finishing.interruptions.late_audio_s.value > 2
    samples = [one for one in voicegauge.load_run(result.folder).samples if not one.is_warmup]
    prices = {one.target: one.cost.price_usd for one in samples}
    characters = len(samples[0].text)
    assert prices["deepgram/aura-2-socket"] == pytest.approx(2 * 0.03 * characters / 1000)  # both turns are charged
    assert prices["deepgram/aura-2"] == pytest.approx(0.03 * characters / 1000)
    page = (Path(result.folder) / "report.html").read_text()
    for heading in ("TTFA after flush", "Handshake", "Next turn after a cancellation", "Speech after a cancellation"):
        assert heading in page
    section = page[page.index('<div id="target-deepgram-aura-2-socket"') :]
    for name in ("First byte of audio, after the flush", "Next turn speaks after a cancellation"):
        assert f"<dt>{name}</dt>" in section[: section.index("</dl>")]
    initial = {column.key for column in build_comparison_columns(result.targets, 500) if column.is_shown_initially}
    assert {"latency", "ttfa"} <= initial, "voice agents choose by the time to first audio"


def test_one_interruption_is_printed_in_the_singular(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--interrupt", "--limit", "1", "--repetitions", "1", "--warmup", "0", "--asr", "none"]
    assert run(["bench", "deepgram/aura-2-socket", *options, "--out", str(tmp_path)]) == 0
    assert "deepgram/aura-2-socket: 1 interruption: last audio " in capsys.readouterr().out


def test_a_first_audio_that_comes_late_shows_in_the_time_to_first_audio(tmp_path: Path) -> None:
    """No document states a time, so that no rule can be broken."""
    target, first_audio_ms = "cartesia/sonic-3.5-socket", []
    for faults in ([], ["socket-first-audio-late"]):
        result = voicegauge.benchmark(
            target, max_texts=1, warmup=0, faults=faults, asr="none", listens=False, out=tmp_path / str(len(faults))
        )
        (summary,) = result.targets
        assert summary.ttfa_ms is not None
        first_audio_ms.append(summary.ttfa_ms.value)
    usual_ms, late_ms = first_audio_ms
    assert late_ms >= 2000
    assert late_ms > usual_ms


def test_an_interrupted_turn_is_reserved_with_its_price() -> None:
    target = CATALOGUE.socket_targets["deepgram/aura-2-socket"]
    price = 0.03 * len(TEXT) / 1000

    async def speak(emulator: RunningEmulator, budget_usd: float) -> tuple[Delivery, float]:
        async with Transport() as transport:
            ledger, base_urls = Ledger(budget_usd), {"": emulator.base_url("deepgram")}
            client = Client(target.contract, transport, base_urls=base_urls, key="k", ledger=ledger)
            deliveries = SocketDeliveries()
            try:
                return await deliveries.speak(client, target, TEXT, interrupts=True), ledger.spent_usd
            finally:
                await deliveries.close()

    with voicegauge.emulate("deepgram", time_scale=0.1) as emulator:
        with pytest.raises(BudgetError):
            asyncio.run(speak(emulator, 1.5 * price))
        delivery, spent_usd = asyncio.run(speak(emulator, 2.5 * price))
    assert delivery.interruption is not None
    assert spent_usd == pytest.approx(2 * price, abs=1e-6)


def test_medians_and_worst_cases_of_interruptions() -> None:
    def build(number: int, last_ms: float | None, late_s: float | None, next_ms: float | None) -> Sample:
        return Sample(
            id=f"{number}",
            target="a/b",
            text_id=f"t{number}",
            text="x",
            language="en",
            category="c",
            session=1,
            repetition=1,
            is_warmup=False,
            started_at="2026-11-25T00:00:00Z",
            submit_count=1,
            poll_count=0,
            interruption=Interruption(last_audio_ms=last_ms, late_audio_s=late_s, next_audio_ms=next_ms),
        )

    samples = [build(1, None, 0.0, 90.0), build(2, 40.0, 0.2, 130.0), build(3, 70.0, 0.4, None)]
    summary = summarize_sockets(samples, [])
    assert summary is not None
    found = summary.interruptions
    assert found is not None
    assert (found.interruption_count, found.silent_count) == (3, 1)
    assert found.last_audio_ms is not None
    assert found.late_audio_s is not None
    assert found.next_audio_ms is not None
    assert (found.last_audio_ms.value, found.last_audio_max_ms) == (40.0, 70.0)
    assert found.late_audio_s.value == pytest.approx(0.2)
    assert (found.next_audio_ms.value, found.next_audio_max_ms) == (110.0, 130.0)
    assert summarize_sockets([], []) is None


def test_a_certificate_that_is_not_trusted_is_named_with_the_remedy() -> None:
    with voicegauge.emulate("cartesia", tls=True) as emulator:
        delivery, spent_usd = speak_with(emulator, "cartesia/sonic-3.5-socket", lambda speak: speak())
        with pytest.raises(TransportError, match="set SSL_CERT_FILE"):
            asyncio.run(send_over_http(emulator.base_url("cartesia")))
    assert delivery.failure is not None
    assert "set SSL_CERT_FILE" in delivery.failure.message
    assert spent_usd == 0


async def send_over_http(url: str) -> None:
    async with Transport() as transport:
        await transport.send(Request(method="GET", url=url), provider_id="cartesia", operation_id="x")


@contextmanager
def own_server(
    tmp_path: Path, behave: Callable[[ServerConnection], None], rejection: str | None = None
) -> Iterator[tuple[Path, str]]:
    """Run the server of the guide, which does `behave` with each connection; yield its contracts and its URL.

    With a `rejection`, it answers each handshake with status 500 and this body.
    """

    def answer(connection: ServerConnection, _request: object) -> Any:
        return None if rejection is None else connection.respond(500, rejection)

    own = tmp_path / "contracts" / "my-server" / "asyncapi.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(read_example("realtime.md", "my-server"))
    with serve(behave, "127.0.0.1", 0, process_request=answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield own.parent.parent, f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def fail_with(
    tmp_path: Path, behave: Callable[[ServerConnection], None], max_wait_s: float | None = None
) -> list[Failure]:
    """Return the failures of a benchmark of a server of one's own."""
    with own_server(tmp_path, behave) as (contracts, url), suppress(NothingMeasuredError):
        voicegauge.benchmark(
            "my-server/speech",
            contracts=contracts,
            live=voicegauge.LiveOptions(base_urls={"": url}),
            max_texts=1,
            repetitions=1,
            warmup=0,
            asr="none",
            max_wait_s=max_wait_s,
            write_html_report=False,
            out=tmp_path / "runs",
        )
    (folder,) = (tmp_path / "runs").iterdir()
    return [one.failure for one in voicegauge.load_run(folder).samples if one.failure is not None]


def test_a_server_that_closes_at_once_has_not_rejected_the_handshake(tmp_path: Path) -> None:
    (failure,) = fail_with(tmp_path, lambda connection: connection.close(1008, "no such voice"))
    closed = "the service ends the connection with code 1008 (no such voice)"
    assert failure.kind == "network"
    assert failure.http_status is None
    assert failure.message in {f"{closed} before the first turn", f"{closed} in the middle of a turn", closed}


def test_a_server_that_closes_in_a_turn_is_quoted(tmp_path: Path) -> None:
    def close(connection: ServerConnection) -> None:
        connection.recv()
        connection.close(1011, "overloaded")

    (failure,) = fail_with(tmp_path, close)
    assert failure == Failure(
        kind="network", message="the service ends the connection with code 1011 (overloaded) in the middle of a turn"
    )


def test_the_body_of_a_rejected_handshake_is_quoted_without_the_key(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MY_SERVER_KEY", "k-1234567890")
    body = f"out of memory for k-1234567890 {'x' * 5000}"
    with own_server(tmp_path, lambda _: None, body) as (contracts, url):
        allowed = [f"MY_SERVER_KEY={url.removeprefix('ws://')}"]
        live = voicegauge.LiveOptions(base_urls={"": url}, allowed_keys=allowed)
        report = voicegauge.check("my-server", contracts=contracts, live=live)
    evidence = [one.evidence or "" for one in report.findings if one.rule == "socket-handshake"]
    assert evidence
    for one in evidence:
        assert "out of memory for " in one
        assert "k-1234567890" not in one
        assert len(one) < 1000


def test_a_close_without_a_reason_says_so() -> None:
    close = SocketClose(closed_by="server", at_ms=1.0, code=1011)
    assert close.describe() == "the service ends the connection with code 1011 without a reason"


def test_messages_that_are_not_understood_are_counted_beside_the_missing_end(tmp_path: Path) -> None:
    def answer(connection: ServerConnection) -> None:
        connection.recv()
        for text in ("garbage", '{"x": 1}'):
            connection.send(text)
        with suppress(ConnectionClosed):
            for _ in range(2):
                connection.recv()

    (failure,) = fail_with(tmp_path, answer, max_wait_s=2.0)
    assert failure.kind == "timeout"
    expected = "no end of the turn within 2 s (2 of 2 received messages not described by the document)"
    assert failure.message == expected


def test_the_wait_of_the_user_bounds_the_handshake(tmp_path: Path) -> None:
    contract = tmp_path / "my-server" / "asyncapi.yaml"
    contract.parent.mkdir()
    contract.write_text(read_example("realtime.md", "my-server"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        live = voicegauge.LiveOptions(base_urls={"": url})
        with pytest.raises(VoicegaugeError, match=r"no WebSocket handshake within 0\.5 s"):
            voicegauge.check("my-server", contracts=tmp_path, live=live, max_wait_s=0.5)


def test_a_server_on_this_machine_that_the_contract_names_is_no_stand_in(tmp_path: Path) -> None:
    def close(connection: ServerConnection) -> None:
        connection.recv()
        connection.close(1011, "overloaded")

    fail_with(tmp_path, close)
    (folder,) = (tmp_path / "runs").iterdir()
    manifest = voicegauge.load_run(folder).manifest
    assert manifest.provenance is Provenance.LIVE
    assert not manifest.is_rehearsal
    hosted = msgspec.structs.replace(manifest.targets[0], is_self_hosted=False)
    assert msgspec.structs.replace(manifest, targets=(hosted,)).is_rehearsal
