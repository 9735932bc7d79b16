"""Compares recorded traffic with its contract to find what is undocumented and what no recording covers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.contract import MISSING, Parameter, parse_text_value
from voicegauge.drift.report import ComparedInput, DriftChange, DriftReport, make_change, make_report
from voicegauge.drift.traffic.bodies_vs_schemas import body_changes
from voicegauge.drift.traffic.contradictions import contradiction
from voicegauge.drift.traffic.reading import ObservedExchange, RecordedTraffic
from voicegauge.drift.traffic.requests import request_changes
from voicegauge.drift.traffic.transitions_vs_contract import job_changes
from voicegauge.drift.traffic.uncovered import uncovered_changes
from voicegauge.recording import MASK

STANDARD_HEADERS = frozenset(
    (
        *("accept-ranges", "access-control-allow-origin", "age", "allow", "alt-svc", "cache-control", "connection"),
        *("content-disposition", "content-encoding", "content-language", "content-length", "content-type", "date"),
        *("etag", "expires", "keep-alive", "last-modified", "location", "pragma", "retry-after", "server"),
        *("strict-transport-security", "transfer-encoding", "vary", "via", "www-authenticate"),
    )
)
"""Names of general HTTP headers (such as those of RFC 9110, 9111 and 6797), which API documents need not list."""


def compare_traffic_with_contract(traffic: RecordedTraffic) -> DriftReport:
    """Report what traffic shows but its contract does not document, and what is documented but not in the traffic."""
    contract = traffic.contract
    old = ComparedInput(file=str(contract.document.path), title=contract.provider.title, version=contract.version)
    return make_report("recording-contract", old, traffic.compared_input, _without_repetitions(_changes(traffic)))


def _without_repetitions(changes: Iterator[DriftChange]) -> Iterator[DriftChange]:
    """Yield each change only once, with the first exchange that shows the change."""
    reported = set[tuple[Any, ...]]()
    for change in changes:
        key = (change.rule, change.operation, change.location, change.old_position, change.new_value)
        if key not in reported:
            reported.add(key)
            yield change


def _changes(traffic: RecordedTraffic) -> Iterator[DriftChange]:
    for observed in traffic.exchanges:
        if observed.operation is not None:
            yield from _response_changes(observed)
            yield from request_changes(observed)
        elif not observed.operation_id.startswith("("):  # "(download)" is not an operation
            yield make_change(
                "observed-operation-undocumented",
                location="request",
                operation=observed.operation_id,
                new=observed.position(),
            )
    for conversation in traffic.conversations:
        yield from job_changes(conversation)
    yield from uncovered_changes(traffic)


def _response_changes(observed: ObservedExchange) -> Iterator[DriftChange]:
    assert observed.operation is not None
    spec, response = observed.response_spec, observed.exchange.response
    if spec is None:
        yield contradiction(
            observed,
            "observed-status-undocumented",
            "status",
            pointer=f"{observed.operation.pointer}/responses",
            part="/response/status",
            value=observed.status,
        )
        return
    yield from _header_changes(observed)
    if spec.media and response.body and observed.media_type is None:
        yield contradiction(
            observed,
            "observed-media-type-undocumented",
            f"{observed.status} content-type",
            pointer=f"{spec.pointer}/content",
            part="/response/content",
            value=response.media_type,
        )
    if observed.media_type is not None and observed.body is not MISSING:
        yield from body_changes(observed, observed.media_type)


def _header_changes(observed: ObservedExchange) -> Iterator[DriftChange]:
    assert observed.response_spec is not None
    contract, spec = observed.contract, observed.response_spec
    documented = {name.lower(): header for name, header in spec.headers.items()}
    expected = STANDARD_HEADERS | {name.lower() for name in contract.limits.headers.values()}
    for name, text in observed.exchange.response.headers:
        header = documented.get(name.lower())
        if header is None and name.lower() not in expected:
            rule, pointer = "observed-header-undocumented", spec.pointer
        elif header is not None and MASK not in text and _has_errors(observed, header, text):
            rule, pointer = "observed-header-value-undocumented", header.pointer
        else:
            continue
        location, part = f"{observed.status} header.{name}", f"/response/headers#{name}"
        yield contradiction(observed, rule, location, pointer=pointer, part=part, value=text)


def _has_errors(observed: ObservedExchange, header: Parameter, text: str) -> bool:
    value = parse_text_value(observed.contract.schemas, header.schema, text)
    return next(header.errors(value), None) is not None
