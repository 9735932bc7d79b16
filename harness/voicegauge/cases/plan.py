"""Plans the cases of a check, in the order in which they are sent.

One delivery of each target comes first, because a check that something stops early must have judged the complete
response. Requests that should be rejected follow: they are free. After them, the next request is always the one that
adds most to the earlier ones: values, and pairs of values, that no earlier request had. Deliveries for the metamorphic
rules are spread among these requests, because only such a delivery can show that a parameter is ignored. Therefore a
plan can be cut off after any request (`--max-calls`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeGuard
from weakref import WeakKeyDictionary

import msgspec

from voicegauge.cases.audio_input_cases import plan_audio_input_cases, plan_upload_cases
from voicegauge.cases.body_cases import (
    plan_body_cases,
    plan_optional_field_cases,
    plan_schema_branch_cases,
    plan_unusual_text_cases,
)
from voicegauge.cases.case import (
    ConformanceCase,
    SkippedCase,
    build_case,
    build_operation_name,
    expect_acceptance,
    find_request_target,
)
from voicegauge.cases.case_order import find_excluded_operations, find_partially_checked_contracts, order_cases
from voicegauge.cases.delivery_cases import (
    add_webhook_cases,
    build_delivery_case,
    plan_compared_deliveries,
    plan_failing_deliveries,
    plan_socket_cases,
    plan_transcription_cases,
)
from voicegauge.cases.operation_cases import (
    build_resource_pointer,
    mark_billable_cases,
    plan_authentication_cases,
    plan_operation_cases,
    plan_parameter_cases,
    plan_rejection_reason_cases,
    plan_unknown_model_cases,
)
from voicegauge.cases.pairwise import plan_combination_cases
from voicegauge.cases.valid_requests import (
    DEFAULT_TEXT,
    build_valid_speech_request,
    count_charged_characters,
    set_body_value,
)
from voicegauge.client.speech_request import RequestParts, map_speech_request
from voicegauge.contract.contract import (
    AudioInputTarget,
    BaseTarget,
    Contract,
    JobTarget,
    SocketTarget,
    Target,
    TranscriptionSocketTarget,
)
from voicegauge.contract.operation import Operation
from voicegauge.contract.price_computation import is_billable
from voicegauge.errors import UsageError, find_similar_names
from voicegauge.model.base import Record

# Plans a check: lists the cases that follow from contracts. Equal contracts give equal plans.


LARGE_UPLOAD_BYTES = 32 * 2**20
"""Size in bytes above which an upload is large: it takes long on most connections."""


BATCH_ITEM_COUNT = 3
"""Number of items in a planned batch: enough that some items have ended while others are still being processed."""


class CasePlan(Record, frozen=True, kw_only=True):
    """The cases of a check, and those that cannot be planned."""

    cases: tuple[ConformanceCase, ...]
    """The most informative first, whatever their provider. They are sent in this order, provider by provider."""
    skipped_cases: tuple[SkippedCase, ...] = ()
    """What could not be planned, or must not be sent, with the reasons."""
    max_billable_requests: int | None = None
    """Maximum number of billable requests, including requests that should be rejected but are accepted; `None` for no
    limit."""
    targets_without_delivery: tuple[str, ...] = ()
    """Ids of the targets that the check cannot judge: no delivery to them can be planned, or `max_billable_requests`
    excludes all deliveries of the plan."""
    left_out_reason_by_target: dict[str, str] = msgspec.field(default_factory=dict)
    """Why targets were left out although others are judged, by target id: `max_billable_requests` excludes their
    delivery, a budget does not pay for it, or no document states what it costs."""
    over_budget_case_count: int = 0
    """Number of cases that were left out because they do not fit into what is left of a budget."""
    excluded_operations: tuple[str, ...] = ()
    """Operations that the check does not call, because the targets do not need them: <provider>/<operation id>."""

    @property
    def limits_billable_requests(self) -> bool:
        """Whether the user limits the number of billable requests. What is left out then does not fail the check."""
        return self.max_billable_requests is not None


def select_cases(plan: CasePlan, case_ids: Collection[str]) -> CasePlan:
    """Return `plan` with only the cases with these ids, and the deliveries with which they are compared.

    Raises:
        UsageError: the plan has no case with one of these ids.
    """
    cases = {case.id: case for case in plan.cases}
    for name in case_ids:
        if name not in cases:
            near = find_similar_names(name, cases)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"the plan has no case {name!r}{hint} (--dry-run lists all cases)")
    comparisons = (cases[name].comparison for name in case_ids)
    chosen = {*case_ids, *(comparison.base_case_id for comparison in comparisons if comparison is not None)}
    return msgspec.structs.replace(plan, cases=tuple(case for case in plan.cases if case.id in chosen))


class CasePatterns(Record, frozen=True, kw_only=True):
    """Patterns of case ids, by which the cases of a plan are selected."""

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
    include_all_creations: bool | None = None,
    include_webhooks: bool = False,
    fully_checked_providers: Collection[str] | None = None,
    ids_without_price: Collection[str] = (),
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
            `None` to plan all.
        include_large_uploads: whether uploads of tens of megabytes are planned; `None` for the emulator only.
        include_all_creations: whether every valid request that creates something in the account is planned, such as a
            voice that can be deleted, instead of one lifecycle for each operation, and none for what an account may
            have few of (`x-resource.is_scarce`); `None` for the emulator only.
        include_webhooks: whether requests with a webhook URL are planned.
        fully_checked_providers: ids of the providers of which every operation is called; `None` for those whose speech
            targets are all among `targets`.
        ids_without_price: targets, and operations that start jobs without audio, that are left out because nobody knows
            what a request to them costs: <provider>/<target or operation>.
        keyed_provider_ids: providers to which a key is sent although none is required: a wrong one should be rejected.
    """
    excluded = tuple(find_excluded_operations(targets, fully_checked_providers))
    modes = {"is_emulated": is_emulated, "include_all_billable_cases": include_all_billable_cases}
    items = _iterate_all_cases(targets, spoken_text, excluded, keyed_provider_ids, **modes)
    if include_webhooks:
        items = add_webhook_cases(items, {target.contract.id: target.contract for target in targets})
    partial = {contract.id for contract in find_partially_checked_contracts(targets, fully_checked_providers)}
    creates_all_resources = is_emulated if include_all_creations is None else include_all_creations
    addressed, skipped = _divide_cases(
        items, targets, partial, ids_without_price, creates_all_resources=creates_all_resources
    )
    allows_large_uploads = is_emulated if include_large_uploads is None else include_large_uploads
    cases: dict[str, ConformanceCase] = {}
    for case in addressed:
        if _is_included_in_plan(
            case, allows_large_uploads=allows_large_uploads, include_all_billable_cases=include_all_billable_cases
        ):
            cases.setdefault(case.id, case)  # the targets of an operation give some cases of it more than once
    plan = CasePlan(
        cases=tuple(order_cases(cases.values(), max_billable_requests)),
        skipped_cases=tuple(skipped.values()),
        max_billable_requests=max_billable_requests,
        excluded_operations=excluded,
    )
    return _add_targets_without_delivery(plan, targets, cases.values(), ids_without_price)


