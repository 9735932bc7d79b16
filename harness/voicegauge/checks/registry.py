"""The registry of rules.

Each rule is a function that registers itself:

    @rule("empty-body", on=Call, description="...", basis="...")
    def _empty_body(call: Call) -> Iterator[Violation]:
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
_RULE_ID = re.compile(r"^[a-z]+(-[a-z]+)*$")


class Violation(NamedTuple):
    """A violation of the contract, as a rule reports it."""

    message: str
    """What the contract expects and what the provider did instead, in one sentence."""
    contract_pointer: str
    """JSON pointer to the violated statement in the contract."""
    pointer: str | None = None
    """JSON pointer to the wrong value in the body; `None` if the violation is not about one value."""
    evidence: str | None = None
    """An excerpt of the exchange that shows the violation; the checker shortens and masks it."""
    exchange: Exchange | None = None
    """The exchange that shows the violation; `None` if it is the exchange of the subject."""


@dataclass(frozen=True)
class Rule:
    """A registered rule."""

    id: str
    severity: Severity
    description: str
    """A sentence that is true if the rule finds no violation."""
    basis: str
    """The parts of a contract without which the rule finds nothing: alternatives separated by commas, each with one or
    more parts joined by "and". `applicable_rules` reads them."""
    subject: type[Any]
    check: Callable[[Any], Iterator[Violation]]


RULES: dict[str, Rule] = {}
"""All rules by id."""


def rule(
    rule_id: str, *, on: type[SubjectT], description: str, basis: str, severity: Severity = Severity.ERROR
) -> Callable[[Callable[[SubjectT], Iterator[Violation]]], Callable[[SubjectT], Iterator[Violation]]]:
    """Register the decorated function as the rule `rule_id` for subjects of class `on`."""

    def register(check: Callable[[SubjectT], Iterator[Violation]]) -> Callable[[SubjectT], Iterator[Violation]]:
        assert _RULE_ID.match(rule_id), f"{rule_id!r} is not kebab-case"
        assert rule_id not in RULES, f"rule {rule_id!r} is registered twice"
        RULES[rule_id] = Rule(rule_id, severity, description, basis, on, check)
        return check

    return register


def select_rules(
    select: tuple[str, ...] = (), ignore: tuple[str, ...] = (), severities: Mapping[str, Severity] | None = None
) -> dict[str, Rule]:
    """Return the selected rules by id.

    Args:
        select: ids of the rules to select; empty for all rules.
        ignore: ids of the rules that are removed from the selection.
        severities: severities by rule id. They replace the severities of the selected rules.

    Raises:
        UnknownNameError: a given id is not the id of a rule; the message suggests the most similar one.
        UsageError: no rule is left.
    """
    overrides = severities or {}
    for name in (*select, *ignore, *overrides):
        if name not in RULES:
            raise UnknownNameError("rule", name, RULES)
    chosen = [name for name in RULES if (not select or name in select) and name not in ignore]
    if not chosen:
        raise UsageError("--select and --ignore leave no rule: select at least one")
    return {name: replace(RULES[name], severity=overrides.get(name, RULES[name].severity)) for name in chosen}
