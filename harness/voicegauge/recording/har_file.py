"""Saving exchanges as a HAR file and reading them back."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec

from voicegauge.contract import Contract
from voicegauge.errors import DataError
from voicegauge.files import write_file
from voicegauge.model import Exchange, Headers, Provenance, Record, Request, Response, UploadedFile
from voicegauge.recording import har_records as har
from voicegauge.recording.bodies import bare_media_type, multipart_fields
from voicegauge.recording.redaction import Redactor
from voicegauge.transport import encode_body
from voicegauge.version import __version__

MAX_HAR_BYTES = 64 * 2**20
MAX_SIDECAR_BYTES = 64 * 2**20
MAX_INLINE_BYTES = 256 * 2**10
"""A longer body goes into a file of its own, so that the HAR file can be read by people."""

_FILE = re.compile(rb'"_file": ?"([0-9a-f]{64}\.[a-z0-9]{1,5})"')
_EXTENSIONS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "application/json": "json",
}


class Recording(Record, frozen=True, kw_only=True):
    """Exchanges with one provider, and where they came from."""

    provenance: Provenance
    provider: str
    contract_version: str
    contract_sha256: str
    recorded_at: str
    """UTC, ISO 8601."""
    exchanges: tuple[Exchange, ...]
    redactions: dict[str, int] = {}
    """Places in which something was masked ("request header authorization"), with how often."""


def exchanges_by_group(exchanges: Iterable[Exchange]) -> dict[str | None, tuple[Exchange, ...]]:
    """Exchanges by their group, in order."""
    found: dict[str | None, list[Exchange]] = {}
    for exchange in exchanges:
        found.setdefault(exchange.group, []).append(exchange)
    return {name: tuple(group) for name, group in found.items()}


class _Sidecars:
    """Bodies that go into files of their own, by name."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def place(self, body: bytes, media_type: str) -> tuple[str, str | None]:
        """`body` as (text, no file) or ("", file)."""
        if len(body) <= MAX_INLINE_BYTES:
            try:
                return body.decode(), None
            except UnicodeDecodeError:
                pass
        name = f"{hashlib.sha256(body).hexdigest()}.{_EXTENSIONS.get(media_type, 'bin')}"
        self.files[name] = body
        return "", name


def save_har(
    path: Path,
    exchanges: Sequence[Exchange],
    *,
    provenance: Provenance,
    contract: Contract,
    secrets: Iterable[str] = (),
    mask: Iterable[str] = (),
    recorded_at: dt.datetime | None = None,
) -> Recording:
    """Write `exchanges` to `path`, and their audio to files beside it, without secrets.

    Files beside it that only the recording it replaces has named are removed.

    Headers that are neither usual nor documented, and everything that looks like a
    credential, are masked. Then all that would be written is searched for `secrets`.

    Args:
        path: the HAR file.
        exchanges: with the provider of `contract`.
        provenance: where they came from.
        contract: its documented headers are kept.
        secrets: the keys in use.
        mask: further names of fields, parameters and headers to mask.
        recorded_at: now, if left out.

    Returns:
        What was written: masked, so it may differ from `exchanges`.

    Raises:
        DataError: a secret is left in some form, or what looks like one; nothing is written.
            Names the place.
        UsageError: `path` cannot be written.
    """
    redactor = Redactor(contract, tuple(secrets), mask)
    masked = tuple(redactor.exchange(exchange) for exchange in exchanges)
    when = recorded_at or dt.datetime.now(dt.UTC)
    recording = Recording(
        provenance=provenance,
        provider=contract.id,
        contract_version=contract.version,
        contract_sha256=contract.document.sha256,
        recorded_at=when.astimezone(dt.UTC).isoformat(timespec="seconds"),
        exchanges=masked,
        redactions={place: count for place, count in sorted(redactor.redactions.items()) if count},
    )
    for number, exchange in enumerate(masked, 1):
        redactor.refuse(str(path), number, exchange)
    sidecars = _Sidecars()
    document = msgspec.json.format(msgspec.json.encode(_to_har(recording, sidecars)), indent=1)
    redactor.refuse_bytes(str(path), "the file", document)
    before = _files_named_in(path)
    for name, body in sidecars.files.items():
        write_file(path.parent / name, body)
    write_file(path, document + b"\n")
    _remove_orphans(path.parent, before)
    return recording


def _files_named_in(path: Path) -> set[str]:
    """The sidecar files that the HAR file `path` names; none where there is no such file."""
    try:
        return {found[1].decode() for found in _FILE.finditer(path.read_bytes())}
    except OSError:
        return set()


def _remove_orphans(folder: Path, names: set[str]) -> None:
    """Remove those of the sidecar files `names` that no recording in `folder` names any more."""
    for har_file in folder.glob("*.har") if names else ():
        names -= _files_named_in(har_file)
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _to_har(recording: Recording, sidecars: _Sidecars) -> har.HarFile:
    about = har.HarMetadata(
        schema_version=har.SCHEMA_VERSION,
        provenance=recording.provenance,
        provider=recording.provider,
        contract_version=recording.contract_version,
        contract_sha256=recording.contract_sha256,
        recorded_at=recording.recorded_at,
        redactions=recording.redactions,
    )
    entries = tuple(_to_entry(exchange, recording, sidecars) for exchange in recording.exchanges)
    creator = har.HarCreator(name="voicegauge", version=__version__)
    return har.HarFile(log=har.HarLog(version="1.2", creator=creator, entries=entries, about=about))


