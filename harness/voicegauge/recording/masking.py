"""Recognizes credentials by their form or name, and masks them in texts, records and bodies.

A masker gets every text and number of a body: in JSON, forms, event streams and plain text.
"""

from __future__ import annotations

import enum
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec

from voicegauge.errors import DataError
from voicegauge.formats.bodies import (
    MAX_JSON_BYTES,
    FieldText,
    UnreadableBodyError,
    count_json_nodes,
    is_form,
    is_json,
    is_utf8,
    read_form,
    read_json,
)
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.message_streams import EVENT_STREAM_MEDIA_TYPE
from voicegauge.model.exchange import UploadedFile
from voicegauge.recording.secret_search import replace_secrets
from voicegauge.transport.body_encoding import encode_body

_MIN_TEXT_PIECE_BYTES = 2**20
_MAX_TEXT_PIECE_BYTES = 4 * 2**20
"""Bounds of the size of a piece of a large text. A piece ends at the first end of a line between them."""
_MAX_UTF_16_OR_32_BODY_BYTES = 8 * 2**20
"""Maximum size of JSON in UTF-16 or UTF-32 that is masked part by part."""
MAX_STREAM_LINES_AND_VALUES = 500_000
"""Maximum number of lines, and of JSON values in them, in an event stream or in lines of JSON. They are masked one by
one, which takes three seconds for this number. A stream of an hour of speech has about a hundred thousand."""
_EVENT_STREAM_FIELD_NAMES = (b"data", b"event", b"id", b"retry", b"")
"""Names of the fields of an event stream; a comment has none."""
_LINE_PATTERN = re.compile(rb"[^\r\n]+")
"""Matches a line without its end."""


class BodyMasker:
    """Receives every part of a body, and returns the replacement of the part. This base class changes nothing.

    Locations are JSON pointers with "*" for each item of a list, such as "/auth/tokens/*".
    """

    def mask_value(self, text: str, location: str) -> str:  # noqa: ARG002
        """Return the text that replaces a text in JSON or in a form."""
        return text

    def mask_number(self, number: float, location: str) -> float:  # noqa: ARG002
        """Return the number that replaces a number in JSON."""
        return number

    def mask_field_name(self, name: str) -> str:
        """Return the name that replaces the name of a JSON field."""
        return name

    def mask_file(self, data: bytes, location: str) -> bytes:  # noqa: ARG002
        """Return the content that replaces that of an uploaded file that is not text."""
        return data

    def mask_text(self, text: str) -> str:
        """Return the text that replaces a text without structure, or a part of it."""
        return text

    def mask_whole_body(self, media_type: str, body: bytes, *, is_binary: bool) -> bytes | None:  # noqa: ARG002
        """Return the replacement of a whole body without structure; `None` to mask its texts one by one."""
        return None


class BodyReader(BodyMasker):
    """Passes every text of a body to a function, with its location."""

    def __init__(self, read_text: Callable[[str, str], None]) -> None:
        self._read_text = read_text

    def mask_value(self, text: str, location: str) -> str:
        """Pass a text of JSON or of a form to the function, and return it unchanged."""
        self._read_text(text, location)
        return text

    def mask_field_name(self, name: str) -> str:
        """Pass the name of a JSON field to the function, and return it unchanged."""
        return self.mask_value(name, "")

    def mask_text(self, text: str) -> str:
        """Pass a text without structure to the function, and return it unchanged."""
        return self.mask_value(text, "")


