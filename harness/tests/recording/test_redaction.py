from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from voicegauge.recording.masking import MASK, mask_credentials, mask_record
from voicegauge.recording.secret_search import find_secret_spelling

keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)
around = st.binary(max_size=20)


@given(key=keys, before=around, after=around)
def test_a_secret_is_found_in_every_form(key, before, after):
    raw = key.encode()
    for form in (raw, quote(key, safe="").encode(), quote_plus(key).encode(), json.dumps(key)[1:-1].encode()):
        assert find_secret_spelling(before + form + after, [key])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert find_secret_spelling(encode(before + raw + after), [key]) is not None


@given(key=keys, data=st.binary(max_size=200))
def test_data_without_secrets_is_accepted(key, data):
    assume(key.encode()[:4] not in data)
    assume(base64.b64encode(key.encode())[2:6] not in data)
    if find_secret_spelling(data, [key]) is not None:
        assert quote(key, safe="").encode() in data or base64.b64encode(key.encode())[4:8] in data


def test_empty_data_contains_no_secret():
    assert find_secret_spelling(b"anything", []) is None
    assert find_secret_spelling(b"anything", [""]) is None


@given(key=keys, text=st.text(max_size=20))
def test_a_known_secret_is_masked(key, text):
    assume(key not in MASK)  # what stands in its place may not hold it
    assert find_secret_spelling(mask_credentials(f"{text}{key} {quote(key, safe='')}", [key]).encode(), [key]) is None


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abcdef123456", f"Authorization: Bearer {MASK}"),
        ("Basic dXNlcjpwYXNzd29yZA==", f"Basic {MASK}"),
        ("got sk-tts-0123456789abcdef.", f"got {MASK}."),
        ("hf_abcdefghijklmnop", MASK),
        ("https://u:p@h.test/a", "https://redacted@h.test/a"),
        ("https://h.test/a?x=1&X-Amz-Signature=ab%2F&y=2", f"https://h.test/a?x=1&X-Amz-Signature={MASK}&y=2"),
        ("https://h.test/a?sig=ab&key=cd#f", f"https://h.test/a?sig={MASK}&key={MASK}#f"),
        ('{"api_key": "a\\"b", "key": "C"}', f'{{"api_key": "{MASK}", "key": "C"}}'),
        ('{"access_token":"abc"}', f'{{"access_token":"{MASK}"}}'),
    ],
)
def test_what_looks_like_a_credential_is_masked(text, masked):
    assert mask_credentials(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Skateboarders ask-and-answer basic things.",
        '{"status": "COMPLETED", "output": {"media_url": ["https://h.test/v1/xtts-v2-api_019d/output.wav"]}}',
        "https://h.test/static/downloads/77b71db5/output.mp3?uuid=77b71db532874ce98e84a69a2d740d4c",
    ],
)
def test_what_does_not_look_like_a_credential_is_unchanged(text):
    assert mask_credentials(text) == text


@pytest.mark.parametrize("word", ["a", "a-", '"', "?a-", "http://", "Bearer ", "sk-", "-eyJ"])
def test_masking_takes_linear_time(word):
    """Eight times the text takes about eight times the time of the processor; a quadratic pattern would take 64."""

    def seconds(count: int) -> float:
        before = time.process_time()
        mask_credentials('"' + word * count)
        return time.process_time() - before

    short, long = (min(seconds(count) for _ in range(3)) for count in (2_000, 16_000))
    assert long < 32 * max(short, 1e-4)


@pytest.mark.parametrize("secrets", [(), ("sk-anything-else",)])
def test_a_record_with_a_password_in_a_url_is_masked(secrets):
    urls = {"https://me:hunter2@cdn.example/a.wav": ["not found: wss://me:hun@ter2@cdn.example/a", "me@example.org"]}
    assert mask_record(urls, secrets) == {
        "https://redacted@cdn.example/a.wav": ["not found: wss://redacted@cdn.example/a", "me@example.org"]
    }
