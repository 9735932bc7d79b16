"""Reads recordings from HAR files."""

from __future__ import annotations

from pathlib import Path

import msgspec

from voicegauge.errors import DataError
from voicegauge.formats import describe_json_error
from voicegauge.model import Exchange, Headers, Request, Response, UploadedFile
from voicegauge.recording.har import har_structs as har
from voicegauge.recording.har.recording import Recording
from voicegauge.recording.har.sidecar_files import SidecarReader, read_file_within_limit
from voicegauge.transport import encode_body

MAX_HAR_BYTES = 64 * 2**20


def load_har(path: Path) -> Recording:
    """Read a recording that `save_har` wrote.

    Raises:
        DataError: the file cannot be read, is not a recording of voicegauge, or has an unsupported HAR or schema
            version. Also raised if a sidecar file of the recording is missing or was changed.
    """
    raw = read_file_within_limit(path, MAX_HAR_BYTES)
    try:
        log = msgspec.json.decode(raw, type=har.HarFile).log
    except msgspec.ValidationError as error:
        hint = "voicegauge convert makes one of a HAR file or cassette of another tool"
        raise DataError(f"{path}: is not a recording of voicegauge: {error}; {hint}") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DataError(f"{path}{describe_json_error(error, raw)}") from error
    if log.version != "1.2":
        raise DataError(f"{path}: has HAR version {log.version[:20]!r}; only 1.2 can be read")
    if log.metadata.schema_version != har.HAR_SCHEMA_VERSION:
        version = f"{log.metadata.schema_version}, this voicegauge reads version {har.HAR_SCHEMA_VERSION}"
        raise DataError(f"{path}: is a recording of schema version {version}: record it again")
    sidecar_reader = SidecarReader(path)
    return Recording(
        provenance=log.metadata.provenance,
        provider=log.metadata.provider,
        contract_version=log.metadata.contract_version,
        contract_sha256=log.metadata.contract_sha256,
        recorded_at=log.metadata.recorded_at,
        exchanges=tuple(_build_exchange(sidecar_reader, entry) for entry in log.entries),
        redaction_count_by_location=log.metadata.redaction_count_by_location,
    )


def _build_exchange(sidecar_reader: SidecarReader, entry: har.HarEntry) -> Exchange:
    post, content = entry.request.post_data, entry.response.content
    return Exchange(
        provider=entry.provider_id,
        operation=entry.operation_id,
        request=Request(
            method=entry.request.method,
            url=entry.request.url,
            headers=_build_headers(entry.request.headers),
            body=b"" if post is msgspec.UNSET else _build_request_body(sidecar_reader, post),
        ),
        response=Response(
            status=entry.response.status,
            headers=_build_headers(entry.response.headers),
            body=sidecar_reader.read_body(content.text, content.sidecar_name),
        ),
        timing=entry.measured_timing,
        conversation_id=entry.conversation_id,
    )


def _build_request_body(sidecar_reader: SidecarReader, har_body: har.HarRequestBody) -> bytes:
    if not har_body.form_fields:
        return sidecar_reader.read_body(har_body.text, har_body.sidecar_name)
    fields = {param.name: _build_form_value(sidecar_reader, param) for param in har_body.form_fields}
    return encode_body(har_body.mime_type, fields)[1]


def _build_form_value(sidecar_reader: SidecarReader, har_field: har.HarFormField) -> str | UploadedFile:
    if har_field.file_name is None:
        return har_field.value
    media_type = har_field.content_type or "application/octet-stream"
    data = sidecar_reader.read_body(har_field.value, har_field.sidecar_name)
    return UploadedFile(filename=har_field.file_name, media_type=media_type, data=data)


def _build_headers(har_headers: tuple[har.HarNameValue, ...]) -> Headers:
    return tuple((pair.name, pair.value) for pair in har_headers)