def _divide_cases(
    items: Iterable[ConformanceCase | SkippedCase],
    targets: Sequence[BaseTarget],
    partly_checked_providers: Collection[str],
    ids_without_price: Collection[str],
    *,
    creates_all_resources: bool,
) -> tuple[list[ConformanceCase], dict[str, SkippedCase]]:
    """Return the cases that may be sent, and by id the skipped cases; cases of other targets are in neither."""
    chosen = {target.id for target in targets}
    speaking = {target.id for target in targets if not isinstance(target, TranscriptionSocketTarget)}
    contracts = {target.contract.id: target.contract for target in targets}
    cases: list[ConformanceCase] = []
    skipped: dict[str, SkippedCase] = {}
    for item in items:
        if isinstance(item, SkippedCase):
            skipped.setdefault(item.id, item)
            continue
        target_id = None if item.target_name is None else f"{item.provider}/{item.target_name}"
        is_of_other_target = target_id is not None and target_id not in chosen
        if item.provider in partly_checked_providers and (
            is_of_other_target or _addresses_unselected_target(item, targets)
        ):
            continue  # such as a documented request to another target of the operation, or a value that selects it
        name = target_id or f"{item.provider}/{item.operation}"
        if name in ids_without_price:
            if name not in speaking:  # the chosen ones that speak are named with what else is left out
                unpriced = f"no document states its price in dollars: set it with --price {name}=USD"
                skipped[name] = SkippedCase(id=name, skip_reason=unpriced)
        elif not creates_all_resources and (reason := _explain_avoided_creation(item, contracts)) is not None:
            skipped[item.id] = SkippedCase(id=item.id, skip_reason=reason)
        else:
            cases.append(item)
    return cases, skipped