def get_bare_media_type(content_type: str) -> str:
    """Return the media type in a Content-Type value, in lower case and without parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_multipart_fields(content_type: str, body: bytes) -> dict[str, FieldText | UploadedFile] | None:
    """Return the fields and files of a multipart body in their order; `None` if `body` is not valid multipart."""
    if get_bare_media_type(content_type) != "multipart/form-data":
        return None
    try:
        form = read_form(content_type, body)
    except UnreadableBodyError:
        return None
    fields: dict[str, FieldText | UploadedFile] = {**form.fields, **form.files}
    # `read_form` returns texts and files separately, so the position of each name restores the original order.
    return dict(sorted(fields.items(), key=lambda item: body.find(f'name="{item[0]}"'.encode())))


def mask_body(content_type: str, body: bytes, masker: BodyMasker) -> tuple[str, bytes]:
    """Pass every part of `body` through `masker`; if nothing changes, the bytes are returned unchanged.

    Returns:
        The content type (with a new boundary if a multipart body changed) and the body.

    Raises:
        DataError: a stream has more than `MAX_STREAM_LINES_AND_VALUES` lines or values, or a line above
            `MAX_JSON_BYTES`.
    """
    media_type = get_bare_media_type(content_type)
    if not body:
        return content_type, body
    try:
        if is_form(media_type):
            return _mask_form(content_type, body, masker)
    except (UnreadableBodyError, UnicodeDecodeError):
        pass  # the body is not what its media type declares, so it is masked as text
    if media_type == EVENT_STREAM_MEDIA_TYPE and is_utf8(body):
        return content_type, _mask_lines(body, lambda line: _mask_stream_line(line, masker))
    # JSON of any declared type, because services declare text or nothing; a zero byte begins JSON in UTF-16 or UTF-32.
    if is_json(media_type) or body.lstrip()[:1] in (b"{", b"[") or b"\0" in body[:4]:
        masked = _mask_json_body(body, masker)
        if masked is not None:
            return content_type, masked
    whole = masker.mask_whole_body(media_type, body, is_binary=not is_utf8(body))
    return content_type, _mask_plain_text(body, masker) if whole is None else whole


def _mask_json_body(body: bytes, masker: BodyMasker) -> bytes | None:
    """Mask a JSON value, or lines of JSON; return `None` if the body is neither."""
    masked = _mask_json_text(body, masker)
    if masked is not None:
        return masked
    if is_utf8(body) and b"\0" not in body[:4]:
        first, _, rest = body.partition(b"\n")
        if not rest.strip() or _parse_json_text(first) is None:
            return None
        return _mask_lines(body, lambda line: _mask_stream_data(line, masker))
    return _mask_utf_16_or_32_json(body, masker) if len(body) <= _MAX_UTF_16_OR_32_BODY_BYTES else None


def _mask_utf_16_or_32_json(body: bytes, masker: BodyMasker) -> bytes | None:
    """Mask JSON in UTF-16 or UTF-32, which is invalid but which many clients read; return `None` for other bodies."""
    encoding = json.detect_encoding(body)
    try:
        text = body.decode(encoding).encode()
    except UnicodeError:
        return None
    masked = _mask_json_text(text, masker)
    return None if masked is None else body if masked == text else masked.decode().encode(encoding)


def _parse_json_text(text: bytes) -> tuple[Any] | None:
    """Return the JSON value of a text, in a tuple; `None` if the text is not JSON."""
    try:
        return (read_json(text),)
    except UnreadableBodyError:
        return None


def _mask_json_text(text: bytes, masker: BodyMasker) -> bytes | None:
    found = _parse_json_text(text)
    if found is None:
        return None
    masked = _mask_json(found[0], "", masker)
    if masked == found[0]:
        return text  # as it was written: another spelling of the same value would look like a change of the service
    return json.dumps(masked, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _mask_lines(body: bytes, mask_line: Callable[[bytes], bytes]) -> bytes:
    """Mask each line without its end. Bytes that do not change are kept as they are."""
    line_count = body.count(b"\n") + body.count(b"\r")
    if (
        line_count > MAX_STREAM_LINES_AND_VALUES
        or count_json_nodes(body, MAX_STREAM_LINES_AND_VALUES) > MAX_STREAM_LINES_AND_VALUES
    ):
        raise DataError(
            f"the recording is not written: a stream has more than {MAX_STREAM_LINES_AND_VALUES:,} lines or values"
        )
    parts, copied = [], 0
    for found in _LINE_PATTERN.finditer(body):
        if found.end() - found.start() > MAX_JSON_BYTES:
            size = f"{MAX_JSON_BYTES // 2**20} MiB"
            raise DataError(f"the recording is not written: a line of a stream is larger than {size}")
        line = found[0]
        masked = mask_line(line)
        if masked != line:  # only then are the unchanged bytes before it copied
            parts += [body[copied : found.start()], masked]
            copied = found.end()
    return b"".join([*parts, body[copied:]]) if parts else body


def _mask_stream_line(line: bytes, masker: BodyMasker) -> bytes:
    """Mask one line of an event stream: a field with its value, or a comment."""
    name, colon, value = line.partition(b":")
    if name not in _EVENT_STREAM_FIELD_NAMES:  # clients ignore the line
        return masker.mask_text(line.decode()).encode()
    space = b" " if value.startswith(b" ") else b""
    value = value.removeprefix(b" ")
    if name == b"event" or (name == b"retry" and value.isdigit()):
        return name + colon + space + masker.mask_field_name(value.decode()).encode()
    return name + colon + space + _mask_stream_data(value, masker)


def _mask_stream_data(data: bytes, masker: BodyMasker) -> bytes:
    if not data:
        return data
    masked = _mask_json_text(data, masker)
    return masker.mask_text(data.decode()).encode() if masked is None else masked


def _mask_plain_text(body: bytes, masker: BodyMasker) -> bytes:
    if not is_utf8(body):
        return body
    parts, copied = [], 0
    for start, end in _find_text_pieces(body):
        text = body[start:end].decode()
        masked = masker.mask_text(text)
        if masked != text:  # only then are the unchanged bytes before it copied
            parts += [body[copied:start], masked.encode()]
            copied = end
    return b"".join([*parts, body[copied:]]) if parts else body


def _find_text_pieces(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each piece of a text in UTF-8.

    A large text is decoded piece by piece, because a `str` may take four times its size. Pieces end at line ends.
    A line that is longer than the maximum size of a piece is divided between two characters.
    """
    start = 0
    while start < len(body):
        end = min(start + _MAX_TEXT_PIECE_BYTES, len(body))
        line_end = body.find(b"\n", start + _MIN_TEXT_PIECE_BYTES, end) + 1
        while end < len(body) and body[end] & 0xC0 == 0x80:  # a byte that continues a character
            end -= 1
        yield start, line_end or end
        start = line_end or end


