"""What a credential looks like, how it is masked, and how a known one is found."""

from __future__ import annotations

import base64
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
BAD_KEY = "invalid-voicegauge-key"
"""Sent where a key shall be refused. It is no secret: recordings keep it, to tell it from a right one."""

_NAMES = (
    r"[\w.-]*(?:api[_-]?key|access[_-]?key|subscription[_-]?key|private[_-]?key|token|secret"
    r"|(?<!time[_-])(?<!key[_-])signature|password|passphrase|credentials?|authorization)"
)
"""A time signature and a key signature are music."""
_QUERY_NAMES = rf"(?:{_NAMES}|key|sig|auth|policy|[\w.-]*key[_-]?(?:pair[_-]?)?id)"
"""Signed URLs use short names that mean other things elsewhere: a song has a "key" too."""
_NAME = re.compile(_NAMES, re.IGNORECASE)
_QUERY_NAME = re.compile(_QUERY_NAMES, re.IGNORECASE)
_QUERY = re.compile(rf"([?&;]{_QUERY_NAMES}=)(?!\[redacted\])[^&#\s\"'<>\\]+", re.IGNORECASE)
_FIELD = re.compile(rf"(\"{_NAMES}\"\s*:\s*\")(?!\[redacted\])(?:[^\"\\]|\\.)+", re.IGNORECASE)
_AUTHORIZATION = re.compile(r"\b(Bearer|Basic)\s+(?!\[redacted\])[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_PREFIXED = re.compile(
    r"\b(?:(?:sk|pk|rk|xi|gh[opsur]|hf|r8|glpat|xox[abeoprs]|github_pat)[-_][A-Za-z0-9_-]{12,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}"
    r"|eyJ[A-Za-z0-9_-]{8,2000}+\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)?)(?![A-Za-z0-9])"
)
"""How issuers begin their keys, and JSON Web Tokens; the bound keeps a hostile text from being read over and over."""
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
_SAID = re.compile(
    r"(\b(?:api|access|secret|subscription|private)?[ _-]?(?:key|token|secret|password|credential|signature)s?\b"
    r"[\s:=]{1,3}(?:is |was |of )?[\"'`]?)(?=[A-Za-z_./+-]{0,200}\d)(?=[\d_./+-]{0,200}[A-Za-z])"
    r"[A-Za-z0-9_./+-]{16,200}={0,2}",
    re.IGNORECASE,
)
"""What an error message calls a key: "Invalid API key 8f3a..."."""
_USER = re.compile(r"(https?://)(?!redacted@)[^/\s\"'@?#]+@", re.IGNORECASE)
_OPAQUE = re.compile(r"[A-Za-z0-9+/_=-]{32,200}")
_MIN_ENTROPY = 4.2
"""Bits a character. Hexadecimal ids have 4 at most, words and file names less; random base64 has 5 and more."""


def mask_credentials(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with `secrets`, and everything that looks like a credential, replaced by `MASK`.

    Looks like one: "Bearer ...", "sk-...", a JSON Web Token, a private key, a user name in
    a URL, what a message calls a key, a query parameter or a JSON field named as keys,
    tokens and signatures are.
    """
    for secret in secrets:
        for _, form in _text_forms(secret):
            text = text.replace(form, MASK)
    text = _PRIVATE_KEY.sub(MASK, text)
    text = _USER.sub(r"\1redacted@", text)  # in brackets it would be read as an IPv6 address
    text = _QUERY.sub(rf"\1{MASK}", text)
    text = _FIELD.sub(rf"\1{MASK}", text)
    text = _AUTHORIZATION.sub(rf"\1 {MASK}", text)
    text = _PREFIXED.sub(MASK, text)
    return _SAID.sub(lambda found: found[0] if BAD_KEY in found[0] else f"{found[1]}{MASK}", text)


def mask_parameter(url: str, name: str) -> str:
    """`url` with the query parameter `name` masked, whatever it looks like."""
    return re.sub(rf"([?&]{re.escape(name)}=)[^&#]*", rf"\1{MASK}", url)


def names_credential(name: str, *, short: bool = False) -> bool:
    """Whether a field called `name` holds a key, a token or a signature.

    Args:
        name: of a JSON or form field, a query parameter or a header.
        short: whether "key", "sig" and the like count: they do in URLs.
    """
    return (_QUERY_NAME if short else _NAME).fullmatch(name) is not None


def looks_opaque(text: str) -> bool:
    """Whether all of `text` is one random string of a key's length: nothing tells what it is."""
    if not _OPAQUE.fullmatch(text) or not all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]")):
        return False
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts) >= _MIN_ENTROPY


def find_credential(data: bytes) -> str | None:
    """What in `data`, text or not, has the form of an issuer's key; `None` where nothing has.

    Tags inside audio are read this way: nobody would look for a key there.
    """
    text = data.decode("latin-1").replace(MASK, "*")  # what follows on the next line is none of its own
    for pattern, what in ((_PREFIXED, "a key"), (_PRIVATE_KEY, "a private key"), (_AUTHORIZATION, "an authorization")):
        found = pattern.search(text)
        if found is not None and BAD_KEY not in found[0]:
            return what
    return None


def find_secret(data: bytes, secrets: Iterable[str]) -> str | None:
    """The form in which one of `secrets` stands in `data`; `None` where none does.

    Looked for as it is, as JSON writes it, URL-encoded, in UTF-16 (tags in audio), and in
    base64 at each of the three alignments, with either alphabet.
    """
    for secret in secrets:
        for form, needle in _text_forms(secret):
            if needle.encode() in data:
                return form
        if secret and any(secret.encode(wide) in data for wide in ("utf-16-le", "utf-16-be")):
            return "in UTF-16"
        for digits in _base64_forms(secret.encode()):
            if digits in data:
                return "base64"
    return None


def _text_forms(secret: str) -> Iterator[tuple[str, str]]:
    if not secret:
        return
    yield "as it is", secret
    yield "as JSON", json.dumps(secret)[1:-1]
    encoded = quote(secret, safe="")
    yield "URL-encoded", encoded
    yield "URL-encoded", quote_plus(secret)
    yield "URL-encoded", re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    yield "URL-encoded twice", quote(encoded, safe="")


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
