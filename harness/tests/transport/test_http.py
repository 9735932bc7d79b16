from __future__ import annotations

import asyncio
import functools
import gzip
import os
import socket
import ssl
import threading
import zlib

import h2.config
import h2.connection
import h2.events
import pytest

from voicegauge.errors import OversizeError, TransportError, UnreachableError, UsageError
from voicegauge.model.exchange import BodyPadding, Exchange, Request
from voicegauge.transport.http import Transport, find_proxy
from voicegauge.transport.timing import Timeouts

from ..builders.servers import accepting


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


async def get(transport: Transport, url: str, *headers: tuple[str, str]) -> Exchange:
    return await transport.send(Request(method="GET", url=url, headers=headers), provider_id="p", operation_id="o")


async def test_a_response_of_any_status_is_an_exchange(listen):
    async def handler(reader, writer):
        writer.write(answer(b"gone", "X-Why: moved", status="410 Gone"))

    async with Transport() as transport:
        exchange = await get(transport, await listen(handler))
    assert (exchange.provider, exchange.operation) == ("p", "o")
    assert exchange.response.status == 410
    assert exchange.response.body == b"gone"
    assert exchange.response.find_header("x-why") == "moved"


async def test_the_request_goes_out_as_it_is(listen):
    seen = []

    async def serve(reader, writer):
        seen.append(await reader.read(3))
        writer.write(answer(b""))

    url = await listen(serve)
    async with Transport() as transport:
        request = Request(method="POST", url=f"{url}/a?b=c", headers=(("X-One", "1"),), body=b"abc")
        exchange = await transport.send(request, provider_id="p", operation_id="o")
    assert exchange.request == request
    assert seen == [b"abc"]


async def test_a_connection_that_the_server_closed_while_this_process_was_busy_is_not_used():
    may_close, is_closed = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for _ in range(2):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer(b"x"))
                    may_close.wait(10)
                is_closed.set()

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with Transport() as transport:
            await get(transport, url)
            may_close.set()
            assert is_closed.wait(10)  # meanwhile the event loop cannot notice it
            assert (await get(transport, url)).response.body == b"x"
        server.join(10)


@pytest.mark.parametrize("in_process", [False, True])
async def test_the_padding_of_a_body_is_sent_and_not_kept(serve, in_process):
    received = bytearray()
    lengths = []

    async def app(scope, receive, send):
        lengths.append(dict(scope["headers"])[b"content-length"])
        more = True
        while more:
            message = await receive()
            received.extend(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    url = "http://p" if in_process else await serve(app)
    padding = BodyPadding(offset=1, size_bytes=600_000)
    async with Transport(app=app if in_process else None) as transport:
        request = Request(method="POST", url=url, body=b"ab", padding=padding)
        exchange = await transport.send(request, provider_id="p", operation_id="o")
    assert received == b"a" + bytes(600_000) + b"b"
    assert lengths == [b"600002"]
    assert exchange.request.body == b"ab"


async def test_nothing_is_added_to_a_request_but_what_http_needs():
    heads = []

    async def record(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer(b"", "Set-Cookie: a=b", "Connection: close"))

    async with accepting(record) as url, Transport() as transport:
        for _ in range(2):
            await get(transport, url, ("X-Mine", "1"))
    for head in heads:
        names = {line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:] if line}
        assert names == {b"host", b"x-mine"}


async def test_a_warm_connection_has_no_connect_time(serve):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    url = await serve(app)
    async with Transport() as transport:
        cold, warm = await get(transport, url), await get(transport, url)
    assert cold.timing.connect_ms is not None
    assert warm.timing.connect_ms is None
    assert warm.timing.started_ms >= cold.timing.started_ms + cold.timing.total_ms


async def test_in_process_nothing_is_timed(serve):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async with Transport(app=app) as transport:
        exchange = await get(transport, "http://provider.test/x")
    assert exchange.response.body == b"/x"
    assert exchange.timing is None
    assert transport.in_process


async def test_an_application_in_process_that_breaks_off_is_a_broken_connection():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async with Transport(app=app) as transport:
        with pytest.raises(UnreachableError, match="the response is incomplete") as broken:
            await get(transport, "http://provider.test/x")
    assert broken.value.request_was_sent


