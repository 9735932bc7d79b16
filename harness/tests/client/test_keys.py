"""Keys with what is sent along with them: reading, sending, masking."""

from __future__ import annotations

import pytest

from voicegauge.client.client import Client
from voicegauge.client.connection import find_key_destinations
from voicegauge.client.http_request import build_curl_command
from voicegauge.client.keys import list_secrets, read_client_key, remove_credentials
from voicegauge.client.speech_request import RequestParts
from voicegauge.errors import MissingKeyError
from voicegauge.transport.http import Transport

ENVIRONMENT = {"ACME_KEY": "k-secret-1", "ACME_USER": "user-7"}


@pytest.fixture
def client(contract):
    def edit(document):
        document["security"] = [{"user": [], "key": []}]
        document["components"]["securitySchemes"] = {
            "user": {"type": "apiKey", "in": "header", "name": "X-User", "x-key": {"key_variable": "ACME_USER"}},
            "key": {"type": "apiKey", "in": "query", "name": "token", "x-key": {"key_prefix": "Key "}},
        }

    loaded = contract(edit)
    return Client(loaded, Transport(), key=read_client_key(loaded, ENVIRONMENT))


def build(client, **choice):
    operation = client.contract.find_operation("submit")
    return client.build_request(operation, RequestParts(body={"text": "hi"}), **choice)


def test_both_values_are_sent_and_secret(client):
    request = build(client)
    assert request.find_header("X-User") == "user-7"
    assert request.url.endswith("/speech?token=Key%20k-secret-1")
    assert client.secrets == list_secrets(client.key) == ("k-secret-1", "user-7")


def test_a_wrong_key_comes_from_the_same_user(client):
    request = build(client, key="wrong")
    assert request.find_header("X-User") == "user-7"
    assert request.url.endswith("?token=Key%20wrong")


def test_each_variable_is_required(client):
    with pytest.raises(MissingKeyError, match="set the environment variable ACME_USER"):
        read_client_key(client.contract, {"ACME_KEY": "k"})


def test_curl_reads_both_variables(client):
    command = build_curl_command(build(client), client.contract, key=client.key)
    assert "?token=Key%20$ACME_KEY" in command
    assert '"X-User: $ACME_USER"' in command
    assert "user-7" not in command
    wrong = build_curl_command(build(client, key="wrong-1"), client.contract, key=client.key)
    assert "?token=Key%20wrong-1" in wrong


def test_credentials_are_removed_from_headers_and_query(client):
    request = remove_credentials(build(client), client.contract.find_operation("submit"), client.key)
    assert request.find_header("X-User") is None
    assert request.url.endswith("/speech")


def test_a_contract_without_a_security_scheme_needs_no_key(contract):
    def edit(document):
        document["security"] = []
        document["components"].pop("securitySchemes", None)

    loaded = contract(edit)
    assert read_client_key(loaded, {}) is None
    assert read_client_key(loaded, ENVIRONMENT) == "k-secret-1"


@pytest.mark.parametrize(("value", "lack"), [("", "is not set"), ("  ", "is blank")])
def test_the_line_about_destinations_says_why_no_key_is_sent(contract, monkeypatch, value, lack) -> None:
    monkeypatch.setenv("ACME_KEY", value)
    line = find_key_destinations(contract(lambda _: None), {}).describe()
    assert f"acme sends no key (ACME_KEY {lack}) to " in line
