"""A known secret is found in every spelling, and a short one only where it is the credential."""

from __future__ import annotations

import base64
import html
import json
import random
import string
import textwrap
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.recording.masking import MASK, mask_credentials
from voicegauge.recording.secret_search import find_secret_spelling, find_secrets

KEY = "sK9/x+Qe-7aZ_2mWv"
SPELLINGS = {
    "plain": lambda key: key,
    "lower case": str.lower,
    "upper case": str.upper,
    "swapped case": str.swapcase,
    "base64": lambda key: _base64(key.encode()),
    "base64 after one byte": lambda key: _base64(b"x" + key.encode() + b"y"),
    "base64 after two bytes": lambda key: _base64(b"xy" + key.encode() + b"z"),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(b">>" + key.encode()).decode(),
    "base64 of lower case": lambda key: _base64(key.lower().encode()),
    "base64, URL-encoded": lambda key: quote(_base64(key.encode()), safe=""),
    "base64 of UTF-16": lambda key: _base64(key.encode("utf-16-le")),
    "base64 of UTF-16 with a byte order mark": lambda key: _base64(b"\xff\xfe" + key.encode("utf-16-le")),
    "base64 of UTF-16, big endian": lambda key: _base64(b"\xfe\xff" + key.encode("utf-16-be")),
    "hexadecimal of UTF-16": lambda key: key.encode("utf-16").hex(),
    "hexadecimal": lambda key: key.encode().hex(),
    "hexadecimal in upper case": lambda key: key.encode().hex().upper(),
    "base64 in lines": lambda key: "\n".join(textwrap.wrap(_base64(key.encode()), 5)),
    "base64 in lines of MIME": lambda key: "\r\n".join(textwrap.wrap(_base64(key.encode()), 7)),
    "base64 in lines of a JSON text": lambda key: "\\n".join(textwrap.wrap(_base64(key.encode()), 6)),
    "hexadecimal with spaces": lambda key: key.encode().hex(" ").upper(),
    "hexadecimal with hyphens": lambda key: key.encode().hex("-"),
    "hexadecimal in groups": lambda key: key.encode().hex(" ", 4),
    "hexadecimal in lines": lambda key: "\n".join(textwrap.wrap(key.encode().hex(":"), 12)),
    "hexadecimal of C": lambda key: ", ".join(f"0x{c:02X}" for c in key.encode()),
    "quoted-printable": lambda key: "".join(f"={c:02X}" for c in key.encode()),
    "hexadecimal with colons": lambda key: key.encode().hex(":"),
    "URL encoding": lambda key: quote(key, safe=""),
    "URL encoding in lower case": lambda key: quote(key, safe="").lower(),
    "URL encoding, twice": lambda key: quote(quote(key, safe=""), safe=""),
    "URL encoding of all": lambda key: "".join(f"%{ord(c):02x}" for c in key),
    "URL encoding of some": lambda key: "".join(c if i % 3 else f"%{ord(c):02X}" for i, c in enumerate(key)),
    "JSON": json.dumps,
    "JSON of PHP": lambda key: json.dumps(key).replace("/", "\\/"),
    "JSON of JSON": lambda key: json.dumps(json.dumps(key).replace("/", "\\/")),
    "JSON escapes": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "Python escapes": lambda key: "".join(f"\\x{ord(c):02x}" for c in key),
    "HTML": html.escape,
    "HTML names": lambda key: key.replace("/", "&sol;").replace("+", "&plus;").replace("_", "&lowbar;"),
    "HTML names, twice": lambda key: key.replace("/", "&amp;sol;").replace("+", "&amp;plus;"),
    "HTML escapes without semicolons": lambda key: "".join(f"&#{ord(c)}" for c in key),
    "HTML escapes, twice": lambda key: html.escape("".join(f"&#{ord(c)};" for c in key)),
    "HTML escapes": lambda key: "".join(f"&#{ord(c)};" if i % 2 else f"&#x{ord(c):X};" for i, c in enumerate(key)),
}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_masked_and_nothing_else(spelling) -> None:
    spelled = SPELLINGS[spelling](KEY)
    masked = mask_credentials(f"Zürich 😀 {spelled} end", [KEY])
    assert masked.startswith("Zürich 😀 ")
    assert masked.endswith(" end")
    assert MASK in masked
    assert find_secret_spelling(masked.encode(), [KEY]) is None
    assert len(masked) - len(f"Zürich 😀 {MASK} end") <= 8  # base64 digits and quotes that also encode other bytes


