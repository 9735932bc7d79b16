"""Plans the cases of a check, in the order in which they are sent.

One delivery of each target comes first, because a check that something stops early must have judged the complete
response. Requests that should be rejected follow: they are free. After them, the next request is always the one that
adds most to the earlier ones: values, and pairs of values, that no earlier request had. Deliveries for the metamorphic
rules are spread among these requests, because only such a delivery can show that a parameter is ignored. Therefore a
plan can be cut off after any request (`--max-calls`).
"""

from __future__ import annotations

import contextlib
import difflib
import heapq
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeGuard
from weakref import WeakKeyDictionary

import msgspec

from voicegauge.cases._related_deliveries import plan_delivery_with_companion, plan_related_deliveries
from voicegauge.cases.audio_input import plan_audio_input_cases, plan_upload_cases
from voicegauge.cases.bodies import (
    plan_body_cases,
    plan_optional_field_cases,
    plan_schema_branch_cases,
    plan_unusual_text_cases,
)
from voicegauge.cases.case import (
    ConformanceCase,
    DeliveryComparison,
    SkippedCase,
    build_case,
    build_operation_name,
    expect_acceptance,
    find_request_target,
)
from voicegauge.cases.operations import (
    mark_billable_cases,
    plan_authentication_cases,
    plan_operation_cases,
    plan_parameter_cases,
    plan_rejection_reason_cases,
    plan_unknown_model_cases,
)
from voicegauge.cases.pairwise import plan_combination_cases
from voicegauge.cases.sockets import plan_socket_cases, plan_transcription_cases
from voicegauge.cases.valid_requests import (
    DEFAULT_TEXT,
    build_valid_speech_request,
    count_charged_characters,
    set_body_value,
)
from voicegauge.cases.webhooks import add_webhook_cases
from voicegauge.client.speech_request import RequestParts, map_speech_request
from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.contract.pricing import is_billable
from voicegauge.contract.targets import (
    AudioInputTarget,
    BaseTarget,
    JobTarget,
    SocketTarget,
    Target,
    TranscriptionSocketTarget,
)
from voicegauge.emulator.settings import SCENARIO_HEADER
from voicegauge.errors import UsageError
from voicegauge.formats.locations import Location
from voicegauge.model.base import Record, SpeechRequest
from voicegauge.model.exchange import UploadedFile

# Orders the cases of a plan: deliveries first, then free requests, then the most informative ones.


NEW_VALUE_WEIGHT_IN_PAIRS = 8
"""Number of new pairs that count as much as one new value. Most faults depend on a single value (see `pairwise`)."""
REQUESTS_BETWEEN_DELIVERIES = 3
"""Number of billable single requests between two deliveries for metamorphic rules. A delivery tests for one fault. A
single request tests for several at the beginning of a plan, and for less than one after about ten requests."""
TEXT_LENGTH_STEP_CHARACTERS = 250
"""Number of characters by which the lengths of two texts must differ for the texts to count as different values."""
FieldNameAndValue = tuple[str, str]
"""Name of a field, and a text that identifies its value or says that the field is missing."""


class CoveredFieldValues(NamedTuple):
    """The field values of a request and the pairs of these values. Both count as tested when the request is sent."""

    field_values: Sequence[FieldNameAndValue]
    pairs_of_field_values: Sequence[object]


