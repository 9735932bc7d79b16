"""The order of a plan: what is free first, then what shows the most for its price.

Each further request is the one that shows most that is new: values that no earlier
one had, then pairs of values. So a plan can be cut anywhere (`--max-calls`).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence

from voicegauge.client import RequestParts
from voicegauge.conformance.cases.case import ConformanceCase
from voicegauge.model import UploadedFile

VALUE_WEIGHT = 8
"""A value that was not tried yet is worth so many pairs: most faults need one parameter (see `combining`)."""
Item = tuple[str, str]
"""A field and its value, or that it was left out."""


def ordered(cases: Iterable[ConformanceCase], max_calls: int | None = None) -> list[ConformanceCase]:
    """`cases` in the order they are sent.

    Refusals, which are free; one delivery of each target, which shows the whole of an
    answer; single requests, each by what it adds to those before it; other deliveries.

    Args:
        cases: in the order of the contract.
        max_calls: how many requests that may be paid are kept; all of them if left out.
    """
    by_turn: dict[int, list[ConformanceCase]] = {turn: [] for turn in range(4)}
    delivered: set[tuple[str, str | None]] = set()
    for case in cases:
        by_turn[_turn(case, delivered)].append(case)
    found = [*by_turn[0], *by_turn[1], *_by_worth(by_turn[2]), *by_turn[3]]
    if max_calls is None:
        return found
    paid = itertools.accumulate(case.is_billable for case in found)
    return [case for case, count in zip(found, paid, strict=True) if not case.is_billable or count <= max_calls]


def _turn(case: ConformanceCase, delivered: set[tuple[str, str | None]]) -> int:
    if case.expected.verdict == "rejected":
        return 0
    if case.speech is None:
        return 2
    first = (case.provider, case.target) not in delivered
    delivered.add((case.provider, case.target))
    return 1 if first else 3


def _by_worth(cases: Sequence[ConformanceCase]) -> list[ConformanceCase]:
    """Greedy, by what each request adds; what it is worth only falls, so few are weighed twice."""
    names = _names(cases)
    items = [_items(case, names[case.provider, case.operation]) for case in cases]
    seen: set[object] = set()
    waiting = [(-_worth(own, seen), index) for index, own in enumerate(items)]
    heapq.heapify(waiting)
    found = []
    while waiting:
        _, index = heapq.heappop(waiting)
        worth = -_worth(items[index], seen)
        if waiting and (worth, index) > waiting[0]:
            heapq.heappush(waiting, (worth, index))
            continue
        found.append(cases[index])
        seen.update(items[index])
        seen.update(itertools.combinations(items[index], 2))
    return found


def _worth(items: Sequence[Item], seen: set[object]) -> int:
    values = sum(item not in seen for item in items)
    return VALUE_WEIGHT * values + sum(pair not in seen for pair in itertools.combinations(items, 2))


def _names(cases: Sequence[ConformanceCase]) -> dict[tuple[str, str], list[str]]:
    """The fields that the requests to each operation have."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for case in cases:
        names = found.setdefault((case.provider, case.operation), {})
        names.update(dict.fromkeys(_fields(case.wire)))
    return {key: sorted(names) for key, names in found.items()}


def _fields(wire: RequestParts | None) -> dict[str, object]:
    if wire is None:
        return {}
    body = wire.body if isinstance(wire.body, dict) else {}
    return {"(type)": wire.media_type, **wire.query, **wire.headers, **body}


def _items(case: ConformanceCase, names: Sequence[str]) -> list[Item]:
    if case.expected.kind == "undocumented":
        return [(case.operation, case.expected.description)]  # one value and no pairs: documented ones come first
    fields = _fields(case.wire)
    return [(f"{case.operation}/{name}", _value(fields[name]) if name in fields else "left out") for name in names]


def _value(value: object) -> str:
    if isinstance(value, UploadedFile):
        return f"{value.filename} of {len(value.data)} bytes"
    text = repr(value)
    # One readable text shows what another does; its length may show more.
    return f"a text of {len(text) // 250 * 250} characters or more" if " " in text else text
