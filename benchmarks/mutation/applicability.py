"""Finds rules that report a violation at an operation to which they do not apply by `find_applicable_rules`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from voicegauge.checks import CheckSubject, Rule, Violation, find_applicable_rules


def watch_applicability(rules: Mapping[str, Rule], misplaced: set[str]) -> dict[str, Rule]:
    """Return `rules`, which add violations where they do not apply to `misplaced`: "<rule> at <provider>/<operation>".

    What a check says about its coverage counts only the rules that apply, so there must be no such violation.
    """
    return {name: replace(rule, check=_watch(rule, misplaced)) for name, rule in rules.items()}


def _watch(rule: Rule, misplaced: set[str]) -> Callable[[Any], Iterator[Violation]]:
    def check(subject: CheckSubject) -> Iterator[Violation]:
        for violation in rule.check(subject):
            operation = subject.operation
            if rule.id not in {one.id for one in find_applicable_rules(operation)}:
                misplaced.add(f"{rule.id} at {operation.contract.id}/{operation.id}")
            yield violation

    return check