def order_cases(cases: Iterable[ConformanceCase], max_billable_requests: int | None = None) -> list[ConformanceCase]:
    """Return `cases` in the order in which they are sent.

    The order is:

    1. one delivery of each target, which shows the complete response;
    2. requests that should be rejected, in the order of `cases`. They are free, but may reserve more than is left of a
       budget;
    3. single requests, the one that adds most to the earlier ones first, and among them one delivery for each operation
       and parameter for the metamorphic rules;
    4. the remaining deliveries.

    Args:
        cases: the cases in the order of the contract.
        max_billable_requests: number of billable requests to keep; all of them by default.
    """
    by_turn: dict[int, list[ConformanceCase]] = {turn: [] for turn in range(4)}
    targets_with_delivery: set[tuple[str, str | None]] = set()
    for case in cases:
        by_turn[_find_plan_part_number(case, targets_with_delivery)].append(case)
    pairs, rest = _separate_first_delivery_of_each_parameter(by_turn[3])
    middle = _spread_deliveries_among_requests(pairs, _order_by_information_gain(by_turn[2]))
    ordered = [*by_turn[0], *by_turn[1], *middle, *rest]
    if max_billable_requests is None:
        return ordered
    counts = itertools.accumulate(case.is_billable * case.first_request_count for case in ordered)
    return [
        case
        for case, count in zip(ordered, counts, strict=True)
        if not case.is_billable or count <= max_billable_requests
    ]


def _find_plan_part_number(case: ConformanceCase, targets_with_delivery: set[tuple[str, str | None]]) -> int:
    """Return the position, from 0, of `case` in the list of four groups that `order_cases` describes.

    Args:
        case: the case.
        targets_with_delivery: provider and target of each delivery so far. If `case` is a delivery, its target is
            added.
    """
    if case.expected_response.acceptance == "rejected":
        return 1
    if case.speech_request is None:
        return 2
    is_first = (case.provider, case.target_name) not in targets_with_delivery
    targets_with_delivery.add((case.provider, case.target_name))
    return 0 if is_first else 3


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
    if request is None:
        return {}
    body = request.body if isinstance(request.body, dict) else {}
    return {"(type)": request.media_type, **request.query_parameters, **request.headers, **body}


def _list_covered_field_values(case: ConformanceCase, field_names: Sequence[str]) -> CoveredFieldValues:
    if case.expected_response.case_kind == "undocumented":
        # It counts as one pair, so that requests with documented values and pairs of them come first.
        return CoveredFieldValues(
            field_values=(), pairs_of_field_values=((case.operation, case.expected_response.description),)
        )
    fields = _list_request_fields(case.request)
    values = [
        (f"{case.operation}/{name}", _format_comparable_value(fields[name]) if name in fields else "left out")
        for name in field_names
    ]
    return CoveredFieldValues(values, tuple(itertools.combinations(values, 2)))


def _format_comparable_value(value: object) -> str:
    """Return a text that is equal for values that test the same, such as spoken texts of similar length."""
    if isinstance(value, UploadedFile):
        return f"{value.filename} of {len(value.data)} bytes"
    text = repr(value)
    # Two readable texts test the same thing unless one is much longer.
    length = len(text) // TEXT_LENGTH_STEP_CHARACTERS * TEXT_LENGTH_STEP_CHARACTERS
    return f"a text of {length} characters or more" if " " in text else text


# Finds the operations that a check of single targets needs, so that nothing is sent to the other operations.


