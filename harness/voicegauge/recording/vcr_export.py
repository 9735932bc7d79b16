"""Exports a recording as a VCR cassette, for tests that replay traffic with vcrpy."""

from __future__ import annotations

import http
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from voicegauge.contract import Contract
from voicegauge.files import write_file
from voicegauge.model import Exchange, Headers
from voicegauge.recording.har import Recording
from voicegauge.recording.redaction import Redactor
from voicegauge.version import __version__

_YAML_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_OMITTED_TRANSFER_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that describe the bytes on the wire. They are omitted, because recorded bodies are decoded and complete."""


def save_vcr_cassette(
    path: Path,
    recording: Recording,
    *,
    contract: Contract,
    secrets: Iterable[str] = (),
    names_to_mask: Iterable[str] = (),
) -> Recording:
    """Write `recording` as a vcrpy cassette (version 1, YAML), without secrets.

    Text bodies are written as text, and all other bodies as `!!binary`. The arrival times of chunks and the groups of
    exchanges are lost, because the cassette format cannot represent them.

    Args:
        path: path of the cassette file.
        recording: the recording to write.
        contract: contract of the provider of `recording`.
        secrets: API keys that were in use during the recording.
        names_to_mask: names of additional fields, parameters and headers to mask.

    Returns:
        The recording as it was written. It is redacted, so it may differ from `recording`.

    Raises:
        DataError: a secret remains after redaction, so nothing is written. The message names its location.
        UsageError: `path` cannot be written.
    """
    redactor = Redactor(contract, tuple(secrets), names_to_mask)
    masked = [redactor.mask_exchange(exchange) for exchange in recording.exchanges]
    for number, exchange in enumerate(masked, 1):
        redactor.check_exchange(str(path), number, exchange)
    data = {"interactions": [_build_interaction(exchange) for exchange in masked], "version": 1}
    text = yaml.dump(data, Dumper=_YAML_DUMPER, sort_keys=True, allow_unicode=True, width=120)
    about = f"{recording.provider}, {recording.provenance.value}, {recording.recorded_at}"
    document = f"# Written by voicegauge {__version__}: {about}\n{text}".encode()
    redactor.check_bytes(str(path), "the file", document)
    write_file(path, document)
    return msgspec.structs.replace(
        recording, exchanges=tuple(masked), redaction_count_by_location=redactor.count_redactions_by_location()
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
            "status": {"code": response.status, "message": _find_reason_phrase(response.status)},
            "headers": {**_group_headers(response.headers, omitted_names=_OMITTED_TRANSFER_HEADERS), **length},
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


def _find_reason_phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
