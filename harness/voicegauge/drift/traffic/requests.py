"""Requests that were accepted with more than is documented."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from voicegauge.contract import MISSING, MediaType
from voicegauge.drift.report import DriftChange, FilePosition, make_change
from voicegauge.drift.traffic.reading import ObservedExchange, media_type_schemas, undocumented_properties
from voicegauge.formats import UnreadableBodyError, is_form, is_json, read_form, read_json
from voicegauge.recording import bare_media_type


def request_changes(seen: ObservedExchange) -> Iterator[DriftChange]:
    """Fields and parameters that are not documented, of a request that was answered with a success."""
    operation = seen.operation
    if operation is None or seen.status >= 300:
        return
    known = {parameter.name for parameter in operation.parameters if parameter.place == "query"}
    known |= {str(s.get("name")) for s in seen.contract.security_schemes.values() if s.get("in") == "query"}
    for name, value in parse_qsl(urlsplit(seen.exchange.request.url).query, keep_blank_values=True):
        if name not in known:
            yield _change(seen, f"query.{name}", operation.pointer, value)
    media = operation.request_media.get(bare_media_type(seen.exchange.request.header("content-type") or ""))
    if media is None:
        return
    for extra in undocumented_properties(seen.contract.schemas, _read(seen, media), media_type_schemas(media)):
        pointer = next(s.pointer for s in extra.around if "properties" in s.schema)
        yield _change(seen, f"request body#{extra.path}", pointer, extra.value)


def _read(seen: ObservedExchange, media: MediaType) -> Any:
    request = seen.exchange.request
    try:
        if is_json(media.name):
            return read_json(request.body)
        if is_form(media.name):
            form = read_form(request.header("content-type") or "", request.body)
            return {**form.fields, **dict.fromkeys(form.files, "(a file)")}
    except UnreadableBodyError:
        pass
    return MISSING


def _change(seen: ObservedExchange, location: str, pointer: str, value: Any) -> DriftChange:
    document = seen.contract.document
    return make_change(
        "observed-request-field-undocumented",
        location=location,
        operation=seen.name,
        old=FilePosition(file=str(document.path), line=document.line(pointer), pointer=pointer),
        new=seen.position("/request"),
        values={"new": value},
    )