async def test_an_application_in_process_is_called_as_by_a_server():
    seen = {}

    async def app(scope, receive, send):
        seen.update(scope, body=(await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"X-One", b"1")]})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})
        assert (await receive())["type"] == "http.disconnect"

    url = "http://provider.test:81/a%2Fb/c?x=1%202"
    request = Request(method="POST", url=url, headers=(("X-Key", "k"),), body=b"hello")
    async with Transport(app=app) as transport:
        exchange = await transport.send(request, provider_id="p", operation_id="o")
    assert exchange.response.body == b"ab"
    assert exchange.response.find_header("x-one") == "1"
    assert (seen["method"], seen["raw_path"], seen["query_string"]) == ("POST", b"/a%2Fb/c", b"x=1%202")
    assert seen["body"] == b"hello"
    assert dict(seen["headers"]) == {b"host": b"provider.test:81", b"x-key": b"k", b"content-length": b"5"}


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/", "::", "http://[::1"])
async def test_redirects_are_not_followed(listen, location):
    async def handler(reader, writer):
        writer.write(answer(b"", f"Location: {location}", status="302 Found"))

    async with Transport() as transport:
        exchange = await get(transport, await listen(handler))
    assert exchange.response.status == 302


def raw_deflate(data: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(data) + squeezer.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:3]) + gzip.compress(data[3:])),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("gzip, deflate", lambda data: zlib.compress(gzip.compress(data))),
        ("identity", bytes),
    ],
)
async def test_content_encodings_are_undone(listen, encoding, compress):
    wire = compress(b"speech " * 50)

    async def handler(reader, writer):
        writer.write(answer(wire, f"Content-Encoding: {encoding}"))

    async with Transport() as transport:
        exchange = await get(transport, await listen(handler))
    assert exchange.response.body == b"speech " * 50
    assert sum(size for _, size in exchange.timing.chunk_arrivals) == len(wire)


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip, gzip"])
async def test_a_body_that_cannot_be_decoded_comes_as_it_is(listen, encoding):
    async def handler(reader, writer):
        writer.write(answer(b"no such thing", f"Content-Encoding: {encoding}"))

    async with Transport() as transport:
        exchange = await get(transport, await listen(handler))
    assert exchange.response.body == b"no such thing"


@pytest.mark.parametrize(("encoding", "rounds"), [("gzip", 1), ("gzip, gzip", 2)])
async def test_a_decompression_bomb_is_rejected(listen, encoding, rounds):
    bomb = b"\0" * 50_000_000
    for _ in range(rounds):
        bomb = gzip.compress(bomb, 6)

    async def handler(reader, writer):
        writer.write(answer(bomb, f"Content-Encoding: {encoding}"))

    async with Transport(max_body_bytes=1_000_000) as transport:
        with pytest.raises(OversizeError, match=r"127\.0\.0\.1.*1000000 bytes"):
            await get(transport, await listen(handler))


async def test_a_body_of_countless_members_comes_as_it_is(listen):
    """Each takes a copy of the rest: 64 MB of them would take an hour."""
    many = gzip.compress(b"") * 1_000

    async def handler(reader, writer):
        writer.write(answer(many, "Content-Encoding: gzip"))

    async with Transport() as transport:
        exchange = await get(transport, await listen(handler))
    assert exchange.response.body == many