def _to_entry(exchange: Exchange, recording: Recording, sidecars: _Sidecars) -> har.HarEntry:
    timing = exchange.timing
    started = recording.recorded_at
    if timing is not None:
        started = dt.datetime.fromtimestamp(timing.started_at, dt.UTC).isoformat()
    return har.HarEntry(
        started_date_time=started,
        time=timing.total_ms if timing else 0,
        request=_to_request(exchange.request, sidecars),
        response=_to_response(exchange.response, sidecars),
        timings=har.har_timings(timing),
        provider=exchange.provider,
        operation=exchange.operation,
        group=exchange.group,
        timing=timing,
    )


def _to_request(request: Request, sidecars: _Sidecars) -> har.HarRequest:
    query = parse_qsl(request.url.partition("?")[2].partition("#")[0], keep_blank_values=True)
    return har.HarRequest(
        method=request.method,
        url=request.url,
        headers=_to_pairs(request.headers),
        query_string=_to_pairs(tuple(query)),
        post_data=_to_post_data(request, sidecars) if request.body else msgspec.UNSET,
        body_size=len(request.body),
    )


def _to_post_data(request: Request, sidecars: _Sidecars) -> har.HarPostData:
    """A multipart body as its fields, if they make the same body again; any other as it is."""
    mime_type = request.header("content-type") or ""
    fields = multipart_fields(mime_type, request.body)
    if fields and encode_body(mime_type, fields) == (mime_type, request.body):
        params = tuple(_to_param(name, value, sidecars) for name, value in fields.items())
        return har.HarPostData(mime_type=mime_type, params=params)
    text, name = sidecars.place(request.body, bare_media_type(mime_type))
    return har.HarPostData(mime_type=mime_type, text=text, file=name)


def _to_param(name: str, value: str | UploadedFile, sidecars: _Sidecars) -> har.HarParam:
    if isinstance(value, str):
        return har.HarParam(name=name, value=value)
    text, file = sidecars.place(value.data, bare_media_type(value.media_type))
    return har.HarParam(name=name, value=text, file_name=value.filename, content_type=value.media_type, file=file)


def _to_response(response: Response, sidecars: _Sidecars) -> har.HarResponse:
    text, name = sidecars.place(response.body, response.media_type)
    mime_type = response.header("content-type") or ""
    return har.HarResponse(
        status=response.status,
        headers=_to_pairs(response.headers),
        content=har.HarContent(size=len(response.body), mime_type=mime_type, text=text, file=name),
        redirect_url=response.header("location") or "",
        body_size=len(response.body),
    )


def _to_pairs(headers: Headers) -> tuple[har.HarNameValue, ...]:
    return tuple(har.HarNameValue(name=name, value=value) for name, value in headers)


def load_har(path: Path) -> Recording:
    """Read what `save_har` wrote.

    Raises:
        DataError: it cannot be read, is no such file, is of another schema version, or a
            file beside it is missing or was changed.
    """
    raw = _read(path, MAX_HAR_BYTES)
    try:
        log = msgspec.json.decode(raw, type=har.HarFile).log
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is no recording of voicegauge: {error}") from error
    if log.version != "1.2":
        raise DataError(f"{path}: is HAR {log.version[:20]!r}; 1.2 is read")
    if log.about.schema_version != har.SCHEMA_VERSION:
        version = f"{log.about.schema_version}, this voicegauge reads version {har.SCHEMA_VERSION}"
        raise DataError(f"{path}: is a recording of schema version {version}: record it again")
    bodies = _Bodies(path)
    return Recording(
        provenance=log.about.provenance,
        provider=log.about.provider,
        contract_version=log.about.contract_version,
        contract_sha256=log.about.contract_sha256,
        recorded_at=log.about.recorded_at,
        exchanges=tuple(_from_entry(bodies, entry) for entry in log.entries),
        redactions=log.about.redactions,
    )


def _from_entry(bodies: _Bodies, entry: har.HarEntry) -> Exchange:
    post, content = entry.request.post_data, entry.response.content
    return Exchange(
        provider=entry.provider,
        operation=entry.operation,
        request=Request(
            method=entry.request.method,
            url=entry.request.url,
            headers=_from_pairs(entry.request.headers),
            body=b"" if post is msgspec.UNSET else _from_post_data(bodies, post),
        ),
        response=Response(
            status=entry.response.status,
            headers=_from_pairs(entry.response.headers),
            body=bodies.read(content.text, content.file),
        ),
        timing=entry.timing,
        group=entry.group,
    )


def _from_post_data(bodies: _Bodies, post: har.HarPostData) -> bytes:
    if not post.params:
        return bodies.read(post.text, post.file)
    fields = {param.name: _from_param(bodies, param) for param in post.params}
    return encode_body(post.mime_type, fields)[1]


def _from_param(bodies: _Bodies, param: har.HarParam) -> str | UploadedFile:
    if param.file_name is None:
        return param.value
    media_type = param.content_type or "application/octet-stream"
    data = bodies.read(param.value, param.file)
    return UploadedFile(filename=param.file_name, media_type=media_type, data=data)


def _from_pairs(pairs: tuple[har.HarNameValue, ...]) -> Headers:
    return tuple((pair.name, pair.value) for pair in pairs)


class _Bodies:
    """Reads bodies; a file that many entries name is read, checked and held once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: dict[str, bytes] = {}

    def read(self, text: str, name: str | None) -> bytes:
        """The body: `text`, or what the file `name` holds."""
        if name is None:
            return text.encode()
        if name not in self._read:
            beside = self._path.parent / name
            body = _read(beside, MAX_SIDECAR_BYTES)
            if hashlib.sha256(body).hexdigest() != name.partition(".")[0]:
                raise DataError(f"{beside}: is not what {self._path.name} recorded: its SHA-256 is another")
            self._read[name] = body
        return self._read[name]


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > limit:
        raise DataError(f"{path}: is larger than {limit} bytes")
    return raw
