"""Compares recorded traffic with its contract to find what is undocumented and what no recording covers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.contract import MISSING
from voicegauge.drift.general_headers import STANDARD_HEADERS, is_infrastructure_header
from voicegauge.drift.report import ComparedInput, DriftChange, DriftReport, build_change, build_report
from voicegauge.drift.traffic.bodies_vs_schemas import compare_body_with_schema
from voicegauge.drift.traffic.contradictions import build_contradiction_change
from voicegauge.drift.traffic.preparation import RecordedExchange, RecordedTraffic
from voicegauge.drift.traffic.requests_vs_contract import find_undocumented_request_parts
from voicegauge.drift.traffic.transitions_vs_contract import find_undocumented_transitions
from voicegauge.drift.traffic.uncovered_parts import find_uncovered_parts
from voicegauge.recording import MASK


def compare_traffic_with_contract(traffic: RecordedTraffic) -> DriftReport:
    """Report what occurs in traffic but is not in the contract, and what is in the contract but does not occur."""
    contract = traffic.contract
    old = ComparedInput(
        file=str(contract.document.path),
        title=contract.provider.title,
        version=contract.version,
        provider=contract.id,
    )
    return build_report(
        "recording-contract", old, traffic.compared_input, _remove_repeated_changes(_iterate_changes(traffic))
    )


def _remove_repeated_changes(changes: Iterator[DriftChange]) -> Iterator[DriftChange]:
    """Yield each change only once, with the first exchange that shows the change."""
    reported = set[tuple[Any, ...]]()
    for change in changes:
        # Names of headers have no case, and a header of one name has one description.
        location, shown = change.location, change.new_value
        if change.rule == "observed-header-undocumented":
            location, shown = change.location.lower(), None
        elif change.rule == "observed-type-undocumented":
            shown = (change.new_value or "")[:1]  # the first character of JSON tells its type
        key = (change.rule, change.operation, location, change.old_position, shown)
        if key not in reported:
            reported.add(key)
            yield change


def _iterate_changes(traffic: RecordedTraffic) -> Iterator[DriftChange]:
    for recorded_exchange in traffic.exchanges:
        if recorded_exchange.operation is not None:
            yield from _iterate_response_changes(recorded_exchange)
            yield from find_undocumented_request_parts(recorded_exchange)
        elif not recorded_exchange.operation_id.startswith("("):  # "(download)" is not an operation
            yield build_change(
                "observed-operation-undocumented",
                location="request",
                operation_id=recorded_exchange.operation_id,
                new_position=recorded_exchange.find_position(),
            )
    yield from _find_infrastructure_headers(traffic)
    for conversation in traffic.conversations:
        yield from find_undocumented_transitions(conversation)
    yield from find_uncovered_parts(traffic)


def _find_infrastructure_headers(traffic: RecordedTraffic) -> Iterator[DriftChange]:
    """Yield one change for all headers of proxies, CDNs and web servers, which say nothing about the API."""
    found = [
        (one, name)
        for one in traffic.exchanges
        for name, _ in one.exchange.response.headers
        if one.operation is not None and is_infrastructure_header(name)
    ]
    if found:
        yield build_change(
            "observed-infrastructure-headers",
            location="headers",
            new_position=found[0][0].find_position("/response/headers"),
            message_values={"new": sorted({name.lower() for _, name in found})},
        )


def _iterate_response_changes(recorded_exchange: RecordedExchange) -> Iterator[DriftChange]:
    assert recorded_exchange.operation is not None
    spec, response = recorded_exchange.response_spec, recorded_exchange.exchange.response
    if spec is None:
        yield build_contradiction_change(
            recorded_exchange,
            "observed-status-undocumented",
            "status",
            contract_pointer=f"{recorded_exchange.operation.pointer}/responses",
            exchange_part="/response/status",
            observed_value=recorded_exchange.status,
        )
        return
    yield from _iterate_header_changes(recorded_exchange)
    if spec.media_types and response.body and recorded_exchange.media_type is None:
        yield build_contradiction_change(
            recorded_exchange,
            "observed-media-type-undocumented",
            f"{recorded_exchange.status} content-type",
            contract_pointer=f"{spec.pointer}/content",
            exchange_part="/response/content",
            observed_value=response.media_type,
        )
    if recorded_exchange.media_type is not None and recorded_exchange.json_body is not MISSING:
        yield from compare_body_with_schema(recorded_exchange, recorded_exchange.media_type)


def _iterate_header_changes(recorded_exchange: RecordedExchange) -> Iterator[DriftChange]:
    assert recorded_exchange.response_spec is not None
    contract, spec = recorded_exchange.contract, recorded_exchange.response_spec
    documented = {name.lower(): header for name, header in spec.headers.items()}
    expected = STANDARD_HEADERS | {name.lower() for name in contract.limits.rate_limit_header_names.values()}
    for name, text in recorded_exchange.exchange.response.headers:
        header = documented.get(name.lower())
        if header is None and is_infrastructure_header(name):
            continue
        if header is None and name.lower() not in expected:
            rule, pointer = "observed-header-undocumented", spec.pointer
        elif header is not None and MASK not in text and header.parse_text(text).violations:
            rule, pointer = "observed-header-value-undocumented", header.pointer
        else:
            continue
        location, part = f"{recorded_exchange.status} header.{name}", f"/response/headers#{name}"
        yield build_contradiction_change(
            recorded_exchange, rule, location, contract_pointer=pointer, exchange_part=part, observed_value=text
        )
