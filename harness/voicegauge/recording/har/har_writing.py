"""Saves exchanges as a redacted HAR file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec

from voicegauge.contract import Contract
from voicegauge.files import write_file
from voicegauge.model import Exchange, Headers, Provenance, Request, Response, UploadedFile
from voicegauge.recording.har import har_structs as har
from voicegauge.recording.har.recording import Recording
from voicegauge.recording.har.sidecar_files import SidecarWriter, find_sidecar_names, remove_orphaned_sidecars
from voicegauge.recording.redaction import Redactor, get_bare_media_type, read_multipart_fields
from voicegauge.transport import encode_body
from voicegauge.version import __version__


def save_har(
    path: Path,
    exchanges: Sequence[Exchange],
    *,
    provenance: Provenance,
    contract: Contract,
    secrets: Iterable[str] = (),
    names_to_mask: Iterable[str] = (),
    recorded_at: dt.datetime | None = None,
) -> Recording:
    """Write `exchanges` to `path`, and their audio to sidecar files, without secrets.

    Headers that are neither common nor documented in the contract are masked, and so is everything that looks like a
    credential. Then everything that would be written is searched for `secrets`. Sidecar files that only the replaced
    recording used are deleted.

    Args:
        path: path of the HAR file.
        exchanges: the exchanges to save, all with the provider of `contract`.
        provenance: where the exchanges came from.
        contract: contract of the provider. Headers that it documents are not masked.
        secrets: API keys that were in use during the recording.
        names_to_mask: names of additional fields, parameters and headers to mask.
        recorded_at: time of the recording; the current time if `None`.

    Returns:
        The recording as it was written. It is redacted, so it may differ from `exchanges`.

    Raises:
        DataError: a secret, or text that looks like one, remains after redaction, so nothing is written. The message
            names its location.
        UsageError: `path` cannot be written.
    """
    redactor = Redactor(contract, tuple(secrets), names_to_mask)
    masked = tuple(redactor.mask_exchange(exchange) for exchange in exchanges)
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
    for number, exchange in enumerate(masked, 1):
        redactor.check_exchange(str(path), number, exchange)
    sidecar_writer = SidecarWriter()
    document = msgspec.json.format(msgspec.json.encode(_build_har_file(recording, sidecar_writer)), indent=1)
    redactor.check_bytes(str(path), "the file", document)
    previous = find_sidecar_names(path)
    # The sidecar files are written first, so that an interrupted save leaves no HAR file that refers to missing files.
    for name, body in sidecar_writer.files.items():
        write_file(path.parent / name, body)
    write_file(path, document + b"\n")
    remove_orphaned_sidecars(path.parent, previous)
    return recording


def _build_har_file(recording: Recording, sidecar_writer: SidecarWriter) -> har.HarFile:
    metadata = build_har_metadata(recording)
    entries = tuple(
        build_har_entry(exchange, recording.recorded_at, sidecar_writer) for exchange in recording.exchanges
    )
    creator = har.HarCreator(name="voicegauge", version=__version__)
    return har.HarFile(log=har.HarLog(version="1.2", creator=creator, entries=entries, metadata=metadata))


def build_har_metadata(recording: Recording) -> har.HarMetadata:
    """Return the metadata of a HAR file, which states the origin of `recording`."""
    return har.HarMetadata(
        schema_version=har.HAR_SCHEMA_VERSION,
        provenance=recording.provenance,
        provider=recording.provider,
        contract_version=recording.contract_version,
        contract_sha256=recording.contract_sha256,
        recorded_at=recording.recorded_at,
        redaction_count_by_location=recording.redaction_count_by_location,
    )


def build_har_entry(exchange: Exchange, recorded_at: str, sidecar_writer: SidecarWriter) -> har.HarEntry:
    """Return the HAR entry of `exchange`. Long and binary bodies are added to `sidecar_writer` instead of the entry.

    `recorded_at` is the time of the recording, for an exchange without a timing.
    """
    timing = exchange.timing
    started = recorded_at
    if timing is not None:
        started = dt.datetime.fromtimestamp(timing.started_at, dt.UTC).isoformat()
    return har.HarEntry(
        started_date_time=started,
        total_ms=timing.total_ms if timing else 0,
        request=_build_har_request(exchange.request, sidecar_writer),
        response=_build_har_response(exchange.response, sidecar_writer),
        timings=har.convert_to_har_timings(timing),
        provider_id=exchange.provider,
        operation_id=exchange.operation,
        conversation_id=exchange.conversation_id,
        measured_timing=timing,
    )


def _build_har_request(request: Request, sidecar_writer: SidecarWriter) -> har.HarRequest:
    query = parse_qsl(request.url.partition("?")[2].partition("#")[0], keep_blank_values=True)
    return har.HarRequest(
        method=request.method,
        url=request.url,
        headers=_build_har_headers(request.headers),
        query_string=_build_har_headers(tuple(query)),
        post_data=_build_har_request_body(request, sidecar_writer) if request.body else msgspec.UNSET,
        body_size=len(request.body),
    )


def _build_har_request_body(request: Request, sidecar_writer: SidecarWriter) -> har.HarRequestBody:
    """Convert a multipart body to fields if encoding these restores the exact bytes; store any other body as it is."""
    mime_type = request.find_header("content-type") or ""
    fields = read_multipart_fields(mime_type, request.body)
    if fields and encode_body(mime_type, fields) == (mime_type, request.body):
        params = tuple(_build_har_form_field(name, value, sidecar_writer) for name, value in fields.items())
        return har.HarRequestBody(mime_type=mime_type, form_fields=params)
    text, name = sidecar_writer.store_body(request.body, get_bare_media_type(mime_type))
    return har.HarRequestBody(mime_type=mime_type, text=text, sidecar_name=name)


def _build_har_form_field(name: str, value: str | UploadedFile, sidecar_writer: SidecarWriter) -> har.HarFormField:
    if isinstance(value, str):
        return har.HarFormField(name=name, value=value)
    text, file = sidecar_writer.store_body(value.data, get_bare_media_type(value.media_type))
    return har.HarFormField(
        name=name, value=text, file_name=value.filename, content_type=value.media_type, sidecar_name=file
    )


def _build_har_response(response: Response, sidecar_writer: SidecarWriter) -> har.HarResponse:
    text, name = sidecar_writer.store_body(response.body, response.media_type)
    mime_type = response.find_header("content-type") or ""
    return har.HarResponse(
        status=response.status,
        headers=_build_har_headers(response.headers),
        content=har.HarContent(size_bytes=len(response.body), mime_type=mime_type, text=text, sidecar_name=name),
        redirect_url=response.find_header("location") or "",
        body_size=len(response.body),
    )


def _build_har_headers(headers: Headers) -> tuple[har.HarNameValue, ...]:
    return tuple(har.HarNameValue(name=name, value=value) for name, value in headers)
