from __future__ import annotations

import json
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.client.client import Client
from voicegauge.client.keys import read_client_key
from voicegauge.client.speech_request import RequestParts
from voicegauge.errors import MissingKeyError, UnknownNameError, UsageError
from voicegauge.formats.bodies import read_form
from voicegauge.model.exchange import UploadedFile
from voicegauge.transport.http import Transport


@pytest.fixture(scope="session")
def client(contract):
    transport = Transport()

    def make(edit=None, **options):
        return Client(contract(edit), transport, **{"key": "k-123456", **options})

    return make


def schemes(**scheme):
    return lambda document: document["components"]["securitySchemes"].update(key=scheme)


def build(client, operation="submit", **wire):
    return client.build_request(client.contract.find_operation(operation), RequestParts(**wire))


def test_url_body_and_headers(client):
    request = build(
        client(), body={"text": "hé"}, query_parameters={"q": ["a b", True], "n": 1}, headers={"x-client": "mine"}
    )
    assert request.method == "POST"
    assert request.url == "https://api.acme.test/speech?q=a%20b&q=true&n=1"
    assert json.loads(request.body) == {"text": "hé"}
    assert request.find_header("content-type") == "application/json"
    assert request.find_header("x-client") == "mine"
    assert [name.lower() for name, _ in request.headers].count("x-client") == 1
    assert request.find_header("user-agent").startswith("voicegauge/")


@pytest.mark.parametrize(
    ("scheme", "name", "value"),
    [
        ({"type": "apiKey", "in": "header", "name": "X-Key"}, "X-Key", "k:y"),
        ({"type": "apiKey", "in": "cookie", "name": "session"}, "Cookie", "session=k:y"),
        ({"type": "http", "scheme": "bearer"}, "Authorization", "Bearer k:y"),
        ({"type": "http", "scheme": "Token"}, "Authorization", "Token k:y"),
        ({"type": "http", "scheme": "basic"}, "Authorization", "Basic azp5"),
    ],
)
def test_the_key_goes_where_the_scheme_wants_it(client, scheme, name, value):
    request = build(client(schemes(**scheme), key="k:y"))
    assert request.find_header(name) == value


def test_the_key_can_go_into_the_query(client):
    request = build(client(schemes(type="apiKey", **{"in": "query"}, name="api key")), query_parameters={"a": 1})
    assert request.url.endswith("/speech?a=1&api%20key=k-123456")


def test_no_key_another_key_and_an_operation_that_takes_none(client):
    def open_status(document):
        document["paths"]["/jobs/{job_id}"]["get"]["security"] = []

    one = client(open_status)
    operation = one.contract.find_operation("submit")
    assert one.build_request(operation, RequestParts(), key=None).find_header("x-key") is None
    assert one.build_request(operation, RequestParts(), key="other").find_header("x-key") == "other"
    assert build(one, "status", path_parameters={"job_id": "1"}).find_header("x-key") is None


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/speech",
        "http://api.acme.test/speech",
        "https://api.acme.test:8443/speech",
        "https://api.acme.test@evil.test/speech",
        "https://api.acme.test.evil.test/",
        "https://evil.test/?https://api.acme.test/",
    ],
)
def test_the_key_goes_to_no_other_origin(client, url):
    one = client()
    request = one.build_request(one.contract.find_operation("submit"), RequestParts(), url=url)
    assert "k-123456" not in repr(request)


def test_a_base_url_takes_the_servers_place_and_its_key(client):
    for base_urls in ({"": "http://127.0.0.1:9/acme/"}, {"api": "http://127.0.0.1:9/acme"}):
        one = client(base_urls=base_urls)
        assert build(one).url == "http://127.0.0.1:9/acme/speech"
        assert build(one).find_header("x-key") == "k-123456"
        elsewhere = one.build_request(
            one.contract.find_operation("submit"), RequestParts(), url="https://api.acme.test/speech"
        )
        assert elsewhere.find_header("x-key") is None


def test_unusable_base_urls_are_one_line(client):
    with pytest.raises(UnknownNameError, match="unknown acme server 'apy': did you mean api"):
        client(base_urls={"apy": "http://x.test"})
    for url in ("127.0.0.1:9", "ftp://x.test", "http://user:word@x.test", "http://x.test:port"):
        with pytest.raises(UsageError, match="--base-url"):
            client(base_urls={"": url})


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_a_job_id_stays_inside_its_segment(client, job_id):
    url = build(client(), "status", path_parameters={"job_id": job_id}).url
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "api.acme.test", "", "")
    segments = parts.path.split("/")
    assert segments[:2] == ["", "jobs"]
    assert len(segments) == 3
    assert segments[2] not in (".", "..")
    assert unquote(segments[2]) == job_id


