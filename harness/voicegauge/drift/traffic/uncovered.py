"""What a contract documents and no recording shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from voicegauge.contract import MISSING, MediaType, Operation, ResponseSpec
from voicegauge.drift.report import Change, Spot, change
from voicegauge.drift.traffic.reading import Scalar, Seen, Traffic, enumerated, listed, of_media, take_apart
from voicegauge.recording import MASK


def never_seen(traffic: Traffic) -> Iterator[Change]:
    """Operations, statuses, media types, headers, fields, values and states of jobs that no answer shows."""
    by_operation: dict[str, list[Seen]] = defaultdict(list)
    for seen in traffic.seen:
        by_operation[seen.name].append(seen)
    for operation in traffic.contract.operations.values():
        answers = by_operation.get(operation.id, [])
        if not answers:
            yield _change("documented-operation-never-seen", operation, "operation", operation.pointer)
            continue
        yield from _responses(operation, answers)
        yield from _states(operation, traffic)


def _change(rule: str, operation: Operation, at: str, pointer: str, value: Scalar = None) -> Change:
    document = operation.contract.document
    spot = Spot(file=str(document.path), line=document.line(pointer), pointer=pointer)
    values = None if value is None else {"old": value}
    return change(rule, at=at, operation=operation.id, old=spot, values=values)


def _responses(operation: Operation, answers: Sequence[Seen]) -> Iterator[Change]:
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


def _headers(operation: Operation, spec: ResponseSpec, met: Sequence[Seen]) -> Iterator[Change]:
    for name, header in spec.headers.items():
        if all(seen.exchange.response.header(name) is None for seen in met):
            at = f"{spec.status} header.{name}"
            yield _change("documented-header-never-seen", operation, at, header.pointer, name)


def _fields(operation: Operation, status: str, media: MediaType, shown: Sequence[Seen]) -> Iterator[Change]:
    leaves = [leaf for seen in shown if seen.value is not MISSING for leaf in take_apart(seen.value, {})]
    held: dict[str, set[Scalar]] = defaultdict(set)
    for leaf in leaves:
        held[leaf.path].add(getattr(leaf, "value", None))
    for path, around in listed(media.contract.schemas, of_media(media)):
        if path.rpartition("/")[0] not in held:
            continue  # what it would be in was never there either
        at, pointer = f"{status} body#{path}", around[0].pointer if around else media.pointer
        if path not in held:
            yield _change("documented-field-never-seen", operation, at, pointer)
            continue
        for value in enumerated(around) if MASK not in held[path] else ():
            if value is not None and value not in held[path]:
                yield _change("documented-value-never-seen", operation, at, pointer, value)


def _states(operation: Operation, traffic: Traffic) -> Iterator[Change]:
    if operation.job is None:
        return
    met = {seen.state for seen in traffic.seen if seen.job is operation.job}  # the submit's answers tell one too
    for state in operation.job.states:
        if state not in met:
            pointer = f"{operation.pointer}/x-job/states/{state}"
            yield _change("documented-state-never-seen", operation, operation.job.state, pointer, state)