@settings(max_examples=80)
@given(
    key=st.text(string.ascii_letters + string.digits + "+/_-.=%\\\"'&#;", min_size=8, max_size=40),
    spelling=st.sampled_from([name for name in SPELLINGS if name != "HTML"]),
    before=st.text(max_size=5),
    after=st.text(max_size=5),
)
def test_a_key_of_any_characters_is_masked(key, spelling, before, after) -> None:
    if spelling != "plain" and len(set("%\\&") & set(key)):
        return  # unescaping what the key itself contains gives another text
    masked = mask_credentials(before + SPELLINGS[spelling](key) + after, [key])
    assert find_secret_spelling(masked.encode(errors="surrogatepass"), [key]) is None


def test_occurrences_are_reported_in_order_with_their_offsets() -> None:
    text = f"%41 {KEY} \\u0041 {KEY.upper()}{KEY}".encode()
    assert [text[one.start_offset : one.end_offset].decode().lower() for one in find_secrets(text, [KEY])] == [
        KEY.lower()
    ] * 3


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("the latest test of the contest", "the latest test of the contest"),
        ('{"mode": "test", "text": "This is a test."}', '{"mode": "test", "text": "This is a test."}'),
        ("/v1/test/testing?voice=test", "/v1/test/testing?voice=test"),
        ("Invalid key test", f"Invalid key {MASK}"),
        ("API key 'test' is wrong", f"API key '{MASK}' is wrong"),
        ("The API key you sent was test.", f"The API key you sent was {MASK}."),
        ("'test' is not a valid API key", f"'{MASK}' is not a valid API key"),
        ('{"api_key": "test"}', f'{{"api_key": "{MASK}"}}'),
        ("?api_key=test&voice=test", f"?api_key={MASK}&voice=test"),
        ("Authorization: Bearer test", f"Authorization: Bearer {MASK}"),
        ("token dGVzdA== for the latest", f"token {MASK}== for the latest"),
        ("token=74657374", f"token={MASK}"),
    ],
)
def test_a_short_key_is_masked_only_where_it_is_the_credential(text, masked) -> None:
    assert mask_credentials(text, ["test"]) == masked


@pytest.mark.parametrize("spelling", ["plain", "upper case", "base64", "hexadecimal"])
def test_a_key_that_is_cut_off_is_masked(spelling) -> None:
    spelled = SPELLINGS[spelling](KEY)
    for length in range(len(spelled) // 3 + 2, len(spelled)):
        assert mask_credentials(f"you sent {spelled[:length]}", [KEY]) == f"you sent {MASK}"
    assert mask_credentials(spelled[: len(spelled) // 4], [KEY]) == spelled[: len(spelled) // 4]


@pytest.mark.parametrize("text", ["https://api.acme.example/v1/tts/generate", "the latest", "a test", "/v1/dGV"])
def test_an_ordinary_word_that_ends_like_a_short_key_begins_is_not_masked(text) -> None:
    assert mask_credentials(text, ["test-key"]) == text


@pytest.mark.parametrize("secret", [KEY, "test"])
@pytest.mark.parametrize("spelling", ["plain", "base64", "URL encoding of all"])
def test_a_key_is_found_wherever_a_large_text_is_divided(secret, spelling, monkeypatch) -> None:
    monkeypatch.setattr("voicegauge.recording.secret_search._SEARCH_WINDOW_BYTES", 700)
    monkeypatch.setattr("voicegauge.recording.secret_search._WINDOW_OVERLAP_BYTES", 300)
    spelled = f" token {SPELLINGS[spelling](secret)} ".encode()
    filling = b"latest %41 " * 120  # 11 bytes each
    for at in range(0, 1_000, 11):
        found = find_secrets(filling[:at] + spelled + filling[at:], [secret])
        assert [at <= one.start_offset and one.end_offset <= at + len(spelled) for one in found] == [True]


@pytest.mark.slow
def test_masking_takes_linear_time() -> None:
    for unit in ("%", "\\", "&#", "%25", "\\u0041", KEY, KEY[:-1], "key test ", "token="):
        assert mask_credentials(unit * (200_000 // len(unit)), [KEY, "test"])


def test_long_base64_is_searched_for_keys_only() -> None:
    audio = _base64(random.Random(1).randbytes(300_000))
    body = f'{{"api_key": "abcdef", "audio": "{audio}"}}'
    assert mask_credentials(body) == body.replace("abcdef", MASK)
    hidden = _base64(random.Random(1).randbytes(30_000) + KEY.encode() + bytes(30_000))
    assert MASK in mask_credentials(f"data: {hidden}", [KEY])
