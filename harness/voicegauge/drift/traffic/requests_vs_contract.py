"""Finds undocumented fields and parameters in requests that the provider accepted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from voicegauge.contract import MISSING, MediaType, Operation
from voicegauge.drift.report import DriftChange, build_change
from voicegauge.drift.traffic.contradictions import find_contract_position
from voicegauge.drift.traffic.preparation import RecordedExchange, find_body_schemas, find_undocumented_properties
from voicegauge.formats import UnreadableBodyError, is_form, is_json, read_form, read_json
from voicegauge.recording import get_bare_media_type


def find_undocumented_request_parts(recorded_exchange: RecordedExchange) -> Iterator[DriftChange]:
    """Yield a change for each undocumented query parameter or field of a request with a successful response."""
    operation = recorded_exchange.operation
    if operation is None or recorded_exchange.status >= 300:
        return
    documented = _list_query_parameter_names(recorded_exchange, operation)
    for name, value in parse_qsl(urlsplit(recorded_exchange.exchange.request.url).query, keep_blank_values=True):
        if name not in documented:
            yield _build_request_change(recorded_exchange, f"query.{name}", operation.pointer, value)
    content_type = recorded_exchange.exchange.request.find_header("content-type") or ""
    media_type = operation.request_media.get(get_bare_media_type(content_type))
    if media_type is None:
        return
    body = _read_body(recorded_exchange, media_type)
    for extra in find_undocumented_properties(recorded_exchange.contract.schemas, body, find_body_schemas(media_type)):
        yield _build_request_change(recorded_exchange, f"request body#{extra.path}", extra.parent_pointer, extra.value)


def _list_query_parameter_names(recorded_exchange: RecordedExchange, operation: Operation) -> set[str]:
    """Return the names of the documented query parameters, including those that contain the API key."""
    names = {parameter.name for parameter in operation.parameters if parameter.message_part == "query"}
    schemes = recorded_exchange.contract.security_schemes.values()
    return names | {str(scheme.get("name")) for scheme in schemes if scheme.get("in") == "query"}


def _read_body(recorded_exchange: RecordedExchange, media_type: MediaType) -> Any:
    request = recorded_exchange.exchange.request
    try:
        if is_json(media_type.name):
            return read_json(request.body)
        if is_form(media_type.name):
            form = read_form(request.find_header("content-type") or "", request.body)
            return {**form.fields, **dict.fromkeys(form.files, "(a file)")}
    except UnreadableBodyError:
        pass
    return MISSING


def _build_request_change(
    recorded_exchange: RecordedExchange, location: str, contract_pointer: str, observed_value: Any
) -> DriftChange:
    return build_change(
        "observed-request-field-undocumented",
        location=location,
        operation_id=recorded_exchange.operation_id,
        old_position=find_contract_position(recorded_exchange.contract, contract_pointer),
        new_position=recorded_exchange.find_position("/request"),
        message_values={"new": observed_value},
    )
