from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request as ReceivedRequest
from starlette.responses import Response as SentResponse
from starlette.routing import Route

from voicegauge.client.client import Client
from voicegauge.client.http_request import MAX_INLINE_CONTENT_CHARACTERS, build_curl_command
from voicegauge.client.speech_request import RequestParts
from voicegauge.formats.bodies import read_form
from voicegauge.model.exchange import Request, UploadedFile
from voicegauge.transport.http import Transport

KEY = "k-secret-123456"
HOSTILE = [
    "it's $HOME `id` $(id) !! \\ \" & ; | > < * ? ~ # % {a,b} [x]",
    "'; touch /tmp/owned; '",
    "-o/tmp/owned",
    "@/etc/passwd",
    "two\nlines\tand \x1b[201~ a terminal \x07\x00 sequence",
    "\u202eright to left\u2066 \u200d \U0001f469\u200d\U0001f467",
    "",
]
"""Texts that mean something to a shell, to curl or to a terminal."""


@pytest.fixture(scope="session")
def asked(contract):
    transport = Transport()

    def make(operation="submit", edit=None, key=KEY, **wire):
        loaded = contract(edit)
        client = Client(loaded, transport, key=key)
        return client.build_request(loaded.find_operation(operation), RequestParts(**wire)), loaded

    return make


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """The folder in which files for commands are saved."""
    folder = tmp_path_factory.mktemp("cache's folder")
    monkeypatch.setenv("VOICEGAUGE_CACHE", str(folder))
    return folder


def echoed(command: str) -> list[str]:
    """The arguments that curl would get from a shell."""
    line = command.replace("curl ", "printf '%s\\0' ", 1)
    done = subprocess.run(["/bin/bash", "-c", line], capture_output=True, check=True, env={"ACME_KEY": "mine"})
    return done.stdout.decode().split("\0")[:-1]


def test_the_command_carries_the_variable_instead_of_the_key(asked):
    command = build_curl_command(*asked(body={"text": "it's $5"}))
    assert KEY not in command
    assert '"X-Key: $ACME_KEY"' in command
    arguments = echoed(command)
    assert arguments[:3] == ["-sS", "-i", "https://api.acme.test/speech"]
    assert "X-Key: mine" in arguments
    assert json.loads(arguments[arguments.index("--data-raw") + 1]) == {"text": "it's $5"}


@settings(deadline=None, max_examples=25)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_survives_the_shell(asked, text):
    request, loaded = asked(body={"text": text}, query_parameters={"q": text})
    arguments = echoed(build_curl_command(request, loaded))
    assert arguments[2] == request.url
    assert json.loads(arguments[arguments.index("--data-raw") + 1]) == {"text": text}


hostile = st.sampled_from(HOSTILE) | st.text(max_size=30)


@settings(deadline=None, max_examples=60)
@given(
    method=st.sampled_from(["GET", "POST", "PATCH", "DELETE", "G;T", "-o", "GET "]) | hostile,
    path=hostile,
    headers=st.lists(st.tuples(hostile | st.sampled_from(["X-Key", "Cookie", "X-A", "Authorization"]), hostile)),
    body=st.binary(max_size=20) | hostile.map(lambda text: text.encode(errors="ignore")),
)
@example(method="POST", path="", headers=[("X-Key", "it's ! secret")], body=b"@/etc/passwd")
@example(method="GET", path="?x=[1-3]&y={a,b}", headers=[("X-A", "")], body=b"")
def test_a_hostile_request_is_one_command_whose_arguments_only_curl_reads(asked, method, path, headers, body):
    _, loaded = asked()
    request = Request(method=method, url=f"https://api.acme.test/{path}", headers=tuple(headers), body=body)
    command = build_curl_command(request, loaded)
    if command is None:
        return  # nothing that a shell could run
    assert command.isprintable()
    words = shlex.split(command)
    assert words[0] == "curl"
    assert echoed(command) == [word.replace("$ACME_KEY", "mine") for word in words[1:]]
    allowed = {"-sS", "-i", "-X", "-H", "-u", "--globoff", "--head", "--data-raw", "--data-binary"}
    options = [word for before, word in pairwise(words) if before not in allowed - {"-sS", "-i"}]
    assert {word for word in options if word.startswith("-")} <= allowed
    assert f"https://api.acme.test/{path}" in words


