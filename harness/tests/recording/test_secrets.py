"""No secret is ever written: two hundred of them, in every location of an exchange."""

from __future__ import annotations

import base64
import json
import random
import string
import struct
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.contract.loading import load_catalogue
from voicegauge.errors import DataError
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request, Response, UploadedFile
from voicegauge.recording.har_files import save_har
from voicegauge.recording.masking import INVALID_API_KEY, MASK, is_credential_name, looks_random, mask_credentials
from voicegauge.recording.recorded_exchanges import Recording
from voicegauge.recording.redaction import RedactionSettings
from voicegauge.recording.secret_search import find_secret_spelling
from voicegauge.transport.body_encoding import encode_body

CONTRACT = load_catalogue().find_provider("pixazo")
WAV = (("Content-Type", "audio/wav"),)
JSON = ("Content-Type", "application/json")
TOKEN = string.ascii_letters + string.digits


def _wav(secret: str, encoding: str = "latin-1") -> bytes:
    """A WAV file whose LIST/INFO chunk has `secret` in its comment."""
    text = secret.encode(encoding)
    text += b"\0" * (len(text) % 2)
    info = b"INFO" + b"ICMT" + struct.pack("<I", len(text)) + text
    samples = b"\0\1" * 400
    parts = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    parts += b"LIST" + struct.pack("<I", len(info)) + info + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(parts)) + parts


def _exchange(*, url="https://gateway.pixazo.ai/v1/a", asked=(), body=b"", status=200, headers=(JSON,), answer=b"{}"):
    return Exchange(
        provider="pixazo",
        operation="getRequestStatus",
        request=Request(method="POST", url=url, headers=asked, body=body),
        response=Response(status=status, headers=headers, body=answer),
    )


def _form(media_type: str, **fields) -> dict:
    content_type, body = encode_body(media_type, fields)
    return {"asked": (("Content-Type", content_type),), "body": body}


def _upload(filename: str, data: bytes) -> UploadedFile:
    return UploadedFile(filename=filename, media_type="application/octet-stream", data=data)


def _dumped(value: object) -> bytes:
    return json.dumps(value).encode()


