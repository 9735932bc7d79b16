"""Reads only the requests of a recording, whichever tool made it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from voicegauge.model import Request
from voicegauge.recording.har import load_har
from voicegauge.recording.importing.file_formats import is_recording, parse_interaction_file
from voicegauge.recording.importing.parsed_interaction import NotImportedError


class ImportedRequest(NamedTuple):
    """A request in a recording."""

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
        request = Request(
            method=parsed.method, url=parsed.url, headers=parsed.request_headers, body=parsed.request_body
        )
        is_body_missing = any("request body" in note for note in parsed.notes)
        requests.append(ImportedRequest(number, request, not is_body_missing))
    return requests
