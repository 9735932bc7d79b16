"""Searches for known secrets in any spelling: other letter case, base64, hexadecimal digits, escapes, UTF-16."""

from __future__ import annotations

import base64
import functools
import html.entities
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote, quote_plus

MIN_LONG_SECRET_CHARACTERS = 8
"""Minimum length, in characters, of a secret that is searched for everywhere. A shorter one, such as "test", also
occurs in ordinary sentences, so it is found only next to a word such as "key". Keys of real providers have at least
twenty."""
MIN_TRUNCATED_SECRET_CHARACTERS = 6
"""Minimum length, in characters, of the beginning of a secret that is masked at the end of a text. At least a third of
the secret must be there too. A third alone would be too little for a short secret: of "test-key" it is "te", with which
"/generate" ends."""
_CREDENTIAL_WORD_SEARCH_BYTES = 48
"""Number of bytes before and after a short secret that are searched for a word such as "key"."""
_SEARCH_WINDOW_BYTES = 2**20
"""Number of bytes that are searched at a time. The offsets of decoded escapes, which are kept meanwhile, take up to
fifty times as much memory."""
_WINDOW_OVERLAP_BYTES = 2**16
"""Number of bytes that two windows share, so that one of them has the whole secret. A secret of 64 characters may be
written with a thousand bytes per character."""

_ESCAPE_PATTERN = re.compile(
    rb"[%\\&](?:"  # a set of first characters, which makes the search several times faster
    rb"(?<=%)(?:25)*([0-9a-fA-F]{2})"  # URL encoding (RFC 3986), once or several times
    rb"|(?<=\\)\\*(?:u00([0-9a-fA-F]{2})|x([0-9a-fA-F]{2}))"  # JSON, JavaScript, Python
    rb"|(?<=&)(?:amp;)*#(?:[xX]0*([0-9a-fA-F]{2})|0*([0-9]{2,3}))(?![0-9a-fA-F]);?"  # HTML, once or several times
    rb"|(?<=&)(?:amp;)*([A-Za-z]{2,16});"  # HTML
    rb"|(?<=\\)\\*([\"/\\]))"  # JSON; PHP escapes slashes
)
_CHARACTERS_BY_HTML_NAME = {
    name.removesuffix(";").encode(): ord(text)
    for name, text in html.entities.html5.items()
    if len(text) == 1 and text.isascii()
}
_ESCAPE_SPLIT_PATTERN = re.compile(b"(" + _ESCAPE_PATTERN.pattern.replace(b"([", b"(?:[") + b")")
"""Matches an escape as `_ESCAPE_PATTERN` does, but with a single group around it, as `split` needs it."""
_MAX_CACHED_TEXT_CHARACTERS = 500
"""Maximum length of texts whose search is remembered, so that all of them take at most a few megabytes."""
_IN_BASE64_DESCRIPTION, _IN_HEXADECIMAL_DESCRIPTION = "in base64", "in hexadecimal"
"""How a secret is written, in words."""
_BASE64_DIGIT_PATTERN = re.compile(rb"[A-Za-z0-9+/_-]")
"""Matches one digit of base64, in both of its alphabets."""
_CREDENTIAL_WORD_REGEX = (
    rb"(?:keys?|tokens?|secrets?|passwords?|credentials?|signatures?|authori[sz]ation|bearer|basic)"
)
"""A word that announces a credential in a sentence."""
_CREDENTIAL_WORD_BEFORE_PATTERN = re.compile(
    rb"%b[\W_]*(?:[a-z]{1,12} +){0,3}[\W_]*\Z" % _CREDENTIAL_WORD_REGEX, re.IGNORECASE
)
_CREDENTIAL_WORD_AFTER_PATTERN = re.compile(
    rb"\W*(?:(?:is|was|as|in|not|no|an?|your|the|valid|invalid|unknown|expired|wrong|api|access|secret)\W+){0,5}%b\b"
    % _CREDENTIAL_WORD_REGEX,
    re.IGNORECASE,
)


class SecretMatch(NamedTuple):
    """One occurrence of a secret."""

    start_offset: int
    """Offset of the first byte of the occurrence."""
    end_offset: int
    """Offset after the last byte of the occurrence."""
    spelling_description: str
    """How the secret is written, in words, such as "as plain text" or "in base64"."""


