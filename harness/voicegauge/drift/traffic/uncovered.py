"""What a contract documents and no recording shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from voicegauge.contract import MISSING, MediaType, Operation, ResponseSpec
from voicegauge.drift.report import DriftChange, FilePosition, make_change
from voicegauge.drift.traffic.reading import (
    JsonScalar,
    ObservedExchange,
    RecordedTraffic,
    enumerated_values,
    flatten_json,
    listed,
    media_type_schemas,
)
from voicegauge.recording import MASK


def uncovered_changes(traffic: RecordedTraffic) -> Iterator[DriftChange]:
    """Operations, statuses, media types, headers, fields, values and states of jobs that no answer shows."""
    by_operation: dict[str, list[ObservedExchange]] = defaultdict(list)
    for seen in traffic.seen:
        by_operation[seen.name].append(seen)
    for operation in traffic.contract.operations.values():
        answers = by_operation.get(operation.id, [])
        if not answers:
            yield _change("documented-operation-never-seen", operation, "operation", operation.pointer)
            continue
        yield from _responses(operation, answers)
        yield from _states(operation, traffic)


def _change(rule: str, operation: Operation, location: str, pointer: str, value: JsonScalar = None) -> DriftChange:
    document = operation.contract.document
    position = FilePosition(file=str(document.path), line=document.line(pointer), pointer=pointer)
    values = None if value is None else {"old": value}
    return make_change(rule, location=location, operation=operation.id, old=position, values=values)


def _responses(operation: Operation, answers: Sequence[ObservedExchange]) -> Iterator[DriftChange]:
    for status, spec in operation.responses.items():
        met = [seen for seen in answers if seen.spec is not None and seen.spec.status == status]
        if not met:
            yield _change("documented-status-never-seen", operation, f"{status}", spec.pointer, status)
            continue
        yield from _headers(operation, spec, met)
        for name, media in spec.media.items():
            shown = [seen for seen in met if seen.media is not None and seen.media.name == name]
            if not shown:
                yield _change("documented-media-type-never-seen", operation, f"{status} {name}", media.pointer, name)
            else:
                yield from _fields(operation, status, media, shown)


def _headers(operation: Operation, spec: ResponseSpec, met: Sequence[ObservedExchange]) -> Iterator[DriftChange]:
    for name, header in spec.headers.items():
        if all(seen.exchange.response.header(name) is None for seen in met):
            location = f"{spec.status} header.{name}"
            yield _change("documented-header-never-seen", operation, location, header.pointer, name)


def _fields(
    operation: Operation, status: str, media: MediaType, shown: Sequence[ObservedExchange]
) -> Iterator[DriftChange]:
    leaves = [leaf for seen in shown if seen.value is not MISSING for leaf in flatten_json(seen.value, {})]
    held: dict[str, set[JsonScalar]] = defaultdict(set)
    for leaf in leaves:
        held[leaf.path].add(getattr(leaf, "value", None))
    for path, around in listed(media.contract.schemas, media_type_schemas(media)):
        if path.rpartition("/")[0] not in held:
            continue  # what it would be in was never there either
        location, pointer = f"{status} body#{path}", around[0].pointer if around else media.pointer
        if path not in held:
            yield _change("documented-field-never-seen", operation, location, pointer)
            continue
        for value in enumerated_values(around) if MASK not in held[path] else ():
            if value is not None and value not in held[path]:
                yield _change("documented-value-never-seen", operation, location, pointer, value)


def _states(operation: Operation, traffic: RecordedTraffic) -> Iterator[DriftChange]:
    if operation.job is None:
        return
    met = {seen.state for seen in traffic.seen if seen.job is operation.job}  # the submit's answers tell one too
    for state in operation.job.states:
        if state not in met:
            pointer = f"{operation.pointer}/x-job/states/{state}"
            yield _change("documented-state-never-seen", operation, str(operation.job.state), pointer, state)
