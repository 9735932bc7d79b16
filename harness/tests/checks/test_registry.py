from __future__ import annotations

import pytest

from voicegauge.errors import UnknownNameError
from voicegauge.rules.call import CheckSubject
from voicegauge.rules.registry import RULE_BY_ID, select_rules


def test_every_rule_has_a_description_and_a_basis() -> None:
    assert len(RULE_BY_ID) >= 30
    for rule in RULE_BY_ID.values():
        assert rule.description.endswith(".")
        assert rule.contract_condition
        assert issubclass(rule.subject_class, CheckSubject)


def test_rules_are_selected_and_ignored_by_name() -> None:
    assert set(select_rules(("job-stuck", "empty-body"), ("empty-body",))) == {"job-stuck"}
    assert "job-stuck" not in select_rules((), ("job-stuck",))


def test_an_unknown_rule_leads_to_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="did you mean job-stuck"):
        select_rules(("job-stuk",))
