"""Redacts exchanges before they are written: masks likely and used secrets in headers, URLs and bodies."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.contract.socket_turns import find_socket_operation
from voicegauge.errors import DataError
from voicegauge.formats.bodies import is_form, is_json, is_text
from voicegauge.formats.located_yaml import split_json_pointer
from voicegauge.model.base import Record
from voicegauge.model.exchange import (
    SOCKET_SIDES,
    Exchange,
    Headers,
    Request,
    Response,
    SocketMessage,
    SocketMessageLog,
    SocketSide,
    find_header,
)
from voicegauge.recording.documented_values import (
    DocumentedBody,
    DocumentedMessages,
    DocumentedValues,
    find_credentials_in_headers,
    is_secret,
    list_documented_headers,
)
from voicegauge.recording.masking import (
    INVALID_API_KEY,
    MASK,
    MAX_CREDENTIAL_CHARACTERS,
    BodyMasker,
    BodyReader,
    find_credential_kind,
    is_credential_name,
    looks_random,
    mask_body,
    mask_credentials,
    mask_query_parameter,
    may_name_credential,
    split_at_base64_runs,
)
from voicegauge.recording.secret_search import MIN_LONG_SECRET_CHARACTERS, find_secret_spelling

# Redacts exchanges before they are written. Likely secrets are masked; if any remains, nothing is written.


_AUTH_SCHEME_PATTERN = re.compile(r"[A-Za-z-]{1,20} ")
"""Matches the scheme before the key in an Authorization header, such as "Bearer " (RFC 9110, section 11.4)."""
_HEADERS_WITHOUT_SECRETS = frozenset(
    [
        "accept", "accept-encoding", "accept-ranges", "age", "allow", "cache-control", "connection",
        "content-disposition", "content-encoding", "content-language", "content-length", "content-type", "date",
        "etag", "expires", "host", "last-modified", "location", "retry-after", "sec-websocket-extensions",
        "sec-websocket-version", "server", "transfer-encoding", "upgrade", "user-agent", "vary",
    ]
)  # fmt: skip
"""Headers whose values are not masked as a whole. Credentials inside these values are still masked."""
_MEDIA_TYPE_PARAMETER_PATTERN = re.compile(r"(;\s*)([^\s;=]+)(\s*=\s*)(\"[^\"]*\"|[^\s;]+)")
_KNOWN_MEDIA_TYPE_PARAMETERS = frozenset(
    [
        "bit_depth", "bitrate", "bits", "boundary", "channels", "charset", "codec", "codecs", "container", "encoding",
        "endianness", "format", "layout", "profile", "q", "rate", "sample_rate", "samplerate", "type", "version",
    ]
)  # fmt: skip
"""Parameters of a media type that say how a body is encoded. The values of others are masked."""
EMULATOR_HEADER_PREFIX = "x-voicegauge-"
"""Prefix of the headers that control the emulator."""
_CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
"""Headers that are for credentials in any API, in lower case."""
_MAX_LOCATION_CHARACTERS = 120
"""Number of characters after which the location of a field is cut. Locations may be long, because they contain names of
JSON fields that the provider chose."""
MAX_MASKED_TEXT_CHARACTERS = 4 * 2**20
"""Maximum number of characters in one body, header or URL, not counting long runs of base64. A search for credentials
takes about a second per MiB."""
_CREDENTIAL_FIELD_NAME_PATTERN = re.compile("key|token|secret|auth|pass|cred", re.IGNORECASE)
"""Matches names of fields in which a short value that equals a key in use counts as this key."""
_MAX_EXCHANGE_SECRETS = 50
"""Maximum number of undocumented values whose repetition elsewhere in the exchange is searched for."""
_MAX_COLLECTED_UNDOCUMENTED_VALUES = 10_000
"""Maximum number of values of a body that are compared with each other; a body may have hundreds of thousands."""
_MIN_KEY_CHARACTERS = 16
"""Minimum length of a value that may be a key although no name or word around it says so."""
_KEY_PATTERN = re.compile(rf"(?=[^\s]*[A-Za-z])(?=[^\s]*[0-9])[^\s]{{{_MIN_KEY_CHARACTERS},4096}}")
_URL_WITH_QUERY_PATTERN = re.compile(r"https?://[^\s?#]+[?#]\S+", re.IGNORECASE)
_QUERY_SEPARATOR_PATTERN = re.compile(r"([&;#])")
_NUMBER_PATTERN = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_AUDIO_SIGNATURES = (
    b"RIFF", b"RF64", b"ID3", b"OggS", b"fLaC", b"FORM", b"#!AMR", b".snd", b"\x1aE\xdf\xa3",
    *(bytes([255, second]) for second in (0xE2, 0xE3, 0xF1, 0xF2, 0xF3, 0xF9, 0xFA, 0xFB)),
)  # fmt: skip
"""Beginnings of audio files: WAV, MP3, Ogg, FLAC, AIFF, AMR, AU, WebM, and frames of MPEG audio and AAC."""
_JSON_MEDIA_TYPE = "application/json"
"""Media type of the text messages of a WebSocket. A message that is not JSON is masked as a whole."""
_BINARY_MEDIA_TYPES = ("", "application/octet-stream", "binary/octet-stream")
_HINT_IF_NOT_MASKED = "mask the field by its name with --mask, or leave the case out"
"""What the user can do about a text that looks like a credential, for the error message."""


def _mask_unknown_media_type_parameter(match: re.Match[str]) -> str:
    opening, name, equals, value = match.groups()
    return f"{opening}{name}{equals}{value if name.lower() in _KNOWN_MEDIA_TYPE_PARAMETERS else MASK}"


class _MessageMasker(BodyMasker):
    """Masks the body of one request or response."""

    def __init__(
        self, redactor: Redactor, message_kind: str, documented: DocumentedBody, *, is_download: bool = False
    ) -> None:
        self.redactor, self.message_kind, self.documented = redactor, message_kind, documented
        self._is_download = is_download
        self._keeps_text = False
        self._searched_characters = 0

    def is_undocumented(self, location: str) -> bool:
        """Whether a value is masked because the contract does not document it."""
        return not self.documented.node.find_node(location).is_documented and not self.redactor.is_value_kept(
            split_json_pointer(location)
        )

    def mask_value(self, text: str, location: str) -> str:
        masked = self._mask_value(text, location)
        if masked != text:
            self.redactor.count_redaction(f"{self.message_kind} body {location}".strip())
        return masked

    def _mask_value(self, text: str, location: str) -> str:
        names = split_json_pointer(location)
        # Everything below a field with the name of a secret is masked, however deeply nested.
        if text and text != INVALID_API_KEY and any(map(self.redactor.is_masked_name, names)):
            return MASK
        if self.redactor.is_short_secret(text, names[-1] if names else ""):
            return MASK
        if text and INVALID_API_KEY not in text and self.is_undocumented(location):
            return MASK
        return self._mask_credentials(text)

    def _mask_credentials(self, text: str) -> str:
        self._searched_characters += _count_characters_to_search(text)
        _require_searchable_size(self._searched_characters)
        return self.redactor.mask_text(text)

    def mask_number(self, number: float, location: str) -> float:
        if number == 0 or not self.is_undocumented(location):
            return number
        self.redactor.count_redaction(f"{self.message_kind} body {location}".strip())
        return type(number)(0)

    def mask_field_name(self, name: str) -> str:
        return self._mask_credentials(name)

    def mask_file(self, data: bytes, location: str) -> bytes:
        return MASK.encode() if self.is_undocumented(location) else data

    def mask_text(self, text: str) -> str:
        stream = self.documented.stream
        is_kept = self._keeps_text or (stream is not None and self.documented.is_stream_text_documented(text))
        masked = self._mask_credentials(text) if is_kept or self.redactor.is_value_kept(()) else MASK
        if masked != text:
            self.redactor.count_redaction(f"{self.message_kind} body")
        return masked

    def mask_whole_body(self, media_type: str, body: bytes, *, is_binary: bool) -> bytes | None:
        self._keeps_text = (
            self.redactor.is_value_kept([media_type])
            or media_type.startswith(("audio/", "video/"))
            or body.startswith(_AUDIO_SIGNATURES)
            or (self.documented.is_unstructured_text_documented and not is_json(media_type) and not is_form(media_type))
            or (self._is_download and is_binary and media_type in _BINARY_MEDIA_TYPES)
        )
        if self._keeps_text and not (is_binary and is_text(media_type)):
            return None
        if body != MASK.encode():
            self.redactor.count_redaction(f"{self.message_kind} body")
        return MASK.encode()


class _SocketMessageMasker(_MessageMasker):
    """Masks the text messages that one side of a WebSocket sends."""

    def __init__(self, redactor: Redactor, sender: SocketSide, documented: DocumentedMessages) -> None:
        super().__init__(redactor, f"{sender} message", documented.body)
        self.documented_messages = documented

    def mask_value(self, text: str, location: str) -> str:
        if location in self.documented_messages.key_locations and text and INVALID_API_KEY not in text:
            self.redactor.count_redaction(f"{self.message_kind} {location}")
            return MASK
        # The audio of one message is often as short as a key, and as random.
        return text if self.is_audio(text, location) else super().mask_value(text, location)

    def is_audio(self, text: str, location: str) -> bool:
        """Whether a text is audio in base64, at a location that the contract documents for audio."""
        return location in self.documented_messages.audio_locations and _decode_base64(text) is not None


class _RepeatedValueCollector(BodyMasker):
    """Collects the values of a body, separately for undocumented and documented fields."""

    def __init__(self, masker: _MessageMasker) -> None:
        self._masker = masker
        self.named, self.other, self.documented = set[str](), set[str](), set[str]()

    def add_undocumented(self, name: str, value: str) -> None:
        """Note a value that is masked because the contract does not document it."""
        if may_name_credential(name):
            _add_value_within_limit(self.named, value)
        elif _has_form_of_key(value):
            _add_value_within_limit(self.other, value)

    def mask_value(self, text: str, location: str) -> str:
        names = split_json_pointer(location)
        if any(map(self._masker.redactor.is_masked_name, names)):
            _add_value_within_limit(self.named, text)
        elif self._masker.is_undocumented(location):
            self.add_undocumented(names[-1] if names else "", text)
        elif _has_form_of_key(text):
            _add_value_within_limit(self.documented, text)
        return text

    def mask_number(self, number: float, location: str) -> float:
        if self._masker.is_undocumented(location):
            self.mask_value(f"{number}", location)
        return number


class RedactionSettings(Record, frozen=True, kw_only=True):
    """What is masked in recordings besides what the contract does not document, and what is left."""

    secrets: Sequence[str] = ()
    """API keys that were in use. They are masked in any encoding. If one remains, nothing is written."""
    names_to_mask: Sequence[str] = ()
    """Names of additional fields, parameters and headers to mask."""
    names_to_keep: Sequence[str] = ()
    """Names of fields, parameters and headers that the contract does not document, and whose values stay all the same.
    A media type among them, such as "text/plain", keeps bodies without structure."""


DEFAULT_REDACTION = RedactionSettings()
"""Settings without secrets and names: only what the contract does not document is masked."""


class Redactor:
    """Masks secrets in the exchanges of one provider, and rejects exchanges in which a secret remains.

    Of undocumented fields, names stay and values are masked: texts by `MASK`, numbers by 0. Documented values stay,
    unless they are, or look like, a credential.
    """

    def __init__(
        self,
        contract: Contract,
        settings: RedactionSettings = DEFAULT_REDACTION,
        *,
        keeps_undocumented: bool = False,
    ) -> None:
        """Create a redactor for one provider. Headers and query parameters of its security schemes are always masked.

        Args:
            contract: contract of the provider.
            settings: what is masked, and what is left.
            keeps_undocumented: whether the values of undocumented fields and texts stay.
        """
        self._contract = contract
        self._secrets = tuple(secret for secret in settings.secrets if secret)
        self._exchange_secrets: tuple[str, ...] = ()
        """Values that the current exchange has in undocumented places."""
        self._masked_names = frozenset(name.lower() for name in settings.names_to_mask)
        self._kept_names = frozenset(name.lower() for name in settings.names_to_keep)
        self._keeps_undocumented = keeps_undocumented
        self._documented = DocumentedValues(contract)
        schemes = [s for s in contract.security_schemes.values() if s.get("type") == "apiKey"]
        self._masked_queries = [str(s.get("name")) for s in schemes if s.get("in") == "query"]
        self._masked_queries += self._masked_names
        credential_headers = _CREDENTIAL_HEADERS | {str(s.get("name")).lower() for s in schemes}
        named = list_documented_headers(contract) | self._documented.header_names | self._kept_names
        harmless = (_HEADERS_WITHOUT_SECRETS | named) - credential_headers - self._masked_names
        self._harmless_headers = {name for name in harmless if not is_credential_name(name)}
        self._redactions: Counter[str] = Counter()

    def count_redactions_by_location(self) -> dict[str, int]:
        """Return the number of masked values by location, sorted by location."""
        return dict(sorted(self._redactions.items()))

    def mask_exchange(self, exchange: Exchange) -> Exchange:
        """Mask everything in `exchange` that is, or looks like, a secret, and what the contract does not document."""
        operation = self._find_operation_of_exchange(exchange)
        self._exchange_secrets = tuple(self._find_exchange_secrets(exchange, operation))
        try:
            request = self._mask_request(exchange.request, operation)
            masker = self._create_response_masker(exchange.response, operation)
            headers, body = self._mask_message(masker, exchange.response.headers, exchange.response.body)
            socket = self._mask_socket(exchange.socket, operation) if exchange.socket is not None else None
        finally:
            self._exchange_secrets = ()
        masked = Response(status=exchange.response.status, headers=headers, body=body)
        return msgspec.structs.replace(exchange, request=request, response=masked, socket=socket)

    def mask_and_check_exchanges(self, file_name: str, exchanges: Iterable[Exchange]) -> tuple[Exchange, ...]:
        """Return masked exchanges, in which nothing is, or looks like, a credential.

        Raises:
            DataError: a credential remains; see `check_exchange`.
        """
        masked = tuple(map(self.mask_exchange, exchanges))
        for number, exchange in enumerate(masked, 1):
            self.check_exchange(file_name, number, exchange)
        return masked

    def _find_operation_of_exchange(self, exchange: Exchange) -> Operation | None:
        if exchange.socket is None:
            named = self._contract.operations.get(exchange.operation)
            return named or self._documented.find_operation(exchange.request.method, exchange.request.url)
        named = self._contract.socket_operations.get(exchange.operation)
        return named or find_socket_operation(self._contract, exchange.request.url)

    def _create_socket_masker(self, operation: Operation | None, sender: SocketSide) -> _SocketMessageMasker:
        return _SocketMessageMasker(self, sender, self._documented.find_messages(operation, sender))

    def _mask_socket(self, socket: SocketMessageLog, operation: Operation | None) -> SocketMessageLog:
        maskers = {sender: self._create_socket_masker(operation, sender) for sender in SOCKET_SIDES}
        messages = [_mask_socket_message(message, maskers[message.sender]) for message in socket.messages]
        close = socket.close
        if close is not None and close.reason:
            reason = self._count_redaction_if_changed(close.reason, self.mask_text(close.reason), "close reason")
            close = msgspec.structs.replace(close, reason=reason)
        return msgspec.structs.replace(socket, messages=tuple(messages), close=close)

    def mask_request(self, request: Request, operation: Operation | None = None) -> Request:
        """Mask everything in `request` that is, or looks like, a secret, and what the contract does not document.

        If `operation` is `None`, the operation that the URL addresses is used.
        """
        return self._mask_request(request, operation or self._documented.find_operation(request.method, request.url))

    def _mask_request(self, request: Request, operation: Operation | None) -> Request:
        masker = self._create_request_masker(request, operation)
        headers, body = self._mask_message(masker, request.headers, request.sent_body)
        return Request(method=request.method, url=self._mask_url(request.url, operation), headers=headers, body=body)

    def _create_request_masker(self, request: Request, operation: Operation | None) -> _MessageMasker:
        return _MessageMasker(self, "request", self._documented.find_body(operation, None, request.media_type))

    def _create_response_masker(self, response: Response, operation: Operation | None) -> _MessageMasker:
        body = self._documented.find_body(operation, response.status, response.media_type)
        return _MessageMasker(self, "response", body, is_download=operation is None)

    def _mask_message(self, masker: _MessageMasker, headers: Headers, body: bytes) -> tuple[Headers, bytes]:
        """Return the masked headers and the masked body of a request or response."""
        content_type = find_header(headers, "content-type") or ""
        new_type, new_body = mask_body(content_type, body, masker)
        changed = {"content-type": new_type, "content-length": str(len(new_body))} if new_body != body else {}
        current = ((name, changed.get(name.lower(), value)) for name, value in headers)
        masked = tuple((name, self._mask_header(masker.message_kind, name.lower(), value)) for name, value in current)
        return masked, new_body

    def count_redaction(self, location: str) -> None:
        """Count one more masked value at `location`."""
        self._redactions[self.mask_text(location[:_MAX_LOCATION_CHARACTERS])] += 1  # a name in it may be a secret

    def _count_redaction_if_changed(self, original_text: str, masked_text: str, location: str) -> str:
        """Count a redaction if masking changed the text; return the masked text."""
        if original_text != masked_text:
            self.count_redaction(location)
        return masked_text

    def is_masked_name(self, name: str) -> bool:
        """Whether a field of this name is masked even if it is documented."""
        return is_credential_name(name) or name.lower() in self._masked_names

    def is_value_kept(self, field_names: Iterable[str]) -> bool:
        """Whether an undocumented value below fields of these names stays."""
        return self._keeps_undocumented or any(name.lower() in self._kept_names for name in field_names)

    def is_short_secret(self, value: str, field_name: str) -> bool:
        """Whether a field contains a short key that is in use.

        The name of the field must suggest a key, because a short value such as "test" may also be the name of a voice.
        """
        is_short = len(value) < MIN_LONG_SECRET_CHARACTERS and value in self._secrets
        return is_short and _CREDENTIAL_FIELD_NAME_PATTERN.search(field_name) is not None

    def mask_text(self, text: str) -> str:
        """Mask what is, or looks like, a credential in a text; of a text that is a URL, undocumented parameters too."""
        if not self._keeps_undocumented and _URL_WITH_QUERY_PATTERN.fullmatch(text):
            text = self._mask_query(text, self._documented.find_operation("GET", text))
        return self._mask_credentials(text)

    def _mask_credentials(self, text: str) -> str:
        if len(text) > MAX_MASKED_TEXT_CHARACTERS:
            _require_searchable_size(_count_characters_to_search(text))
        for name in self._masked_queries:
            text = mask_query_parameter(text, name)
        return mask_credentials(text, (*self._secrets, *self._exchange_secrets))

    def _mask_url(self, url: str, operation: Operation | None) -> str:
        if INVALID_API_KEY in url:
            return url
        masked = self._mask_credentials(self._mask_query(url, operation))
        return self._count_redaction_if_changed(url, masked, "request URL")

    def _mask_query(self, url: str, operation: Operation | None) -> str:
        """Mask the values in the query and the fragment that are not documented (if `operation` is `None`, none is)."""
        start, mark, query = url.partition("?")
        parts = _QUERY_SEPARATOR_PATTERN.split(query)
        for index in range(0, len(parts), 2):
            name, equals, value = parts[index].partition("=")
            plain = unquote_plus(name)
            if value and not self._documented.is_query_documented(operation, plain) and not self.is_value_kept([plain]):
                # The key that is sent to be rejected is not a secret.
                parts[index] = f"{name}{equals}{value if INVALID_API_KEY in value else MASK}"
        return f"{start}{mark}{''.join(parts)}"

    def _mask_header(self, message_kind: str, name: str, value: str) -> str:
        if INVALID_API_KEY in value:
            return value
        location = f"{message_kind} header {name}"
        is_count = name in self._documented.header_names and _NUMBER_PATTERN.fullmatch(value) is not None
        if name in self._harmless_headers or is_count or name.startswith(EMULATOR_HEADER_PREFIX):
            masked = self.mask_text(value)
            if name == "content-type":
                masked = _MEDIA_TYPE_PARAMETER_PATTERN.sub(_mask_unknown_media_type_parameter, masked)
            return self._count_redaction_if_changed(value, masked, location)
        scheme = _AUTH_SCHEME_PATTERN.match(value) if name == "authorization" else None
        return self._count_redaction_if_changed(value, f"{scheme[0]}{MASK}" if scheme else MASK, location)

    # Values in undocumented places, which may be repeated elsewhere in the exchange

    def _find_exchange_secrets(self, exchange: Exchange, operation: Operation | None) -> list[str]:
        """Return masked values that look like secrets, to mask repetitions; `operation` is `None` if undocumented."""
        if self._keeps_undocumented:
            return []
        request, response = exchange.request, exchange.response
        collectors = []
        credentials = set[str]()
        for masker, headers, body in (
            (self._create_request_masker(request, operation), request.headers, request.sent_body),
            (self._create_response_masker(response, operation), response.headers, response.body),
        ):
            collector = _RepeatedValueCollector(masker)
            collectors.append(collector)
            mask_body(find_header(headers, "content-type") or "", body, collector)
            for name, value in headers:
                if name.lower() not in self._harmless_headers:
                    collector.add_undocumented(name, value.rpartition(" ")[2])
            credentials.update(find_credentials_in_headers(headers, set()))
        for message in exchange.socket.messages if exchange.socket is not None else ():
            if not message.is_binary:
                collector = _RepeatedValueCollector(self._create_socket_masker(operation, message.sender))
                collectors.append(collector)
                mask_body(_JSON_MEDIA_TYPE, message.data, collector)
        named = credentials.union(*(one.named for one in collectors))
        other = set[str]().union(*(one.other for one in collectors))
        documented = set[str]().union(*(one.documented for one in collectors))
        for name, value in parse_qsl(urlsplit(request.url).query):
            if self._documented.is_query_documented(operation, name):
                documented.add(value)  # such as a model, which an undocumented header of the response repeats
            elif not self.is_value_kept([name]):
                (named if may_name_credential(name) else other).add(value)
        found = {one for one in named if is_secret(one)} | {one for one in other - documented if _has_form_of_key(one)}
        return sorted(found, key=len, reverse=True)[:_MAX_EXCHANGE_SECRETS]  # the longest are most likely keys

    # Verification of what masking left

    def check_exchange(self, file_name: str, exchange_number: int, exchange: Exchange) -> None:
        """Verify that nothing in a masked exchange is, or looks like, a credential.

        Args:
            file_name: name of the file that is about to be written, for the message.
            exchange_number: position of the exchange in the file, counted from 1.
            exchange: the exchange after masking.

        Raises:
            DataError: something is, or looks like, a credential. The message names its location, never the secret.
        """
        where = f"exchange {exchange_number} ({exchange.operation})"
        request, response = exchange.request, exchange.response
        self.check_bytes(file_name, f"{where}, URL", request.url.encode())
        for key, value in parse_qsl(request.url.partition("?")[2]):
            self._check_random_text(file_name, f"{where}, query parameter {key}", "", value)
        for side, message in (("request", request), ("response", response)):
            for key, value in message.headers:
                self.check_bytes(file_name, f"{where}, {side} header {key}", f"{key}: {value}".encode())
                self._check_random_text(file_name, f"{where}, {side} header {key}", "", value)
            self._check_body(file_name, f"{where}, {side} body", message)
        if exchange.socket is not None:
            self._check_socket(file_name, where, exchange.socket, self._find_operation_of_exchange(exchange))

    def _check_socket(
        self, file_name: str, location_text: str, socket: SocketMessageLog, operation: Operation | None
    ) -> None:
        """Verify the messages of each side together, to find divided keys; `operation` is `None` if undocumented."""
        for sender in SOCKET_SIDES:
            messages = [message for message in socket.messages if message.sender == sender]
            where = f"{location_text}, messages of the {sender}"
            self._check_messages(file_name, where, messages, self._create_socket_masker(operation, sender))

    def _check_messages(
        self, file_name: str, location_text: str, messages: Sequence[SocketMessage], masker: _SocketMessageMasker
    ) -> None:
        audio = bytearray()

        def check_text(value: str, location: str) -> None:
            if masker.is_audio(value, location):
                audio.extend(_decode_base64(value) or b"")
            else:
                self._check_random_text(file_name, location_text, location, value)

        for message in messages:
            if message.is_binary:
                audio.extend(message.data)
            else:
                mask_body(_JSON_MEDIA_TYPE, message.data, BodyReader(check_text))
        self.check_bytes(file_name, location_text, b"\n".join(one.data for one in messages if not one.is_binary))
        self.check_bytes(file_name, f"{location_text}, audio", bytes(audio))

    def _check_body(self, file_name: str, location_text: str, message: Request | Response) -> None:
        self.check_bytes(file_name, location_text, message.body)

        def check_text(value: str, location: str) -> None:
            self._check_random_text(file_name, location_text, location, value)

        mask_body(message.find_header("content-type") or "", message.body, BodyReader(check_text))

    def _check_random_text(self, file_name: str, location_text: str, body_location: str, value: str) -> None:
        if looks_random(value):
            where = f"{location_text} {body_location[:_MAX_LOCATION_CHARACTERS]}".strip()
            problem = f"holds what looks like a credential; {_HINT_IF_NOT_MASKED}"
            raise self._build_unsafe_file_error(file_name, where, problem)

    def check_bytes(self, file_name: str, location_text: str, data: bytes) -> None:
        """Verify that `data` contains no known secret in any encoding, and no text with the form of a credential.

        Raises:
            DataError: `data` contains a secret or such a text. The message contains `location_text`.
        """
        encoding = find_secret_spelling(data, self._secrets)
        if encoding is not None:
            raise self._build_unsafe_file_error(file_name, location_text, f"holds a key ({encoding})")
        kind = find_credential_kind(data)
        if kind is not None:
            problem = f"holds what looks like {kind}; {_HINT_IF_NOT_MASKED}"
            raise self._build_unsafe_file_error(file_name, location_text, problem)

    def _build_unsafe_file_error(self, file_name: str, location_text: str, problem: str) -> DataError:
        # The name of a header or a field, which the service chose, may be the secret itself.
        location = mask_credentials(location_text, self._secrets)
        return DataError(f"{file_name} is not written: {location} {problem}")


def _mask_socket_message(message: SocketMessage, masker: _SocketMessageMasker) -> SocketMessage:
    if not message.is_binary:
        return msgspec.structs.replace(message, data=mask_body(_JSON_MEDIA_TYPE, message.data, masker)[1])
    if masker.documented_messages.has_binary_messages or masker.redactor.is_value_kept(()):
        return message
    masker.redactor.count_redaction(masker.message_kind)
    return msgspec.structs.replace(message, data=MASK.encode())


def _decode_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _count_characters_to_search(text: str) -> int:
    parts = split_at_base64_runs(text) if len(text) > MAX_CREDENTIAL_CHARACTERS else [(text, False)]
    return sum(len(part) for part, is_run in parts if not is_run)


def _require_searchable_size(character_count: int) -> None:
    if character_count > MAX_MASKED_TEXT_CHARACTERS:
        text = f"a text of more than {MAX_MASKED_TEXT_CHARACTERS // 2**20} MiB has to be searched for credentials"
        raise DataError(f"the recording is not written: {text}")


def _add_value_within_limit(values: set[str], value: str) -> None:
    """Add a value to `values`, unless these are too many already."""
    if len(values) < _MAX_COLLECTED_UNDOCUMENTED_VALUES:
        values.add(value)


def _has_form_of_key(value: str) -> bool:
    """Whether a value has the form of a key, whatever the name of its field."""
    return is_secret(value) and "://" not in value and _KEY_PATTERN.fullmatch(value) is not None
