"""Imports recordings of any supported format, says what could not be imported, and exports VCR cassettes."""

from __future__ import annotations

import datetime as dt
import http.client
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import yaml

from voicegauge.contract.contract import Contract
from voicegauge.contract.socket_turns import find_socket_operation
from voicegauge.errors import DataError, MissingExtraError, OversizeError
from voicegauge.files import require_files_in_folder, write_file
from voicegauge.formats.bodies import is_json, parse_whole_number
from voicegauge.hosts import to_socket_url
from voicegauge.model.base import Provenance, Record
from voicegauge.model.exchange import (
    DOWNLOAD_OPERATION,
    Exchange,
    Headers,
    Request,
    find_header,
)
from voicegauge.recording._foreign_formats import (
    parse_har,
    parse_huggingface_tapes,
    parse_vcr_cassette,
    read_json_or_yaml,
)
from voicegauge.recording.documented_values import find_used_credentials
from voicegauge.recording.har_files import load_har
from voicegauge.recording.masking import mask_record
from voicegauge.recording.recorded_exchanges import (
    InteractionFile,
    NotImportedError,
    ParsedInteraction,
    Recording,
    UnparsedInteraction,
    UrlCanonicalizer,
    find_relative_path,
    iterate_exchanges_with_conversation_ids,
    parse_time,
)
from voicegauge.recording.redaction import DEFAULT_REDACTION, RedactionSettings, Redactor
from voicegauge.transport.body_encoding import ADDITIONAL_CODINGS, decode_body
from voicegauge.version import __version__

# Recognizes the format of a file of recorded requests and responses.


def is_recording(path: Path) -> bool:
    """Whether `path` is a recording of voicegauge, which `load_har` can read.

    Raises:
        DataError: the file cannot be read.
    """
    data = read_json_or_yaml(path)
    log = data.get("log") if isinstance(data, dict) else None
    return isinstance(log, dict) and "_voicegauge" in log


def parse_interaction_file(path: Path) -> InteractionFile:
    """Parse a file that another tool recorded.

    Raises:
        DataError: the file cannot be read or its format is unknown.
    """
    data = read_json_or_yaml(path)
    for parse in (parse_har, parse_vcr_cassette, parse_huggingface_tapes):
        file = parse(data)
        if file is not None:
            return file
    raise DataError(f"{path}: is not a VCR cassette, a HAR file or a file of huggingface.js tapes")


# Converts files of other tools to exchanges with a provider, and adds remarks on what could not be imported.


MAX_BODY_BYTES = 64 * 2**20
"""Maximum size of an imported body after decompression."""
_RARE_CONTENT_CODINGS = (*ADDITIONAL_CODINGS, "compress")
"""Values of Content-Encoding that voicegauge may be unable to decompress."""


class ImportRemark(Record, frozen=True, kw_only=True):
    """A note on an interaction that was not imported, or that was imported incompletely."""

    interaction_number: int
    """Position of the interaction in the file, counted from 1."""
    method_and_url: str
    """Method and URL of the request. The query is omitted, because it may contain a key."""
    is_imported: bool
    """Whether the interaction was imported."""
    message: str


class ImportedRecording(Record, frozen=True, kw_only=True):
    """The exchanges of one imported file, which are not redacted yet."""

    file_format: str
    """Description of the file format, such as "a cassette of vcrpy"."""
    exchanges: tuple[Exchange, ...]
    remarks: tuple[ImportRemark, ...]
    """Remarks on interactions that were not imported, or that were imported incompletely."""
    recorded_at: dt.datetime | None
    """The earliest time in the file; `None` if it contains none."""
    secrets: tuple[str, ...]
    """Values that were sent as keys or cookies. They must be masked wherever they occur, in exchanges and remarks.
    Those of a request that was not imported are masked in its remarks already."""