def _is_included_in_plan(
    case: ConformanceCase, *, allows_large_uploads: bool, include_all_billable_cases: bool
) -> bool:
    """Whether a case is among those that the user asks for, by what it costs and how much it uploads."""
    if (
        not allows_large_uploads
        and case.upload_padding is not None
        and case.upload_padding.size_bytes > LARGE_UPLOAD_BYTES
    ):
        return False
    is_free = not case.is_billable
    return include_all_billable_cases or is_free or case.speech_request is not None or case.is_in_every_plan


def _explain_avoided_creation(case: ConformanceCase, contracts: Mapping[str, Contract]) -> str | None:
    """Return why a case is not sent that creates something in the account; `None` if it is sent."""
    operation = contracts[case.provider].find_operation(case.operation)
    resource = operation.resource
    if resource is None or case.expected_response.acceptance == "rejected":
        return None
    if resource.is_scarce:
        return f"an account may have few of what it creates ({resource.display_name}): --full sends it"
    is_lifecycle = case.expected_response.contract_pointer == build_resource_pointer(operation)
    if is_lifecycle or resource.deletion is None:  # what stays in the account is announced
        return None
    return f"it creates a further {resource.display_name} in the account: --full sends it"


def _add_targets_without_delivery(
    plan: CasePlan,
    targets: Sequence[BaseTarget],
    all_cases: Collection[ConformanceCase],
    ids_without_price: Collection[str],
) -> CasePlan:
    """Return a copy of `plan` that lists the targets without a delivery, and says why some are left out.

    Args:
        plan: the plan.
        targets: the targets that it checks.
        all_cases: the cases of the plan, and those beyond its limit.
        ids_without_price: ids of the targets that are left out because nobody knows what a request to them costs.
    """
    speaking = list_speaking_targets(all_cases)
    delivering = list_targets_with_delivery(plan.cases, speaking)
    deliverable = list_targets_with_delivery(all_cases, speaking)
    # A target that takes audio has no delivery: its requests without a price are among the cases that are not sent.
    unpriced_target_ids = {
        one.id for one in targets if one.id in ids_without_price and not isinstance(one, TranscriptionSocketTarget)
    }
    # Targets that take audio over HTTP are not among `targets`, but have cases.
    names = dict.fromkeys([*(one.id for one in targets), *deliverable])
    reasons = {
        name: "no document states its price in dollars: set it with --price NAME=USD"
        if name in unpriced_target_ids
        else f"its delivery is beyond --max-calls {plan.max_billable_requests}"
        for name in names
        if delivering and name not in delivering and (name in deliverable or name in unpriced_target_ids)
    }
    without = (
        one.id for one in targets if _is_http_speech_target(one) and one.id not in delivering and one.id not in reasons
    )
    return msgspec.structs.replace(
        plan,
        targets_without_delivery=tuple(without),
        left_out_reason_by_target=reasons,
    )


