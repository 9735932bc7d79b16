"""The operating system says when bytes were sent and arrived, also if this process sends or reads them late."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from voicegauge.emulator.process import create_server_certificate
from voicegauge.model.exchange import Exchange, Request
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import PacketTimingSocket

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands over when packets arrived")


@pytest.fixture(autouse=True, scope="module")
def keep_packet_times() -> Iterator[None]:
    """Keep open a socket that asks for packet times, and wait until there are any.

    Linux begins to note when packets arrive a moment after the first socket of the machine asks for it: its
    `net_enable_timestamp` leaves that to a work queue. Until then the time of arrival is that of reading.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        sender = stack.enter_context(socket.create_connection(listener.getsockname()))
        receiver = stack.enter_context(PacketTimingSocket.adopt_connection(listener.accept()[0]))
        for _ in range(1000 if sys.platform == "linux" else 0):
            sender.sendall(b"x")
            time.sleep(0.001)
            reading_s = time.perf_counter()
            receiver.recv(10)
            if receiver.arrival_time_s < reading_s:
                break
        yield


@contextlib.contextmanager
def respond_from_thread(
    before_response: Callable[[bytes], None],
    after_response: Callable[[], None] = lambda: None,
    context: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """Serve one connection; the callbacks run in the thread of the server. Yields its URL."""

    def serve() -> None:
        connected, _ = listener.accept()
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a client that is busy acknowledges late
        with connected if context is None else context.wrap_socket(connected, server_side=True) as stream:
            while data := stream.recv(2**20):
                before_response(data)
                stream.sendall(RESPONSE)
                after_response()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"{'https' if context else 'http'}://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


async def send(transport: Transport, url: str) -> Exchange:
    request = Request(method="POST", url=url, body=b"body")
    return await transport.send(request, provider_id="p", operation_id="o")


@needs_linux
@pytest.mark.parametrize("has_tls", [False, True])
async def test_a_busy_event_loop_does_not_make_a_response_late(
    monkeypatch: pytest.MonkeyPatch, *, has_tls: bool
) -> None:
    loop, is_busy, has_responded = asyncio.get_running_loop(), threading.Event(), threading.Event()
    arrived_before_s: list[float] = []

    def block_event_loop() -> None:
        is_busy.set()
        has_responded.wait()
        time.sleep(0.01)
        arrived_before_s.append(time.perf_counter())
        time.sleep(0.01)

    def keep_event_loop_busy(_request: bytes) -> None:
        loop.call_soon_threadsafe(block_event_loop)
        is_busy.wait()

    with contextlib.ExitStack() as stack:
        context = None
        if has_tls:
            identity = stack.enter_context(create_server_certificate("127.0.0.1"))
            monkeypatch.setenv("SSL_CERT_FILE", str(identity.authority_file))
            context = identity.ssl_context
        url = stack.enter_context(respond_from_thread(keep_event_loop_busy, has_responded.set, context))
        async with Transport() as transport:
            timing = (await send(transport, url)).timing
    assert timing is not None
    first_byte_ms = timing.started_ms + timing.delay_before_send_ms + timing.send_ms + timing.ttfb_ms
    assert first_byte_ms / 1000 <= arrived_before_s[0]
    assert timing.started_ms + timing.total_ms == pytest.approx(first_byte_ms + timing.receive_ms)


@needs_linux
async def test_a_request_counts_from_when_it_was_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    moments_s: list[float] = []
    send_bytes = socket.socket.send

    def send_late(sender: socket.socket, data: bytes, flags: int = 0) -> int:
        time.sleep(0.01)  # as long as another thread has the processor
        moments_s.append(time.perf_counter())
        count = send_bytes(sender, data, flags)
        moments_s.append(time.perf_counter())
        time.sleep(0.01)
        return count

    with respond_from_thread(lambda _request: None) as url:
        async with Transport() as transport:
            monkeypatch.setattr(socket.socket, "send", send_late)
            timing = (await send(transport, url)).timing
    assert timing is not None
    sent_s = (timing.started_ms + timing.delay_before_send_ms + timing.send_ms) / 1000
    assert moments_s[0] - 1e-3 <= sent_s <= moments_s[1], "converted between two clocks"
    assert timing.send_ms == 0


@needs_linux
def test_an_unread_time_of_sending_does_not_look_like_something_to_read() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        sender = PacketTimingSocket.adopt_connection(socket.create_connection(listener.getsockname()))
        stack.enter_context(sender).setblocking(False)
        poll = select.poll()
        poll.register(sender.fileno(), select.POLLIN)
        socket.socket.send(sender, b"x")
        assert poll.poll(0), "the time is there"
        with pytest.raises(BlockingIOError):
            sender.recv(10)
        assert not poll.poll(0)


async def test_the_head_and_the_body_of_a_request_are_sent_together() -> None:
    received: list[bytes] = []
    with respond_from_thread(received.append) as url:
        async with Transport() as transport:
            await send(transport, url)
    assert [one.endswith(b"\r\n\r\nbody") for one in received] == [True]


def read_once(monkeypatch: pytest.MonkeyPatch, *, clock_step_s: float = 0.0, has_packets: bool = True) -> list[float]:
    """Return when bytes were sent, about to be read, said to have arrived, and read."""
    with contextlib.ExitStack() as stack:
        if has_packets:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            sender = stack.enter_context(socket.create_connection(listener.getsockname()))
            connected = listener.accept()[0]
        else:
            sender, connected = map(stack.enter_context, socket.socketpair())
        receiver = stack.enter_context(PacketTimingSocket.adopt_connection(connected))
        if clock_step_s:
            time_ns = time.time_ns
            monkeypatch.setattr(time, "time_ns", lambda: time_ns() + round(clock_step_s * 1e9))
        sent_s = time.perf_counter()
        sender.sendall(b"x")
        time.sleep(0.01)
        reading_s = time.perf_counter()
        assert receiver.recv(10) == b"x"
        return [sent_s, reading_s, receiver.arrival_time_s, time.perf_counter()]


@needs_linux
def test_bytes_arrived_before_they_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    sent_s, reading_s, arrived_s, _ = read_once(monkeypatch)
    assert sent_s - 1e-3 <= arrived_s < reading_s, "converted between two clocks"


def test_without_packets_bytes_arrive_when_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    _, reading_s, arrived_s, read_s = read_once(monkeypatch, has_packets=False)
    assert reading_s <= arrived_s <= read_s


@pytest.mark.parametrize("clock_step_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_leaves_times_between_opening_and_reading(
    monkeypatch: pytest.MonkeyPatch, clock_step_s: float
) -> None:
    opened_s = time.perf_counter()
    *_, arrived_s, read_s = read_once(monkeypatch, clock_step_s=clock_step_s)
    assert opened_s <= arrived_s <= read_s


def test_a_loop_that_uses_the_descriptor_alone_is_not_woken_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvicorn uses uvloop where it is installed")
    adopt, adopted, found = PacketTimingSocket.adopt_connection, list[socket.socket](), list[object]()

    def note_adopted_socket(connected: socket.socket, *, has_packet_times: bool = True) -> PacketTimingSocket:
        adopted.append(taken := adopt(connected, has_packet_times=has_packet_times))
        return taken

    def look_for_events(_request: bytes) -> None:
        poller = select.poll()
        poller.register(adopted[0], select.POLLIN)
        time.sleep(0.02)
        found.extend(poller.poll(0))

    async def send_one_request(url: str) -> Exchange:
        async with Transport() as transport:
            return await send(transport, url)

    monkeypatch.setattr(PacketTimingSocket, "adopt_connection", note_adopted_socket)
    with respond_from_thread(look_for_events) as url:
        timing = uvloop.run(send_one_request(url)).timing
    assert not found, "times of sent packets keep the loop busy until the response arrives"
    assert timing.ttfb_ms >= 20, "the time of arrival is that of the data, not that of the connection"