def import_recording(path: Path, contract: Contract, base_urls: Mapping[str, str] | None = None) -> ImportedRecording:
    """Read a file that another tool recorded.

    Args:
        path: a VCR cassette (vcrpy, Ruby VCR, betamax), a HAR file, or tapes of huggingface.js.
        contract: contract of the provider; exchanges with other hosts are not imported.
        base_urls: more base URLs of the provider, by server name; "" means all servers. `None` for no more URLs.

    Raises:
        DataError: the file cannot be read or its format is unknown.
        UnknownNameError: `base_urls` names a server that the contract does not have.
    """
    file = parse_interaction_file(path)
    importer = _InteractionImporter(contract, base_urls or {})
    for interaction in file.interactions:
        importer.add_interaction(interaction)
    exchanges = tuple(iterate_exchanges_with_conversation_ids(contract, importer.exchanges))
    return ImportedRecording(
        file_format=file.file_format,
        exchanges=exchanges,
        remarks=tuple(importer.remarks),
        recorded_at=min(importer.times, default=None),
        secrets=tuple(importer.secrets),
    )


class _InteractionImporter:
    """Converts the interactions of one file that another tool recorded to exchanges, and collects remarks on them.

    The interactions must be added in the order of the file, because a response may contain the URL of a later download.
    """

    def __init__(self, contract: Contract, base_urls: Mapping[str, str]) -> None:
        self._contract = contract
        self._canonicalizer = UrlCanonicalizer(contract, base_urls)
        self._number = 0
        self.exchanges: list[Exchange] = []
        self.remarks: list[ImportRemark] = []
        self.times: list[dt.datetime] = []
        self.secrets: dict[str, None] = {}
        """Values in the places of credentials in the exchanges, in the order of the file."""

    def add_interaction(self, unparsed_interaction: UnparsedInteraction) -> None:
        """Convert one interaction. This adds an exchange, or remarks, or both."""
        self._number += 1
        interaction: ParsedInteraction | None = None
        try:
            interaction = unparsed_interaction.parse()
            exchange = self._convert_to_exchange(interaction)
        except NotImportedError as reason:
            secrets = self._find_secrets_of_unimported_interaction(interaction) if interaction is not None else []
            self._add_remark(unparsed_interaction, is_imported=False, message=str(reason), secrets=secrets)
            return
        self.secrets.update(dict.fromkeys(find_used_credentials(self._contract, exchange)))
        self.exchanges.append(exchange)
        sent_at = parse_time(exchange.response.find_header("date"))
        self.times += [time for time in (interaction.recorded_at or sent_at,) if time is not None]
        for note in (*interaction.notes, *_describe_missing_parts(exchange)):
            self._add_remark(unparsed_interaction, is_imported=True, message=note)

    def _find_secrets_of_unimported_interaction(self, interaction: ParsedInteraction) -> list[str]:
        """Return the credentials of an interaction, which are masked only in the remark on this interaction.

        Masking them everywhere would take long: a browser records the cookies of many hosts.
        """
        exchange = _build_exchange(interaction, self._contract.id)
        try:
            return find_used_credentials(self._contract, exchange)
        except ValueError:  # its URL cannot be read
            request = msgspec.structs.replace(exchange.request, url="")
            return find_used_credentials(self._contract, msgspec.structs.replace(exchange, request=request))

    def _add_remark(
        self, unparsed_interaction: UnparsedInteraction, *, is_imported: bool, message: str, secrets: Sequence[str] = ()
    ) -> None:
        request = f"{unparsed_interaction.method[:20]} {unparsed_interaction.url.partition('?')[0][:200]}"
        remark = ImportRemark(
            interaction_number=self._number, method_and_url=request, is_imported=is_imported, message=message
        )
        self.remarks.append(mask_record(remark, secrets))

    def _convert_to_exchange(self, interaction: ParsedInteraction) -> Exchange:
        exchange = self._canonicalizer.rewrite_exchange(convert_to_exchange(interaction, self._contract.id))
        operation_id = self._find_operation_id(exchange)
        return msgspec.structs.replace(exchange, operation=operation_id, timing=interaction.timing)

    def _find_operation_id(self, exchange: Exchange) -> str:
        request = exchange.request
        if exchange.socket is not None:
            channel = find_socket_operation(self._contract, request.url)
            if channel is None:
                url = to_socket_url(request.url.partition("?")[0])
                raise NotImportedError(f"the contract has no WebSocket at {url}")
            return channel.id
        path = find_relative_path(self._contract, request.url)
        match = self._contract.match_operation(request.method, path) if path is not None else None
        if match is not None:
            return match[0].id
        if request.method == "GET" and self._is_url_in_earlier_response(request.url):
            return DOWNLOAD_OPERATION
        if path is not None:
            raise NotImportedError(f"the contract has no operation {request.method} {path}")
        host = urlsplit(request.url).netloc.rpartition("@")[2]
        if not host:
            raise NotImportedError("its URL has no host")
        hosts = ", ".join(sorted(self._contract.hosts))
        raise NotImportedError(
            f"its host {host!r} is not a host of the contract ({hosts}), and no response contains its URL"
        )

    def _is_url_in_earlier_response(self, url: str) -> bool:
        """Whether an earlier response redirects to `url` or contains it in JSON, where characters may be escaped."""
        plain = url.encode("utf-8", "replace")
        forms = (plain, plain.replace(b"/", b"\\/"), plain.replace(b"&", b"\\u0026"))
        for exchange in self.exchanges:
            response = exchange.response
            if response.find_header("location") == url:
                return True
            if is_json(response.media_type) and any(form in response.body for form in forms):
                return True
        return False


