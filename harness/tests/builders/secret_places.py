"""Thirty places and encodings in which a request or its response may have a secret that no contract documents."""

from __future__ import annotations

import base64
import gzip
import json
import random
import string
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from voicegauge.transport.body_encoding import encode_body

SPEAK = {"text": "Good morning."}
AUDIO = b"ID3\x04" + bytes(range(200)) * 3


class Traffic(NamedTuple):
    """What a client sends to the speech operation of Deepgram, and what it gets."""

    query: str = "model=aura-2-thalia-en"
    headers: Mapping[str, str] = {}
    body: bytes = json.dumps(SPEAK).encode()
    content_type: str = "application/json"
    status: int = 200
    response_headers: Mapping[str, str] = {}
    response_body: bytes = AUDIO
    response_type: str = "audio/mpeg"


def make_secret(numbers: random.Random) -> str:
    """Letters and digits, of which one does not tell that they are a key."""
    return "".join(numbers.choices(string.ascii_lowercase + string.digits, k=numbers.randrange(12, 40))) + "7q"


def _sends(value: object) -> Traffic:
    return Traffic(body=json.dumps({**SPEAK, **value} if isinstance(value, dict) else value).encode())


def _fails(value: object, **headers: str) -> Traffic:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Traffic(status=400, response_body=body, response_type="application/json", response_headers=headers)


def _error(message: str) -> bytes:
    return json.dumps({"err_code": "Bad Request", "err_msg": message, "request_id": "none"}).encode()


def _form(media_type: str, **fields: object) -> Traffic:
    content_type, body = encode_body(media_type, {**SPEAK, **fields})
    return Traffic(body=body, content_type=content_type)


def _echoes(header: str, secret: str) -> Traffic:
    """A header that is not documented, whose value a documented text of the response repeats."""
    return _fails(_error(f"not accepted: {secret}"))._replace(headers={header: secret})


def _tells(text: str, media_type: str) -> Traffic:
    return Traffic(status=503, response_body=text.encode(), response_type=media_type)


PLACES: dict[str, Callable[[str], Traffic]] = {
    "Authorization, repeated in an error": lambda s: _fails(_error(f"wrong: {s}"))._replace(
        headers={"Authorization": f"Token {s}"}
    ),
    "X-Auth, repeated in an error": lambda s: _echoes("X-Auth", s),
    "X-Session, repeated in an error": lambda s: _echoes("X-Session", s),
    "X-CSRF-Token, repeated in an error": lambda s: _echoes("X-CSRF-Token", s),
    "X-Cartesia-Key, repeated in an error": lambda s: _echoes("X-Cartesia-Key", s),
    "Proxy-Authorization": lambda s: Traffic(
        headers={"Proxy-Authorization": f"Basic {base64.b64encode(f'me:{s}'.encode()).decode()}"}
    ),
    "a cookie, repeated in hexadecimal": lambda s: _fails(_error(f"unknown {s.encode().hex()}"))._replace(
        headers={"Cookie": f"sid={s}; theme=dark"}
    ),
    "query passwd": lambda s: Traffic(query=f"model=aura-2-thalia-en&passwd={s}"),
    "query session_id, repeated in base64": lambda s: _fails(
        _error(f"gone: {base64.b64encode(s.encode()).decode()}")
    )._replace(query=f"session_id={s}"),
    "query jwt, percent-encoded": lambda s: Traffic(query="jwt=" + "".join(f"%{ord(sign):02x}" for sign in s)),
    "JSON passwd and pwd": lambda s: _sends({"passwd": s, "pwd": s}),
    "JSON otp, repeated in an error": lambda s: _fails(_error(f"wrong code {s}"))._replace(
        body=json.dumps({**SPEAK, "otp": s}).encode()
    ),
    "JSON auth.value": lambda s: _sends({"auth": {"value": s}}),
    "JSON list of bearer": lambda s: _sends({"more": [{"bearer": [s, [s]]}]}),
    "JSON number": lambda s: _sends({"code": int(s.encode().hex()[:17], 16) | 1}),
    "JSON in UTF-16": lambda s: Traffic(body=json.dumps({**SPEAK, "session": s}).encode("utf-16")),
    "JSON in UTF-16 without a mark, in the response": lambda s: _fails(json.dumps({"session": s}).encode("utf-16-le")),
    "a form field": lambda s: _form("application/x-www-form-urlencoded", session=s),
    "a multipart field": lambda s: _form("multipart/form-data", pwd=s),
    "XML in the request": lambda s: Traffic(
        body=f"<speak><Token>{s}</Token></speak>".encode(), content_type="application/xml"
    ),
    "XML in the response": lambda s: _tells(f"<e:Fault><wsse:Token a='1'>{s}</wsse:Token></e:Fault>", "text/xml"),
    "an undocumented field of an error": lambda s: _fails({"err_msg": "no", "session": s, "deep": {"x": [s]}}),
    "a web page": lambda s: _tells(f"<html><body data-session='{s}'>Sorry</body></html>", "text/html"),
    "a text in base64": lambda s: _tells(f"trace {base64.b64encode(s.encode()).decode()}", "text/csv"),
    "JSON under a wrong media type": lambda s: _tells(json.dumps({"session": s}), "text/plain"),
    "broken JSON": lambda s: _fails(f'{{"session": "{s}"'.encode()),
    "lines of JSON": lambda s: _tells(f'{{"a": 1}}\n{{"jwt": "{s}"}}\n', "application/x-ndjson"),
    "an event stream": lambda s: _tells(
        f': {s}\nid: {s}\nevent: x\ndata: {{"session": "{s}"}}\n\ndata: {s}\n\n', "text/event-stream"
    ),
    "binary data": lambda s: Traffic(
        response_body=b"\xff\x00" + s.encode("utf-16-le"), response_type="application/x-protobuf"
    ),
    "compressed JSON": lambda s: _fails(
        gzip.compress(json.dumps({"session": s}).encode()), **{"Content-Encoding": "gzip"}
    ),
    "a signed redirect and a cookie": lambda s: Traffic(
        status=302,
        response_headers={"Location": f"https://files.test/a.mp3?e=1&auth={quote(s)}#t={s}", "Set-Cookie": f"s={s}"},
        response_body=b"",
    ),
    "a response header, repeated in an error": lambda s: _fails(_error(f"session {s} has ended"), **{"X-Session": s}),
}


def find_secret_in_number(secret: str) -> bytes:
    """Return the digits that the place "JSON number" sends."""
    return str(int(secret.encode().hex()[:17], 16) | 1).encode()
