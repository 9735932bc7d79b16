"""The rule over lists: a filter filters."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.checks.calls import Call
from voicegauge.checks.registry import Problem, rule
from voicegauge.contract import MISSING


@rule(
    "filter-ignored",
    on=Call,
    proves="A list that is asked for by a query parameter named like a field of its items holds only what fits.",
    basis="parameters",
)
def _filter_ignored(call: Call) -> Iterator[Problem]:
    if not call.ok or not isinstance(call.answer, dict):
        return
    lists = [(name, items) for name, items in call.answer.items() if isinstance(items, list)]
    for parameter in call.operation.parameters:
        wanted = call.asked(f"query.{parameter.name}") if parameter.place == "query" else MISSING
        if wanted is MISSING:
            continue
        for name, items in lists:
            shown = [item[parameter.name] for item in items if isinstance(item, dict) and parameter.name in item]
            wrong = next((value for value in shown if str(value) != wanted), None)
            if wrong is not None:
                message = f"asked for {parameter.name} {wanted!r:.80}, an item has {wrong!r:.80}"
                yield Problem(message, parameter.pointer, f"/{name}")