def find_partially_checked_contracts(
    targets: Iterable[BaseTarget], fully_checked_providers: Collection[str] | None = None
) -> dict[Contract, list[BaseTarget]]:
    """Return the contracts of which only some targets are checked, each with these targets.

    Args:
        targets: the targets to check.
        fully_checked_providers: ids of the providers of which every operation is checked; by default those whose speech
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
        fully_checked_providers: see `find_partially_checked_contracts`.
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
    for creating_operation in contract.operations.values():
        if any(
            _is_location_required(target, use.id_location)
            for use in creating_operation.iterate_uses_of_created_resource(operation)
        ):
            yield from _iterate_resource_operations(creating_operation)


def _iterate_job_operations(status_operation: Operation) -> Iterator[Operation]:
    yield status_operation
    job = status_operation.job
    if job is None:
        return
    names = [job.result_operation_id, job.cancellation.operation_id if job.cancellation is not None else None]
    names += [job.audio.download_operation_id] if job.audio is not None else []
    yield from (status_operation.contract.find_operation(name) for name in names if name is not None)


def _iterate_resource_operations(creating_operation: Operation) -> Iterator[Operation]:
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


# Plans a check: lists the cases that follow from contracts. Equal contracts give equal plans.


LARGE_UPLOAD_BYTES = 32 * 2**20
"""Size in bytes above which an upload is large: it takes long on most connections."""


BATCH_ITEM_COUNT = 3
"""Number of items in a planned batch: enough that some items have ended while others are still being processed."""


class CasePlan(Record, frozen=True, kw_only=True):
    """The cases of a check in the order of sending, and those that cannot be planned."""

    cases: tuple[ConformanceCase, ...]
    skipped_cases: tuple[SkippedCase, ...] = ()
    max_billable_requests: int | None = None
    """Maximum number of billable requests, including requests that should be rejected but are accepted; `None` for no
    limit."""
    targets_without_delivery: tuple[str, ...] = ()
    """Ids of the targets that the check cannot judge: no delivery to them can be planned, or `max_billable_requests`
    excludes all deliveries of the plan."""
    left_out_reason_by_target: dict[str, str] = msgspec.field(default_factory=dict)
    """Why targets were left out although others are judged, by target id: `max_billable_requests` excludes their
    delivery, or no document states what it costs."""
    over_budget_case_count: int = 0
    """Number of cases that were left out because they do not fit into what is left of a budget."""
    excluded_operations: tuple[str, ...] = ()
    """Operations that the check does not call, because the targets do not need them: <provider>/<operation id>."""


def select_cases(plan: CasePlan, case_ids: Collection[str]) -> CasePlan:
    """Return `plan` with only the cases with these ids, and the deliveries with which they are compared.

    Raises:
        UsageError: the plan has no case with one of these ids.
    """
    cases = {case.id: case for case in plan.cases}
    for name in case_ids:
        if name not in cases:
            near = difflib.get_close_matches(name, cases, n=1, cutoff=0.4)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"the plan has no case {name!r}{hint} (--dry-run lists all cases)")
    comparisons = (cases[name].comparison for name in case_ids)
    chosen = {*case_ids, *(comparison.base_case_id for comparison in comparisons if comparison is not None)}
    return msgspec.structs.replace(plan, cases=tuple(case for case in plan.cases if case.id in chosen))


class CasePatterns(Record, frozen=True, kw_only=True):
    """Selects cases by patterns of their ids."""

    patterns: tuple[str, ...]
    """Ids of cases, in which `*` stands for any text."""

    def select_cases(self, plan: CasePlan) -> CasePlan:
        """Return `plan` with only the cases whose id matches a pattern; a pattern may match no case."""
        chosen = [case for case in plan.cases if any(matches_case_pattern(case.id, one) for one in self.patterns)]
        return msgspec.structs.replace(plan, cases=tuple(chosen))


def matches_case_pattern(case_id: str, pattern: str) -> bool:
    """Whether the id of a case matches `pattern`, in which `*` stands for any text."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), case_id) is not None


