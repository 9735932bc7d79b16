"""Encodings that only other clients accept, which bodies in recordings and in the proxy have."""

from __future__ import annotations

import brotli
import pytest
import zstandard

from voicegauge.errors import MissingExtraError, OversizeError
from voicegauge.transport.body_encoding import ADDITIONAL_CODINGS, decode_body

TEXT = b"speech " * 50_000
BODY_BY_CODING = {"br": brotli.compress(TEXT), "zstd": zstandard.compress(TEXT)}


def decode(body: bytes, coding: str, max_bytes: int = len(TEXT)) -> bytes:
    return decode_body(body, coding, max_bytes=max_bytes, origin_name="acme", additional_codings=ADDITIONAL_CODINGS)


@pytest.mark.parametrize("coding", ADDITIONAL_CODINGS)
def test_a_body_is_decoded_within_the_limit(coding: str) -> None:
    body = BODY_BY_CODING[coding]
    assert decode(body, coding) == TEXT
    assert decode_body(body, coding, max_bytes=len(TEXT), origin_name="acme") == body, (
        "voicegauge itself does not accept it"
    )
    with pytest.raises(OversizeError, match="acme"):
        decode(body, coding, len(TEXT) - 1)


@pytest.mark.parametrize("body", [b"no such thing", BODY_BY_CODING["br"][:-9]], ids=["text", "cut off"])
def test_a_body_that_cannot_be_decoded_comes_as_it_is(body: bytes) -> None:
    assert decode(body, "br") == body


@pytest.mark.parametrize("coding", ADDITIONAL_CODINGS)
def test_a_missing_decoder_names_its_extra(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicegauge.transport.body_encoding.find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=rf"{coding} is not installed: pip install 'voicegauge\[compression\]'"):
        decode(BODY_BY_CODING[coding], coding)