class _Spelling(NamedTuple):
    """One way to write a secret, such as in base64."""

    description: str
    """How the secret is written, in words: "as plain text", "in base64", ..."""
    spelled_secret: bytes
    """The bytes of the secret when it is written in this way."""
    ignores_case: bool
    """Whether letters match in either case. If so, `spelled_secret` is in lower case."""
    shares_preceding_digit: bool = False
    """Whether the base64 digit before `spelled_secret` encodes some bits of the secret's first character."""
    shares_following_digit: bool = False
    """Whether the base64 digit after `spelled_secret` encodes some bits of the secret's last character."""


class _DigitSeparators(NamedTuple):
    """The separators that may stand between the digits of a secret in one spelling, such as line breaks in base64."""

    spelling_description: str
    """How the secret is written, in words: "in base64" or "in hexadecimal"."""
    single_characters: bytes
    """All separators of one character."""
    long_separators: tuple[bytes, ...]
    """Separators of more than one character."""
    pattern: re.Pattern[bytes]
    """Matches a run of one or more separators."""

    def remove_from(self, data: bytes) -> bytes:
        """Return `data` without the separators and backslashes, much faster than `pattern` would remove them."""
        for text in self.long_separators:
            data = data.replace(text, b"")
        return data.translate(None, self.single_characters + b"\\")


_DIGIT_SEPARATORS = (
    # MIME (RFC 2045) and PEM have lines of 76 and 64 characters.
    _DigitSeparators(
        _IN_BASE64_DESCRIPTION, b" \t\r\n", (b"\\n", b"\\r", b"\\t"), re.compile(rb"(?:[ \t\r\n]|(?<!\\)\\++[nrt])+")
    ),
    # Bytes are written as in "73:4b", "73 4b", "0x73, 0x4b" or "=73=4B".
    _DigitSeparators(
        _IN_HEXADECIMAL_DESCRIPTION,
        b" \t\r\n:;,.=%_-",
        (b"\\n", b"\\r", b"\\t", b"\\x", b"0x"),
        re.compile(rb"(?:[ \t\r\n:;,.=%_-]|0x|(?<!\\)\\++[nrtx])+"),
    ),
)


def find_secrets(data: bytes, secrets: Iterable[str]) -> list[SecretMatch]:
    """Return all occurrences of `secrets` in `data`, in order. Overlapping occurrences are merged."""
    # The secrets are known, so their spellings are searched for in the data. The other way, decoding whatever looks
    # encoded and searching the results, fails where it matters: base64 and hexadecimal digits also occur in ordinary
    # text, an encoded part may begin at any digit, and nested encodings multiply the results.
    known = [secret for secret in secrets if secret and len(data) >= _compute_min_spelling_bytes(secret)]
    if not known:
        return []
    found: list[SecretMatch] = []
    for start in range(0, max(len(data) - _WINDOW_OVERLAP_BYTES, 1), _SEARCH_WINDOW_BYTES - _WINDOW_OVERLAP_BYTES):
        window = data[start : start + _SEARCH_WINDOW_BYTES]
        # What is next to a match is needed too. At an edge, another window has it.
        first = _CREDENTIAL_WORD_SEARCH_BYTES if start else 0
        last = len(window) if start + len(window) == len(data) else len(window) - _CREDENTIAL_WORD_SEARCH_BYTES
        matches = (
            match for match in _search_window(window, known) if first <= match.start_offset and match.end_offset <= last
        )
        found += (
            SecretMatch(match.start_offset + start, match.end_offset + start, match.spelling_description)
            for match in matches
        )
    merged: list[SecretMatch] = []
    for match in sorted(found):
        if merged and match.start_offset < merged[-1].end_offset:
            merged[-1] = merged[-1]._replace(end_offset=max(merged[-1].end_offset, match.end_offset))
        else:
            merged.append(match)
    return merged


def _search_window(window: bytes, secrets: Sequence[str]) -> Iterator[SecretMatch]:
    """Yield the occurrences of `secrets`: as plain text, written with escapes, and with separators between digits."""
    yield from _find_matches(window, secrets)
    for separators in _DIGIT_SEPARATORS:
        yield from _find_separated_matches(window, secrets, separators)
    if not any(sign in window for sign in (b"%", b"\\", b"&")):
        return
    # Escapes are decoded twice: first without offsets, which is faster, and with offsets only if that found something.
    # A recording has many escapes and nearly never a secret.
    parts = _ESCAPE_SPLIT_PATTERN.split(window)
    parts[1::2] = map(_decode_escape, parts[1::2])
    if len(parts) == 1 or next(_find_matches(b"".join(parts), secrets), None) is None:
        return  # nearly always, and faster than with the offsets
    decoded = _decode_escapes(window)
    for match in _find_matches(decoded.decoded_bytes, secrets):
        start, end = decoded.find_source_offset(match.start_offset), decoded.find_source_offset(match.end_offset)
        yield SecretMatch(start, end, f"{match.spelling_description}, with escapes")