@pytest.mark.parametrize("headers", [{"X-Speed": "1\r\nX-Evil: 1"}, {"X-Speed": "ü"}, {"X-Speed": "\0"}])
def test_headers_carry_plain_text_only(client, headers):
    with pytest.raises(UsageError, match="the header X-Speed"):
        build(client(), headers=headers)


def test_a_missing_path_parameter_is_named(client):
    with pytest.raises(UsageError, match=r"acme status needs path\.job_id"):
        build(client(), "status")


def test_a_body_where_none_is_documented_is_rejected(client):
    with pytest.raises(UsageError, match="acme status takes no body"):
        build(client(), "status", path_parameters={"job_id": "1"}, body={})


def test_a_form_is_written_by_its_media_type(client):
    upload = UploadedFile(filename="a.wav", media_type="audio/wav", data=b"\xff")
    request = build(client(), "say", body={"input": "hi", "file": upload})
    form = read_form(request.find_header("content-type"), request.body)
    assert form.fields == {"input": "hi"}
    assert form.files == {"file": upload}


@pytest.mark.parametrize(
    ("serialization", "sent"),
    [
        ({}, ["calm", "1.5", "x,y"]),
        ({"explode": True}, ["calm", "1.5", "x,y"]),
        ({"contentType": "text/plain"}, ["calm", "1.5", "x,y"]),
        ({"explode": False}, "calm,1.5,x,y"),
        ({"style": "form", "explode": False}, "calm,1.5,x,y"),
        ({"style": "spaceDelimited"}, "calm 1.5 x,y"),
        ({"style": "pipeDelimited", "explode": False}, "calm|1.5|x,y"),
    ],
)
@pytest.mark.parametrize("media_type", ["multipart/form-data", "application/x-www-form-urlencoded"])
def test_a_list_in_a_form_is_repeated_or_one_text_as_its_encoding_says(client, serialization, sent, media_type):
    def edit(document):
        content = document["paths"]["/speech"]["post"]["requestBody"]["content"]
        schema = content["application/json"]["schema"]
        content[media_type] = {"schema": schema, "encoding": {"tags": serialization}}

    body = {"text": "Hi", "tags": ["calm", 1.5, "x,y"], "others": ["a", "b"], "none": []}
    request = build(client(edit), body=body, media_type=media_type)
    form = read_form(request.find_header("content-type"), request.body)
    assert form.fields == {"text": "Hi", "tags": sent, "others": ["a", "b"]}


def test_a_list_of_files_is_repeated_whatever_its_encoding_says(client):
    def edit(document):
        content = document["paths"]["/speech"]["post"]["requestBody"]["content"]
        schema = content["application/json"]["schema"]
        content["multipart/form-data"] = {"schema": schema, "encoding": {"files": {"explode": False}}}

    files = [UploadedFile(filename=f"{name}.wav", media_type="audio/wav", data=name.encode()) for name in "ab"]
    request = build(client(edit), body={"files": files}, media_type="multipart/form-data")
    assert request.body.count(b'name="files"; filename=') == 2


@pytest.mark.parametrize(
    ("serialization", "query"),
    [
        ({}, "q=a&q=b"),
        ({"explode": False}, "q=a%2Cb"),
        ({"style": "pipeDelimited", "explode": False}, "q=a%7Cb"),
        ({"style": "spaceDelimited"}, "q=a%20b"),
    ],
)
def test_a_list_in_a_query_is_repeated_or_one_text_as_documented(client, serialization, query):
    def edit(document):
        parameter = {"name": "q", "in": "query", "schema": {"type": "array"}, **serialization}
        document["paths"]["/speech"]["post"].setdefault("parameters", []).append(parameter)

    assert urlsplit(build(client(edit), query_parameters={"q": ["a", "b"]}).url).query == query


def test_the_key_comes_from_the_environment(contract):
    loaded = contract()
    assert read_client_key(loaded, {"ACME_KEY": " k1 "}) == "k1"
    with pytest.raises(MissingKeyError, match="acme needs a key: set the environment variable ACME_KEY"):
        read_client_key(loaded, {"ACME_KEY": " "})
    for bad in ("two words", "kéy", "a\nb"):
        with pytest.raises(UsageError, match="ACME_KEY has a space") as caught:
            read_client_key(loaded, {"ACME_KEY": bad})
        assert bad not in str(caught.value)


def test_an_optional_key_may_be_missing(contract):
    loaded = contract(lambda document: document["x-provider"].update(is_key_optional=True))
    assert read_client_key(loaded, {}) is None
