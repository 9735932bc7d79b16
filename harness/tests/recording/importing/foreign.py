"""One conversation with a provider in the formats of other tools: cassettes, HAR files, tapes. All synthetic."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml

from voicegauge.model.exchange import Headers

JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
JOB = "5f0c2d4e-0000-4000-8000-0123456789ab"
AUDIO_URL = "https://output.example/speech.wav"
AUDIO = (
    b"RIFF\x2c\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00"
    b"data\x08\x00\x00\x00\x01\x80\xff\x00\xfe\xed\xfa\xce"
)
API = "https://api.pixelapi.dev"
KEY = "Kx8TqL2vWm4RzB9yNd"


class Interaction(NamedTuple):
    """A request and its response, as the functions below write them."""

    method: str
    url: str
    request_headers: Headers
    request_body: bytes
    status: int
    response_headers: Headers
    response_body: bytes


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def conversation(key: str = KEY) -> list[Interaction]:
    """A submit, two polls and the download of the audio."""
    auth = ("Authorization", f"Bearer {key}")
    status = f"{API}/v1/tts/status/{JOB}"
    about = {"id": JOB, "credits_used": 50.0, "created_at": "2026-03-31T10:00:00Z"}
    done = {**about, "status": "completed", "output_url": AUDIO_URL, "completed_at": "2026-03-31T10:00:15Z"}
    text = b"text=Guten+Morgen%2C+J%C3%BCrgen&voice_description=warm"
    queued = {"id": JOB, "status": "queued", "credits_used": 50.0, "note": "für später ✓"}
    return [
        Interaction("POST", f"{API}/v1/tts/generate", (auth, FORM), text, 200, (JSON,), _json(queued)),
        Interaction(
            "GET", status, (auth,), b"", 200, (JSON,), _json({**about, "status": "processing", "completed_at": None})
        ),
        Interaction("GET", status, (auth,), b"", 200, (JSON,), _json(done)),
        Interaction("GET", AUDIO_URL, (), b"", 200, (("Content-Type", "audio/wav"),), AUDIO),
    ]


OPERATIONS = ["generateSpeech", "getSpeechStatus", "getSpeechStatus", "(download)"]


class Foreign(NamedTuple):
    """A way to write interactions."""

    filename: str
    write: Callable[[Sequence[Interaction]], str]
    binary: bool = True
    """Whether it can hold audio."""
    says: str = ""
    """What the format is called."""


FORMATS: dict[str, Foreign] = {}


def _format(
    filename: str, says: str, *, binary: bool = True
) -> Callable[[Callable[[Sequence[Interaction]], str]], Any]:
    def add(write: Callable[[Sequence[Interaction]], str]) -> Any:
        FORMATS[write.__name__] = Foreign(filename, write, binary, says)
        return write

    return add


def _lists(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    return {name: [value] for name, value in pairs}


def _text(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _vcrpy(one: Interaction, body: Any, request_body: Any = None) -> dict[str, Any]:
    return {
        "request": {
            "body": request_body if request_body is not None else (_text(one.request_body) or None),
            "headers": _lists(one.request_headers),
            "method": one.method,
            "uri": one.url,
        },
        "response": {
            "body": {"string": body},
            "headers": _lists(one.response_headers),
            "status": {"code": one.status, "message": "OK"},
        },
    }


@_format("cassette.yaml", "vcrpy")
def vcrpy_1_yaml(items: Sequence[Interaction]) -> str:
    return yaml.safe_dump({"interactions": [_vcrpy(i, _text(i.response_body)) for i in items], "version": 1})


@_format("cassette.json", "vcrpy", binary=False)
def vcrpy_1_json(items: Sequence[Interaction]) -> str:
    return json.dumps({"version": 1, "interactions": [_vcrpy(i, i.response_body.decode()) for i in items]}, indent=4)


@_format("cassette.yaml", "vcrpy")
def vcrpy_1_gzipped(items: Sequence[Interaction]) -> str:
    made = []
    for i in items:
        packed = i._replace(response_headers=(*i.response_headers, ("content-encoding", "gzip")))
        made.append(_vcrpy(packed, gzip.compress(i.response_body)))
    return yaml.safe_dump({"interactions": made, "version": 1})


@_format("cassette.yaml", "vcrpy")
def vcrpy_1_streamed_request(items: Sequence[Interaction]) -> str:
    """Request bodies that were files: pickled io.BytesIO objects; equal headers as anchors and aliases."""
    text = yaml.safe_dump({"interactions": [_vcrpy(i, _text(i.response_body), "BODY") for i in items], "version": 1})
    for i in items:
        encoded = base64.b64encode(i.request_body).decode()
        pickled = f"!!python/tuple\n      - !!binary |\n        {encoded}\n      - 0\n      - null"
        state = f"!!python/object/new:_io.BytesIO\n      state: {pickled}"
        text = text.replace("body: BODY", f"body: {state}", 1)
    return text.replace("Authorization:\n", "Authorization: &key\n", 1)


@_format("cassette.yaml", "vcrpy")
def vcrpy_httpx(items: Sequence[Interaction]) -> str:
    made = []
    for i in items:
        one = _vcrpy(i, "")
        headers = dict(i.response_headers)
        content = _text(i.response_body)
        one["response"] = {"content": content, "headers": headers, "http_version": "HTTP/1.1", "status_code": i.status}
        made.append(one)
    return yaml.safe_dump({"interactions": made, "version": 1})


def _vcrpy_0(i: Interaction, body: Any) -> dict[str, Any]:
    url = urlsplit(i.url)
    path = f"{url.path}?{url.query}" if url.query else url.path
    return {
        "request": {
            "body": i.request_body.decode() or None,
            "headers": dict(i.request_headers),
            "host": url.hostname,
            "method": i.method,
            "path": path,
            "port": 443,
            "protocol": "https",
        },
        "response": {
            "body": {"string": body},
            "headers": [f"{name}: {value}\r\n" for name, value in i.response_headers],
            "status": {"code": i.status, "message": "OK"},
        },
    }


@_format("cassette.yaml", "old VCR")
def vcrpy_0_yaml(items: Sequence[Interaction]) -> str:
    out = []
    for i in items:
        made = _vcrpy_0(i, _text(i.response_body))
        pairs = "".join(f"\n      - !!python/tuple [{json.dumps(n)}, {json.dumps(v)}]" for n, v in i.request_headers)
        made["request"]["headers"] = "HEADERS"
        text = yaml.safe_dump([made]).replace("request:\n", "request: !!python/object:vcr.request.Request\n")
        frozen = (
            f"!!python/object/apply:__builtin__.frozenset\n    -{pairs[6:]}"
            if pairs
            else "!!python/object/apply:__builtin__.frozenset\n    - []"
        )
        out.append(text.replace("headers: HEADERS", f"headers: {frozen}"))
    return "".join(out)


@_format("cassette.json", "old VCR", binary=False)
def vcrpy_0_json(items: Sequence[Interaction]) -> str:
    return json.dumps([_vcrpy_0(i, i.response_body.decode()) for i in items])


def _ruby(i: Interaction, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "request": {
            "method": i.method.lower(),
            "uri": i.url,
            "body": {"encoding": "UTF-8", "string": i.request_body.decode()},
            "headers": _lists(i.request_headers),
        },
        "response": {
            "status": {"code": i.status, "message": "OK"},
            "headers": _lists(i.response_headers),
            "body": body,
        },
        "recorded_at": "Tue, 31 Mar 2026 10:00:20 GMT",
    }


@_format("cassette.yml", "VCR")
def ruby_binary(items: Sequence[Interaction]) -> str:
    """Psych writes bytes that are not UTF-8 as `!binary`."""
    made = []
    for i in items:
        text = _text(i.response_body)
        encoding = "UTF-8" if isinstance(text, str) else "ASCII-8BIT"
        made.append(_ruby(i, {"encoding": encoding, "string": text}))
    text = yaml.safe_dump(
        {"http_interactions": made, "recorded_with": "VCR 6.2.0"}, sort_keys=False, allow_unicode=True
    )
    return "---\n" + text.replace("!!binary |", "!binary |-")


@_format("cassette.yml", "VCR")
def ruby_base64(items: Sequence[Interaction]) -> str:
    """With `preserve_exact_body_bytes`: base64 in lines of 60."""
    made = []
    for i in items:
        encoded = base64.encodebytes(i.response_body).decode()
        made.append(_ruby(i, {"encoding": "ASCII-8BIT", "base64_string": encoded}))
    return yaml.safe_dump({"http_interactions": made, "recorded_with": "VCR 6.2.0"}, sort_keys=False)


@_format("cassette.json", "VCR", binary=False)
def ruby_json(items: Sequence[Interaction]) -> str:
    made = [_ruby(i, {"encoding": "UTF-8", "string": i.response_body.decode()}) for i in items]
    return json.dumps({"http_interactions": made, "recorded_with": "VCR 5.0.0"})


@_format("cassette.yml", "old VCR")
def ruby_1(items: Sequence[Interaction]) -> str:
    """VCR 1.x wrote Ruby structs and symbols, and default ports."""
    out = "---\n"
    for i in items:
        uri = i.url.replace("https://", "https://", 1).replace(".dev/", ".dev:443/")
        request = yaml.safe_dump(
            {"uri": uri, "body": i.request_body.decode() or None, "headers": _lists(i.request_headers)}
        )
        response = yaml.safe_dump(
            {"headers": _lists(i.response_headers), "body": _text(i.response_body), "http_version": "1.1"}
        )
        out += "- !ruby/struct:VCR::HTTPInteraction\n  request: !ruby/struct:VCR::Request\n"
        out += f"    method: :{i.method.lower()}\n" + _indented(request, 4)
        out += "  response: !ruby/struct:VCR::Response\n    status: !ruby/struct:VCR::ResponseStatus\n"
        out += f"      code: {i.status}\n      message: OK\n" + _indented(response, 4).replace(
            "!!binary |", "!binary |"
        )
    return out


def _indented(text: str, spaces: int) -> str:
    return "".join(" " * spaces + line for line in text.splitlines(keepends=True))


@_format("betamax.json", "VCR")
def betamax(items: Sequence[Interaction]) -> str:
    made = []
    for i in items:
        body = {"encoding": "utf-8", "base64_string": base64.b64encode(i.response_body).decode()}
        made.append({**_ruby(i, body), "recorded_at": "2026-03-31T10:00:20"})
    return json.dumps({"http_interactions": made, "recorded_with": "betamax/0.9.0"})


def _pairs(pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def har_entry(i: Interaction, **content: Any) -> dict[str, Any]:
    body = i.response_body
    content_head = {"size": len(body), "mimeType": dict(i.response_headers).get("Content-Type", "x-unknown")}
    text = _text(body)
    stored_text = (
        {"text": text} if isinstance(text, str) else {"text": base64.b64encode(body).decode(), "encoding": "base64"}
    )
    entry: dict[str, Any] = {
        "startedDateTime": "2026-03-31T12:00:00.000+02:00",
        "time": 12.5,
        "request": {
            "method": i.method,
            "url": i.url,
            "httpVersion": "HTTP/2.0",
            "cookies": [],
            "headers": _pairs(((":authority", "api"), *i.request_headers)),
            "queryString": [],
            "headersSize": -1,
            "bodySize": len(i.request_body),
        },
        "response": {
            "status": i.status,
            "statusText": "",
            "httpVersion": "HTTP/2.0",
            "cookies": [],
            "headers": _pairs(i.response_headers),
            "content": {**content_head, **stored_text, **content},
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": 1, "wait": 10, "receive": 1.5},
    }
    if i.request_body:
        mime = dict(i.request_headers).get("Content-Type", "")
        entry["request"]["postData"] = {"mimeType": mime, "text": i.request_body.decode()}
    return entry


def har(entries: Sequence[dict[str, Any]], creator: str = "WebInspector") -> str:
    return json.dumps(
        {"log": {"version": "1.2", "creator": {"name": creator, "version": "1"}, "pages": [], "entries": entries}}
    )


@_format("chrome.har", "HAR file of WebInspector")
def har_chrome(items: Sequence[Interaction]) -> str:
    entries = [har_entry(i) for i in items]
    for entry in entries:
        entry["_resourceType"] = "fetch"
        entry["response"]["_transferSize"] = 900
    return har(entries)


@_format("firefox.har", "HAR file of Firefox")
def har_firefox(items: Sequence[Interaction]) -> str:
    """Forms as fields beside the text; a byte order mark; the latest first."""
    entries = []
    for number, i in enumerate(items):
        entry = har_entry(i)
        entry["startedDateTime"] = f"2026-03-31T10:00:{number:02}.000Z"
        if "postData" in entry["request"]:
            entry["request"]["postData"]["params"] = [{"name": "text", "value": "x"}]
        entries.insert(0, entry)
    return "\ufeff" + har(entries, "Firefox")


@_format("mitmproxy.har", "HAR file of mitmproxy")
def har_mitmproxy(items: Sequence[Interaction]) -> str:
    """Sizes of compressed bodies; the encoding's header stays, the content is decoded."""
    entries = []
    for i in items:
        packed = i._replace(response_headers=(*i.response_headers, ("content-encoding", "br")))
        entry = har_entry(packed, size=len(i.response_body), compression=-20)
        entry["response"]["bodySize"] = 30
        entries.append(entry)
    return har(entries, "mitmproxy")