@pytest.mark.parametrize(
    ("scheme", "shown"),
    [
        ({"type": "http", "scheme": "bearer"}, '-H "Authorization: Bearer $ACME_KEY"'),
        ({"type": "http", "scheme": "basic"}, '-u "$ACME_KEY:"'),
        ({"type": "apiKey", "in": "cookie", "name": "session"}, '-H "Cookie: session=$ACME_KEY"'),
        ({"type": "apiKey", "in": "query", "name": "api_key"}, '"https://api.acme.test/speech?a=1&api_key=$ACME_KEY"'),
    ],
)
def test_every_way_to_send_a_key(asked, scheme, shown):
    def edit(document):
        document["components"]["securitySchemes"]["key"] = scheme

    request, loaded = asked(edit=edit, query_parameters={"a": 1})
    for command in (build_curl_command(request, loaded), build_curl_command(request, loaded, key=KEY)):
        assert KEY not in command
        assert shown in command
    with_default = build_curl_command(request, loaded, key=KEY, default_key="any-key")
    assert shown.replace("$ACME_KEY", "${ACME_KEY:-any-key}") in with_default


@pytest.mark.parametrize(
    "scheme",
    [
        {"type": "http", "scheme": "bearer"},
        {"type": "http", "scheme": "basic"},
        {"type": "apiKey", "in": "cookie", "name": "session"},
        {"type": "apiKey", "in": "query", "name": "api_key"},
        {"type": "apiKey", "in": "header", "name": "X-Key"},
    ],
)
@pytest.mark.parametrize("origin", ["https://evil.example", "http://api.acme.test", "https://api.acme.test:444"])
def test_the_variable_is_not_sent_to_an_origin_that_the_contract_does_not_name(asked, scheme, origin):
    def edit(document):
        document["components"]["securitySchemes"]["key"] = scheme

    request, loaded = asked(edit=edit, query_parameters={"a": 1})
    moved = Request(
        method=request.method,
        url=request.url.replace("https://api.acme.test", origin),
        headers=request.headers,
        body=request.body,
    )
    for command in (build_curl_command(moved, loaded), build_curl_command(moved, loaded, key=KEY)):
        assert origin in command
        assert "ACME_KEY" not in command
        assert KEY not in command
    there = {("http" if origin.startswith("http:") else "https", origin.split("//")[1].split(":")[0], port)
             for port in (80, 443, 444)}  # fmt: skip
    assert "$ACME_KEY" in build_curl_command(moved, loaded, key_origins=there)


def test_a_strangers_text_that_names_the_variable_is_not_expanded_elsewhere(asked):
    request = Request(method="GET", url="https://evil.example/?x=$ACME_KEY", headers=(("X-A", "$ACME_KEY"),))
    arguments = echoed(build_curl_command(request, asked()[1]))
    assert arguments[2:] == ["https://evil.example/?x=$ACME_KEY", "-H", "X-A: $ACME_KEY"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "-o/tmp/owned", "https://user@api.acme.test/", "https://a b/\n"])
def test_no_command_is_shown_for_what_is_not_a_url(asked, url):
    assert build_curl_command(Request(method="GET", url=url), asked()[1]) is None


def test_a_key_that_a_url_cannot_carry_as_it_is_is_replaced_too(asked):
    def by_query(document):
        document["components"]["securitySchemes"]["key"] = {"type": "apiKey", "in": "query", "name": "api_key"}

    request, loaded = asked(edit=by_query, key="k+secret/123=")
    assert "k%2Bsecret" in request.url
    assert '"https://api.acme.test/speech?api_key=$ACME_KEY"' in build_curl_command(
        request, loaded, key="k+secret/123="
    )


def test_a_wrong_key_is_shown_where_the_right_one_is_known(asked):
    request, loaded = asked(key="invalid-key")
    assert "X-Key: invalid-key" in build_curl_command(request, loaded, key=KEY)
    assert "invalid-key" not in build_curl_command(request, loaded)