async def test_a_body_that_is_too_large_is_rejected_while_it_arrives(listen):
    sent = []

    async def handler(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
            sent.append(10_000)
            await writer.drain()

    async with Transport(max_body_bytes=100_000) as transport:
        with pytest.raises(OversizeError, match="larger than 100000 bytes"):
            await get(transport, await listen(handler))


async def test_a_refused_connection_is_unreachable_and_nothing_was_sent():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with Transport() as transport:
        with pytest.raises(UnreachableError, match=rf"^127\.0\.0\.1:{port}: cannot connect: ") as caught:
            await get(transport, f"http://127.0.0.1:{port}/?key=sk-secret")
    assert not caught.value.request_was_sent
    assert "secret" not in str(caught.value)


async def test_an_unknown_name_is_unreachable():
    async with Transport() as transport:
        with pytest.raises(UnreachableError, match=r"^nowhere\.invalid: ") as caught:
            await get(transport, "http://nowhere.invalid/")
    assert not caught.value.request_was_sent


async def test_a_connection_that_breaks_was_sent(listen):
    async def handler(reader, writer):
        writer.close()

    async with Transport() as transport:
        with pytest.raises(UnreachableError, match="waiting for the response: connection lost") as caught:
            await get(transport, await listen(handler))
    assert caught.value.request_was_sent


def anonymous(side, **_options):
    context = ssl.SSLContext(side)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")  # no certificate is needed
    return context


@pytest.fixture
def tls_server_context(monkeypatch):
    client = functools.partial(anonymous, ssl.PROTOCOL_TLS_CLIENT)
    monkeypatch.setattr("voicegauge.transport.http.create_ssl_context", client)
    return anonymous(ssl.PROTOCOL_TLS_SERVER)


async def test_a_tls_handshake_is_timed_apart_and_a_warm_connection_has_none(tls_server_context):
    async def respond(reader, writer):
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(b"x" * 2**20))

    async with accepting(respond, tls_server_context) as url, Transport() as transport:
        cold, warm = await get(transport, url), await get(transport, url)
    assert cold.timing.tls_ms > 0
    assert cold.timing.delay_before_send_ms >= cold.timing.connect_ms + cold.timing.tls_ms
    assert (warm.timing.connect_ms, warm.timing.tls_ms) == (None, None)
    assert len(warm.response.body) == 2**20


class _Http2Server(asyncio.Protocol):
    """Responds to every request with its path."""

    def connection_made(self, transport):
        self.transport, self.http = transport, h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.http.initiate_connection()
        transport.write(self.http.data_to_send())

    def data_received(self, data):
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                path = dict(event.headers)[b":path"]
                self.http.send_headers(event.stream_id, [(":status", "200")])
                self.http.send_data(event.stream_id, path, end_stream=True)
        self.transport.write(self.http.data_to_send())


class RespondingServer:
    """Responds to every request on every connection, and counts the connections."""

    def __init__(self, context=None):
        self.context, self.connection_count = context, 0

    async def respond(self, reader, writer):
        self.connection_count += 1
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(b"ok"))

    def listen(self):
        return accepting(self.respond, self.context)


@pytest.mark.parametrize("has_tls", [False, True])
async def test_connections_are_opened_before_they_are_needed(has_tls, tls_server_context):
    server = RespondingServer(tls_server_context if has_tls else None)
    async with server.listen() as url:
        async with Transport() as transport:
            await transport.prepare_connections(url, 3)
            await transport.prepare_connections(url, 4)
            found = await asyncio.gather(*(get(transport, url) for _ in range(3)))
        assert [one.response.status for one in found] == [200] * 3
        assert [(one.timing.connect_ms, one.timing.tls_ms) for one in found] == [(None, None)] * 3
        assert server.connection_count == 4


async def test_a_prepared_connection_that_has_waited_for_long_is_not_used(monkeypatch):
    async with RespondingServer().listen() as url, Transport() as transport:
        await transport.prepare_connections(url, 1)
        monkeypatch.setattr("voicegauge.transport.network.MAX_PREPARED_CONNECTION_AGE_S", -1.0)
        assert (await get(transport, url)).timing.connect_ms is not None


async def test_a_host_that_cannot_be_reached_is_left_to_the_requests():
    async with Transport() as transport:
        await transport.prepare_connections("http://127.0.0.1:1/", 2)
        with pytest.raises(UnreachableError):
            await get(transport, "http://127.0.0.1:1/")


async def test_http_2_sends_requests_over_one_connection(tls_server_context):
    tls_server_context.set_alpn_protocols(["h2"])
    server = await asyncio.get_running_loop().create_server(_Http2Server, "127.0.0.1", 0, ssl=tls_server_context)
    async with server, Transport(http2=True) as transport:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        first = await get(transport, f"{url}/a")
        others = await asyncio.gather(*(get(transport, f"{url}/{name}") for name in "bc"))
    assert [exchange.response.body for exchange in (first, *others)] == [b"/a", b"/b", b"/c"]
    assert {exchange.timing.http_version for exchange in (first, *others)} == {"HTTP/2"}
    assert [exchange.timing.is_new_connection for exchange in (first, *others)] == [True, False, False]


