"""The registry of rules.

Each rule is a function that registers itself:

    @register_rule("empty-body", subject_class=Call, description="...", contract_condition="...")
    def _check_empty_body(call: Call) -> Iterator[Violation]:
        ...

A rule is applied to one class of subjects and yields violations. Severity, disputes and masking are added by
`voicegauge.checks.checker`, which turns violations into findings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.model import Exchange, Severity

SubjectT = TypeVar("SubjectT")
_RULE_ID_PATTERN = re.compile(r"^[a-z]+(-[a-z]+)*$")


class Violation(NamedTuple):
    """A violation of the contract, as a rule reports it."""

    message: str
    """What the contract expects and what the provider did instead, in one sentence."""
    contract_pointer: str
    """JSON pointer to the part of the contract that is violated."""
    value_pointer: str | None = None
    """JSON pointer to the wrong value in the body; `None` if the violation is not about one value."""
    evidence: str | None = None
    """An excerpt of the exchange that shows the violation, or `None`; the checker shortens and masks it."""
    exchange: Exchange | None = None
    """The exchange that shows the violation; `None` if it is `CheckSubject.exchange` of the subject."""
    cause_rule_id: str | None = None
    """Id of another rule whose violation, by the same subject, causes this violation; `None` without such a cause."""


@dataclass(frozen=True)
class Rule:
    """A registered rule."""

    id: str
    severity: Severity
    description: str
    """A sentence that states what the rule requires."""
    contract_condition: str
    """What a contract must state so that the rule can find a violation: "x-job.charged and x-pricing, x-stream".
    Commas separate alternatives. " and " joins the statements of one alternative."""
    subject_class: type[Any]
    check: Callable[[Any], Iterator[Violation]]


RULE_BY_ID: dict[str, Rule] = {}
"""All rules by id."""


def register_rule(
    rule_id: str,
    *,
    subject_class: type[SubjectT],
    description: str,
    contract_condition: str,
    severity: Severity = Severity.ERROR,
) -> Callable[[Callable[[SubjectT], Iterator[Violation]]], Callable[[SubjectT], Iterator[Violation]]]:
    """Register the decorated function as a rule.

    Args:
        rule_id: the id of the rule, in kebab-case.
        subject_class: the class of the subjects that the rule is applied to.
        description: a sentence that states what the rule requires.
        contract_condition: what a contract must state so that the rule can find a violation (see
            `Rule.contract_condition`).
        severity: the severity of the rule's findings.
    """

    def register_check(
        check_function: Callable[[SubjectT], Iterator[Violation]],
    ) -> Callable[[SubjectT], Iterator[Violation]]:
        assert _RULE_ID_PATTERN.match(rule_id), f"{rule_id!r} is not kebab-case"
        assert rule_id not in RULE_BY_ID, f"rule {rule_id!r} is registered twice"
        RULE_BY_ID[rule_id] = Rule(rule_id, severity, description, contract_condition, subject_class, check_function)
        return check_function

    return register_check


def select_rules(
    selected_ids: tuple[str, ...] = (),
    ignored_ids: tuple[str, ...] = (),
    severity_by_rule_id: Mapping[str, Severity] | None = None,
) -> dict[str, Rule]:
    """Return the selected rules by id.

    Args:
        selected_ids: ids of the rules to select; empty for all rules.
        ignored_ids: ids of the rules to remove from the selection.
        severity_by_rule_id: severities that replace those of the selected rules, by rule id.

    Raises:
        UnknownNameError: a given id is not the id of a rule; the message suggests the most similar one.
        UsageError: no rule is left.
    """
    overrides = severity_by_rule_id or {}
    for name in (*selected_ids, *ignored_ids, *overrides):
        if name not in RULE_BY_ID:
            raise UnknownNameError("rule", name, RULE_BY_ID, listing_command="voicegauge rules")
    chosen = [name for name in RULE_BY_ID if (not selected_ids or name in selected_ids) and name not in ignored_ids]
    if not chosen:
        raise UsageError("--select and --ignore leave no rule: select at least one")
    return {name: replace(RULE_BY_ID[name], severity=overrides.get(name, RULE_BY_ID[name].severity)) for name in chosen}