# Where providers and clients put them. In the first kind the tool does not know the secret: it goes by
# names and forms. In the second it is the key in use, and stands where nobody would look for it.
LIKELY = {
    "authorization header": lambda s: _exchange(asked=(("Authorization", f"Bearer {s}"),)),
    "key header": lambda s: _exchange(asked=(("ocp-apim-subscription-key", s),)),
    "header nobody documents": lambda s: _exchange(asked=(("X-Tenant", s),)),
    "cookie": lambda s: _exchange(headers=(JSON, ("Set-Cookie", f"sid={s}; HttpOnly"))),
    "header of the answer": lambda s: _exchange(headers=(JSON, ("X-Session", s))),
    "query": lambda s: _exchange(url=f"https://gateway.pixazo.ai/v1/a?api_key={s}&x=1"),
    "user in a URL": lambda s: _exchange(url=f"https://me:{s}@gateway.pixazo.ai/v1/a"),
    "password with @ in a URL": lambda s: _exchange(url=f"https://me:x@{s}@gateway.pixazo.ai/v1/a"),
    "user in a URL of another scheme": lambda s: _exchange(answer=_dumped({"socket": f"wss://me:{s}@x.example/a"})),
    "JSON field": lambda s: _exchange(asked=(JSON,), body=_dumped({"text": "hi", "auth": {"access_token": s}})),
    "JSON list": lambda s: _exchange(answer=_dumped({"access_token": [s, {"value": s}]})),
    "JSON with escapes": lambda s: _exchange(
        answer=b'{"api\\u005fkey": "' + "".join(f"\\u{ord(c):04x}" for c in s).encode() + b'"}'
    ),
    "form field": lambda s: _exchange(**_form("application/x-www-form-urlencoded", api_key=s, text="hi")),
    "multipart field": lambda s: _exchange(**_form("multipart/form-data", text="hi", api_key=s, voice=VOICE)),
    "multipart, a text file": lambda s: _exchange(
        **_form("multipart/form-data", env=_upload(".env", f'"api_key": "{s}"'.encode()))
    ),
    "signed URL": lambda s: _exchange(
        answer=_dumped({"output": {"media_url": [f"https://cdn.example/a.wav?X-Amz-Date=1&X-Amz-Signature={s}"]}})
    ),
    "signed URL, Google's": lambda s: _exchange(answer=_dumped({"url": f"https://x.example/a?Expires=9&Signature={s}%3D"})),
    "redirect": lambda s: _exchange(status=302, headers=(("Location", f"https://cdn.example/a?sig={s}"),), answer=b""),
    "error message": lambda s: _exchange(status=401, answer=_dumped({"error": f"Invalid API key: {s}."})),
    "error message in prose": lambda s: _exchange(
        status=401, headers=(("Content-Type", "text/plain"),), answer=f"the secret is '{s}', which is wrong".encode()
    ),
    "error message with an issuer's key": lambda s: _exchange(status=401, answer=_dumped({"error": f"no: sk-{s}"})),
    "error message with a name": lambda s: _exchange(status=401, answer=_dumped({"error": f"wrong token={s[:9]}"})),
    "webhook payload": lambda s: _exchange(
        url="https://me.example/hook", asked=(JSON, ("X-Webhook-Signature", s)), body=_dumped({"signature": s})
    ),
    "token": lambda s: _exchange(answer=_dumped({"session": f"eyJhbGciOiJ9.{s}.{s}"})),
}  # fmt: skip
KNOWN = {
    "JSON text": lambda s: _exchange(answer=_dumped({"echo": f"you sent {s}"})),
    "name of a JSON field": lambda s: _exchange(answer=_dumped({s: {"api_key": "a"}})),
    "path": lambda s: _exchange(url=f"https://gateway.pixazo.ai/v1/{quote(s, safe='')}/a"),
    "documented header": lambda s: _exchange(asked=(("X-Webhook-URL", f"https://me.example/{s}"),)),
    "form text": lambda s: _exchange(**_form("application/x-www-form-urlencoded", text=f"say {s}")),
    "multipart file name": lambda s: _exchange(
        **_form("multipart/form-data", voice=_upload(f"{s}.wav", b"\xff"))
    ),
    "base64 in JSON": lambda s: _exchange(answer=_dumped({"blob": base64.b64encode(f"x{s}".encode()).decode()})),
    "URL-encoded twice": lambda s: _exchange(url=f"https://x.example/?next={quote(quote(s, safe=''), safe='')}"),
    "audio metadata": lambda s: _exchange(headers=WAV, answer=_wav(s)),
    "audio metadata in UTF-16": lambda s: _exchange(headers=WAV, answer=_wav(s, "utf-16-le")),
    "uploaded audio": lambda s: _exchange(
        **_form("multipart/form-data", voice=_upload("a.wav", _wav(s)))
    ),
}  # fmt: skip
HIDDEN = {
    "audio metadata": lambda s: _exchange(headers=WAV, answer=_wav(f"sk-{s}")),
    "a private key in audio": lambda s: _exchange(answer=_wav(f"-----BEGIN RSA PRIVATE KEY-----{s}")),
    "a JSON field that tells nothing": lambda s: _exchange(answer=_dumped({"x": s * 2})),
    "a query parameter that tells nothing": lambda s: _exchange(url=f"https://gateway.pixazo.ai/a?x={s * 2}"),
    "a form field that tells nothing": lambda s: _exchange(**_form("multipart/form-data", x=s * 2)),
}
VOICE = _upload("me.wav", b"RIFF\xff\xfe" * 9)


def _secret(rng: random.Random) -> str:
    """Twenty-four random characters, digits and letters of both cases among them."""
    return "aB3" + "".join(rng.choice(TOKEN) for _ in range(21))


def _save(path: Path, *exchanges: Exchange, **options):
    return save_har(
        path, exchanges, provenance=Provenance.RECORDED, contract=CONTRACT, redaction=RedactionSettings(**options)
    )


def _try(path: Path, exchange: Exchange, secrets: list[str]) -> tuple[Recording | None, str]:
    try:
        return _save(path, exchange, secrets=secrets), ""
    except DataError as error:
        return None, str(error)


def _written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() + path.name.encode() for path in folder.rglob("*") if path.is_file())


def test_two_hundred_secrets_in_every_place_are_in_no_file(tmp_path) -> None:
    rng = random.Random(200)
    places = [*((place, make, False) for place, make in LIKELY.items()), *((p, m, True) for p, m in KNOWN.items())]
    masked, stopped = Counter(), Counter()
    redactions: Counter[str] = Counter()
    for number in range(200):
        place, make, known = places[number % len(places)]
        secret = _secret(rng)
        folder = tmp_path / str(number)
        saved, error = _try(folder / "a.har", make(secret), [secret] if known else [])
        if saved is None:
            assert known, f"{place}: {error}"
            assert secret not in error
            assert "exchange 1 (getRequestStatus), " in error
            assert _written(folder) == b""
            stopped[place] += 1
        else:
            assert find_secret_spelling(_written(folder), [secret]) is None, place
            assert sum(saved.redaction_count_by_location.values()) > 0, place
            redactions.update(saved.redaction_count_by_location)
            masked[place] += 1
    assert masked.total() + stopped.total() == 200
    assert set(stopped) == {"audio metadata", "audio metadata in UTF-16"}
    assert {"request header authorization", "request URL", "request body /auth/access_token"} <= set(redactions)
    assert {"response header location", "response body /error", "response body /output/media_url/*"} <= set(redactions)
    assert {"request body /api_key", "request body /signature", "request header x-webhook-signature"} <= set(redactions)