def plan_cases(
    targets: Sequence[BaseTarget],
    *,
    is_emulated: bool,
    include_all_billable_cases: bool,
    spoken_text: str = DEFAULT_TEXT,
    max_billable_requests: int | None = None,
    include_large_uploads: bool | None = None,
    include_webhooks: bool = False,
    fully_checked_providers: Collection[str] | None = None,
    unpriced_target_ids: Collection[str] = (),
    keyed_provider_ids: Collection[str] = (),
) -> CasePlan:
    """Plan the cases of `targets`, and of the operations without targets that they need.

    No case addresses another target of an operation that several targets share.

    Args:
        targets: the targets to check.
        is_emulated: whether the emulator responds, which rejects a request for a given reason on demand.
        include_all_billable_cases: whether billable valid requests are planned beyond one delivery per target.
        spoken_text: the text of requests whose text does not matter.
        max_billable_requests: the maximum number of billable requests, of which the most informative ones are planned;
            by default all are planned.
        include_large_uploads: whether uploads of tens of megabytes are planned; by default only to the emulator.
        include_webhooks: whether requests with a webhook URL are planned.
        fully_checked_providers: ids of the providers of which every operation is called; by default those whose speech
            targets are all among `targets`.
        unpriced_target_ids: targets that are left out because nobody knows what a request to them costs.
        keyed_provider_ids: providers to which a key is sent although none is required: a wrong one should be rejected.
    """
    left_out = tuple(find_excluded_operations(targets, fully_checked_providers))
    allows_large = is_emulated if include_large_uploads is None else include_large_uploads
    cases: dict[str, ConformanceCase] = {}
    skipped: dict[str, SkippedCase] = {}
    items = _iterate_all_cases(
        targets,
        spoken_text,
        left_out,
        keyed_provider_ids,
        is_emulated=is_emulated,
        include_all_billable_cases=include_all_billable_cases,
    )
    partial = {contract.id for contract in find_partially_checked_contracts(targets, fully_checked_providers)}
    chosen = {(target.contract.id, target.name) for target in targets}
    if include_webhooks:
        items = add_webhook_cases(items, {target.contract.id: target.contract for target in targets})
    for item in items:
        if isinstance(item, SkippedCase):
            skipped.setdefault(item.id, item)
        elif (
            item.provider in partial
            and item.target_name is not None
            and (item.provider, item.target_name) not in chosen
        ):
            continue  # such as a documented request to another target of the operation
        elif (target_id := f"{item.provider}/{item.target_name}") in unpriced_target_ids:
            if (item.provider, item.target_name) not in chosen:  # the others are named with what else is left out
                reason = f"no document states its price in dollars: set it with --price {target_id}=USD"
                skipped[target_id] = SkippedCase(id=target_id, skip_reason=reason)
        elif item.provider in partial and _addresses_unselected_target(item, targets):
            continue  # such as a value of a field that selects another target
        elif (
            not allows_large and item.upload_padding is not None and item.upload_padding.size_bytes > LARGE_UPLOAD_BYTES
        ):
            continue
        elif (
            include_all_billable_cases
            or not item.is_billable
            or item.speech_request is not None
            or item.is_in_every_plan
        ):
            cases.setdefault(item.id, item)
    ordered = tuple(order_cases(cases.values(), max_billable_requests))
    delivering = _list_targets_with_delivery(ordered)
    beyond_limit = _list_targets_with_delivery(cases.values()) - delivering
    reasons = {
        target.id: "no document states its price in dollars"
        if target.id in unpriced_target_ids
        else f"its delivery is beyond the limit of {max_billable_requests} billable requests"
        for target in targets
        if target.id in (beyond_limit | set(unpriced_target_ids)) and delivering
    }
    return CasePlan(
        cases=ordered,
        skipped_cases=tuple(skipped.values()),
        max_billable_requests=max_billable_requests,
        targets_without_delivery=tuple(
            target.id
            for target in targets
            if _speaks(target) and target.id not in delivering and target.id not in reasons
        ),
        left_out_reason_by_target=reasons,
        excluded_operations=left_out,
    )


def _list_targets_with_delivery(cases: Iterable[ConformanceCase]) -> set[str]:
    return {f"{case.provider}/{case.target_name}" for case in cases if case.speech_request is not None}


def _speaks(target: BaseTarget) -> TypeGuard[Target]:
    """Whether a delivery of speech can be requested from a target over HTTP."""
    return isinstance(target, Target) and not isinstance(target, JobTarget)


def _addresses_unselected_target(case: ConformanceCase, targets: Sequence[BaseTarget]) -> bool:
    """Whether the request of a case addresses a target that is not among `targets`."""
    target = next((one for one in targets if one.contract.id == case.provider), None)
    if target is None or case.request is None:
        return False
    addressed = find_request_target(target.contract.find_operation(case.operation), case.request)
    return addressed is not None and addressed not in targets


