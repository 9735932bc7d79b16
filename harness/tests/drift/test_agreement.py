"""A sample of the pairs with which `benchmarks/drift_agreement` compares voicegauge and oasdiff."""

from __future__ import annotations

from pathlib import Path

import pytest
from drift_agreement.comparison import (
    RuleAndLevel,
    build_pairs,
    find_reason,
    list_changes,
    read_designed_differences,
    read_oasdiff_rules,
    write_pair,
)
from drift_agreement.equivalent_pairs import build_equivalent_pairs
from drift_agreement.pair import DocumentPair

RULES = read_oasdiff_rules()
REASONS = read_designed_differences()


@pytest.mark.parametrize("pair", build_pairs(list(RULES))[::8], ids=lambda pair: pair.rule)
def test_a_pair_shows_the_rule_of_oasdiff_unless_it_differs_by_design(tmp_path: Path, pair: DocumentPair) -> None:
    reported = list_changes(*write_pair(pair, tmp_path, 0))
    differs = find_reason(pair.rule, REASONS) is not None
    assert (RuleAndLevel(pair.rule, RULES[pair.rule]) in reported) is not differs


def test_pairs_that_mean_the_same_have_no_change(tmp_path: Path) -> None:
    for pair in build_equivalent_pairs():
        assert list_changes(*write_pair(pair, tmp_path, 0)) == set()
