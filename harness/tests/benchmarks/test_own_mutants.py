"""Mutants of our own code: they are derived from every function, and take effect wherever it was imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
from own_mutants.areas import AREAS, TESTS
from own_mutants.derivation import Mutant, derive_mutants
from own_mutants.execution import Result, replace_code
from own_mutants.results import ResultFile, print_table

ROOT = Path(__file__).resolve().parents[3]
SOURCE = """\
from __future__ import annotations
import functools

@functools.cache
def twice(number: int) -> int:
    return number * 2

class Account:
    balance = 3

    @property
    def is_empty(self) -> bool:
        return self.balance == 0

    def add(self, amount: int = 1, *, times: int = 2) -> int:
        return self.balance + amount * times
"""


@pytest.fixture
def mutants(tmp_path: Path) -> list[Mutant]:
    (tmp_path / "account.py").write_text(SOURCE)
    return list(derive_mutants(tmp_path, "account.py"))


def load(tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("account", tmp_path / "account.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def changed(mutants: list[Mutant], after: str) -> Mutant:
    (found,) = [mutant for mutant in mutants if mutant.after == after]
    return found


def test_functions_with_decorators_and_defaults_have_mutants(mutants: list[Mutant]) -> None:
    assert [(mutant.function.name, mutant.lines, mutant.after) for mutant in mutants] == [
        ("twice", (6, 6), "return number / 2"),
        ("twice", (6, 6), "return number * 3"),
        ("Account.is_empty", (13, 13), "return self.balance != 0"),
        ("Account.is_empty", (13, 13), "return self.balance == 1"),
        ("Account.add", (15, 15), "def add(self, amount: int = 2, *, times: int = 2) -> int:"),
        ("Account.add", (15, 15), "def add(self, amount: int = 1, *, times: int = 3) -> int:"),
        ("Account.add", (16, 16), "return self.balance - amount * times"),
        ("Account.add", (16, 16), "return self.balance + amount / times"),
    ]
    assert len({mutant.key for mutant in mutants}) == len(mutants)


def test_a_mutant_takes_effect_behind_decorators(tmp_path: Path, mutants: list[Mutant]) -> None:
    account = load(tmp_path)
    twice, empty = account.twice, account.Account.is_empty
    replace_code(twice.__wrapped__, changed(mutants, "return number * 3"))
    assert twice(5) == 15
    replace_code(empty.fget, changed(mutants, "return self.balance != 0"))
    assert account.Account().is_empty is True


@pytest.mark.parametrize(
    ("after", "sums"),
    [
        ("def add(self, amount: int = 2, *, times: int = 2) -> int:", 7),
        ("def add(self, amount: int = 1, *, times: int = 3) -> int:", 6),
        ("return self.balance - amount * times", 1),
    ],
)
def test_a_mutant_has_its_own_defaults(tmp_path: Path, mutants: list[Mutant], after: str, sums: int) -> None:
    account = load(tmp_path)
    add = account.Account.add
    assert isinstance(add, FunctionType)
    replace_code(add, changed(mutants, after))
    assert account.Account().add() == sums


@pytest.mark.parametrize(
    ("survivor_count", "reason_count", "run_count", "exit_status"),
    [(0, 0, 20, 0), (2, 2, 20, 0), (2, 1, 20, 1), (1, 2, 20, 1), (3, 3, 20, 1), (0, 0, 19, 1)],
    ids=["all killed", "explained", "not explained", "a reason too many", "too many survivors", "not all run"],
)
def test_the_exit_status_is_0_only_if_all_are_run_and_the_survivors_are_few_and_explained(
    tmp_path: Path, survivor_count: int, reason_count: int, run_count: int, exit_status: int
) -> None:
    source = "".join(f"def count_{index}() -> int:\n    return {index}\n\n" for index in range(20))
    (tmp_path / "counts.py").write_text(source)
    mutants = list(derive_mutants(tmp_path, "counts.py"))
    results = ResultFile(tmp_path / "results.jsonl")
    for index, mutant in enumerate(mutants[:run_count]):
        results.add(Result(mutant, "survived" if index < survivor_count else "killed", None))
    names = [(f"counts.py {mutant.function.name}", mutant.before, mutant.after) for mutant in mutants[:reason_count]]
    saved = ResultFile(tmp_path / "results.jsonl")
    assert len(mutants) == 20
    assert print_table({"counts": ["counts.py"]}, mutants, saved, dict.fromkeys(names, "no one counts")) == exit_status


def test_every_chosen_module_and_test_exists() -> None:
    modules = [module for paths in AREAS.values() for module in paths]
    assert all((ROOT / path).exists() for path in (*modules, *TESTS))
    assert len(set(modules)) == len(modules)