def _iterate_all_cases(
    targets: Sequence[BaseTarget],
    spoken_text: str,
    excluded_operations: Collection[str],
    keyed_provider_ids: Collection[str],
    *,
    is_emulated: bool,
    include_all_billable_cases: bool,
) -> Iterator[ConformanceCase | SkippedCase]:
    planned: set[tuple[str, str]] = set()
    planned_branches: set[str] = set()
    for target in targets:
        if isinstance(target, SocketTarget):
            yield from plan_socket_cases(
                target, is_emulated=is_emulated, include_all_billable_cases=include_all_billable_cases
            )
        elif isinstance(target, TranscriptionSocketTarget):
            yield from plan_transcription_cases(target, include_all_billable_cases=include_all_billable_cases)
    speaking = [target for target in targets if _speaks(target)]
    for target in speaking:
        is_first = (target.contract.id, target.operation.id) not in planned
        planned.add((target.contract.id, target.operation.id))
        try:
            yield from _iterate_target_cases(
                target,
                spoken_text,
                planned_branches,
                is_first_target_of_operation=is_first,
                has_optional_key=not target.needs_key and target.contract.id in keyed_provider_ids,
                is_emulated=is_emulated,
                include_all_billable_cases=include_all_billable_cases,
            )
        except (UsageError, OSError) as error:
            yield SkippedCase(id=target.id, skip_reason=str(error))
    if include_all_billable_cases:
        yield from _iterate_combination_cases(speaking, spoken_text)
    yield from _iterate_non_speech_operation_cases(
        targets,
        excluded_operations,
        keyed_provider_ids,
        is_emulated=is_emulated,
        include_all_billable_cases=include_all_billable_cases,
    )


def _iterate_non_speech_operation_cases(
    targets: Sequence[BaseTarget],
    excluded_operations: Collection[str],
    keyed_provider_ids: Collection[str],
    *,
    is_emulated: bool,
    include_all_billable_cases: bool,
) -> Iterator[ConformanceCase | SkippedCase]:
    """Yield the cases of the operations without speech targets."""
    named = {target.operation: target for target in reversed(targets) if isinstance(target, AudioInputTarget)}
    for contract in {target.contract.id: target.contract for target in targets}.values():
        for operation in contract.operations.values():
            if operation.speech is not None or build_operation_name(operation) in excluded_operations:
                continue
            target = named.get(operation)
            cases = plan_operation_cases(
                operation, target, is_emulated=is_emulated, include_billable_cases=include_all_billable_cases
            )
            if operation.audio_input is not None:
                planned = list(plan_audio_input_cases(operation, cases, target))
                yield from planned
                yield from _plan_wrong_names_and_keys(
                    operation, planned, has_optional_key=not operation.needs_key and contract.id in keyed_provider_ids
                )
            elif is_billable(operation):
                yield from mark_billable_cases(cases)
            else:
                yield from cases


def _plan_wrong_names_and_keys(
    operation: Operation, audio_input_cases: Sequence[ConformanceCase | SkippedCase], *, has_optional_key: bool
) -> Iterator[ConformanceCase]:
    """Yield the first upload to an operation with a model that does not exist, and with a wrong key.

    Args:
        operation: the operation with `x-transcription` or `x-conversion`.
        audio_input_cases: the other cases of the operation.
        has_optional_key: whether a key is sent although none is required.
    """
    cases = [case for case in audio_input_cases if isinstance(case, ConformanceCase)]
    upload = next((case for case in cases if case.is_in_every_plan and case.request is not None), None)
    if upload is None or upload.request is None:
        return
    target = operation.contract.audio_input_targets[upload.target_name or ""]
    wrong = list(plan_unknown_model_cases(target, upload.request, cases))
    if has_optional_key:
        wrong += plan_authentication_cases(operation, upload.request, target, is_key_optional=True)
    for case in wrong:
        yield msgspec.structs.replace(case, audio_duration_s=upload.audio_duration_s)