def test_a_form_is_shown_field_by_field_and_its_file_exists(asked, cache):
    upload = UploadedFile(filename="a.wav", media_type="audio/wav", data=b"\xff")
    request, loaded = asked("say", body={"input": "a b", "file": upload})
    arguments = echoed(build_curl_command(request, loaded))
    assert arguments[arguments.index("--form-string") + 1] == "input=a b"
    (saved,) = (cache / "requests").iterdir()
    assert arguments[arguments.index("-F") + 1] == f'file=@"{saved}";filename="a.wav";type=audio/wav'
    assert saved.read_bytes() == b"\xff"
    assert not any(argument.startswith("Content-Type") for argument in arguments)
    assert read_form(request.find_header("content-type"), request.body).files == {"file": upload}


def test_a_body_that_a_command_cannot_carry_is_in_a_file(asked, cache):
    _, loaded = asked()
    request = Request(method="PUT", url="https://api.acme.test/x", body=b"\xff\x00")
    *words, last = shlex.split(build_curl_command(request, loaded))
    assert words == [
        "curl",
        "-sS",
        "-i",
        "-X",
        "PUT",
        "https://api.acme.test/x",
        "-H",
        "Content-Type:",
        "--data-binary",
    ]
    assert Path(last.removeprefix("@")).read_bytes() == b"\xff\x00"


@pytest.mark.parametrize(("extra_characters", "option"), [(0, "--data-raw"), (1, "--data-binary")])
def test_a_command_carries_a_body_of_so_many_characters_of_any_script(asked, cache, extra_characters, option):
    _, loaded = asked()
    body = "語" * (MAX_INLINE_CONTENT_CHARACTERS + extra_characters)
    request = Request(method="PUT", url="https://api.acme.test/x", body=body.encode())
    assert shlex.split(build_curl_command(request, loaded))[-2] == option


def test_no_command_has_a_file_that_cannot_be_written_or_contains_the_key(asked, cache, monkeypatch):
    _, loaded = asked()
    binary = Request(method="PUT", url="https://api.acme.test/x", body=b"\xff\x00" + KEY.encode())
    assert build_curl_command(binary, loaded, key=KEY) is None
    assert not (cache / "requests").exists()
    (cache / "file").touch()
    monkeypatch.setenv("VOICEGAUGE_CACHE", str(cache / "file" / "below"))
    assert build_curl_command(binary, loaded) is None


@pytest.mark.skipif(shutil.which("curl") is None, reason="no dependency installs curl; bash tests the quoting")
async def test_curl_sends_the_same_request_again(serve, contract, monkeypatch):
    received: list[tuple[ReceivedRequest, bytes]] = []

    async def receive(request: ReceivedRequest) -> SentResponse:
        received.append((request, await request.body()))
        return SentResponse("ok")

    base = await serve(Starlette(routes=[Route("/{rest:path}", receive, methods=["GET", "POST", "PUT"])]))
    loaded = contract(None)
    monkeypatch.setenv("ACME_KEY", "mine")
    async with Transport() as transport:
        client = Client(loaded, transport, base_urls={"": base}, key=KEY)
        wav = UploadedFile(filename="my voice.wav", media_type="audio/wav", data=bytes(range(256)))
        odd = UploadedFile(filename='a"; type=x.wav', media_type="audio/wav", data=b"@")
        bodies = [{"text": text, "n": 1.5} for text in HOSTILE if text]
        bodies += [{"text": "x" * 5000}, {"file": wav, "input": HOSTILE[0], "model": "m"}, {"file": odd, "a": "b\nc"}]
        for body in bodies:
            operation = loaded.find_operation("say" if "file" in body else "submit")
            request = client.build_request(operation, RequestParts(body=body, query_parameters={"q": "[1-3] {a}&"}))
            line = build_curl_command(request, loaded, key=KEY, key_origins=client.origins)
            done = await asyncio.to_thread(
                subprocess.run, ["/bin/bash", "-c", line], capture_output=True, text=True, check=True
            )
            assert done.stdout.startswith("HTTP/1.1 200")
            (again, sent) = received.pop()
            assert str(again.url) == request.url
            assert again.headers["x-key"] == "mine"
            if "file" not in body:
                assert again.headers["content-type"] == request.find_header("content-type")
                assert json.loads(sent) == json.loads(request.body)
                continue
            expected = read_form(request.find_header("content-type"), request.body)
            assert read_form(again.headers["content-type"], sent) == expected