def convert_to_exchange(interaction: ParsedInteraction, provider_id: str = "") -> Exchange:
    """Return an interaction as an exchange with decompressed bodies, whose operation is not known yet.

    Raises:
        NotImportedError: the URL cannot be read, or a body cannot be decompressed.
    """
    request, response = interaction.request, interaction.response
    request = msgspec.structs.replace(
        request,
        url=_remove_default_port(request.url),
        body=_decompress(request.headers, request.body, "request body"),
    )
    response = msgspec.structs.replace(response, body=_decompress(response.headers, response.body, "response body"))
    return msgspec.structs.replace(_build_exchange(interaction, provider_id), request=request, response=response)


def _build_exchange(interaction: ParsedInteraction, provider_id: str) -> Exchange:
    """Return an interaction as an exchange whose bodies are still as they are in the file."""
    return Exchange(
        provider=provider_id,
        operation=DOWNLOAD_OPERATION,
        request=interaction.request,
        response=interaction.response,
        socket=interaction.socket,
    )


_DEFAULT_PORT_PATTERN = re.compile(r"^(?:(https://[^/?#]*):443|(http://[^/?#]*):80)(?=[/?#]|$)")
"""Matches the beginning of a URL with the default port of its scheme."""


def _remove_default_port(url: str) -> str:
    """Return `url` without a default port, which some tools write although clients omit it."""
    try:
        urlsplit(url)
    except ValueError:
        raise NotImportedError("its URL cannot be read") from None
    return _DEFAULT_PORT_PATTERN.sub(lambda found: found[1] or found[2], url)


def _decompress(headers: Headers, body: bytes, body_name: str) -> bytes:
    """Decompress a recorded body as its Content-Encoding header says.

    A body that the recording tool has already decompressed is returned unchanged.
    """
    encoding = find_header(headers, "content-encoding") or ""
    if not body or not encoding:
        return body
    try:
        decoded = decode_body(
            body, encoding, max_bytes=MAX_BODY_BYTES, origin_name="the file", additional_codings=ADDITIONAL_CODINGS
        )
    except OversizeError:
        raise NotImportedError(f"its {body_name} decompresses to more than {MAX_BODY_BYTES} bytes") from None
    except MissingExtraError as error:
        if _is_decompressed(headers, body):
            return body
        raise NotImportedError(f"its {body_name} is compressed with {encoding}: {error}") from None
    unreadable = [one for one in encoding.lower().replace(" ", "").split(",") if one in _RARE_CONTENT_CODINGS]
    if decoded == body and unreadable and not _is_decompressed(headers, body):
        raise NotImportedError(f"its {body_name} is compressed with {unreadable[0]} and cannot be decompressed")
    return decoded