def _iterate_target_cases(
    target: Target,
    spoken_text: str,
    planned_branch_pointers: set[str],
    *,
    is_first_target_of_operation: bool,
    has_optional_key: bool,
    is_emulated: bool,
    include_all_billable_cases: bool,
) -> Iterator[ConformanceCase | SkippedCase]:
    """Yield the cases of a target; for the first target of an operation also the cases of the operation itself.

    When the cases of a branch of the request schema have been planned, the pointer to the branch is added to
    `planned_branch_pointers`.
    """
    speech = build_valid_speech_request(target, text=spoken_text)
    request = map_speech_request(target, speech)
    operation = target.operation
    cases = (
        list(plan_authentication_cases(operation, request, target, is_key_optional=has_optional_key))
        if target.needs_key or has_optional_key
        else []
    )
    branch_cases = _list_schema_branch_cases(target, request, planned_branch_pointers)
    if is_first_target_of_operation:
        cases += plan_body_cases(operation, request, target)
        cases += plan_unknown_model_cases(target, request, [*cases, *branch_cases])
        cases += plan_optional_field_cases(target, request)
        cases += plan_unusual_text_cases(target, request)
        cases += plan_parameter_cases(operation, request, target)
        batch = _build_batch_case(target, request)
        cases += [batch] if batch is not None else []
        if is_emulated:
            # First, so that a plan that is cut off has each documented reason before variations of one of them.
            cases = [*plan_rejection_reason_cases(operation, request, target, cases), *cases]
    yield from cases
    yield from branch_cases
    upload = target.speech.request_fields.get("voice_sample_upload")
    if upload is not None and "voice_sample_upload" in target.target_spec.required_fields:
        # The ids of upload cases name the operation, so the plan keeps those of the first target with an upload.
        yield from plan_upload_cases(
            operation, request, upload.location.pointer_tokens[0], target.name, is_emulated=is_emulated
        )
    plain = _build_delivery_case(target, speech, "a full delivery")
    yield plain
    if include_all_billable_cases:
        for name in target.target_spec.supported_formats if "format" in target.speech.request_fields else ():
            in_format = msgspec.structs.replace(speech, format=name)
            comparison = DeliveryComparison(
                compared_parameter="format", base_case_id=plain.id, base_value=speech.format, changed_value=name
            )
            yield _build_delivery_case(target, in_format, f"a full delivery as {name}", comparison=comparison)
        related_deliveries = [*plan_related_deliveries(target, speech)]
        companion = plan_delivery_with_companion(target, speech) if is_first_target_of_operation else None
        related_deliveries += [companion] if companion is not None else []
        for related in related_deliveries:
            base = plain.id if related.base_description is None else f"{plain.id} with {related.base_description}"
            comparison = DeliveryComparison(
                compared_parameter=related.compared_parameter,
                base_case_id=base,
                base_value=related.base_value,
                changed_value=related.changed_value,
            )
            description = f"a full delivery with {related.description}"
            yield _build_delivery_case(
                target,
                related.speech_request,
                description,
                comparison=comparison,
                companion_request=related.companion_request,
            )
    if is_emulated:
        yield from _iterate_failing_delivery_cases(target, speech)


def _list_schema_branch_cases(
    target: Target, request: RequestParts, planned_branch_pointers: set[str]
) -> list[ConformanceCase]:
    """Return the cases of the branch of the request schema that a target selects; empty if they are planned already.

    The pointer to the branch is added to `planned_branch_pointers`.
    """
    media = target.operation.request_media.get(request.media_type or "")
    branch = target.find_request_branch(media) if media is not None else None
    if branch is None or (name := f"{target.contract.id}{branch[1]}") in planned_branch_pointers:
        return []
    planned_branch_pointers.add(name)
    return list(plan_schema_branch_cases(target, request, branch))