def find_secret_spelling(data: bytes, secrets: Iterable[str]) -> str | None:
    """Return how the first secret that occurs in `data` is written, such as "in base64"; `None` if none occurs."""
    found = find_secrets(data, secrets)
    return found[0].spelling_description if found else None


def replace_secrets(text: str, secrets: Sequence[str], mask: str) -> str:
    """Replace all occurrences of `secrets` in `text` with `mask`; also a secret that is cut off at the end.

    Returns:
        The text with the replacements; the same object if nothing was replaced.
    """
    if not any(secrets):
        return text
    if len(text) > _MAX_CACHED_TEXT_CHARACTERS:
        return _replace_secrets(text, secrets, mask)
    replaced = _replace_secrets_in_short_text(text, tuple(secrets), mask)
    return text if replaced == text else replaced


@functools.lru_cache(maxsize=4096)
def _replace_secrets_in_short_text(text: str, secrets: tuple[str, ...], mask: str) -> str:
    """Replace secrets as `replace_secrets` does, and cache the result.

    The cache helps because two of three short texts, such as names of headers, are searched more than once.
    """
    return _replace_secrets(text, secrets, mask)


def _replace_secrets(text: str, secrets: Sequence[str], mask: str) -> str:
    data = text.encode("utf-8", "surrogatepass")
    matches = find_secrets(data, secrets)
    cut = _find_truncated_secret(data, secrets)
    if cut is not None and not (matches and matches[-1].end_offset > cut):
        matches.append(SecretMatch(cut, len(data), "cut off"))
    if not matches:
        return text
    parts, end = [], 0
    for match in matches:
        parts += [data[end : match.start_offset], mask.encode()]
        end = match.end_offset
    return b"".join([*parts, data[end:]]).decode("utf-8", "surrogatepass")