def list_speaking_targets(cases: Iterable[ConformanceCase]) -> set[str]:
    """Return the ids of the targets of which `cases` include a delivery of speech over HTTP."""
    return {f"{case.provider}/{case.target_name}" for case in cases if case.speech_request is not None}


def list_targets_with_delivery(
    cases: Iterable[ConformanceCase], speaking_target_ids: Collection[str]
) -> dict[str, None]:
    """Return the ids of the targets with a delivery in `cases`, in their order.

    A target that speaks over HTTP has a delivery of speech; any other, which takes audio or uses WebSockets, has a
    request that should be accepted.

    Args:
        cases: the cases.
        speaking_target_ids: ids of the targets that speak over HTTP.
    """
    names: dict[str, None] = {}
    for case in cases:
        name = f"{case.provider}/{case.target_name}"
        is_accepted = case.target_name is not None and case.expected_response.acceptance == "accepted"
        if case.speech_request is not None or (is_accepted and name not in speaking_target_ids):
            names[name] = None
    return names


def _is_http_speech_target(target: BaseTarget) -> TypeGuard[Target]:
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
    """Yield the cases of all targets and operations, not ordered yet; some ids occur more than once."""
    planned: set[tuple[str, str]] = set()
    planned_branches: set[str] = set()
    for target in targets:
        if isinstance(target, SocketTarget):
            yield from plan_socket_cases(
                target, is_emulated=is_emulated, include_all_billable_cases=include_all_billable_cases
            )
        elif isinstance(target, TranscriptionSocketTarget):
            yield from plan_transcription_cases(target, include_all_billable_cases=include_all_billable_cases)
    speaking = [target for target in targets if _is_http_speech_target(target)]
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
    """Yield the cases of operations without speech targets, except `excluded_operations`; see `plan_cases`."""
    # Reversed, so that the first of several chosen targets of an operation is left in the dictionary.
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
    """Yield the first upload to an operation with a model that does not exist and, if keys are optional, a wrong key.

    Yield nothing if none of the cases is an upload that is in every plan.

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
    yield from branch_cases  # planned above, because a field whose list they test needs no unknown model
    upload = target.speech.request_fields.get("voice_sample_upload")
    if upload is not None and "voice_sample_upload" in target.target_spec.required_fields:
        # The ids of upload cases name the operation, so the plan keeps those of the first target with an upload.
        yield from plan_upload_cases(
            operation, request, upload.location.pointer_tokens[0], target.name, is_emulated=is_emulated
        )
    plain = build_delivery_case(target, speech, "a full delivery")
    yield plain
    if include_all_billable_cases:
        yield from plan_compared_deliveries(target, speech, plain.id, includes_companion=is_first_target_of_operation)
    if is_emulated:
        yield from plan_failing_deliveries(target, speech)


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
    batch = set_body_value(
        request, items.pointer_tokens, [items.get_inner_location("0").read_body(request.body)] * BATCH_ITEM_COUNT
    )
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
            requests: list[tuple[Target, RequestParts]] = []
            for target in of_operation:
                # `_iterate_target_cases` reports a target without a valid request as skipped.
                with contextlib.suppress(UsageError, OSError):
                    request = map_speech_request(target, build_valid_speech_request(target, text=spoken_text))
                    requests.append((target, request))
            planned[key] = tuple(plan_combination_cases(requests)) if requests else ()
        yield from planned[key]


_COMBINATION_CASES_BY_OPERATION: WeakKeyDictionary[Operation, dict[tuple[str, ...], tuple[ConformanceCase, ...]]] = (
    WeakKeyDictionary()
)
"""A cache: the planned combination cases of each operation, by target names and text. Planning them takes long."""
