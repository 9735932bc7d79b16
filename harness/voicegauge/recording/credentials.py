"""Recognizes credentials by their form, name or use, and masks credentials and known secrets in texts and records."""

from __future__ import annotations

import base64
import binascii
import enum
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.model.exchange import Exchange, Headers, Request, Response
from voicegauge.recording.body_masking import BodyReader, mask_body, split_location
from voicegauge.recording.secret_search import replace_secrets

# Recognizes credentials by their form or name and masks them; finds and masks known secrets in any encoding.


MASK = "[redacted]"
"""The text that replaces a secret."""
INVALID_API_KEY = "invalid-voicegauge-key"
"""The key that a planned request sends if it is expected to be rejected. It is not secret and not masked in recordings,
so that a replay can distinguish it from a valid key."""

_CREDENTIAL_NAME_REGEX = (
    r"[\w.-]*(?:api[_-]?key|access[_-]?key|subscription[_-]?key|private[_-]?key|token|secret"
    r"|(?<!time[_-])(?<!key[_-])signature|passw(?:or)?d|pwd|passphrase|passcode|jwt|csrf|xsrf|credentials?"
    r"|authorization|(?:(?<![A-Za-z])|(?<=x-))(?:otp|bearer))"
)
"""Matches names of fields that contain a credential. "time_signature" and "key_signature" describe music and do not
match."""
_CREDENTIAL_QUERY_NAME_REGEX = rf"(?:{_CREDENTIAL_NAME_REGEX}|key|sig|auth|policy|[\w.-]*key[_-]?(?:pair[_-]?)?id)"
"""Matches names of query parameters that contain a credential. Signed URLs use short names such as "key" and "sig". In
bodies these have other meanings, such as the "key" of a song."""
_POSSIBLE_CREDENTIAL_NAME_PATTERN = re.compile(
    rf"(?:{_CREDENTIAL_NAME_REGEX}|(?:[\w.-]*[_.-])?(?:key|auth|session|sess|sid|cookie|pass|pin|otp|cert|sig)"
    r"(?:[_-]?(?:id|value|code|data))?)",
    re.IGNORECASE,
)
"""Matches names that may mean a credential. The value of a field with such a name is masked wherever else it occurs,
but not in the field itself if the field is documented, such as the session of a conversation."""
_CREDENTIAL_NAME_PATTERN = re.compile(_CREDENTIAL_NAME_REGEX, re.IGNORECASE)
_CREDENTIAL_QUERY_NAME_PATTERN = re.compile(_CREDENTIAL_QUERY_NAME_REGEX, re.IGNORECASE)
_CREDENTIAL_IN_QUERY_PATTERN = re.compile(
    rf"([?&;]{_CREDENTIAL_QUERY_NAME_REGEX}=)(?!\[redacted\])[^&#\s\"'<>\\]+", re.IGNORECASE
)
_CREDENTIAL_IN_JSON_PATTERN = re.compile(
    rf"(\"{_CREDENTIAL_NAME_REGEX}\"\s*:\s*\")(?!\[redacted\])(?:[^\"\\]|\\.)+", re.IGNORECASE
)
_CREDENTIAL_IN_XML_PATTERN = re.compile(
    rf"(<(?:[\w.-]{{1,40}}:)?{_CREDENTIAL_NAME_REGEX}(?:\s[^<>]{{0,200}})?>)(?!\[redacted\])[^<]+", re.IGNORECASE
)
_AUTHORIZATION_PATTERN = re.compile(r"\b(Bearer|Basic)\s+(?!\[redacted\])[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_PREFIXED_KEY_PATTERN = re.compile(
    r"\b(?:(?:sk|pk|rk|xi|gh[opsur]|hf|r8|glpat|xox[abeoprs]|github_pat)[-_][A-Za-z0-9_-]{12,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}"
    r"|eyJ[A-Za-z0-9_-]{8,2000}+\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)?)(?![A-Za-z0-9])"
)
"""Matches keys with the prefix of their issuer (OpenAI, Stripe, ElevenLabs, GitHub, Hugging Face, Replicate, GitLab,
Slack, AWS, Google), and JSON Web Tokens (RFC 7519). The possessive bound avoids quadratic matching on hostile text."""
_PRIVATE_KEY_PATTERN = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
_KEY_IN_SENTENCE_PATTERN = re.compile(
    r"(\b(?:api|access|secret|subscription|private)?[ _-]?(?:key|token|secret|password|credential|signature)s?\b"
    r"[\s:=]{1,3}(?:is |was |of )?[\"'`]?)(?=[A-Za-z_./+-]{0,200}\d)(?=[\d_./+-]{0,200}[A-Za-z])"
    r"[A-Za-z0-9_./+-]{16,200}={0,2}",
    re.IGNORECASE,
)
"""Matches a key that an error message repeats, as in "Invalid API key 8f3a...". It must contain a digit and a
letter."""
_ASSIGNED_CREDENTIAL_PATTERN = re.compile(
    rf"((?<![\w.-]){_CREDENTIAL_NAME_REGEX}[\"'`]?"
    rf"(?:\s?=\s?|\s?:\s?(?=[\"'`])|\s?:\s?(?=[\"'`]?[A-Za-z_./+-]{{0,200}}\d)"
    rf"(?=[\"'`]?[\d_./+-]{{0,200}}[A-Za-z])(?=[\"'`]?[\w./+-]{{8}}))[\"'`]?)"
    rf"(?!\[redacted\]|{re.escape(INVALID_API_KEY)}|[\"'`])"
    r"(?:(?<=[\"'`])[^\"'`<>\\]{1,200}|[^\s\"'`<>&,;\\]+)",
    re.IGNORECASE,
)
"""Matches a credential of any length after its name, as in "token=a1b2" and "'password': 'x'". Without a "=" or a
quotation mark, it must have at least eight characters with a digit and a letter, unlike a word of a sentence."""
_URL_USER_PATTERN = re.compile(r"(://)(?!redacted@)[^/\s\"'?#]+@")
_RANDOM_TEXT_PATTERN = re.compile(r"[A-Za-z0-9+/_=-]{32,200}")
_COLLECTION_NAME_REGEX = "[a-z]{3,}(?:[A-Z][a-z]+)*"
_RESOURCE_NAME_PATTERN = re.compile(rf"{_COLLECTION_NAME_REGEX}/[\w-]+(?:/{_COLLECTION_NAME_REGEX}/[\w-]+)+")
"""Matches the name of a resource (google.aip.dev/122): names of collections and ids take turns."""
MAX_CREDENTIAL_CHARACTERS = 16_384
"""Largest number of characters of a credential. A longer run of base64 characters counts as audio. The longest
credentials are JSON Web Tokens with certificates, which have a few thousand characters."""
_LONG_BASE64_RUN_PATTERN = re.compile(rf"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_=-]{{{MAX_CREDENTIAL_CHARACTERS + 1},}}+")
"""Matches a long run of base64. The look-behind and the possessive quantifier keep the search linear."""
_MIN_CREDENTIAL_CHARACTERS = 14
"""Number of characters in the shortest credential that is recognized by its form: "Bearer" and eight characters."""
_MIN_ENTROPY_BITS_PER_CHARACTER = 4.2
"""Entropy in bits per character from which a text could be a key. Hexadecimal ids have at most 4, words and file names
have less, and a random base64 string of 32 characters has about 4.7."""