def _find_truncated_secret(data: bytes, secrets: Iterable[str]) -> int | None:
    """Return the offset of a secret that is cut off at the end of `data`; `None` if there is none."""
    lowered = data.lower()
    starts: list[int] = []
    for secret in secrets:
        if len(secret) < MIN_LONG_SECRET_CHARACTERS or len(data) < _compute_min_spelling_bytes(secret) // 3:
            continue
        for spelling in _list_spellings(secret):
            searched = lowered if spelling.ignores_case else data
            # An excerpt may end inside of a secret. A third of a key is worth masking; fewer characters would also
            # match ordinary words that only begin like the key.
            length = max(len(spelling.spelled_secret) // 3, MIN_TRUNCATED_SECRET_CHARACTERS)
            beginning = spelling.spelled_secret[:length]
            start = searched.find(beginning, max(len(data) - len(spelling.spelled_secret) + 1, 0))
            while start >= 0 and not spelling.spelled_secret.startswith(searched[start:]):
                start = searched.find(beginning, start + 1)
            if start >= 0:
                starts.append(start)
    return min(starts, default=None)


def _find_separated_matches(data: bytes, secrets: Iterable[str], separators: _DigitSeparators) -> Iterator[SecretMatch]:
    """Yield the occurrences of `secrets` that are written in digits with separators between them.

    Secrets shorter than `MIN_LONG_SECRET_CHARACTERS` are not searched for. Offsets are those in `data`.
    """
    long_secrets = [secret for secret in secrets if len(secret) >= MIN_LONG_SECRET_CHARACTERS]
    description, digits = separators.spelling_description, separators.remove_from(data)
    if len(digits) == len(data):
        return  # what is written without separators is found without this
    if next(_find_matches(digits, long_secrets, description), None) is None:
        return  # nearly always, and faster than with the offsets
    matches = _find_matches(separators.pattern.sub(b"", data), long_secrets, description)
    starts, source_starts = [0], [0]
    """Offsets without separators and in `data` at which a part without separators begins."""
    for separator in separators.pattern.finditer(data):
        starts.append(starts[-1] + separator.start() - source_starts[-1])
        source_starts.append(separator.end())

    def get_source_offset(cleaned_offset: int) -> int:
        index = bisect_right(starts, cleaned_offset) - 1
        return source_starts[index] + cleaned_offset - starts[index]

    for match in matches:
        end = get_source_offset(match.end_offset - 1) + 1
        yield SecretMatch(get_source_offset(match.start_offset), end, f"{description}, with separators")


def _find_matches(
    data: bytes, secrets: Iterable[str], spelling_description: str | None = None
) -> Iterator[SecretMatch]:
    """Yield the occurrences of `secrets` in spellings described as `spelling_description`, or in all if `None`."""
    lowered = data.lower()  # changes ASCII letters only, so offsets stay the same
    for secret in secrets:
        is_short = len(secret) < MIN_LONG_SECRET_CHARACTERS
        for spelling in _list_spellings(secret):
            if spelling_description not in (None, spelling.description):
                continue
            searched = lowered if spelling.ignores_case else data
            start = searched.find(spelling.spelled_secret)
            while start >= 0:
                end = start + len(spelling.spelled_secret)
                if not is_short or _is_named_credential(data, start, end):
                    yield SecretMatch(*_extend_by_shared_digits(data, start, end, spelling), spelling.description)
                start = searched.find(spelling.spelled_secret, end)


def _extend_by_shared_digits(data: bytes, start_offset: int, end_offset: int, spelling: _Spelling) -> tuple[int, int]:
    """Return the range with the adjacent base64 digits that also encode a few bits of the secret.

    The range and the result consist of the offset of the first byte and the offset after the last byte.
    """
    shares_preceding_digit = (
        spelling.shares_preceding_digit
        and start_offset > 0
        and _BASE64_DIGIT_PATTERN.match(data, start_offset - 1) is not None
    )
    shares_following_digit = (
        spelling.shares_following_digit and _BASE64_DIGIT_PATTERN.match(data, end_offset) is not None
    )
    return start_offset - shares_preceding_digit, end_offset + shares_following_digit


def _is_named_credential(data: bytes, start_offset: int, end_offset: int) -> bool:
    """Whether the bytes from `start_offset` to `end_offset` are a whole word that is next to a word such as "key"."""
    before, after = (
        data[max(start_offset - _CREDENTIAL_WORD_SEARCH_BYTES, 0) : start_offset],
        data[end_offset : end_offset + _CREDENTIAL_WORD_SEARCH_BYTES],
    )
    # A key such as "test" would otherwise be masked in "testing" and "latest", which would falsify what is recorded.
    if re.match(rb"[\w-]", after) or re.search(rb"[\w-]\Z", before):
        return False
    return (
        _CREDENTIAL_WORD_BEFORE_PATTERN.search(before) is not None
        or _CREDENTIAL_WORD_AFTER_PATTERN.match(after) is not None
    )


@functools.lru_cache(maxsize=256)
def _list_spellings(secret: str) -> tuple[_Spelling, ...]:
    """Return all spellings of `secret` without duplicates."""
    found = (
        _generate_short_secret_spellings(secret)
        if len(secret) < MIN_LONG_SECRET_CHARACTERS
        else _generate_long_secret_spellings(secret)
    )
    unique: dict[tuple[bytes, bool], _Spelling] = {}
    for spelling in found:
        unique.setdefault((spelling.spelled_secret, spelling.ignores_case), spelling)
    return tuple(unique.values())


@functools.lru_cache(maxsize=256)
def _compute_min_spelling_bytes(secret: str) -> int:
    """Return the number of bytes in the shortest spelling of `secret`. Shorter texts need not be searched for it."""
    return min(len(spelling.spelled_secret) for spelling in _list_spellings(secret))


def _generate_short_secret_spellings(secret: str) -> Iterator[_Spelling]:
    value = secret.encode("utf-8", "surrogatepass")
    # Other letter cases are not searched for, because they may be ordinary words, such as "Test".
    yield _Spelling("as plain text", value, ignores_case=False)
    yield _build_any_case_spelling(_IN_HEXADECIMAL_DESCRIPTION, value.hex())
    yield _Spelling(_IN_BASE64_DESCRIPTION, base64.b64encode(value).rstrip(b"="), ignores_case=False)


def _generate_long_secret_spellings(secret: str) -> Iterator[_Spelling]:
    yield _build_any_case_spelling("as plain text", secret)
    # Escapes are decoded before the search, which fails if the secret itself contains what looks like one.
    encoded = quote(secret, safe="", errors="surrogatepass")
    for text in (
        json.dumps(secret)[1:-1],
        encoded,
        quote_plus(secret, errors="surrogatepass"),
        quote(encoded, safe=""),
    ):
        yield _build_any_case_spelling("as plain text, with escapes", text)
    # Hexadecimal digits, base64 and UTF-16 are made of the bytes of one letter case, so that ignoring the case of the
    # digits does not find a secret that was changed to lower case before it was encoded.
    for variant in (secret, secret.lower(), secret.upper()):
        value = variant.encode("utf-8", "surrogatepass")
        yield _build_any_case_spelling(_IN_HEXADECIMAL_DESCRIPTION, value.hex())
        yield from _generate_base64_spellings(value)
        for name in ("utf-16-le", "utf-16-be"):
            yield _Spelling("in UTF-16", variant.encode(name, "surrogatepass").lower(), ignores_case=True)
    for name in ("utf-16-le", "utf-16-be"):  # as PowerShell encodes text
        value = secret.encode(name, "surrogatepass")
        yield _build_any_case_spelling(_IN_HEXADECIMAL_DESCRIPTION, value.hex())
        yield from _generate_base64_spellings(value)


def _build_any_case_spelling(description: str, text: str) -> _Spelling:
    return _Spelling(description, text.encode("utf-8", "surrogatepass").lower(), ignores_case=True)


def _generate_base64_spellings(secret: bytes) -> Iterator[_Spelling]:
    """Yield the base64 of `secret` at each alignment, without the digits that also encode neighboring bytes."""
    # Three bytes become four digits, so the digits of a secret depend on its offset modulo 3 in what was encoded, as in
    # "user:key" of Basic authentication (RFC 4648, section 4). Digits at both ends that also hold bits of the neighbors
    # are unknown and left out of the search; `_extend_by_shared_digits` masks them too.
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret)
        whole_bits = 8 * (shift + len(secret))
        digits = encoded[(8 * shift + 5) // 6 : whole_bits // 6]
        for alphabet in (digits, digits.replace(b"+", b"-").replace(b"/", b"_")):
            yield _Spelling(_IN_BASE64_DESCRIPTION, alphabet, False, shift > 0, whole_bits % 6 > 0)


class _DecodedText(NamedTuple):
    """Bytes in which escapes are decoded, and where each escape ends in them and in the original bytes."""

    decoded_bytes: bytes
    decoded_end_offsets: list[int]
    """Offset in `decoded_bytes` after the character of each escape, in order."""
    source_end_offsets: list[int]
    """Offset in the original bytes after each escape, in the same order."""

    def find_source_offset(self, decoded_offset: int) -> int:
        """Return the offset in the original bytes that corresponds to `decoded_offset` in `decoded_bytes`."""
        index = bisect_right(self.decoded_end_offsets, decoded_offset) - 1
        return (
            decoded_offset
            if index < 0
            else self.source_end_offsets[index] + decoded_offset - self.decoded_end_offsets[index]
        )


def _decode_escapes(data: bytes) -> _DecodedText:
    """Return `data` with each escape of an ASCII character replaced by the character, and where the escapes end."""
    out, text = bytearray(), _DecodedText(data, [], [])
    end = 0
    for escape in _ESCAPE_PATTERN.finditer(data):
        code = _decode_escaped_character(escape)
        if code >= 128:
            continue
        out += data[end : escape.start()]
        out.append(code)
        end = escape.end()
        text.decoded_end_offsets.append(len(out))
        text.source_end_offsets.append(end)
    out += data[end:]
    return text._replace(decoded_bytes=bytes(out))


@functools.lru_cache(maxsize=4096)
def _decode_escape(escape: bytes) -> bytes:
    """Return the ASCII character of an escape, or the escape itself if it stands for another character."""
    found = _ESCAPE_PATTERN.match(escape)
    code = _decode_escaped_character(found) if found is not None else 128
    return bytes([code]) if code < 128 else escape


def _decode_escaped_character(escape: re.Match[bytes]) -> int:
    *hexadecimal, decimal, name, literal = escape.groups()
    if literal is not None:
        return int(literal[0])
    if name is not None:
        return _CHARACTERS_BY_HTML_NAME.get(name, 128)
    return int(decimal) if decimal is not None else int(next(filter(None, hexadecimal)), 16)
