"""Learning from recordings which values are a provider's and which belong to one call alone.

An id, a time, a signed URL, a counter changes from call to call, so it says nothing of the
API. Nothing is known beforehand of fields: what each of them is shows in its values.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from voicegauge.drift.traffic.reading.flatten import JsonScalar
from voicegauge.recording import MASK

CaseKey = tuple[str, ...]
"""Tells calls of one recording apart; the repetition of a call in the other one has the same."""
ValuesByCase = Mapping[CaseKey, frozenset[JsonScalar]]
"""What one field held in each call."""

_EPOCH = (1_000_000_000, 5_000_000_000)
"""Seconds since 1970 from 2001 to 2128."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} ")


class ValueDifference(NamedTuple):
    """How the values of one field changed."""

    gone: tuple[JsonScalar, ...]
    new: tuple[JsonScalar, ...]


def parts(value: JsonScalar) -> Iterator[tuple[str, JsonScalar]]:
    """A value as the parts that may be stable on their own: ("", value), or those of a URL by name."""
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        yield "", value
        return
    try:
        url = urlsplit(value)
    except ValueError:
        yield "", value
        return
    yield " (scheme and host)", f"{url.scheme}://{url.netloc}"
    segments = url.path.split("/")[1:]
    yield " (segments of the path)", len(segments)
    for index, segment in enumerate(segments):
        yield f" (segment {index + 1} of the path)", segment
    ending = segments[-1].rpartition(".")[2] if segments and "." in segments[-1] else ""
    yield " (ending of the path)", ending
    yield " (parameters)", ", ".join(name for name, _ in parse_qsl(url.query, keep_blank_values=True))


def compare_values(
    old: ValuesByCase, new: ValuesByCase, *, known: frozenset[JsonScalar] = frozenset()
) -> ValueDifference | None:
    """What changed in a field; `None` where nothing did, or where its values belong to single calls.

    The values count as the provider's where most calls give again what they gave before, or
    where calls of one recording share them. `known` are values that a document prints: they
    are the provider's even if one call alone shows them.
    """
    old, new = _without_masked(old, new)
    shared = old.keys() & new.keys()
    differing = [case for case in shared if old[case] != new[case]]
    if not differing or _is_volatile(old) or _is_volatile(new):
        return None
    before = frozenset().union(*old.values())
    after = frozenset().union(*new.values())
    if len(differing) <= len(shared) / 2 and len(shared) > 1:
        before = frozenset().union(*(old[case] for case in differing))
        after = frozenset().union(*(new[case] for case in differing))
    elif not (_are_shared(old, before) and _are_shared(new, after)) and not before & known:
        return None
    gone, added = before - after, after - before
    if _are_times(gone | added):
        return None
    return ValueDifference(_sorted(gone), _sorted(added)) if gone or added else None


def _without_masked(old: ValuesByCase, new: ValuesByCase) -> tuple[ValuesByCase, ValuesByCase]:
    """Both without the calls in which either was masked: what stands there is not the provider's any more."""
    masked = {case for side in (old, new) for case, values in side.items() if any(map(_is_masked, values))}
    kept = [{case: values for case, values in side.items() if case not in masked} for side in (old, new)]
    return kept[0], kept[1]


def _is_masked(value: JsonScalar) -> bool:
    return isinstance(value, str) and MASK in value


def _is_volatile(observed: ValuesByCase) -> bool:
    """Whether one call gave several values, or calls count."""
    if any(len(values) > 1 for values in observed.values()):
        return True
    numbers = [value for values in observed.values() for value in values]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers)
    return numeric and len(numbers) > 1 and len(set(numbers)) == len(numbers) and _is_monotonous(numbers)


def _is_monotonous(numbers: list[JsonScalar]) -> bool:
    steps = {float(b or 0) > float(a or 0) for a, b in pairwise(numbers)}
    return len(steps) == 1


def _are_shared(observed: ValuesByCase, values: frozenset[JsonScalar]) -> bool:
    """Whether calls have values in common; of numbers all must be one, since durations and counts meet by chance."""
    if len(observed) < 2:
        return False
    if any(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return len(values) == 1
    counts = Counter(value for held in observed.values() for value in held)
    return sum(count > 1 for count in counts.values()) >= len(counts) / 2


def compare_word_lists(old: ValuesByCase, new: ValuesByCase) -> ValueDifference | None:
    """What changed in lists of words; `None` where nothing did, or where they have too little in common."""
    before: frozenset[JsonScalar] = frozenset().union(*(old[case] for case in old.keys() & new.keys()))
    after: frozenset[JsonScalar] = frozenset().union(*(new[case] for case in old.keys() & new.keys()))
    before, after = (frozenset(value for value in side if not _is_masked(value)) for side in (before, after))
    if before == after or len(before & after) < len(before | after) / 2:
        return None
    return ValueDifference(_sorted(before - after), _sorted(after - before))


def _are_times(values: frozenset[JsonScalar]) -> bool:
    """Whether all of them are times: in one second several calls may have the same."""
    return all(_is_time(value) for value in values)


def _is_time(value: JsonScalar) -> bool:
    if isinstance(value, str):
        if _DATE.match(value) is None:
            return False
        try:
            dt.datetime.fromisoformat(value)
        except ValueError:
            return value.endswith("GMT")
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return any(low <= value <= high for low, high in (_EPOCH, (_EPOCH[0] * 1000, _EPOCH[1] * 1000)))


def _sorted(values: frozenset[JsonScalar]) -> tuple[JsonScalar, ...]:
    return tuple(sorted(values, key=lambda value: (str(type(value)), str(value))))