def _build_batch_case(target: Target, request: RequestParts) -> ConformanceCase | None:
    """Return the case of a batch that repeats the one item of `request`; `None` if the operation takes no batches."""
    operation = target.operation
    if operation.batch is None:
        return None
    items = operation.batch.requests_location
    batch = set_body_value(request, items.pointer_tokens, [items.child("0").read_body(request.body)] * BATCH_ITEM_COUNT)
    return build_case(
        operation,
        expect_acceptance(f"a batch of {BATCH_ITEM_COUNT}, polled to its end", f"{operation.pointer}/x-batch"),
        target_name=target.name,
        request=batch,
        text_character_count=count_charged_characters(operation, batch),
        is_lifecycle=True,
    )


def _iterate_combination_cases(targets: Sequence[Target], spoken_text: str) -> Iterator[ConformanceCase]:
    """Yield requests that combine the values of fields, and the targets, of each operation."""
    by_operation: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        by_operation.setdefault((target.contract.id, target.operation.id), []).append(target)
    for of_operation in by_operation.values():
        planned = _COMBINATION_CASES_BY_OPERATION.setdefault(of_operation[0].operation, {})
        key = (*(target.name for target in of_operation), spoken_text)
        if key not in planned:
            planned[key] = _plan_combination_cases_of_operation(of_operation, spoken_text)
        yield from planned[key]


_COMBINATION_CASES_BY_OPERATION: WeakKeyDictionary[Operation, dict[tuple[str, ...], tuple[ConformanceCase, ...]]] = (
    WeakKeyDictionary()
)
"""A cache: the planned combination cases of each operation, by target names and text. Planning them takes long."""


def _plan_combination_cases_of_operation(targets: Sequence[Target], spoken_text: str) -> tuple[ConformanceCase, ...]:
    """Return requests that combine the values of fields, and `targets`, which are those of one operation."""
    requests: list[tuple[Target, RequestParts]] = []
    for target in targets:
        # `_iterate_target_cases` reports a target without a valid request as skipped.
        with contextlib.suppress(UsageError, OSError):
            request = map_speech_request(target, build_valid_speech_request(target, text=spoken_text))
            requests.append((target, request))
    return tuple(plan_combination_cases(requests)) if requests else ()


def _build_delivery_case(
    target: Target,
    speech_request: SpeechRequest,
    description: str,
    *,
    expects_job_failure: bool = False,
    comparison: DeliveryComparison | None = None,
    companion_request: SpeechRequest | None = None,
) -> ConformanceCase:
    return build_case(
        target.operation,
        expect_acceptance(description, target.pointer),
        target_name=target.name,
        id_prefix=target.id,
        speech_request=speech_request,
        expects_job_failure=expects_job_failure,
        comparison=comparison,
        companion_request=companion_request,
        text_character_count=sum(
            target.count_charged_characters(request.text)
            for request in (speech_request, companion_request)
            if request is not None
        ),
    )


def _iterate_failing_delivery_cases(target: Target, speech_request: SpeechRequest) -> Iterator[ConformanceCase]:
    """Yield one delivery for each documented failure, with which the emulator ends the delivery on demand."""
    job = target.job_operation.job if target.job_operation else None
    states = job.states if job else {}
    events = target.stream.events if target.stream else {}
    failures = [
        (name, f"a job that ends as {name}") for name, state in states.items() if state.terminal_outcome == "failure"
    ]
    failures += [
        (name, f"a stream that ends in {name}") for name, event in events.items() if event.terminal_outcome == "failure"
    ]
    for name, description in failures:
        extra = {**speech_request.extra, f"header.{SCENARIO_HEADER}": f"state:{name}"}
        yield _build_delivery_case(
            target, msgspec.structs.replace(speech_request, extra=extra), description, expects_job_failure=True
        )
