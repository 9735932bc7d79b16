"""Finds rules that report a violation at an operation to which they do not apply by `is_rule_applicable`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from voicegauge.rules.call import CheckSubject
from voicegauge.rules.registry import Rule, Violation, is_rule_applicable

_BASIS_OF_EVERY_OPERATION = "responses"


def watch_applicability(rules: Mapping[str, Rule], misplaced: set[str]) -> dict[str, Rule]:
    """Return `rules`, which add violations where they do not apply to `misplaced`: "<rule> at <provider>/<operation>".

    A check leaves out the rules that do not apply, so there must be no such violation. The returned rules apply
    everywhere.
    """
    return {
        name: replace(rule, check=_watch(rule, misplaced), contract_condition=_BASIS_OF_EVERY_OPERATION)
        for name, rule in rules.items()
    }


def _watch(rule: Rule, misplaced: set[str]) -> Callable[[Any], Iterator[Violation]]:
    def check(subject: CheckSubject) -> Iterator[Violation]:
        for violation in rule.check(subject):
            operation = subject.operation
            if not is_rule_applicable(rule, operation):
                misplaced.add(f"{rule.id} at {operation.contract.id}/{operation.id}")
            yield violation

    return check