_CREDENTIAL_PATTERNS = (
    (_PREFIXED_KEY_PATTERN, "a key"),
    (_PRIVATE_KEY_PATTERN, "a private key"),
    (_AUTHORIZATION_PATTERN, "an authorization"),
)
"""Patterns of credentials that are recognized by their form, with the kind in words."""


def mask_credentials(text: str, secrets: Sequence[str] = ()) -> str:
    """Replace `secrets`, and everything that looks like a credential, with `MASK`.

    These are recognized: `secrets` in any spelling that `find_secrets` finds, "Bearer ...", "sk-...", JSON Web Tokens,
    private keys, user names in URLs, keys that a message repeats, and query parameters and JSON fields whose name means
    a key, a token or a signature.
    """
    text = replace_secrets(text, secrets, MASK)
    if len(text) <= MAX_CREDENTIAL_CHARACTERS:
        return _mask_likely_credentials(text)
    return "".join(part if is_run else _mask_likely_credentials(part) for part, is_run in split_at_base64_runs(text))


def split_at_base64_runs(text: str) -> Iterator[tuple[str, bool]]:
    """Split a text at its long runs of base64, which are audio, because no credential is so long.

    Yields:
        Each part of the text, and whether this part is a long run of base64.
    """
    end = 0
    for run in _LONG_BASE64_RUN_PATTERN.finditer(text):
        yield text[end : run.start()], False
        yield run[0], True
        end = run.end()
    yield text[end:], False


