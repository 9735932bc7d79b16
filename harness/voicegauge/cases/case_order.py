"""Decides which operations a check needs, and in which order its cases are sent."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, get_args

from voicegauge.cases.case import ConformanceCase
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import AudioInputTarget, BaseTarget, Contract, Target
from voicegauge.contract.operation import Operation
from voicegauge.formats.locations import Location
from voicegauge.model.exchange import UploadedFile


def find_partially_checked_contracts(
    targets: Iterable[BaseTarget], fully_checked_providers: Collection[str] | None = None
) -> dict[Contract, list[BaseTarget]]:
    """Return the targets to check of each contract that is not checked completely.

    Args:
        targets: the targets to check.
        fully_checked_providers: ids of the providers of which every operation is checked; `None` for those whose speech
            targets are all among `targets`.
    """
    by_contract: dict[Contract, list[BaseTarget]] = {}
    for target in targets:
        by_contract.setdefault(target.contract, []).append(target)
    return {
        contract: chosen
        for contract, chosen in by_contract.items()
        if (
            not contract.targets.keys() <= {target.name for target in chosen}
            if fully_checked_providers is None
            else contract.id not in fully_checked_providers
        )
    }


def find_excluded_operations(
    targets: Iterable[BaseTarget], fully_checked_providers: Collection[str] | None = None
) -> list[str]:
    """Return the operations that a check of `targets` does not call: <provider>/<operation id>, in document order.

    Args:
        targets: the targets to check.
        fully_checked_providers: ids of the providers of which every operation is checked; `None` for those whose speech
            targets are all among `targets`.
    """
    excluded_operation_names: list[str] = []
    for contract, chosen in find_partially_checked_contracts(targets, fully_checked_providers).items():
        needed = {operation.id for target in chosen for operation in iterate_needed_operations(target)}
        excluded_operation_names += [f"{contract.id}/{name}" for name in contract.operations if name not in needed]
    return excluded_operation_names


def iterate_needed_operations(target: BaseTarget) -> Iterator[Operation]:
    """Yield the operations that a check of `target` needs; some may be repeated.

    These are the operations that submit, poll, download and cancel. If no request to the target is valid without the
    id of a resource, such as a saved voice, they are also the operations of the resource.
    """
    contract, operation = target.contract, target.operation
    yield operation
    if target.response.audio is not None and target.response.audio.download_operation_id is not None:
        yield contract.find_operation(target.response.audio.download_operation_id)
    if isinstance(target, AudioInputTarget) and target.conversion is not None:
        stems = target.conversion.response.stems
        if stems is not None and stems.download_operation_id is not None:
            yield contract.find_operation(stems.download_operation_id)
    if target.job_operation is not None:
        yield from _iterate_job_operations(target.job_operation)
    if operation.batch is not None:
        single = contract.find_operation(operation.batch.item_operation_id)
        if single.speech is not None and single.speech.response.status_operation_id is not None:
            yield from _iterate_job_operations(contract.find_operation(single.speech.response.status_operation_id))
    # A clone of a voice needs the operation that saves voices, although nothing in the target names it.
    for creating_operation in contract.operations.values():
        if any(
            _is_location_required(target, use.id_location)
            for use in creating_operation.iterate_uses_of_created_resource(operation)
        ):
            yield from _iterate_resource_operations(creating_operation)


def _iterate_job_operations(status_operation: Operation) -> Iterator[Operation]:
    """Yield `status_operation`, and the operations that cancel its jobs or download their results."""
    yield status_operation
    job = status_operation.job
    if job is None:
        return
    names = [job.result_operation_id, job.cancellation.operation_id if job.cancellation is not None else None]
    names += [job.audio.download_operation_id] if job.audio is not None else []
    yield from (status_operation.contract.find_operation(name) for name in names if name is not None)


def _iterate_resource_operations(creating_operation: Operation) -> Iterator[Operation]:
    """Yield the operations that create, change, list and delete a resource."""
    yield creating_operation
    resource = creating_operation.resource
    if resource is None:
        return
    names = [transition.operation_id for transition in resource.transitions]
    names += [one.operation_id for one in (resource.listing, resource.deletion) if one is not None]
    yield from (creating_operation.contract.find_operation(name) for name in names)


def _is_location_required(target: BaseTarget, location: Location) -> bool:
    """Whether no request to `target` is valid without a value at `location`."""
    if isinstance(target, Target) and location in {
        target.speech.request_fields[name].location for name in target.target_spec.required_fields
    }:
        return True
    if location.message_part != "body":
        parameters = target.operation.parameters
        return any(
            (p.message_part, p.name, p.is_required) == (location.message_part, location.name, True) for p in parameters
        )
    media = target.operation.request_media.values()
    schemas = [one.schema for one in media if isinstance(one.schema, dict)]
    return bool(schemas) and all(location.pointer_tokens[0] in schema.get("required", ()) for schema in schemas)


NEW_VALUE_WEIGHT_IN_PAIRS = 8
"""Number of new pairs that count as much as one new value. Most faults depend on a single value (see `pairwise`)."""
REQUESTS_BETWEEN_DELIVERIES = 3
"""Number of billable single requests between two deliveries for metamorphic rules. A delivery tests for one fault. A
single request tests for several at the beginning of a plan, and for less than one after about ten requests."""
TEXT_LENGTH_STEP_CHARACTERS = 250
"""Number of characters by which the lengths of two texts must differ for the texts to count as different values."""
FieldNameAndValue = tuple[str, str]
"""Name of a field, and a text that identifies its value or says that the field is missing."""


SendingTurn = Literal["first-delivery", "rejection", "new-values", "later-delivery"]
"""The part of a plan that a case belongs to, in the order of sending; `DESCRIPTION_BY_TURN` says why it is there."""
DESCRIPTION_BY_TURN: dict[SendingTurn, str] = {
    "first-delivery": "one delivery of each target, which shows the complete response",
    "rejection": "requests that should be rejected, which are free, operation by operation; of an operation that "
    "speaks, the emulator is first sent one for each documented reason",
    "new-values": "single requests, next always the one with most values, and pairs of values, that none before had; "
    f"after every {REQUESTS_BETWEEN_DELIVERIES} that cost money a delivery for rules that compare two",
    "later-delivery": "the remaining deliveries",
}


class CoveredFieldValues(NamedTuple):
    """The field values of a request and the pairs of these values. Both count as tested when the request is sent."""

    field_values: Sequence[FieldNameAndValue]
    """Each field of any request to the operation, with its value in this one."""
    pairs_of_field_values: Sequence[object]
    """Each pair of different `field_values`; for undocumented input, one key that identifies it instead."""


def order_cases(cases: Iterable[ConformanceCase], max_billable_requests: int | None = None) -> list[ConformanceCase]:
    """Return `cases` in the order in which they are sent.

    The order is that of `DESCRIPTION_BY_TURN`. Requests that should be rejected keep the order of `cases`: they are
    free, but may reserve more than is left of a budget. The deliveries between single requests, which the
    metamorphic rules need, are the first one for each operation and compared parameter, except the format.

    Args:
        cases: the cases as planned, by operation.
        max_billable_requests: largest number of billable requests to keep; `None` to keep all. Free cases are all kept.
    """
    by_turn: dict[SendingTurn, list[ConformanceCase]] = {turn: [] for turn in get_args(SendingTurn)}
    targets_with_delivery: set[tuple[str, str | None]] = set()
    for case in cases:
        by_turn[_find_turn(case, targets_with_delivery)].append(case)
    pairs, rest = _separate_first_delivery_of_each_parameter(by_turn["later-delivery"])
    middle = _spread_deliveries_among_requests(pairs, _order_by_information_gain(by_turn["new-values"]))
    ordered = [*by_turn["first-delivery"], *by_turn["rejection"], *middle, *rest]
    if max_billable_requests is None:
        return ordered
    # Cut off from one order for all limits: a check with a larger limit begins with the same cases.
    counts = itertools.accumulate(case.is_billable * case.first_request_count for case in ordered)
    return [
        case
        for case, count in zip(ordered, counts, strict=True)
        if not case.is_billable or count <= max_billable_requests
    ]


def list_turns(ordered_cases: Sequence[ConformanceCase]) -> list[SendingTurn]:
    """Return the turn of each case of one provider, which are in the order of `order_cases`."""
    targets_with_delivery: set[tuple[str, str | None]] = set()
    turns = [_find_turn(case, targets_with_delivery) for case in ordered_cases]
    end = max((index for index, turn in enumerate(turns) if turn == "new-values"), default=-1)
    # A delivery between single requests is there because of the values that it changes, too.
    return ["new-values" if turn == "later-delivery" and index < end else turn for index, turn in enumerate(turns)]


def _find_turn(case: ConformanceCase, targets_with_delivery: set[tuple[str, str | None]]) -> SendingTurn:
    """Return the turn of a case, which for a delivery between single requests is still "later-delivery".

    Args:
        case: the case.
        targets_with_delivery: provider and target of each delivery so far. If `case` is a delivery, its target is
            added.
    """
    if case.expected_response.acceptance == "rejected":
        return "rejection"
    if case.speech_request is None:
        return "new-values"
    is_first = (case.provider, case.target_name) not in targets_with_delivery
    targets_with_delivery.add((case.provider, case.target_name))
    return "first-delivery" if is_first else "later-delivery"


def _separate_first_delivery_of_each_parameter(
    deliveries: Sequence[ConformanceCase],
) -> tuple[list[ConformanceCase], list[ConformanceCase]]:
    """Split `deliveries` into the first one for each operation and changed parameter, and the remaining ones.

    All deliveries that change the format are among the remaining ones, because single requests also show what a format
    changes in a response.
    """
    seen: set[tuple[str, str, str]] = set()
    first: list[ConformanceCase] = []
    rest: list[ConformanceCase] = []
    for case in deliveries:
        parameter = case.comparison.compared_parameter if case.comparison is not None else "format"
        key = (case.provider, case.operation, parameter)
        (rest if parameter == "format" or key in seen else first).append(case)
        seen.add(key)
    return first, rest


def _spread_deliveries_among_requests(
    deliveries: Sequence[ConformanceCase], single_requests: Sequence[ConformanceCase]
) -> list[ConformanceCase]:
    """Return `single_requests` with one of `deliveries` after every third billable request.

    `REQUESTS_BETWEEN_DELIVERIES` is this interval. Deliveries for which there are too few requests come last.
    """
    waiting = iter(deliveries)
    ordered = []
    billable = 0
    for case in single_requests:
        ordered.append(case)
        billable += case.is_billable
        if case.is_billable and billable % REQUESTS_BETWEEN_DELIVERIES == 0:
            ordered += itertools.islice(waiting, 1)
    return [*ordered, *waiting]


def _order_by_information_gain(cases: Sequence[ConformanceCase]) -> list[ConformanceCase]:
    """Order `cases` greedily: the next case is always the one with the largest gain.

    The gain of a case can only fall while other cases are chosen. Therefore an outdated gain is an upper bound, and a
    case whose updated gain is still the best of the heap can be chosen without updating all other gains (lazy greedy).
    """
    names = _list_field_names(cases)
    contents = [_list_covered_field_values(case, names[case.provider, case.operation]) for case in cases]
    seen: set[object] = set()
    heap = [(-_compute_information_gain(content, seen), index) for index, content in enumerate(contents)]
    heapq.heapify(heap)
    ordered = []
    while heap:
        _, index = heapq.heappop(heap)
        gain = -_compute_information_gain(contents[index], seen)
        # Ties by index, so that equal contracts give equal plans.
        if heap and (gain, index) > heap[0]:
            heapq.heappush(heap, (gain, index))
            continue
        ordered.append(cases[index])
        seen.update(contents[index].field_values)
        seen.update(contents[index].pairs_of_field_values)
    return ordered


def _compute_information_gain(covered_values: CoveredFieldValues, earlier_values: set[object]) -> int:
    """Return the number of covered values and pairs that are not in `earlier_values`.

    A value counts as `NEW_VALUE_WEIGHT_IN_PAIRS` pairs.
    """
    new_values = sum(value not in earlier_values for value in covered_values.field_values)
    return NEW_VALUE_WEIGHT_IN_PAIRS * new_values + sum(
        pair not in earlier_values for pair in covered_values.pairs_of_field_values
    )


def _list_field_names(cases: Sequence[ConformanceCase]) -> dict[tuple[str, str], list[str]]:
    """Return the names of all fields in the requests to each operation, by provider and operation."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for case in cases:
        names = found.setdefault((case.provider, case.operation), {})
        names.update(dict.fromkeys(_list_request_fields(case.request)))
    return {key: sorted(names) for key, names in found.items()}