async def test_a_record_that_tls_cannot_read_is_a_broken_connection(tls_server_context):
    async def garbled(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        os.write(writer.get_extra_info("socket").fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
        await reader.read()

    async with accepting(garbled, tls_server_context) as url, Transport() as transport:
        with pytest.raises(UnreachableError, match=r"waiting for the response: connection lost: .*SSL") as caught:
            await get(transport, url)
    assert caught.value.request_was_sent


async def test_plain_http_behind_https_is_unreachable(listen):
    async def handler(reader, writer):
        writer.write(answer(b""))

    url = (await listen(handler)).replace("http:", "https:")
    async with Transport(timeouts=Timeouts(connect_s=0.5)) as transport:
        with pytest.raises(TransportError) as caught:
            await get(transport, url)
    assert not caught.value.request_was_sent


@pytest.mark.parametrize("url", ["ftp://h/", "http:///x", "http://[::1", "http://h/\ud800", "http://h/\n", "nowhere"])
async def test_what_is_no_url_is_one_line(url):
    async with Transport() as transport:
        with pytest.raises(UnreachableError, match="the request cannot be sent") as caught:
            await get(transport, url)
    assert "\n" not in str(caught.value)
    assert not caught.value.request_was_sent


async def test_a_host_can_be_reached_at_a_given_address(listen):
    heads = []

    async def serve(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer(b"ok"))

    async with accepting(serve) as url, Transport() as transport:
        port = url.rpartition(":")[2]
        request = Request(method="GET", url=f"http://files.invalid:{port}/a")
        exchange = await transport.send(request, provider_id="p", operation_id="o", pinned_address="127.0.0.1")
    assert exchange.response.body == b"ok"
    assert f"host: files.invalid:{port}".encode() in heads[0].lower()


async def test_a_proxy_of_the_environment_is_used_but_not_for_this_machine(listen, monkeypatch):
    proxied = []

    async def handler(reader, writer):
        proxied.append(1)
        writer.write(answer(b"by proxy"))

    proxy = await listen(handler)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    async def direct(reader, writer):
        writer.write(answer(b"direct"))

    async with Transport() as transport:
        assert (await get(transport, "http://speech.test/")).response.body == b"by proxy"
        assert (await get(transport, await listen(direct))).response.body == b"direct"
        assert find_proxy("http://speech.test/") == proxy
        monkeypatch.setenv("no_proxy", "speech.test")
        assert find_proxy("http://speech.test/") is None
    assert len(proxied) == 1


async def test_a_request_that_a_proxy_lets_not_through_was_not_sent(listen, monkeypatch):
    async def handler(reader, writer):
        writer.write(answer(b"", status="407 Proxy Authentication Required"))

    monkeypatch.setenv("https_proxy", await listen(handler))
    monkeypatch.delenv("no_proxy", raising=False)
    async with Transport() as transport:
        with pytest.raises(UnreachableError, match=r"^speech\.test: the proxy does not connect: 407 Proxy") as caught:
            await get(transport, "https://speech.test/")
    assert not caught.value.request_was_sent


@pytest.mark.parametrize("proxy", ["nonsense://user:word@h.test", "http://[::1"])
async def test_a_proxy_that_cannot_be_used_is_one_line(monkeypatch, proxy):
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    async with Transport() as transport:
        with pytest.raises(UsageError, match="the proxy named by the environment cannot be used") as caught:
            await get(transport, "https://speech.test/")
    assert "word" not in str(caught.value)


async def test_hosts_at_one_address_share_no_connection(serve):
    connections = []

    async def app(scope, receive, send):
        connections.append(scope["client"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    port = (await serve(app)).rpartition(":")[2]
    async with Transport() as transport:
        for host in ("one.invalid", "one.invalid", "two.invalid"):
            request = Request(method="GET", url=f"http://{host}:{port}/")
            await transport.send(request, provider_id="p", operation_id="o", pinned_address="127.0.0.1")
    assert connections[0] == connections[1] != connections[2]
