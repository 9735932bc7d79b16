from __future__ import annotations

from drift_agreement.comparison import read_oasdiff_rules

from voicegauge.drift.drift_report import DRIFT_RULE_BY_ID

from .extension_edits import EXTENSION_EDITS
from .operation_edits import OPERATION_EDITS
from .schema_edits import HOLDERS, POSITIONS, PROPERTY_EDITS, SCHEMA_EDITS, expected, is_sent
from .socket_edits import SOCKET_EDITS

CONTRACT_RULES = {rule.id for rule in DRIFT_RULE_BY_ID.values() if rule.comparison == "contracts"}


def proved() -> set[str]:
    """The rules that the pairs of the other modules show at work."""
    found = {expected(place, edit)[0] for edit in SCHEMA_EDITS for place in edit.places or POSITIONS}
    for kind, place in HOLDERS.items():
        fitting = [edit for edit in PROPERTY_EDITS if edit.sent is is_sent(place)]
        found |= {edit.rule.format(kind=kind, message=kind.partition("-")[0]) for edit in fitting}
    for edit, _ in (*OPERATION_EDITS, *SOCKET_EDITS):
        found |= edit.rules.keys()
    for extension_edit in EXTENSION_EDITS:
        found |= extension_edit.forth.keys() | extension_edit.back.keys()
    return found


def test_every_rule_has_an_example() -> None:
    assert proved() == CONTRACT_RULES


def test_rules_shared_with_oasdiff_have_its_level() -> None:
    shared = {rule: level for rule, level in read_oasdiff_rules().items() if rule in DRIFT_RULE_BY_ID}
    assert len(shared) > 450
    assert {rule: DRIFT_RULE_BY_ID[rule].level for rule in shared} == shared


def test_every_rule_has_a_one_sentence_description() -> None:
    for rule in DRIFT_RULE_BY_ID.values():
        assert rule.description[0].isupper()
        assert not rule.description.endswith(".")
        assert len(rule.description) > len("It is new")
