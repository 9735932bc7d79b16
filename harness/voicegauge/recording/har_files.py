"""Recordings in HAR files: writes them redacted, at once or exchange by exchange, finds, reads and compares them."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.errors import DataError, StorageError
from voicegauge.files import RECORDINGS_FOLDER_NAME, check_writable, open_file, require_files_in_folder, write_file
from voicegauge.formats.bodies import UnreadableBodyError, group_contents_by_field, read_json
from voicegauge.formats.located_yaml import describe_json_error
from voicegauge.hosts import to_http_url, to_socket_url
from voicegauge.model.base import Provenance, Record
from voicegauge.model.exchange import Exchange, Headers, Request, Response, UploadedFile
from voicegauge.recording._har_format import (
    HAR_SCHEMA_VERSION,
    WEBSOCKET_RESOURCE_TYPE,
    HarContent,
    HarCreator,
    HarEntry,
    HarFile,
    HarFormField,
    HarLog,
    HarMetadata,
    HarNameValue,
    HarRequest,
    HarRequestBody,
    HarResponse,
    HarSocket,
    HarSocketMessage,
    SidecarReader,
    SidecarWriter,
    convert_to_har_messages,
    convert_to_har_timings,
    find_sidecar_names,
    get_start_unix_s,
    read_file_within_limit,
    read_har_socket,
    remove_orphaned_sidecars,
)
from voicegauge.recording.masking import flatten_json, get_bare_media_type, read_multipart_fields
from voicegauge.recording.recorded_exchanges import NotImportedError, Recording, collect_exchanges_by_conversation_id
from voicegauge.recording.redaction import DEFAULT_REDACTION, RedactionSettings, Redactor
from voicegauge.transport.body_encoding import encode_body
from voicegauge.version import __version__

MAX_HAR_BYTES = 64 * 2**20
"""Maximum size of a HAR file that is read, and to which a recording may grow."""


def load_har(path: Path) -> Recording:
    """Read a recording that `save_har` wrote.

    Raises:
        DataError: the file cannot be read, is not a recording of voicegauge, or has an unsupported HAR or schema
            version. Also raised if a sidecar file of the recording is missing or was changed.
    """
    raw = read_file_within_limit(path, MAX_HAR_BYTES)
    try:
        log = msgspec.json.decode(raw, type=HarFile).log
    except msgspec.ValidationError as error:
        hint = "voicegauge convert --provider ID makes one of a HAR file or cassette of another tool"
        raise DataError(f"{path}: is not a recording of voicegauge: {hint} ({error})") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        is_cassette = re.search(rb"^(http_)?interactions:", raw[:4096], re.MULTILINE) is not None
        hint = "; it is a cassette of another tool: run voicegauge convert first" if is_cassette else ""
        raise DataError(f"{path}{describe_json_error(error, raw)}{hint}") from error
    if log.version != "1.2":
        raise DataError(f"{path}: has HAR version {log.version[:20]!r}; only 1.2 can be read")
    if log.voicegauge.schema_version != HAR_SCHEMA_VERSION:
        version = f"{log.voicegauge.schema_version}, this voicegauge reads version {HAR_SCHEMA_VERSION}"
        raise DataError(f"{path}: is a recording of schema version {version}: record it again")
    sidecar_reader = SidecarReader(path)
    try:
        exchanges = tuple(_build_exchange(sidecar_reader, entry) for entry in log.entries)
    except NotImportedError as error:
        raise DataError(f"{path}: a WebSocket cannot be read: {error}") from error
    return Recording(
        provenance=log.voicegauge.provenance,
        provider=log.voicegauge.provider,
        contract_version=log.voicegauge.contract_version,
        contract_sha256=log.voicegauge.contract_sha256,
        recorded_at=log.voicegauge.recorded_at,
        exchanges=exchanges,
        redaction_count_by_location=log.voicegauge.redaction_count_by_location,
    )


def _build_exchange(sidecar_reader: SidecarReader, entry: HarEntry) -> Exchange:
    post, content = entry.request.post_data, entry.response.content
    return Exchange(
        provider=entry.provider,
        operation=entry.operation,
        request=Request(
            method=entry.request.method,
            url=to_http_url(entry.request.url),
            headers=_build_headers(entry.request.headers),
            body=b"" if post is msgspec.UNSET else _build_request_body(sidecar_reader, post),
        ),
        response=Response(
            status=entry.response.status,
            headers=_build_headers(entry.response.headers),
            body=sidecar_reader.read_body(content.text, content.file),
        ),
        timing=entry.timing,
        conversation_id=entry.conversation,
        socket=read_har_socket(entry),
    )


def _build_request_body(sidecar_reader: SidecarReader, har_body: HarRequestBody) -> bytes:
    if not har_body.form_fields:
        return sidecar_reader.read_body(har_body.text, har_body.file)
    parts = ((param.name, _build_form_value(sidecar_reader, param)) for param in har_body.form_fields)
    return encode_body(har_body.mime_type, group_contents_by_field(parts))[1]


def _build_form_value(sidecar_reader: SidecarReader, har_field: HarFormField) -> str | UploadedFile:
    if har_field.file_name is None:
        return har_field.value
    media_type = har_field.content_type or "application/octet-stream"
    data = sidecar_reader.read_body(har_field.value, har_field.file)
    return UploadedFile(filename=har_field.file_name, media_type=media_type, data=data)


def _build_headers(har_headers: tuple[HarNameValue, ...]) -> Headers:
    return tuple((pair.name, pair.value) for pair in har_headers)


def save_har(
    path: Path,
    exchanges: Sequence[Exchange],
    *,
    provenance: Provenance,
    contract: Contract,
    redaction: RedactionSettings = DEFAULT_REDACTION,
    recorded_at: dt.datetime | None = None,
) -> Recording:
    """Write `exchanges` to `path`, and their audio to sidecar files, without secrets.

    Headers that are neither common nor documented in the contract are masked, and so is everything that looks like a
    credential. Then everything that would be written is searched for the secrets. Sidecar files that only the replaced
    recording used are deleted.

    Args:
        path: path of the HAR file.
        exchanges: the exchanges to save, all with the provider of `contract`.
        provenance: where the exchanges came from.
        contract: contract of the provider. Headers that it documents are not masked.
        redaction: what is masked, and what is left.
        recorded_at: time of the recording; the current time if `None`.

    Returns:
        The recording as it was written. It is redacted, so it may differ from `exchanges`.

    Raises:
        DataError: a secret, or text that looks like one, remains after redaction, so nothing is written. The message
            names its location.
        UsageError: `path` cannot be written.
    """
    redactor = Redactor(contract, redaction)
    masked = redactor.mask_and_check_exchanges(str(path), exchanges)
    when = recorded_at or dt.datetime.now(dt.UTC)
    recording = Recording(
        provenance=provenance,
        provider=contract.id,
        contract_version=contract.version,
        contract_sha256=contract.document.sha256,
        recorded_at=when.astimezone(dt.UTC).isoformat(timespec="seconds"),
        exchanges=masked,
        redaction_count_by_location=redactor.count_redactions_by_location(),
    )
    sidecar_writer = SidecarWriter()
    document = msgspec.json.format(msgspec.json.encode(_build_har_file(recording, sidecar_writer)), indent=1)
    # The whole file too: the ids of conversations and the locations of redactions are in no part of an exchange.
    redactor.check_bytes(str(path), "the file", document)
    previous = find_sidecar_names(path)
    # The sidecar files are written first, so that an interrupted save leaves no HAR file that refers to missing files.
    for name, body in sidecar_writer.files.items():
        write_file(path.parent / name, body)
    write_file(path, document + b"\n")
    remove_orphaned_sidecars(path.parent, previous)
    return recording


def _build_har_file(recording: Recording, sidecar_writer: SidecarWriter) -> HarFile:
    metadata = build_har_metadata(recording)
    entries = tuple(
        build_har_entry(exchange, recording.recorded_at, sidecar_writer) for exchange in recording.exchanges
    )
    creator = HarCreator(name="voicegauge", version=__version__)
    return HarFile(log=HarLog(version="1.2", creator=creator, entries=entries, voicegauge=metadata))


def build_har_metadata(recording: Recording) -> HarMetadata:
    """Return the metadata of a HAR file, which states the origin of `recording`."""
    return HarMetadata(
        schema_version=HAR_SCHEMA_VERSION,
        provenance=recording.provenance,
        provider=recording.provider,
        contract_version=recording.contract_version,
        contract_sha256=recording.contract_sha256,
        recorded_at=recording.recorded_at,
        redaction_count_by_location=recording.redaction_count_by_location,
    )


def build_har_entry(exchange: Exchange, recorded_at: str, sidecar_writer: SidecarWriter) -> HarEntry:
    """Return the HAR entry of `exchange`. Long and binary bodies are added to `sidecar_writer` instead of the entry.

    `recorded_at` is the time of the recording, for an exchange without a timing.
    """
    timing, started_at = exchange.timing, get_start_unix_s(exchange)
    started = recorded_at if started_at is None else dt.datetime.fromtimestamp(started_at, dt.UTC).isoformat()
    request = exchange.request
    messages: tuple[HarSocketMessage, ...] | msgspec.UnsetType = msgspec.UNSET
    socket: HarSocket | msgspec.UnsetType = msgspec.UNSET
    if exchange.socket is not None:
        request = msgspec.structs.replace(request, url=to_socket_url(request.url))
        messages, socket = convert_to_har_messages(exchange.socket, recorded_at)
    return HarEntry(
        started_date_time=started,
        total_ms=timing.total_ms if timing else 0,
        request=_build_har_request(request, sidecar_writer),
        response=_build_har_response(exchange.response, sidecar_writer),
        timings=convert_to_har_timings(timing),
        provider=exchange.provider,
        operation=exchange.operation,
        conversation=exchange.conversation_id,
        timing=timing,
        resource_type=msgspec.UNSET if exchange.socket is None else WEBSOCKET_RESOURCE_TYPE,
        socket_messages=messages,
        socket=socket,
    )


def _build_har_request(request: Request, sidecar_writer: SidecarWriter) -> HarRequest:
    query = parse_qsl(request.url.partition("?")[2].partition("#")[0], keep_blank_values=True)
    return HarRequest(
        method=request.method,
        url=request.url,
        headers=_build_har_headers(request.headers),
        query_string=_build_har_headers(tuple(query)),
        post_data=_build_har_request_body(request, sidecar_writer) if request.body else msgspec.UNSET,
        body_size=len(request.body),
    )


def _build_har_request_body(request: Request, sidecar_writer: SidecarWriter) -> HarRequestBody:
    """Convert a multipart body to fields if encoding these restores the exact bytes; store any other body as it is."""
    mime_type = request.find_header("content-type") or ""
    fields = read_multipart_fields(mime_type, request.body)
    if fields and encode_body(mime_type, fields) == (mime_type, request.body):
        params = tuple(
            _build_har_form_field(name, item, sidecar_writer)
            for name, value in fields.items()
            for item in (value if isinstance(value, list) else [value])
        )
        return HarRequestBody(mime_type=mime_type, form_fields=params)
    text, name = sidecar_writer.store_body(request.body, get_bare_media_type(mime_type))
    return HarRequestBody(mime_type=mime_type, text=text, file=name)


def _build_har_form_field(name: str, value: str | UploadedFile, sidecar_writer: SidecarWriter) -> HarFormField:
    if isinstance(value, str):
        return HarFormField(name=name, value=value)
    text, file = sidecar_writer.store_body(value.data, get_bare_media_type(value.media_type))
    return HarFormField(name=name, value=text, file_name=value.filename, content_type=value.media_type, file=file)


def _build_har_response(response: Response, sidecar_writer: SidecarWriter) -> HarResponse:
    text, name = sidecar_writer.store_body(response.body, response.media_type)
    mime_type = response.find_header("content-type") or ""
    return HarResponse(
        status=response.status,
        headers=_build_har_headers(response.headers),
        content=HarContent(size_bytes=len(response.body), mime_type=mime_type, text=text, file=name),
        redirect_url=response.find_header("location") or "",
        body_size=len(response.body),
    )


def _build_har_headers(headers: Headers) -> tuple[HarNameValue, ...]:
    return tuple(HarNameValue(name=name, value=value) for name, value in headers)


# Writes a HAR file exchange by exchange. After each exchange, the file is complete and can be read.


_RESERVED_METADATA_BYTES = 2**16
"""Number of bytes that are kept free for the end of the file, where the metadata is."""
_COPY_BLOCK_BYTES = 2**20
"""Number of bytes that are copied at a time."""


class GrowingHar:
    """A HAR file to which redacted exchanges are added one by one.

    For each addition, a new file is written beside the old one and then renamed, so that a killed process leaves a
    complete file. The earlier exchanges are copied from the old file and not kept in memory.
    """

    def __init__(self, path: Path) -> None:
        """Prepare to write `path`. Nothing is written before the first exchange.

        Raises:
            StorageError: `path` exists or cannot be written.
        """
        if path.exists():
            raise StorageError(f"{path} exists: name another file, or delete it")
        check_writable(path)
        self.path = path
        self._end = 0
        """Offset after the last entry; 0 if there is no file yet."""

    def add_exchange(self, exchange: Exchange, recording: Recording) -> None:
        """Add a redacted exchange.

        Args:
            exchange: the exchange to add.
            recording: describes the origin of the exchanges; its own `exchanges` are not written.

        Raises:
            DataError: the file would become too large to be read.
            StorageError: the file cannot be written.
        """
        self._add_exchanges([exchange], recording)

    def replace_exchanges(self, exchanges: Sequence[Exchange], recording: Recording) -> None:
        """Replace all exchanges at once, and delete the sidecar files that are no longer used.

        Args:
            exchanges: redacted exchanges.
            recording: describes the origin of the exchanges; its own `exchanges` are not written.

        Raises:
            DataError: the file would become too large to be read.
            StorageError: the file cannot be written.
        """
        previous = find_sidecar_names(self.path)
        self._end = 0
        self._add_exchanges(exchanges, recording)
        remove_orphaned_sidecars(self.path.parent, previous)

    def _add_exchanges(self, exchanges: Sequence[Exchange], recording: Recording) -> None:
        sidecar_writer = SidecarWriter()
        entries = (build_har_entry(exchange, recording.recorded_at, sidecar_writer) for exchange in exchanges)
        content = b",\n".join(map(msgspec.json.encode, entries))
        content = (b",\n" if self._end else self._build_file_head()) + content
        # Above the limit, the file could be written, but never read again.
        if self._end + len(content) > MAX_HAR_BYTES - _RESERVED_METADATA_BYTES:
            raise DataError(f"{self.path}: is full: {MAX_HAR_BYTES // 2**20} MiB are the most that can be read again")
        # The sidecar files are written first, so that no HAR file refers to missing files.
        for name, body in sidecar_writer.files.items():
            write_file(self.path.parent / name, body)
        tail = b'\n],"_voicegauge":' + msgspec.json.encode(build_har_metadata(recording)) + b"}}\n"
        self._append_before_tail(content, tail)
        self._end += len(content)

    def _build_file_head(self) -> bytes:
        """Return the beginning of a HAR file, up to the list of entries."""
        creator = msgspec.json.encode(HarCreator(name="voicegauge", version=__version__))
        return b'{"log":{"version":"1.2","creator":' + creator + b',"entries":[\n'

    def _append_before_tail(self, content: bytes, tail: bytes) -> None:
        """Write the file again: the entries so far, then `content`, then `tail`, which ends the file."""
        if not self._end:
            write_file(self.path, content + tail)
            return
        check_writable(self.path)
        real = self.path.resolve()
        partial = real.with_name(f".{real.name}.{os.getpid()}.partial")
        try:
            partial.unlink(missing_ok=True)  # of a process with the same id that was killed, or a stranger's link
            try:
                with open_file(real) as source, partial.open("xb") as file:
                    remaining = self._end
                    while remaining:
                        part = source.read(min(_COPY_BLOCK_BYTES, remaining))
                        if not part:
                            raise StorageError(f"{self.path}: was shortened by another program")
                        file.write(part)
                        remaining -= len(part)
                    file.write(content)
                    file.write(tail)
                partial.replace(real)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror or error}") from error


# Compares a saved recording with newly recorded exchanges, to summarize the differences before replacing the file.


class RecordingChanges(Record, frozen=True, kw_only=True):
    """How many exchanges of a recording were added, removed, changed or left unchanged when it was replaced."""

    added_count: int = 0
    removed_count: int = 0
    changed_count: int = 0
    unchanged_count: int = 0
    differing_fields: tuple[str, ...] = ()
    """The fields that differ in the changed exchanges, such as "getStatus response /status"; most frequent first."""


def compare_recordings(old_recording: Recording | None, new_exchanges: Sequence[Exchange]) -> RecordingChanges:
    """Count how many exchanges were added, removed, changed or left unchanged.

    In each conversation, the first older exchange is compared with the first newer one, the second with the second, and
    so on. Conversations are matched by their id. Every exchange counts as added if `old_recording` is `None`.
    """
    before, after = (
        collect_exchanges_by_conversation_id(old_recording.exchanges if old_recording is not None else ()),
        collect_exchanges_by_conversation_id(new_exchanges),
    )
    added = removed = changed = same = 0
    field_counts: Counter[str] = Counter()
    for group in {**before, **after}:
        old_group, new_group = before.get(group, ()), after.get(group, ())
        added += max(len(new_group) - len(old_group), 0)
        removed += max(len(old_group) - len(new_group), 0)
        for old_exchange, new_exchange in zip(old_group, new_group, strict=False):
            differing = set(_list_differing_fields(old_exchange, new_exchange))
            changed, same = changed + bool(differing), same + (not differing)
            field_counts.update(differing)
    fields = tuple(sorted(field_counts, key=lambda field: (-field_counts[field], field)))
    return RecordingChanges(
        added_count=added,
        removed_count=removed,
        changed_count=changed,
        unchanged_count=same,
        differing_fields=fields,
    )


def _list_differing_fields(old_exchange: Exchange, new_exchange: Exchange) -> Iterator[str]:
    # Header values and query parameters are ignored, because dates, ids and signatures differ in every recording.
    if old_exchange.request.url.partition("?")[0] != new_exchange.request.url.partition("?")[0]:
        yield f"{new_exchange.operation} URL"
    if old_exchange.response.status != new_exchange.response.status:
        yield f"{new_exchange.operation} status {old_exchange.response.status} to {new_exchange.response.status}"
    for side, before, after in (
        ("request", old_exchange.request, new_exchange.request),
        ("response", old_exchange.response, new_exchange.response),
    ):
        names = {name.lower() for name, _ in before.headers} ^ {name.lower() for name, _ in after.headers}
        yield from (f"{new_exchange.operation} {side} header {name}" for name in names)
        yield from (
            f"{new_exchange.operation} {side} {pointer}"
            for pointer in _list_differing_pointers(before.body, after.body)
        )


def _list_differing_pointers(old_body: bytes, new_body: bytes) -> Iterator[str]:
    if old_body == new_body:
        return
    try:
        old, new = dict(flatten_json(read_json(old_body))), dict(flatten_json(read_json(new_body)))
    except UnreadableBodyError:
        yield "body"
        return
    yield from (pointer or "body" for pointer in {**old, **new} if old.get(pointer) != new.get(pointer))


# Finds recordings in folders and loads them.


def find_recordings(path: Path) -> list[Path]:
    """Return the sorted paths of the HAR files in a folder and in its direct sub-folders (one for each provider).

    If `path` is a file, the result is this file alone.

    Raises:
        DataError: a link leads to a file outside of the folder.
    """
    if not path.is_dir():
        return [path]
    return require_files_in_folder(sorted([*path.glob("*.har"), *path.glob("*/*.har")]), path)


def find_provider_recordings(provider_id: str, bundled_folder: Path | None = None) -> list[Path]:
    """Return the recordings of a provider: the user's own, and the bundled ones.

    A file in `RECORDINGS_FOLDER_NAME` replaces the bundled file of the same name.

    Args:
        provider_id: id of the provider.
        bundled_folder: folder of the bundled recordings, with a sub-folder for each provider; `None` for a contract
            that is not bundled.
    """
    own_folder = Path(RECORDINGS_FOLDER_NAME)
    own = require_files_in_folder(sorted((own_folder / provider_id).glob("*.har")), own_folder)
    names = {path.name for path in own}
    bundled = sorted((bundled_folder / provider_id).glob("*.har")) if bundled_folder is not None else []
    return [*own, *(path for path in bundled if path.name not in names)]


def load_recordings(paths: Iterable[Path], *, conversation_id_part: str = "") -> list[Recording]:
    """Load HAR files, and all HAR files in folders.

    Args:
        paths: HAR files, and folders that contain HAR files.
        conversation_id_part: load only conversations whose `conversation_id` contains this text, such as "a full
            delivery". By default, all exchanges are loaded.

    Raises:
        DataError: a path is missing, a folder contains no recording, a file is not a recording, or no conversation
                matches.
    """
    recordings: list[Recording] = []
    for path in paths:
        files = find_recordings(path)
        if not files:
            raise DataError(f"{path}: contains no recording (*.har)")
        for recording in map(load_har, files):
            named = (one for one in recording.exchanges if conversation_id_part in (one.conversation_id or ""))
            recordings.append(msgspec.structs.replace(recording, exchanges=tuple(named)))
    if conversation_id_part and not any(recording.exchanges for recording in recordings):
        raise DataError(f"no recorded conversation has {conversation_id_part!r} in its id")
    return recordings


# Computes the age of recorded traffic, from which callers decide whether a recording is stale.


def get_recording_time(recording: Recording, exchange: Exchange) -> dt.datetime:
    """Return the UTC time at which `exchange` was sent; the time of `recording` if the exchange has no timing.

    Raises:
        DataError: the time of the exchange or of the recording is invalid.
    """
    try:
        started_at = get_start_unix_s(exchange)
        if started_at is not None:
            return dt.datetime.fromtimestamp(started_at, dt.UTC)
        moment = dt.datetime.fromisoformat(recording.recorded_at)
    except (ValueError, OverflowError, OSError) as error:
        raise DataError(f"a recording of {recording.provider} has an invalid time: {error}") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def compute_age_days(recording: Recording, exchange: Exchange, now: dt.datetime) -> float:
    """Return the number of days from the time at which `exchange` was recorded to `now`."""
    return (now - get_recording_time(recording, exchange)).total_seconds() / 86_400