def _is_decompressed(headers: Headers, body: bytes) -> bool:
    """Whether the recording tool stored the body decompressed: the body is UTF-8 text or begins like an audio file."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return (find_header(headers, "content-type") or "").startswith("audio/") and body[:4] in _AUDIO_MAGIC_BYTES
    return True


_AUDIO_MAGIC_BYTES = (b"RIFF", b"OggS", b"fLaC", b"ID3\x03", b"ID3\x04")
"""The first four bytes of audio files: WAV, Ogg, FLAC, and MP3 with an ID3 tag."""


def _describe_missing_parts(exchange: Exchange) -> Iterator[str]:
    """Yield a note on each part of the response that the file does not contain."""
    response = exchange.response
    streamed = "chunked" in (response.find_header("transfer-encoding") or "").lower()
    if response.media_type == "text/event-stream" or (streamed and not is_json(response.media_type)):
        yield "a stream, flattened: the arrival of its chunks is not in the file"
    length = parse_whole_number(response.find_header("content-length"))
    # Content-Length counts compressed bytes, and a response to HEAD has no body.
    is_comparable = response.find_header("content-encoding") is None and exchange.request.method != "HEAD"
    if is_comparable and length is not None and length > len(response.body):
        yield f"the response body is truncated: {len(response.body)} of {length} bytes are in the file"


# Reads the exchanges of recordings in any supported format, from a file or a whole folder; needs no contract.


MAX_RECORDING_FILES = 1000
"""Largest number of files that a folder of recordings may have."""
_RECORDING_SUFFIXES = (".har", ".json", ".yaml", ".yml")


class RecordedExchanges(NamedTuple):
    """The exchanges of recordings, in order. They are not redacted."""

    exchanges: list[Exchange]
    unreadable_item_messages: list[str]
    """One line for each file and each kind of interaction that could not be read, with the reason."""


def read_recorded_exchanges(path: Path) -> RecordedExchanges:
    """Return the exchanges of a file, or of all recordings below a folder.

    Interactions that cannot be imported are skipped, and so are files of a folder that are not recordings.

    Raises:
        DataError: the file is not a recording, or the folder has none or too many files.
    """
    if not path.is_dir():
        return _read_exchanges_of_file(path)
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _RECORDING_SUFFIXES and file.is_file())
    require_files_in_folder(files, path)
    if len(files) > MAX_RECORDING_FILES:
        raise DataError(f"{path}: has more than {MAX_RECORDING_FILES} files: name a folder with fewer")
    exchanges: list[Exchange] = []
    unreadable_item_messages: list[str] = []
    for file in files:
        try:
            recorded = _read_exchanges_of_file(file)
        except DataError as error:
            unreadable_item_messages.append(str(error))
            continue
        exchanges += recorded.exchanges
        unreadable_item_messages += recorded.unreadable_item_messages
    if not exchanges:
        raise DataError(f"{path}: contains no recording: expected HAR files or cassettes with exchanges")
    return RecordedExchanges(exchanges, unreadable_item_messages)


def _read_exchanges_of_file(path: Path) -> RecordedExchanges:
    if is_recording(path):
        return RecordedExchanges(list(load_har(path).exchanges), [])
    exchanges: list[Exchange] = []
    reasons: Counter[str] = Counter()
    for interaction in parse_interaction_file(path).interactions:
        try:
            exchanges.append(convert_to_exchange(interaction.parse()))
        except NotImportedError as error:
            reasons[str(error)] += 1
    return RecordedExchanges(exchanges, [f"{path}: exchanges: {count}; {why}" for why, count in reasons.items()])


# Reads only the requests of a recording, whichever tool made it.


class ImportedRequest(NamedTuple):
    """A request that was read from a recording, and its position there."""

    request_number: int
    """Position of the request in the file, counted from 1."""
    request: Request
    is_complete: bool
    """Whether headers and body of the request are in the file. Otherwise only its method and URL are."""


def read_requests(path: Path) -> list[ImportedRequest]:
    """Return the requests of a recording of voicegauge, a VCR cassette, a HAR file or tapes of huggingface.js.

    Raises:
        DataError: the file cannot be read or its format is unknown.
    """
    if is_recording(path):
        exchanges = load_har(path).exchanges
        return [ImportedRequest(number, exchange.request, True) for number, exchange in enumerate(exchanges, 1)]
    requests = []
    for number, unparsed in enumerate(parse_interaction_file(path).interactions, 1):
        try:
            parsed = unparsed.parse()
        except NotImportedError:
            requests.append(ImportedRequest(number, Request(method=unparsed.method, url=unparsed.url), False))
            continue
        is_body_missing = any("request body" in note for note in parsed.notes)
        requests.append(ImportedRequest(number, parsed.request, not is_body_missing))
    return requests


# Defines the result of a conversion of files.


_ID_IN_PATH_PATTERN = re.compile(r"(?<=/)(?:[0-9a-fA-F-]{16,}|[0-9]+|(?=[^/]*[0-9])[A-Za-z0-9_-]{16,})(?=[/ ]|$)")
"""Matches a segment of a path that is a number, a UUID or another long id."""


class ConvertedFile(Record, frozen=True, kw_only=True):
    """The result of converting one file."""

    input_path: str
    """Path of the file that was converted."""
    original_format: str
    """Description of the file's original format."""
    output_path: str
    """Path of the file that was written."""
    provenance: Provenance
    recorded_at: str
    """Time of recording: UTC, ISO 8601."""
    exchange_count: int
    """Number of exchanges that were written."""
    rejected_request_count: int
    """Number of requests that were left out, with their responses."""
    remarks: tuple[ImportRemark, ...]
    """Remarks about content that could not be converted, or only in part."""
    redaction_counts: dict[str, int]
    """Number of masked secrets by location."""

    def group_rejected_requests(self) -> tuple[RejectedRequests, ...]:
        """Return the requests that were left out, by host and reason, the most frequent first."""
        return group_rejected_requests((self.input_path, remark) for remark in self.remarks)