def test_all_secrets_in_one_file(tmp_path) -> None:
    rng = random.Random(1)
    secrets = {place: _secret(rng) for place in LIKELY}
    saved = _save(tmp_path / "a.har", *(make(secrets[place]) for place, make in LIKELY.items()))
    assert find_secret_spelling(_written(tmp_path), secrets.values()) is None
    assert sum(saved.redaction_count_by_location.values()) >= len(LIKELY)
    assert (
        json.loads((tmp_path / "a.har").read_text())["log"]["_voicegauge"]["redactionCountByLocation"]
        == saved.redaction_count_by_location
    )


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("failed: token=a1 and more", "failed: token=[redacted] and more"),
        ("password = 'two words'", "password = '[redacted]'"),
        ("{'jwt': 'a', 'x': 1}", "{'jwt': '[redacted]', 'x': 1}"),
        ("X-Api-Key: abcd1234", "X-Api-Key: [redacted]"),
        ("token: expired", "token: expired"),
        (
            "max_tokens=100, time_signature=4/4, tokens: 12345678a",
            "max_tokens=100, time_signature=4/4, tokens: 12345678a",
        ),
        (f"api_key={INVALID_API_KEY}", f"api_key={INVALID_API_KEY}"),
    ],
)
def test_what_stands_after_the_name_of_a_credential_is_masked(text: str, masked: str) -> None:
    assert mask_credentials(text) == masked
    assert mask_credentials(masked) == masked


@pytest.mark.parametrize("place", HIDDEN)
def test_what_looks_like_a_credential_and_cannot_be_masked_stops_the_write(tmp_path, place) -> None:
    secret = _secret(random.Random(place))
    with pytest.raises(DataError, match=r"is not written: exchange 2 .* holds what looks like .*--mask") as caught:
        _save(tmp_path / "a.har", _exchange(), HIDDEN[place](secret), names_to_keep=["X"])
    assert secret not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [place for place in HIDDEN if place.endswith("tells nothing")])
def test_masking_a_named_field_allows_the_write(tmp_path, place) -> None:
    secret = _secret(random.Random(place))
    saved = _save(tmp_path / "a.har", HIDDEN[place](secret), names_to_keep=["x"], names_to_mask=["X"])
    assert find_secret_spelling(_written(tmp_path), [secret]) is None
    assert sum(saved.redaction_count_by_location.values()) == 1


@pytest.mark.parametrize("body", [b"[" + b'"ab",' * 9_000 + b"0]", b"no line end, " * 2_000, b"line\n" * 5_000])
def test_a_text_that_takes_too_long_to_search_is_not_written(tmp_path, body, monkeypatch) -> None:
    monkeypatch.setattr("voicegauge.recording.redaction.MAX_MASKED_TEXT_CHARACTERS", 16_000)
    with pytest.raises(DataError, match="has to be searched for credentials"):
        _save(tmp_path / "a.har", _exchange(answer=body), names_to_keep=["application/json"])


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize(
    ("media_type", "line"),
    [
        ("text/event-stream", b"data: 1"),
        ("application/json", b"1"),
        ("text/plain", b'{"a": 1}'),
        ("text/event-stream", b""),
    ],
)
def test_a_stream_of_too_many_lines_is_not_written(tmp_path, media_type, line, end, monkeypatch) -> None:
    monkeypatch.setattr("voicegauge.recording.masking.MAX_STREAM_LINES_AND_VALUES", 999)
    streamed = _exchange(headers=(("Content-Type", media_type),), answer=(line + b"\n") * 2 + (line + end) * 1_000)
    with pytest.raises(DataError, match="a stream has more than 999 lines or values"):
        _save(tmp_path / "a.har", streamed)
    assert not list(tmp_path.iterdir())


