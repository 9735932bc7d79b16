"""Finds undocumented fields and parameters in requests that the provider accepted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from voicegauge.contract import MISSING, MediaType, Operation
from voicegauge.drift.report import DriftChange, make_change
from voicegauge.drift.traffic.contradictions import contract_position
from voicegauge.drift.traffic.reading import ObservedExchange, body_schemas, undocumented_properties
from voicegauge.formats import UnreadableBodyError, is_form, is_json, read_form, read_json
from voicegauge.recording import bare_media_type


def request_changes(observed: ObservedExchange) -> Iterator[DriftChange]:
    """Yield a change for each undocumented query parameter or field of a request with a successful response."""
    operation = observed.operation
    if operation is None or observed.status >= 300:
        return
    documented = _query_parameter_names(observed, operation)
    for name, value in parse_qsl(urlsplit(observed.exchange.request.url).query, keep_blank_values=True):
        if name not in documented:
            yield _change(observed, f"query.{name}", operation.pointer, value)
    content_type = observed.exchange.request.header("content-type") or ""
    media_type = operation.request_media.get(bare_media_type(content_type))
    if media_type is None:
        return
    body = _read_body(observed, media_type)
    for extra in undocumented_properties(observed.contract.schemas, body, body_schemas(media_type)):
        yield _change(observed, f"request body#{extra.path}", extra.parent_pointer, extra.value)


def _query_parameter_names(observed: ObservedExchange, operation: Operation) -> set[str]:
    """Return the names of the documented query parameters, including those that contain the API key."""
    names = {parameter.name for parameter in operation.parameters if parameter.location == "query"}
    schemes = observed.contract.security_schemes.values()
    return names | {str(scheme.get("name")) for scheme in schemes if scheme.get("in") == "query"}


def _read_body(observed: ObservedExchange, media_type: MediaType) -> Any:
    request = observed.exchange.request
    try:
        if is_json(media_type.name):
            return read_json(request.body)
        if is_form(media_type.name):
            form = read_form(request.header("content-type") or "", request.body)
            return {**form.fields, **dict.fromkeys(form.files, "(a file)")}
    except UnreadableBodyError:
        pass
    return MISSING


def _change(observed: ObservedExchange, location: str, pointer: str, value: Any) -> DriftChange:
    return make_change(
        "observed-request-field-undocumented",
        location=location,
        operation=observed.operation_id,
        old=contract_position(observed.contract, pointer),
        new=observed.position("/request"),
        values={"new": value},
    )