class UnconvertedFile(Record, frozen=True, kw_only=True):
    """A file that was not converted."""

    path: str
    """Path of the file."""
    reason: str
    rejected_request_count: int = 0
    """Number of requests in the file, none of which could be converted; 0 if the file could not be read as a whole."""


class RejectedRequests(Record, frozen=True, kw_only=True):
    """Requests to one host that were left out for the same reason."""

    host: str
    """Host of the requests; empty if their URLs cannot be read."""
    reason: str
    """Why the requests were left out. Ids in paths are replaced by {}, so that similar requests have the same
    reason."""
    request_count: int
    first_request: str
    """The first request of the group: file, position in the file, method and URL."""


class Conversion(Record, frozen=True, kw_only=True):
    """The result of `convert_all`, which `voicegauge convert --json` writes as JSON."""

    schema: str = "voicegauge/convert/3"
    converted_files: tuple[ConvertedFile, ...]
    unconverted_files: tuple[UnconvertedFile, ...] = ()
    """The files of which nothing was converted, with the reason."""
    rejected_requests: tuple[RejectedRequests, ...] = ()
    """The requests of all files that were left out, by host and reason, the most frequent first."""


def group_rejected_requests(remarks: Iterable[tuple[str, ImportRemark]]) -> tuple[RejectedRequests, ...]:
    """Return the requests that were left out, grouped by host and reason, the largest group first.

    Each item of `remarks` is the path of a file and a remark about a request in this file. Remarks about requests that
    were converted are ignored.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for file, remark in remarks:
        if not remark.is_imported:
            host = _extract_host(remark.method_and_url)
            reason = _ID_IN_PATH_PATTERN.sub("{}", remark.message)
            request = f"{file}: {remark.interaction_number} ({remark.method_and_url})"
            groups.setdefault((host, reason), []).append(request)
    grouped = [
        RejectedRequests(host=host, reason=reason, request_count=len(requests), first_request=requests[0])
        for (host, reason), requests in groups.items()
    ]
    return tuple(sorted(grouped, key=lambda group: -group.request_count))


def _extract_host(method_and_url: str) -> str:
    try:
        return urlsplit(method_and_url.partition(" ")[2]).netloc.rpartition("@")[2]
    except ValueError:
        return ""


# Exports a recording as a VCR cassette, for tests that replay traffic with vcrpy.


_YAML_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_OMITTED_TRANSFER_HEADER_NAMES = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that describe the bytes on the wire. They are omitted, because recorded bodies are decoded and complete."""


