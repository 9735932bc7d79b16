from __future__ import annotations

import pytest

from .key_edits import BASE, KEY_EDITS, KeyEdit
from .made import Drift, edited, only


@pytest.mark.parametrize("edit", KEY_EDITS, ids=lambda edit: "+".join(edit.forth))
def test_a_change_of_a_key_has_its_rule(drift: Drift, edit: KeyEdit) -> None:
    changed = edited(BASE, edit.edit)
    for rules, report in ((edit.forth, drift(BASE, changed)), (edit.back, drift(changed, BASE))):
        found = only(report)
        assert {found.rule: found.level.value} == rules
        assert "x-" in found.at
        assert found.old.line > 1
        assert found.new.line > 1
