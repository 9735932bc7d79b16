from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.contract.loading import load_catalogue
from voicegauge.drift.document_comparison import compare_inputs

from . import extension_base, operation_edits
from .documents import Drift
from .rewrites import REWRITES

CONTRACTS = {contract.id: contract.document for contract in load_catalogue()}
DOCUMENTS: dict[str, dict[str, Any]] = {
    **{name: document.data for name, document in CONTRACTS.items()},
    "base document of the operation rules": operation_edits.BASE,
    "base document of the extension rules": extension_base.BASE,
}
FEW_CONTRACTS = {"cartesia", "pixazo", "ttsai"}
VARIED_CONTRACTS = {"pixazo"}
"""Contracts with several operations, jobs and schemas. The others are rewritten in slow tests, and at random below."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FEW_CONTRACTS else pytest.mark.slow) for name in CONTRACTS]
)
def test_a_contract_compared_with_itself_has_no_changes(name: str) -> None:
    assert compare_inputs(name, str(CONTRACTS[name].path)).changes == ()


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name not in CONTRACTS or name in VARIED_CONTRACTS else pytest.mark.slow)
        for name in DOCUMENTS
    ],
)
def test_an_equivalent_spelling_is_not_a_change(drift: Drift, name: str, rewrite: str) -> None:
    document = DOCUMENTS[name]
    assert drift(document, REWRITES[rewrite](document, Random(1))).changes == ()


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(
    name=st.sampled_from(sorted(DOCUMENTS)),
    rewrites=st.lists(st.sampled_from(sorted(REWRITES)), min_size=2, max_size=4, unique=True),
    random=st.randoms(use_true_random=False),
    back=st.booleans(),
)
def test_several_equivalent_rewrites_are_not_a_change(
    drift: Drift, name: str, rewrites: list[str], random: Random, back: bool
) -> None:
    document = rewritten = DOCUMENTS[name]
    for rewrite in rewrites:
        rewritten = REWRITES[rewrite](rewritten, random)
    old, new = (rewritten, document) if back else (document, rewritten)
    assert drift(old, new).changes == ()