def _mask_likely_credentials(text: str) -> str:
    # Each pattern requires a certain character or length. Checking for that first is faster.
    text = mask_url_users(text)
    if "=" in text:
        text = _CREDENTIAL_IN_QUERY_PATTERN.sub(rf"\1{MASK}", text)
    if '"' in text:
        text = _CREDENTIAL_IN_JSON_PATTERN.sub(rf"\1{MASK}", text)
    if "<" in text:
        text = _CREDENTIAL_IN_XML_PATTERN.sub(rf"\1{MASK}", text)
    if "=" in text or ":" in text:
        text = _ASSIGNED_CREDENTIAL_PATTERN.sub(rf"\1{MASK}", text)
    if len(text) < _MIN_CREDENTIAL_CHARACTERS:
        return text
    text = _PRIVATE_KEY_PATTERN.sub(MASK, text)
    text = _AUTHORIZATION_PATTERN.sub(rf"\1 {MASK}", text)
    text = _PREFIXED_KEY_PATTERN.sub(MASK, text)
    return _KEY_IN_SENTENCE_PATTERN.sub(
        lambda found: found[0] if INVALID_API_KEY in found[0] else f"{found[1]}{MASK}", text
    )


def mask_url_users(text: str) -> str:
    """Replace user names and passwords in URLs, as in "https://user:password@host", with "redacted"."""
    if "@" not in text:
        return text
    return _URL_USER_PATTERN.sub(r"\1redacted@", text)  # "[...]@" would be parsed as an IPv6 host


def mask_query_parameter(url: str, name: str) -> str:
    """Mask the value of the query parameter `name` in `url`, or in a text with URLs."""
    return re.sub(rf"([?&]{re.escape(name)}=)[^&#]*", rf"\1{MASK}", url)


def is_credential_name(name: str, *, allow_short_names: bool = False) -> bool:
    """Whether the name of a field means a key, a token or a signature.

    Args:
        name: name of a JSON or form field, a query parameter or a header.
        allow_short_names: whether short names such as "key" and "sig" also count, as in URLs.
    """
    return (_CREDENTIAL_QUERY_NAME_PATTERN if allow_short_names else _CREDENTIAL_NAME_PATTERN).fullmatch(
        name
    ) is not None


def may_name_credential(name: str) -> bool:
    """Whether the name of a field may mean a key, a session or another credential."""
    return _POSSIBLE_CREDENTIAL_NAME_PATTERN.fullmatch(name) is not None


def looks_random(text: str) -> bool:
    """Whether `text` is a single random string of the length of a key, so that it could be a key.

    Each part of the name of a resource is judged alone, because its slashes also occur in base64.
    """
    if _RESOURCE_NAME_PATTERN.fullmatch(text):
        return any(map(looks_random, text.split("/")))
    if not _RANDOM_TEXT_PATTERN.fullmatch(text) or not all(
        re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]")
    ):
        return False
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts) >= _MIN_ENTROPY_BITS_PER_CHARACTER


def find_credential_kind(data: bytes) -> str | None:
    """Return the kind of credential that occurs in `data`, such as "a private key"; `None` if there is none.

    `data` may be binary, such as an audio file with tags.
    """
    text = data.decode("latin-1").replace(MASK, "*")  # a masked value must not match together with what follows it
    for part, is_run in split_at_base64_runs(text):
        for pattern, kind in () if is_run else _CREDENTIAL_PATTERNS:
            found = pattern.search(part)
            if found is not None and INVALID_API_KEY not in found[0]:
                return kind
    return None


# Masks known secrets in a record that is about to be written or printed.


RecordT = TypeVar("RecordT")


def mask_record(record: RecordT, secrets: Sequence[str]) -> RecordT:
    """Replace `secrets`, in any spelling, with `MASK` in all texts of a record, including dictionary keys.

    User names and passwords in URLs are masked too.

    Args:
        record: a record, or a tuple, list or dictionary of records. Nested records are masked too, but bytes are not.
        secrets: API keys that were in use.
    """
    masked: RecordT = _mask_value(record, secrets)
    return masked


