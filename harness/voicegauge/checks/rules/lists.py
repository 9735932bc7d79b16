"""The rule over lists: a filter filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.checks.registry import Violation, rule
from voicegauge.checks.subjects import Call
from voicegauge.contract import MISSING
from voicegauge.formats import Location


@rule(
    "filter-ignored",
    on=Call,
    proves="A list that is asked for by a query parameter named like a field of its items holds only what fits.",
    basis="parameters",
)
def _filter_ignored(call: Call) -> Iterator[Violation]:
    if not call.ok or not isinstance(call.response_json, dict):
        return
    lists = [(name, items) for name, items in call.response_json.items() if isinstance(items, list)]
    for parameter in call.operation.parameters:
        wanted = call.read_request(Location("query", parameter.name)) if parameter.location == "query" else MISSING
        if wanted is MISSING:
            continue
        for name, items in lists:
            shown = [item[parameter.name] for item in items if isinstance(item, dict) and parameter.name in item]
            wrong = [value for value in shown if not _means(value, wanted)]
            if wrong:
                message = f"asked for {parameter.name} {wanted!r:.80}, an item has {wrong[0]!r:.80}"
                yield Violation(message, parameter.pointer, f"/{name}")


def _means(value: Any, wanted: str) -> bool:
    """Whether a value of an item is the one that stands in a query; of several, one is enough."""
    if isinstance(value, list):
        return any(_means(one, wanted) for one in value)
    if isinstance(value, bool):
        return wanted.lower() in (("true", "1") if value else ("false", "0"))
    return str(value) == wanted
