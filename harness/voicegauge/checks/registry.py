"""Rules: each one registers itself with an id, a severity and what it proves.

    @rule("empty-body", on=Call, proves="...", basis="...")
    def _empty_body(call: Call) -> Iterator[Problem]:
        ...

A rule looks at one kind of subject and yields the problems it sees. It knows
nothing of findings, disputes or masks: `voicegauge.checks.judging` makes findings of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.model import Exchange, Severity

S = TypeVar("S")
_ID = re.compile(r"^[a-z]+(-[a-z]+)*$")


class Violation(NamedTuple):
    """What a rule saw."""

    message: str
    """One sentence: what was expected and what was seen."""
    contract_pointer: str
    """JSON pointer into the contract, at the statement that was broken."""
    pointer: str | None = None
    """JSON pointer into the body, at the value that breaks it."""
    evidence: str | None = None
    """The piece of traffic that shows it; shortened and masked later."""
    exchange: Exchange | None = None
    """The exchange that shows it, where the subject has several."""


@dataclass(frozen=True)
class Rule:
    """A registered rule."""

    id: str
    severity: Severity
    proves: str
    """One sentence: what holds where the rule finds nothing."""
    basis: str
    """The kind of statement in a contract that it rests on."""
    subject: type[Any]
    check: Callable[[Any], Iterator[Violation]]


RULES: dict[str, Rule] = {}
"""Every rule by its id."""


def rule(
    rule_id: str, *, on: type[S], proves: str, basis: str, severity: Severity = Severity.ERROR
) -> Callable[[Callable[[S], Iterator[Violation]]], Callable[[S], Iterator[Violation]]]:
    """Register the decorated function as the rule `rule_id` over subjects of the type `on`."""

    def register(check: Callable[[S], Iterator[Violation]]) -> Callable[[S], Iterator[Violation]]:
        assert _ID.match(rule_id), f"{rule_id!r} is not kebab-case"
        assert rule_id not in RULES, f"rule {rule_id!r} is registered twice"
        RULES[rule_id] = Rule(rule_id, severity, proves, basis, on, check)
        return check

    return register


def select_rules(
    select: tuple[str, ...] = (), ignore: tuple[str, ...] = (), severities: Mapping[str, Severity] | None = None
) -> dict[str, Rule]:
    """The rules named in `select` (all of them for none) without those in `ignore`.

    Args:
        select: ids.
        ignore: ids.
        severities: by id, for rules that weigh more or less than they say themselves.

    Raises:
        UnknownNameError: a name is no rule; says the nearest.
        UsageError: no rule is left, so that nothing could ever be found.
    """
    graded = severities or {}
    for name in (*select, *ignore, *graded):
        if name not in RULES:
            raise UnknownNameError("rule", name, RULES)
    chosen = [name for name in RULES if (not select or name in select) and name not in ignore]
    if not chosen:
        raise UsageError("--select and --ignore leave no rule: nothing could be found")
    return {name: replace(RULES[name], severity=graded.get(name, RULES[name].severity)) for name in chosen}