@_format("charles.har", "HAR file of Charles Proxy")
def har_charles(items: Sequence[Interaction]) -> str:
    """A form as fields alone; no empty lists; the media type of the content only."""
    entries = []
    for i in items:
        entry = har_entry(i, size=3)
        entry["response"]["headers"] = []
        for unneeded in ("cookies", "queryString", "headersSize"):
            del entry["request"][unneeded]
        if i.request_body:
            fields = (("text", "Guten Morgen, Jürgen"), ("voice_description", "warm"))
            entry["request"]["postData"] = {"mimeType": FORM[1], "params": _pairs(fields)}
        entries.append(entry)
    return har(entries, "Charles Proxy")


@_format("tapes.json", "tapes of huggingface.js")
def tapes(items: Sequence[Interaction]) -> str:
    made: dict[str, Any] = {}
    for number, i in enumerate(items):
        text = _text(i.response_body)
        encoded = f"data:application/octet-stream;base64,{base64.b64encode(i.response_body).decode()}"
        init = {"headers": dict(i.request_headers), "method": i.method, "body": i.request_body.decode() or None}
        headers = {name.lower(): value for name, value in i.response_headers}
        body = text if isinstance(text, str) else encoded
        made[f"{number:064x}"] = {
            "url": i.url,
            "init": init,
            "response": {"body": body, "status": i.status, "statusText": "OK", "headers": headers},
        }
    return json.dumps(made, indent=2)