def _mask_json(json_value: Any, location: str, masker: BodyMasker) -> Any:
    if isinstance(json_value, str):
        return masker.mask_value(json_value, location)
    if isinstance(json_value, list):
        return [_mask_json(item, f"{location}/*", masker) for item in json_value]
    if isinstance(json_value, dict):
        return {
            masker.mask_field_name(name): _mask_json(item, f"{location}/{escape_pointer_token(name)}", masker)
            for name, item in json_value.items()
        }
    if isinstance(json_value, int | float) and not isinstance(json_value, bool):
        return masker.mask_number(json_value, location)
    return json_value


def _mask_form(content_type: str, body: bytes, masker: BodyMasker) -> tuple[str, bytes]:
    if get_bare_media_type(content_type) == "application/x-www-form-urlencoded":
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
        masked_pairs = [
            (masker.mask_field_name(name), masker.mask_value(value, f"/{escape_pointer_token(name)}"))
            for name, value in pairs
        ]
        return content_type, body if masked_pairs == pairs else urlencode(masked_pairs).encode()
    fields = read_multipart_fields(content_type, body)
    if fields is None:
        raise UnreadableBodyError("is not a valid multipart body")
    masked = {masker.mask_field_name(name): _mask_form_part(name, value, masker) for name, value in fields.items()}
    return (content_type, body) if masked == fields else encode_body("multipart/form-data", masked)


def _mask_form_part(name: str, value: FieldText | UploadedFile, masker: BodyMasker) -> FieldText | UploadedFile:
    location = f"/{escape_pointer_token(name)}"
    if isinstance(value, str):
        return masker.mask_value(value, location)
    if isinstance(value, list):
        return [masker.mask_value(text, location) for text in value]
    filename = masker.mask_value(value.filename, location)
    try:
        data = masker.mask_value(value.data.decode(), location).encode()
    except UnicodeDecodeError:
        data = masker.mask_file(value.data, location)
    return msgspec.structs.replace(value, filename=filename, data=data)


def flatten_json(json_value: Any, location: str = "") -> Iterator[tuple[str, str]]:
    """Yield the location and the JSON text of every scalar and every empty container in `json_value`.

    A location is `location` with the JSON pointer below `json_value`. 1.0 has the text of 1, the same number.
    """
    items = (
        json_value.items()
        if isinstance(json_value, dict)
        else enumerate(json_value)
        if isinstance(json_value, list)
        else ()
    )
    if not items or not json_value:
        is_whole = isinstance(json_value, float) and json_value.is_integer()
        yield location, json.dumps(int(json_value) if is_whole else json_value, ensure_ascii=False)
        return
    for key, item in items:
        yield from flatten_json(item, f"{location}/{key}")


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
# Whole names, for fields and parameters that were parsed; then the same names with their values in any text.
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
"""Matches a credential after the name of its scheme, wherever a text quotes the header."""
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
"""Matches the name and password in the authority of a URL."""
_RANDOM_TEXT_PATTERN = re.compile(r"[A-Za-z0-9+/_=-]{32,200}")
"""Matches a text that is long enough, and has the characters, of a random key."""
_COLLECTION_NAME_REGEX = "[a-z]{3,}(?:[A-Z][a-z]+)*"
"""The name of a collection of resources: "projects", "voiceClones"."""
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
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        masked = {name: _mask_value(field, secrets) for name, field in fields.items()}
        changed = {name: field for name, field in masked.items() if field is not fields[name]}
        return msgspec.structs.replace(value, **changed) if changed else value
    return value
