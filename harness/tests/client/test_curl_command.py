from __future__ import annotations

import json
import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.client import Client, RequestParts, curl_command
from voicegauge.formats.bodies import read_form
from voicegauge.model import Request, UploadedFile
from voicegauge.transport import Transport

KEY = "k-secret-123456"


@pytest.fixture(scope="session")
def asked(contract):
    transport = Transport()

    def make(operation="submit", edit=None, key=KEY, **wire):
        loaded = contract(edit)
        client = Client(loaded, transport, key=key)
        return client.build(loaded.operation(operation), RequestParts(**wire)), loaded

    return make


def echoed(command: str) -> list[str]:
    """The arguments that curl would get from a shell."""
    line = command.replace("curl ", "printf '%s\\0' ", 1)
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True, env={"ACME_KEY": "mine"})
    return done.stdout.decode().split("\0")[:-1]


def test_the_command_carries_the_variable_instead_of_the_key(asked):
    command = curl_command(*asked(body={"text": "it's $5"}))
    assert KEY not in command
    assert '"X-Key: $ACME_KEY"' in command
    arguments = echoed(command)
    assert arguments[:3] == ["-sS", "-i", "https://api.acme.test/speech"]
    assert "X-Key: mine" in arguments
    assert json.loads(arguments[arguments.index("--data-raw") + 1]) == {"text": "it's $5"}


@settings(deadline=None, max_examples=25)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_survives_the_shell(asked, text):
    request, loaded = asked(body={"text": text}, query={"q": text})
    arguments = echoed(curl_command(request, loaded))
    assert arguments[2] == request.url
    assert json.loads(arguments[arguments.index("--data-raw") + 1]) == {"text": text}


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

    request, loaded = asked(edit=edit, query={"a": 1})
    for command in (curl_command(request, loaded), curl_command(request, loaded, key=KEY)):
        assert KEY not in command
        assert shown in command


def test_a_key_that_a_url_cannot_carry_as_it_is_is_replaced_too(asked):
    def by_query(document):
        document["components"]["securitySchemes"]["key"] = {"type": "apiKey", "in": "query", "name": "api_key"}

    request, loaded = asked(edit=by_query, key="k+secret/123=")
    assert "k%2Bsecret" in request.url
    assert '"https://api.acme.test/speech?api_key=$ACME_KEY"' in curl_command(request, loaded, key="k+secret/123=")


def test_a_wrong_key_is_shown_where_the_right_one_is_known(asked):
    request, loaded = asked(key="invalid-key")
    assert "X-Key: invalid-key" in curl_command(request, loaded, key=KEY)
    assert "invalid-key" not in curl_command(request, loaded)


def test_a_form_is_shown_field_by_field(asked):
    upload = UploadedFile(filename="a.wav", media_type="audio/wav", data=b"\xff")
    request, loaded = asked("say", body={"input": "a b", "file": upload})
    arguments = echoed(curl_command(request, loaded))
    assert arguments[arguments.index("--form-string") + 1] == "input=a b"
    assert arguments[arguments.index("-F") + 1] == "file=@a.wav;type=audio/wav"
    assert not any(argument.startswith("Content-Type") for argument in arguments)
    assert read_form(request.header("content-type"), request.body).files == {"file": upload}


def test_what_a_shell_cannot_carry_is_left_out(asked):
    _, loaded = asked()
    request = Request(method="PUT", url="https://api.acme.test/x", body=b"\xff\x00")
    assert curl_command(request, loaded) == "curl -sS -i -X PUT https://api.acme.test/x --data-binary @body.bin"
    assert shlex.split(curl_command(request, loaded))[-1] == "@body.bin"
