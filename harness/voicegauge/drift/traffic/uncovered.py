"""Finds the parts of a contract that no recording covers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from voicegauge.contract import MISSING, MediaType, Operation, ResponseSpec
from voicegauge.drift.report import DriftChange, make_change
from voicegauge.drift.traffic.contradictions import contract_position
from voicegauge.drift.traffic.reading import (
    FlattenedValue,
    JsonScalar,
    RecordedExchange,
    RecordedTraffic,
    body_schemas,
    documented_properties,
    enumerated_values,
    flatten_json,
)
from voicegauge.recording import MASK


def uncovered_changes(traffic: RecordedTraffic) -> Iterator[DriftChange]:
    """Yield a change for each operation, status, media type, header, field, value and job state that is not covered."""
    by_operation: dict[str, list[RecordedExchange]] = defaultdict(list)
    for recorded_exchange in traffic.exchanges:
        by_operation[recorded_exchange.operation_id].append(recorded_exchange)
    for operation in traffic.contract.operations.values():
        exchanges = by_operation.get(operation.id, [])
        if not exchanges:
            yield _make_change("documented-operation-not-recorded", operation, "operation", operation.pointer)
            continue
        yield from _uncovered_responses(operation, exchanges)
        yield from _uncovered_states(operation, traffic)


def _make_change(rule: str, operation: Operation, location: str, pointer: str, value: JsonScalar = None) -> DriftChange:
    return make_change(
        rule,
        location=location,
        operation=operation.id,
        old=contract_position(operation.contract, pointer),
        values=None if value is None else {"old": value},
    )


def _uncovered_responses(operation: Operation, exchanges: Sequence[RecordedExchange]) -> Iterator[DriftChange]:
    for status, spec in operation.responses.items():
        with_status = [one for one in exchanges if one.response_spec is not None and one.response_spec.status == status]
        if not with_status:
            yield _make_change("documented-status-not-recorded", operation, f"{status}", spec.pointer, status)
            continue
        yield from _uncovered_headers(operation, spec, with_status)
        for name, media_type in spec.media.items():
            with_media_type = [one for one in with_status if one.media_type is not None and one.media_type.name == name]
            if with_media_type:
                yield from _uncovered_fields(operation, status, media_type, with_media_type)
            else:
                location = f"{status} {name}"
                yield _make_change("documented-media-type-not-recorded", operation, location, media_type.pointer, name)


def _uncovered_headers(
    operation: Operation, spec: ResponseSpec, exchanges: Sequence[RecordedExchange]
) -> Iterator[DriftChange]:
    for name, header in spec.headers.items():
        if all(recorded_exchange.exchange.response.header(name) is None for recorded_exchange in exchanges):
            location = f"{spec.status} header.{name}"
            yield _make_change("documented-header-not-recorded", operation, location, header.pointer, name)


def _uncovered_fields(
    operation: Operation, status: str, media_type: MediaType, exchanges: Sequence[RecordedExchange]
) -> Iterator[DriftChange]:
    values = _values_by_path(exchanges)
    for path, schemas in documented_properties(media_type.schemas, body_schemas(media_type)):
        if path.rpartition("/")[0] not in values:
            continue  # the object that would have it is uncovered itself
        location, pointer = f"{status} body#{path}", schemas[0].pointer if schemas else media_type.pointer
        if path not in values:
            yield _make_change("documented-field-not-recorded", operation, location, pointer)
            continue
        for value in enumerated_values(schemas) if MASK not in values[path] else ():
            if value is not None and value not in values[path]:
                yield _make_change("documented-value-not-recorded", operation, location, pointer, value)


def _values_by_path(exchanges: Sequence[RecordedExchange]) -> dict[str, set[JsonScalar]]:
    """Return the scalars at each path in the bodies. Objects and lists count as null."""
    values: dict[str, set[JsonScalar]] = defaultdict(set)
    for recorded_exchange in exchanges:
        if recorded_exchange.body is not MISSING:
            for part in flatten_json(recorded_exchange.body, {}):
                values[part.path].add(part.value if isinstance(part, FlattenedValue) else None)
    return values


def _uncovered_states(operation: Operation, traffic: RecordedTraffic) -> Iterator[DriftChange]:
    if operation.job is None:
        return
    # States are collected from the exchanges of all operations, because responses to a submit report a state too.
    reported = {
        recorded_exchange.state for recorded_exchange in traffic.exchanges if recorded_exchange.job is operation.job
    }
    for state in operation.job.states:
        if state not in reported:
            pointer = f"{operation.pointer}/x-job/states/{state}"
            yield _make_change("documented-state-not-recorded", operation, str(operation.job.state), pointer, state)
