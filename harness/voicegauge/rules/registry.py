"""Registers rules with everything that is known about them.

A rule is declared in one place. Its function registers itself, with what it requires, why that matters, and which fault
of the emulator shows it:

    @register_rule(
        "empty-body",
        subject_class=Call,
        description="A response with a documented body has a body.",
        contract_condition="responses/*/content",
        explanation=Explanation(consequence="...", conforming_example="...", violating_example="..."),
        shown_by=(FaultExample("empty-body"),),
    )
    def _check_empty_body(call: Call) -> Iterator[Violation]:
        ...

A rule is applied to one class of subjects and yields violations. Severity, disputes and masking are added by
`voicegauge.rules.checker`, which turns violations into findings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeVar

from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.model.base import Record, Severity
from voicegauge.model.exchange import Exchange

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
    is_warning: bool = False
    """Whether an error of the rule is a warning here, because no document says that the provider must do otherwise."""


class Explanation(Record, frozen=True, kw_only=True):
    """Why a rule matters, with an example that follows the rule and one that breaks it."""

    consequence: str
    """What goes wrong for a client if the rule is broken."""
    conforming_example: str
    """An example of traffic that follows the rule."""
    violating_example: str
    """An example of traffic that breaks the rule."""


FaultTraffic = Literal[
    "speech",
    "valid",
    "invalid",
    "authentication",
    "rejection-reason",
    "list",
    "lifecycle",
    "upload",
    "webhook",
    "socket",
    "timed-stream",
    "job-sequence",
]
"""The traffic in which a fault is seen.

Cases of a check: deliveries of speech; requests whose `ExpectedResponse.case_kind` has the same name; requests with
filters ("list"); lifecycles of resources and batches; uploads of audio; callbacks. Other traffic: connections that
break off, which only an emulator on a socket has; a stream that is received in real time; several jobs at once, or one
that is cancelled or polled late, as `--fuzz` tries them ("job-sequence").
"""


class FaultExample(Record, frozen=True):
    """A fault of the emulator that breaks a rule. A test checks that this rule finds it, and no unexpected one."""

    fault_id: str
    target_id: str | None = None
    """Id of a provider or target that has violations with the fault; `None` for the first that can have the fault."""
    found_in: FaultTraffic = "speech"
    also_found_by: tuple[str, ...] = ()
    """Ids of rules that may find the fault as well, because one mistake contradicts several statements."""


RuleNeed = Literal["request", "response", "headers"]
"""The part of an exchange that a rule cannot do without. Documented examples of requests have no response, and no
documented example has headers."""


@dataclass(frozen=True)
class Rule:
    """A registered rule."""

    id: str
    severity: Severity
    description: str
    """A sentence that states what the rule requires."""
    contract_condition: str
    """What a contract must state so that the rule can find a violation: "x-job.charge_location and x-pricing".
    Commas separate alternatives. " and " joins the statements of one alternative."""
    subject_class: type[Any]
    check: Callable[[Any], Iterator[Violation]]
    explanation: Explanation
    needs: RuleNeed
    shown_by: tuple[FaultExample, ...]
    """Faults of the emulator that break the rule, the one that shows it best first; empty if none does."""
    unshown_reason: str | None
    """Why no fault of the emulator breaks the rule, as a sentence; `None` if one does."""


RULE_BY_ID: dict[str, Rule] = {}
"""All rules by id."""


def register_rule(
    rule_id: str,
    *,
    subject_class: type[SubjectT],
    description: str,
    contract_condition: str,
    explanation: Explanation,
    needs: RuleNeed = "response",
    shown_by: tuple[FaultExample, ...] = (),
    unshown_reason: str | None = None,
    severity: Severity = Severity.ERROR,
) -> Callable[[Callable[[SubjectT], Iterator[Violation]]], Callable[[SubjectT], Iterator[Violation]]]:
    """Register the decorated function as a rule.

    Args:
        rule_id: the id of the rule, in kebab-case.
        subject_class: the class of the subjects that the rule is applied to.
        description: a sentence that states what the rule requires.
        contract_condition: what a contract must state so that the rule can find a violation (see
            `Rule.contract_condition`).
        explanation: why the rule matters, with examples.
        needs: the part of an exchange that the rule cannot do without.
        shown_by: the faults of the emulator that break the rule, the one that shows it best first.
        unshown_reason: why no fault breaks the rule, as a sentence. Either this or `shown_by` must be given.
        severity: the severity of the rule's findings.
    """

    def register_check(
        check_function: Callable[[SubjectT], Iterator[Violation]],
    ) -> Callable[[SubjectT], Iterator[Violation]]:
        assert _RULE_ID_PATTERN.match(rule_id), f"{rule_id!r} is not kebab-case"
        assert rule_id not in RULE_BY_ID, f"rule {rule_id!r} is registered twice"
        assert bool(shown_by) != bool(unshown_reason), f"rule {rule_id!r} needs a fault that shows it, or a reason"
        RULE_BY_ID[rule_id] = Rule(
            id=rule_id,
            severity=severity,
            description=description,
            contract_condition=contract_condition,
            subject_class=subject_class,
            check=check_function,
            explanation=explanation,
            needs=needs,
            shown_by=shown_by,
            unshown_reason=unshown_reason,
        )
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
