"""Keeping secrets out of what is written: known keys are refused, likely ones are masked."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "[redacted]"

_NAMES = (
    r"(?:[\w.-]*(?:api[_-]?key|access[_-]?key|subscription[_-]?key|token|signature|secret|password|credential)"
    r"|key|sig|auth|[\w.-]*key[_-]?(?:pair[_-]?)?id|policy)"
)
_QUERY = re.compile(rf"([?&;]{_NAMES}=)[^&\s\"'<>\\]+", re.IGNORECASE)
_FIELD = re.compile(rf"(\"{_NAMES}\"\s*:\s*\")(?:[^\"\\]|\\.)+", re.IGNORECASE)
_AUTHORIZATION = re.compile(r"\b(Bearer|Basic|Token)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_PREFIXED = re.compile(r"\b(?:sk|pk|rk|xi|ghp|hf|r8|AKIA|ASIA)[-_]?[A-Za-z0-9_-]{12,}\b")
_USER = re.compile(r"(https?://)[^/\s\"'@?#]+@", re.IGNORECASE)


def mask_credentials(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with `secrets`, and everything that looks like a credential, replaced by `MASK`.

    Looks like one: "Bearer ...", "sk-...", a user name in a URL, a query parameter or a
    JSON field named as keys, tokens and signatures are.
    """
    for secret in secrets:
        for _, form in _text_forms(secret):
            text = text.replace(form, MASK)
    text = _USER.sub(rf"\1{MASK}@", text)
    text = _QUERY.sub(rf"\1{MASK}", text)
    text = _FIELD.sub(rf"\1{MASK}", text)
    text = _AUTHORIZATION.sub(rf"\1 {MASK}", text)
    return _PREFIXED.sub(MASK, text)


def mask_parameter(url: str, name: str) -> str:
    """`url` with the query parameter `name` masked, whatever it looks like."""
    return re.sub(rf"([?&]{re.escape(name)}=)[^&#]*", rf"\1{MASK}", url)


def find_secret(data: bytes, secrets: Iterable[str]) -> str | None:
    """The form in which one of `secrets` stands in `data`; `None` where none does.

    Looked for as it is, as JSON writes it, URL-encoded, and in base64 at each of the
    three alignments, with either alphabet.
    """
    for secret in secrets:
        for form, needle in _text_forms(secret):
            if needle.encode() in data:
                return form
        for digits in _base64_forms(secret.encode()):
            if digits in data:
                return "base64"
    return None


def _text_forms(secret: str) -> Iterator[tuple[str, str]]:
    if not secret:
        return
    yield "as it is", secret
    yield "as JSON", json.dumps(secret)[1:-1]
    yield "URL-encoded", quote(secret, safe="")
    yield "URL-encoded", quote_plus(secret)
    yield "URL-encoded", re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), quote(secret, safe=""))


_MIN_BASE64 = 6
"""A shorter needle would be found in any audio by chance."""


def _base64_forms(secret: bytes) -> Iterator[bytes]:
    """What base64 makes of `secret` wherever it begins, less the digits its neighbours have a part in."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret)
        whole_bits = 8 * (shift + len(secret))
        needle = encoded[(8 * shift + 5) // 6 : whole_bits // 6]
        if len(needle) >= _MIN_BASE64:
            yield needle
            yield needle.replace(b"+", b"-").replace(b"/", b"_")
