"""Edited contracts work in every command or are rejected with their place; the benchmark tries many more than these."""

from __future__ import annotations

import functools
import random
from pathlib import Path

import pytest
from contract_fuzzing.edits import edit_contract
from contract_fuzzing.fuzzing import Report, fuzz_contracts, judge_report
from contract_fuzzing.sources import ContractSource, collect_sources

FOLDER = Path("/tmp/edited")  # noqa: S108 - part of texts
REJECTION = "voicegauge: /tmp/edited/openapi.yaml:3: no\n"


@functools.cache
def get_sources() -> dict[str, ContractSource]:
    return {source.name: source for source in collect_sources()}


@pytest.mark.slow
def test_edited_contracts_work_or_are_rejected_with_file_and_line() -> None:
    for fuzzed in fuzz_contracts([get_sources()["docs-acme"], get_sources()["overlay-and-files"]], range(2)):
        assert fuzzed.outcome != "failed", fuzzed


@pytest.mark.slow
def test_a_contract_that_is_not_edited_works() -> None:
    (fuzzed,) = fuzz_contracts([get_sources()["docs-acme"]], [0], edit=lambda one, _random: (dict(one.files), []))
    assert (fuzzed.outcome, fuzzed.message, fuzzed.has_findings) == ("works", "", False)


def test_edits_are_many_and_repeatable() -> None:
    def describe(source: ContractSource, number: int) -> str:
        return " ".join(edit_contract(source, random.Random(number))[1])

    source = get_sources()["acme"]
    described = [describe(source, number) for number in range(200)]
    assert described == [describe(source, number) for number in range(200)]
    for kind in ("deleted", "retyped", "copied to", "item repeated", "renamed", "swapped", "to '"):
        assert any(kind in one for one in described), kind


@pytest.mark.parametrize(
    ("report", "outcome"),
    [
        (Report(results=[("check", 0, ""), ("drift", 1, "")]), "works"),
        (Report(results=[("check", 2, REJECTION), ("drift", 0, "")]), "rejected"),
        (Report(results=[("check", 2, REJECTION.replace(":3:", ":"))]), "failed"),
        (Report(results=[("check", 2, f"{REJECTION}Traceback\n")]), "failed"),
        (Report(results=[("check", 0, "Traceback (most recent call last):\n")]), "failed"),
        (Report(results=[("check", 3, REJECTION)]), "failed"),
        (Report(traceback="Traceback"), "failed"),
    ],
)
def test_only_a_rejection_with_file_and_line_is_one(report: Report, outcome: str) -> None:
    assert judge_report(report, FOLDER)[0] == outcome
