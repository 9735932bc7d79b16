"""Writing a recording as a VCR cassette, for tests that replay with vcrpy."""

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
from voicegauge.recording.har_file import Recording
from voicegauge.recording.redaction import Redactor
from voicegauge.version import __version__

_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_FRAMING = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Of the bytes on the wire: a recording holds bodies decoded and whole."""


def save_vcr_cassette(
    path: Path, recording: Recording, *, contract: Contract, secrets: Iterable[str] = (), mask: Iterable[str] = ()
) -> Recording:
    """Write `recording` to `path` as a cassette of vcrpy (version 1, YAML), without secrets.

    Text is written as text, anything else as `!!binary`. The times of a stream's pieces
    and the grouping of jobs have no place in a cassette and are lost.

    Args:
        path: the cassette.
        recording: what to write.
        contract: of its provider.
        secrets: the keys in use.
        mask: further names of fields, parameters and headers to mask.

    Returns:
        What was written: masked, so it may differ from `recording`.

    Raises:
        DataError: a secret is left in some form; nothing is written. Names the place.
        UsageError: `path` cannot be written.
    """
    redactor = Redactor(contract, tuple(secrets), mask)
    masked = [redactor.exchange(exchange) for exchange in recording.exchanges]
    for number, exchange in enumerate(masked, 1):
        redactor.refuse(str(path), number, exchange)
    data = {"interactions": [_interaction(exchange) for exchange in masked], "version": 1}
    text = yaml.dump(data, Dumper=_DUMPER, sort_keys=True, allow_unicode=True, width=120)
    about = f"{recording.provider}, {recording.provenance.value}, {recording.recorded_at}"
    document = f"# Written by voicegauge {__version__}: {about}\n{text}".encode()
    redactor.refuse_bytes(str(path), "the file", document)
    write_file(path, document)
    redactions = {place: count for place, count in sorted(redactor.redactions.items()) if count}
    return msgspec.structs.replace(recording, exchanges=tuple(masked), redactions=redactions)


def _interaction(exchange: Exchange) -> dict[str, Any]:
    request, response = exchange.request, exchange.response
    framing = {"Content-Length": [str(len(response.body))]} if response.body else {}
    return {
        "request": {
            "method": request.method,
            "uri": request.url,
            "headers": _headers(request.headers),
            "body": _body(request.body) if request.body else None,
        },
        "response": {
            "status": {"code": response.status, "message": _phrase(response.status)},
            "headers": {**_headers(response.headers, left_out=_FRAMING), **framing},
            "body": {"string": _body(response.body)},
        },
    }


def _headers(headers: Headers, left_out: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        if name.lower() not in left_out:
            found.setdefault(name, []).append(value)
    return found


def _body(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
