"""The faults that rules name, as parameters of tests."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from _pytest.mark import ParameterSet

from voicegauge.rules.registry import RULE_BY_ID, FaultExample, FaultTraffic, Rule


def list_fault_examples(
    *traffic: FaultTraffic, fault_id: str | None = None, fast_fault_ids: Collection[str] | None = None
) -> list[ParameterSet]:
    """Return a parameter set `rule, example` for each fault that a rule finds in such traffic, or for one fault.

    All but `fast_fault_ids` are slow tests, if these are given: each fault is a check of its own, and `checks/` shows
    what each rule finds.
    """
    found = [
        pytest.param(
            rule,
            example,
            id=f"{example.fault_id}-{rule.id}",
            marks=() if fast_fault_ids is None or example.fault_id in fast_fault_ids else pytest.mark.slow,
        )
        for rule in RULE_BY_ID.values()
        for example in rule.shown_by
        if example.found_in in traffic and fault_id in (None, example.fault_id)
    ]
    assert found, "a test without parameters would test nothing"
    unknown = {*(fast_fault_ids or ())} - {parameters.values[1].fault_id for parameters in found}
    assert not unknown, f"no rule has an example of {sorted(unknown)} in such traffic"
    return found


def list_rules_that_may_find(fault_id: str) -> set[str]:
    """Return the ids of all rules that find a fault in some traffic, and of those that may find it as well."""
    return {
        rule_id
        for rule in RULE_BY_ID.values()
        for example in rule.shown_by
        if example.fault_id == fault_id
        for rule_id in (rule.id, *example.also_found_by)
    }


def assert_found(rule: Rule, example: FaultExample, found_rule_ids: set[str]) -> None:
    """Assert that `rule` found the fault of `example`, and that no rule found it that does not name it."""
    assert rule.id in found_rule_ids
    assert found_rule_ids <= list_rules_that_may_find(example.fault_id)
