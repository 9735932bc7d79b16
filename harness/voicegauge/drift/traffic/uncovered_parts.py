"""Finds the parts of a contract that no recording covers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from voicegauge.contract import MISSING, MediaType, Operation, ResponseSpec
from voicegauge.drift.report import DriftChange, build_change
from voicegauge.drift.traffic.contradictions import find_contract_position
from voicegauge.drift.traffic.preparation import (
    FlattenedValue,
    JsonScalar,
    RecordedExchange,
    RecordedTraffic,
    find_body_schemas,
    flatten_json,
    iterate_documented_properties,
    list_enumerated_values,
)
from voicegauge.recording import MASK


def find_uncovered_parts(traffic: RecordedTraffic) -> Iterator[DriftChange]:
    """Yield a change for each documented part that traffic does not show.

    Parts are operations, statuses, media types, headers, fields, values and job states.
    """
    by_operation: dict[str, list[RecordedExchange]] = defaultdict(list)
    for recorded_exchange in traffic.exchanges:
        by_operation[recorded_exchange.operation_id].append(recorded_exchange)
    for operation in traffic.contract.operations.values():
        exchanges = by_operation.get(operation.id, [])
        if not exchanges:
            yield _build_uncovered_change(
                "documented-operation-not-recorded", operation, "operation", operation.pointer
            )
            continue
        yield from _find_uncovered_responses(operation, exchanges)
        yield from _find_uncovered_states(operation, traffic)


def _build_uncovered_change(
    rule_id: str, operation: Operation, location: str, contract_pointer: str, documented_value: JsonScalar = None
) -> DriftChange:
    return build_change(
        rule_id,
        location=location,
        operation_id=operation.id,
        old_position=find_contract_position(operation.contract, contract_pointer),
        message_values=None if documented_value is None else {"old": documented_value},
    )


def _find_uncovered_responses(operation: Operation, exchanges: Sequence[RecordedExchange]) -> Iterator[DriftChange]:
    for status, spec in operation.responses.items():
        with_status = [one for one in exchanges if one.response_spec is not None and one.response_spec.status == status]
        if not with_status:
            yield _build_uncovered_change(
                "documented-status-not-recorded", operation, f"{status}", spec.pointer, status
            )
            continue
        yield from _find_uncovered_headers(operation, spec, with_status)
        for name, media_type in spec.media_types.items():
            with_media_type = [one for one in with_status if one.media_type is not None and one.media_type.name == name]
            if with_media_type:
                yield from _find_uncovered_fields(operation, status, media_type, with_media_type)
            else:
                location = f"{status} {name}"
                yield _build_uncovered_change(
                    "documented-media-type-not-recorded", operation, location, media_type.pointer, name
                )


def _find_uncovered_headers(
    operation: Operation, response_spec: ResponseSpec, exchanges: Sequence[RecordedExchange]
) -> Iterator[DriftChange]:
    for name, header in response_spec.headers.items():
        if all(recorded_exchange.exchange.response.find_header(name) is None for recorded_exchange in exchanges):
            location = f"{response_spec.status} header.{name}"
            yield _build_uncovered_change("documented-header-not-recorded", operation, location, header.pointer, name)


def _find_uncovered_fields(
    operation: Operation, status: str, media_type: MediaType, exchanges: Sequence[RecordedExchange]
) -> Iterator[DriftChange]:
    values = _group_values_by_path(exchanges)
    for path, schemas in iterate_documented_properties(media_type.schemas, find_body_schemas(media_type)):
        if path.rpartition("/")[0] not in values:
            continue  # the object that would have it is uncovered itself
        location, pointer = f"{status} body#{path}", schemas[0].pointer if schemas else media_type.pointer
        if path not in values:
            yield _build_uncovered_change("documented-field-not-recorded", operation, location, pointer)
            continue
        for value in list_enumerated_values(schemas) if MASK not in values[path] else ():
            if value is not None and value not in values[path]:
                yield _build_uncovered_change("documented-value-not-recorded", operation, location, pointer, value)


def _group_values_by_path(exchanges: Sequence[RecordedExchange]) -> dict[str, set[JsonScalar]]:
    """Return the texts, numbers and booleans at each path in the response bodies, in which `*` replaces list indices.

    An object or a list is listed as `None`, like null.
    """
    values: dict[str, set[JsonScalar]] = defaultdict(set)
    for recorded_exchange in exchanges:
        if recorded_exchange.json_body is not MISSING:
            for part in flatten_json(recorded_exchange.json_body, {}):
                values[part.path].add(part.value if isinstance(part, FlattenedValue) else None)
    return values


def _find_uncovered_states(operation: Operation, traffic: RecordedTraffic) -> Iterator[DriftChange]:
    if operation.job is None:
        return
    # States are collected from the exchanges of all operations, because responses to a submit report a state too.
    reported = {
        recorded_exchange.job_state
        for recorded_exchange in traffic.exchanges
        if recorded_exchange.job_spec is operation.job
    }
    for state in operation.job.states:
        if state not in reported:
            pointer = f"{operation.pointer}/x-job/states/{state}"
            yield _build_uncovered_change(
                "documented-state-not-recorded", operation, str(operation.job.state_location), pointer, state
            )