def _mask_value(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return value if isinstance(value, enum.Enum) else mask_url_users(replace_secrets(value, secrets, MASK))
    if isinstance(value, tuple | list):
        return type(value)(_mask_value(item, secrets) for item in value)
    if isinstance(value, dict):
        return {_mask_value(key, secrets): _mask_value(item, secrets) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        fields = {name: _mask_value(getattr(value, name), secrets) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    return value


MIN_SECRET_CHARACTERS = 8
"""Minimum length of a value in the position of a key that counts as a secret. Shorter values, such as "none" or "xxx",
are placeholders."""
_AUTHORIZATION_HEADERS = frozenset({"authorization", "proxy-authorization"})
_COOKIE_HEADERS = frozenset({"cookie", "set-cookie"})
_SUBPROTOCOL_HEADER = "sec-websocket-protocol"
_MIN_SUBPROTOCOL_KEY_CHARACTERS = 16
"""Smallest number of characters of a subprotocol that may be a key. Names of subprotocols are shorter words."""
_COOKIE_ATTRIBUTES = frozenset({"path", "domain", "expires", "max-age", "samesite", "priority"})


def find_used_credentials(contract: Contract, exchange: Exchange, *, of_request_only: bool = False) -> list[str]:
    """Return the values of the headers, cookies, query parameters and body fields that are for credentials.

    Args:
        contract: contract of the provider, whose security schemes name the headers and parameters of its keys.
        exchange: an exchange that is not redacted yet.
        of_request_only: whether to leave out the response, in which services often send new cookies and sessions.
    """
    names = {str(scheme.get("name")).lower() for scheme in contract.security_schemes.values() if scheme.get("name")}
    request, response = exchange.request, exchange.response
    messages: tuple[Request | Response, ...] = (request,) if of_request_only else (request, response)
    found = [value for message in messages for value in find_credentials_in_headers(message.headers, names)]
    query = urlsplit(request.url).query
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name.lower() in names or is_credential_name(name, allow_short_names=True) or may_name_credential(name):
            found.append(value)
    for message in messages:
        found += _find_credentials_in_body(message.find_header("content-type") or "", message.body, names)
    found += _find_credentials_in_messages(contract, exchange, names)
    return list(dict.fromkeys(filter(is_secret, found)))


def _find_credentials_in_messages(contract: Contract, exchange: Exchange, credential_names: set[str]) -> Iterator[str]:
    """Yield the keys in the messages of a client: at documented locations, and in fields with the name of a key."""
    if exchange.socket is None:
        return
    operation = contract.socket_operations.get(exchange.operation)
    for message in exchange.socket.messages:
        if message.sender == "server" or message.is_binary:
            continue
        if operation is not None and operation.socket is not None:
            key = operation.socket.read_client_message(message.data).key
            yield from [key] if key is not None else []
        yield from _find_credentials_in_body("application/json", message.data, credential_names)


def find_credentials_in_headers(headers: Headers, credential_names: set[str]) -> Iterator[str]:
    """Yield the credentials in the values of headers.

    Args:
        headers: the headers of a request or a response.
        credential_names: names of headers that have keys, in lower case.
    """
    for header_name, value in headers:
        name = header_name.lower()
        if name in _COOKIE_HEADERS:
            for part in value.split(";"):
                cookie, _, content = part.strip().partition("=")
                if cookie.lower() not in _COOKIE_ATTRIBUTES:
                    yield content
                    yield unquote_plus(content)
        elif name == _SUBPROTOCOL_HEADER:
            # A browser cannot set headers of a handshake, so that some services take the key as a subprotocol.
            parts = (part.strip() for part in value.split(","))
            yield from (part for part in parts if len(part) >= _MIN_SUBPROTOCOL_KEY_CHARACTERS)
        elif name in _AUTHORIZATION_HEADERS or name in credential_names or may_name_credential(name):
            scheme, _, token = value.strip().rpartition(" ")
            yield token
            if scheme.lower() == "basic":
                yield from _read_basic_credentials(token)


def _read_basic_credentials(encoded_credentials: str) -> Iterator[str]:
    """Yield the password of the Basic scheme (RFC 7617), and the user name, in which some services expect the key."""
    try:
        user, _, password = base64.b64decode(encoded_credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return
    yield password
    yield user


def _find_credentials_in_body(content_type: str, body: bytes, credential_names: set[str]) -> list[str]:
    found: list[str] = []

    def collect_secret(value: str, location: str) -> None:
        if any(may_name_credential(name) or name.lower() in credential_names for name in split_location(location)):
            found.append(value)

    mask_body(content_type, body, BodyReader(collect_secret))
    return found


def is_secret(text: str) -> bool:
    """Whether a value in the position of a credential may be a secret: it is neither short nor masked.

    A word of the mask itself, such as "REDACTED", is what other tools write instead of a key.
    """
    is_masked = MASK in text or text.lower() in MASK
    return len(text) >= MIN_SECRET_CHARACTERS and not is_masked and text != INVALID_API_KEY