def save_vcr_cassette(
    path: Path,
    recording: Recording,
    *,
    contract: Contract,
    redaction: RedactionSettings = DEFAULT_REDACTION,
) -> Recording:
    """Write `recording` as a vcrpy cassette (version 1, YAML), without secrets.

    Text bodies are written as text, and all other bodies as `!!binary`. The arrival times of chunks and the groups of
    exchanges are lost, because the cassette format cannot represent them.

    Args:
        path: path of the cassette file.
        recording: the recording to write.
        contract: contract of the provider of `recording`.
        redaction: what is masked, and what is left.

    Returns:
        The recording as it was written. It is redacted, so it may differ from `recording`.

    Raises:
        DataError: a secret remains after redaction, so nothing is written. The message names its location.
        UsageError: `path` cannot be written.
    """
    redactor = Redactor(contract, redaction)
    exchanges = [exchange for exchange in recording.exchanges if exchange.socket is None]
    if recording.exchanges and not exchanges:
        raise DataError(f"{path}: is not written: a cassette cannot have WebSockets, and nothing else was recorded")
    masked = redactor.mask_and_check_exchanges(str(path), exchanges)
    data = {"interactions": [_build_interaction(exchange) for exchange in masked], "version": 1}
    text = yaml.dump(data, Dumper=_YAML_DUMPER, sort_keys=True, allow_unicode=True, width=120)
    about = f"{recording.provider}, {recording.provenance.value}, {recording.recorded_at}"
    document = f"# Written by voicegauge {__version__}: {about}\n{text}".encode()
    # As a whole too, in the spelling that YAML gives to the texts.
    redactor.check_bytes(str(path), "the file", document)
    write_file(path, document)
    return msgspec.structs.replace(
        recording, exchanges=masked, redaction_count_by_location=redactor.count_redactions_by_location()
    )


def _build_interaction(exchange: Exchange) -> dict[str, Any]:
    request, response = exchange.request, exchange.response
    length = {"Content-Length": [str(len(response.body))]} if response.body else {}
    return {
        "request": {
            "method": request.method,
            "uri": request.url,
            "headers": _group_headers(request.headers),
            "body": _decode_if_text(request.body) if request.body else None,
        },
        "response": {
            "status": {"code": response.status, "message": http.client.responses.get(response.status, "")},
            "headers": {**_group_headers(response.headers, omitted_names=_OMITTED_TRANSFER_HEADER_NAMES), **length},
            "body": {"string": _decode_if_text(response.body)},
        },
    }


def _group_headers(headers: Headers, omitted_names: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        if name.lower() not in omitted_names:
            values.setdefault(name, []).append(value)
    return values


def _decode_if_text(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
