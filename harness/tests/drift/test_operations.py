from __future__ import annotations

import pytest

from ..builders.documents import edited
from .documents import Drift
from .operation_edits import BASE, OPERATION_EDITS, OperationEdit


@pytest.mark.parametrize(
    ("edit", "undone"),
    [
        pytest.param(edit, undone, marks=pytest.mark.slow if number % 3 else (), id="+".join(edit.rules))
        for number, (edit, undone) in enumerate(OPERATION_EDITS)
    ],
)
def test_a_change_of_an_operation_has_its_rule(drift: Drift, edit: OperationEdit, undone: bool) -> None:
    old, new = BASE, edited(BASE, *edit.edits)
    report = drift(new, old) if undone else drift(old, new)
    assert {found.rule: found.level.value for found in report.changes} == edit.rules
    assert len(report.changes) == len(edit.rules)
    assert {found.operation for found in report.changes} == ({edit.where} if edit.rules else set())
