"""The order of a plan: free requests first, then the most informative ones.

Each further request is the one that tests most that is new: values that no earlier request had, then pairs of values.
Deliveries for the metamorphic rules are spread among them: each is the only request that shows its parameter ignored.
So a plan can be cut off anywhere (`--max-calls`).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence

from voicegauge.client import RequestParts
from voicegauge.conformance.cases.case import ConformanceCase
from voicegauge.model import UploadedFile

VALUE_WEIGHT = 8
"""A new value counts as much as this many new pairs: most faults need a single parameter (see `pairwise`)."""
PAIR_INTERVAL = 3
"""Billable single requests between two deliveries for metamorphic rules. A delivery shows one fault, a single request
shows several at the beginning of a plan and less than one after about ten of them."""
TEXT_LENGTH_STEP = 250
"""Characters by which two readable texts must differ to count as different values."""
FieldValue = tuple[str, str]
"""A field and its value, or that it was left out."""


def order_cases(cases: Iterable[ConformanceCase], max_calls: int | None = None) -> list[ConformanceCase]:
    """Return `cases` in the order in which they are sent.

    First requests that should be rejected, which are free; then one delivery of each target, which shows the complete
    response; single requests, each by what it adds to those before it, with one delivery per operation and parameter
    for metamorphic rules; other deliveries.

    Args:
        cases: in the order of the contract.
        max_calls: number of billable requests that are left in; all of them by default.
    """
    by_turn: dict[int, list[ConformanceCase]] = {turn: [] for turn in range(4)}
    delivered: set[tuple[str, str | None]] = set()
    for case in cases:
        by_turn[_turn(case, delivered)].append(case)
    pairs, rest = _first_pairs(by_turn[3])
    middle = _spread(pairs, _most_informative_first(by_turn[2]))
    ordered = [*by_turn[0], *by_turn[1], *middle, *rest]
    if max_calls is None:
        return ordered
    counts = itertools.accumulate(case.is_billable for case in ordered)
    return [case for case, count in zip(ordered, counts, strict=True) if not case.is_billable or count <= max_calls]


def _turn(case: ConformanceCase, delivered: set[tuple[str, str | None]]) -> int:
    """The part of the plan, from 0, that a case belongs to; `delivered` gets the targets that have had a delivery."""
    if case.expected.verdict == "rejected":
        return 0
    if case.speech is None:
        return 2
    is_first = (case.provider, case.target) not in delivered
    delivered.add((case.provider, case.target))
    return 1 if is_first else 3


def _first_pairs(deliveries: Sequence[ConformanceCase]) -> tuple[list[ConformanceCase], list[ConformanceCase]]:
    """Split `deliveries` into the first one for each operation and changed parameter, and the others.

    Other formats are left to the end: what a format changes in a response shows in single requests as well.
    """
    seen: set[tuple[str, str, str]] = set()
    first: list[ConformanceCase] = []
    rest: list[ConformanceCase] = []
    for case in deliveries:
        parameter = case.relation.parameter if case.relation is not None else "format"
        key = (case.provider, case.operation, parameter)
        (rest if parameter == "format" or key in seen else first).append(case)
        seen.add(key)
    return first, rest


def _spread(pairs: Sequence[ConformanceCase], singles: Sequence[ConformanceCase]) -> list[ConformanceCase]:
    """Return `singles` with one of `pairs` after every few billable ones, and the remaining pairs at the end."""
    waiting = iter(pairs)
    ordered = []
    billable = 0
    for case in singles:
        ordered.append(case)
        billable += case.is_billable
        if case.is_billable and billable % PAIR_INTERVAL == 0:
            ordered += itertools.islice(waiting, 1)
    return [*ordered, *waiting]


def _most_informative_first(cases: Sequence[ConformanceCase]) -> list[ConformanceCase]:
    """Order `cases` greedily by what each adds.

    The gain of a case can only fall as others are chosen. So an outdated gain is an upper bound, and a case whose
    updated gain is still the best of the heap can be taken without computing all others (lazy greedy).
    """
    names = _field_names(cases)
    values = [_field_values(case, names[case.provider, case.operation]) for case in cases]
    seen: set[object] = set()
    heap = [(-_gain(own, seen), index) for index, own in enumerate(values)]
    heapq.heapify(heap)
    ordered = []
    while heap:
        _, index = heapq.heappop(heap)
        gain = -_gain(values[index], seen)
        if heap and (gain, index) > heap[0]:
            heapq.heappush(heap, (gain, index))
            continue
        ordered.append(cases[index])
        seen.update(values[index])
        seen.update(itertools.combinations(values[index], 2))
    return ordered


def _gain(values: Sequence[FieldValue], seen: set[object]) -> int:
    """The weighted number of values and pairs of values that were not seen yet."""
    new_values = sum(value not in seen for value in values)
    return VALUE_WEIGHT * new_values + sum(pair not in seen for pair in itertools.combinations(values, 2))


def _field_names(cases: Sequence[ConformanceCase]) -> dict[tuple[str, str], list[str]]:
    """The names of all fields in the requests to each operation, by provider and operation."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for case in cases:
        names = found.setdefault((case.provider, case.operation), {})
        names.update(dict.fromkeys(_fields(case.request)))
    return {key: sorted(names) for key, names in found.items()}


def _fields(request: RequestParts | None) -> dict[str, object]:
    if request is None:
        return {}
    body = request.body if isinstance(request.body, dict) else {}
    return {"(type)": request.media_type, **request.query, **request.headers, **body}


def _field_values(case: ConformanceCase, names: Sequence[str]) -> list[FieldValue]:
    if case.expected.kind == "undocumented":
        # A single value that forms no pairs, so that requests with documented values come first.
        return [(case.operation, case.expected.description)]
    fields = _fields(case.request)
    return [(f"{case.operation}/{name}", _label(fields[name]) if name in fields else "left out") for name in names]


def _label(value: object) -> str:
    """A text that is equal for values that test the same."""
    if isinstance(value, UploadedFile):
        return f"{value.filename} of {len(value.data)} bytes"
    text = repr(value)
    # Two readable texts test the same unless one is much longer.
    length = len(text) // TEXT_LENGTH_STEP * TEXT_LENGTH_STEP
    return f"a text of {length} characters or more" if " " in text else text
