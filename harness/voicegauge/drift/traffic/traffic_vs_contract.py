"""Compares recorded traffic with its contract to find what is undocumented and what no recording covers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.contract import MISSING
from voicegauge.drift.report import ComparedInput, DriftChange, DriftReport, make_change, make_report
from voicegauge.drift.traffic.bodies_vs_schemas import body_changes
from voicegauge.drift.traffic.contradictions import make_contradiction
from voicegauge.drift.traffic.reading import RecordedExchange, RecordedTraffic
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
    for recorded_exchange in traffic.exchanges:
        if recorded_exchange.operation is not None:
            yield from _response_changes(recorded_exchange)
            yield from request_changes(recorded_exchange)
        elif not recorded_exchange.operation_id.startswith("("):  # "(download)" is not an operation
            yield make_change(
                "observed-operation-undocumented",
                location="request",
                operation=recorded_exchange.operation_id,
                new=recorded_exchange.position(),
            )
    for conversation in traffic.conversations:
        yield from job_changes(conversation)
    yield from uncovered_changes(traffic)


def _response_changes(recorded_exchange: RecordedExchange) -> Iterator[DriftChange]:
    assert recorded_exchange.operation is not None
    spec, response = recorded_exchange.response_spec, recorded_exchange.exchange.response
    if spec is None:
        yield make_contradiction(
            recorded_exchange,
            "observed-status-undocumented",
            "status",
            pointer=f"{recorded_exchange.operation.pointer}/responses",
            part="/response/status",
            value=recorded_exchange.status,
        )
        return
    yield from _header_changes(recorded_exchange)
    if spec.media and response.body and recorded_exchange.media_type is None:
        yield make_contradiction(
            recorded_exchange,
            "observed-media-type-undocumented",
            f"{recorded_exchange.status} content-type",
            pointer=f"{spec.pointer}/content",
            part="/response/content",
            value=response.media_type,
        )
    if recorded_exchange.media_type is not None and recorded_exchange.body is not MISSING:
        yield from body_changes(recorded_exchange, recorded_exchange.media_type)


def _header_changes(recorded_exchange: RecordedExchange) -> Iterator[DriftChange]:
    assert recorded_exchange.response_spec is not None
    contract, spec = recorded_exchange.contract, recorded_exchange.response_spec
    documented = {name.lower(): header for name, header in spec.headers.items()}
    expected = STANDARD_HEADERS | {name.lower() for name in contract.limits.headers.values()}
    for name, text in recorded_exchange.exchange.response.headers:
        header = documented.get(name.lower())
        if header is None and name.lower() not in expected:
            rule, pointer = "observed-header-undocumented", spec.pointer
        elif header is not None and MASK not in text and header.parse_text(text).errors:
            rule, pointer = "observed-header-value-undocumented", header.pointer
        else:
            continue
        location, part = f"{recorded_exchange.status} header.{name}", f"/response/headers#{name}"
        yield make_contradiction(recorded_exchange, rule, location, pointer=pointer, part=part, value=text)