def test_a_stream_of_too_many_values_is_not_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("voicegauge.recording.masking.MAX_STREAM_LINES_AND_VALUES", 999)
    body = (b"data: [" + b"1," * 98 + b"1]\n\n") * 10
    headers = (("Content-Type", "text/event-stream"),)
    with pytest.raises(DataError, match="a stream has more than 999 lines or values"):
        _save(tmp_path / "a.har", _exchange(headers=headers, answer=body))
    _save(tmp_path / "a.har", _exchange(headers=headers, answer=body[: len(body) // 2]))


def test_a_stream_with_too_long_a_line_is_not_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("voicegauge.recording.masking.MAX_JSON_BYTES", 2**20)
    streamed = _exchange(headers=(("Content-Type", "text/event-stream"),), answer=b"data: 1\n\ndata: " + b"a" * 2**20)
    with pytest.raises(DataError, match="a line of a stream is larger than 1 MiB"):
        _save(tmp_path / "a.har", streamed)


def test_a_long_text_is_masked_in_pieces(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("voicegauge.recording.masking._MIN_TEXT_PIECE_BYTES", 100)
    monkeypatch.setattr("voicegauge.recording.masking._MAX_TEXT_PIECE_BYTES", 501)
    secret = _secret(random.Random(4))
    body = "ü".encode() * 2_000 + f"\nBearer {secret}\n".encode() + b"line\n" * 1_000
    answered = _exchange(headers=(("Content-Type", "text/plain"),), answer=body)
    saved = _save(tmp_path / "a.har", answered, names_to_keep=["text/plain"])
    assert saved.exchanges[0].response.body == body.replace(secret.encode(), MASK.encode())


@settings(deadline=None, max_examples=60)
@given(
    key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=40),
    place=st.sampled_from(sorted(KNOWN)),
)
def test_a_key_of_any_characters_is_masked_or_stops_the_write(tmp_path_factory, key, place) -> None:
    folder = tmp_path_factory.mktemp("har")
    try:
        _save(folder / "a.har", KNOWN[place](key), secrets=[key])
    except DataError:
        assert _written(folder) == b""
    else:
        assert find_secret_spelling(_written(folder), [key]) is None


def test_masking_preserves_the_structure(tmp_path) -> None:
    body = _dumped({"api_key": "abc", "text": "hi", "n": [1, 2.5, True, None, "", {"token": "x"}]})
    (one,) = _save(tmp_path / "a.har", _exchange(asked=(JSON, ("Content-Length", "9")), body=body)).exchanges
    assert json.loads(one.request.body) == {
        "api_key": MASK, "text": "hi", "n": [0, 0.0, True, None, "", {"token": MASK}]
    }  # fmt: skip
    assert one.request.find_header("content-length") == str(len(one.request.body))


@pytest.mark.parametrize(
    "text",
    [
        "The key is to read slowly, and the secret of the tokens was lost with Elizabeth1st.",
        '{"tokens_used": 12, "key": "C major", "id": "019da2f4-77b7-4db5-8e32-874ce98e84a6"}',
        '{"id": "xtts-v2-api_019d12ab-34cd-56ef-7890-aabbccddeeff", "created_at": "2026-11-21T10:44:34.123Z"}',
        '{"sha": "77b71db532874ce98e84a69a2d740d4c77b71db532874ce98e84a69a2d740d4c"}',
    ],
)
def test_text_without_credentials_is_unchanged(tmp_path, text) -> None:
    kept = ["text/plain", "application/json", "tokens_used", "key", "id", "created_at", "sha"]
    answered = _exchange(answer=text.encode(), headers=(("Content-Type", "text/plain"),))
    saved = _save(tmp_path / "a.har", answered, names_to_keep=kept)
    assert saved.exchanges[0].response.body.decode() == text
    saved = _save(tmp_path / "b.har", _exchange(answer=text.encode()), names_to_keep=kept)
    assert saved.exchanges[0].response.body.decode() == text


@pytest.mark.parametrize(("name", "secret"), [("signature", True), ("x_signature", True), ("time_signature", False)])
def test_the_signature_of_a_song_is_not_a_secret(name, secret) -> None:
    assert is_credential_name(name) is secret


@pytest.mark.parametrize(
    ("text", "is_random"),
    [
        ("workspaces/acme/ttsAsyncJobs/6630993f/operations/6630993f1cbe26fb", False),
        ("projects/acme/locations/europe-west4/operations/Zm9vYmFy1", False),
        ("workspaces/acme/operations/aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA", True),
        ("aB3d/E5gH7jK9mN1pQ2r/S4tU6vW8xY0zA/q7", True),
    ],
)
def test_the_name_of_a_resource_is_no_key_but_may_contain_one(text, is_random) -> None:
    assert looks_random(text) is is_random