def _list_request_fields(request: RequestParts | None) -> dict[str, object]:
    """Return the values in the query, headers and body of a request by name, and its media type as "(type)".

    A field of the body hides a header or query parameter with the same name. Parameters in the path are left out. The
    result is empty if there is no request (`None`), as for a delivery.
    """
    if request is None:
        return {}
    body = request.body if isinstance(request.body, dict) else {}
    return {"(type)": request.media_type, **request.query_parameters, **request.headers, **body}


def _list_covered_field_values(case: ConformanceCase, field_names: Sequence[str]) -> CoveredFieldValues:
    """Return what a case tests, so that it can be compared with what earlier cases have tested."""
    if case.expected_response.case_kind == "undocumented":
        # It counts as one pair, so that requests with documented values and pairs of them come first.
        return CoveredFieldValues(
            field_values=(), pairs_of_field_values=((case.operation, case.expected_response.description),)
        )
    fields = _list_request_fields(case.request)
    # A field that is left out has a value too: the default of the service is a branch of its code like any other.
    values = [
        (f"{case.operation}/{name}", _build_tested_value_key(fields[name]) if name in fields else "left out")
        for name in field_names
    ]
    return CoveredFieldValues(values, tuple(itertools.combinations(values, 2)))


def _build_tested_value_key(value: object) -> str:
    """Return a text that is equal for values that test the same, such as spoken texts of similar length."""
    if isinstance(value, UploadedFile):
        return f"{value.filename} of {len(value.data)} bytes"
    if not isinstance(value, str) or " " not in value:
        return repr(value)  # which distinguishes 1 and "1", and objects by what they contain
    # Two readable texts test the same thing unless one is much longer.
    length = len(value) // TEXT_LENGTH_STEP_CHARACTERS * TEXT_LENGTH_STEP_CHARACTERS
    return f"a text of {length} characters or more"
