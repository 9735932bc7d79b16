"""The comparison of the throughput of two versions."""

from __future__ import annotations

import pkgutil

import pytest
from throughput.timed_worker import LEFT_OUT
from throughput.version_comparison import VARIANTS, GroupRatio, print_comparison


def group(kind: int, cases: int, before_s: float, **now_s: float) -> GroupRatio:
    seconds = {name: now_s.get(name.replace(" ", "_"), now_s["whole"]) for name in VARIANTS}
    return GroupRatio(kind=kind, cases=cases, before_s=before_s, now_s=seconds)


def test_throughput_is_weighted_by_the_number_of_cases(capsys: pytest.CaptureFixture[str]) -> None:
    groups = [group(0, 30, 100e-6, whole=100e-6), group(0, 10, 300e-6, whole=700e-6), group(1, 60, 1e-3, whole=5e-4)]
    print_comparison(["small", "large", "unused"], groups)
    rows = {line[:20].strip(): line[20:].split() for line in capsys.readouterr().out.splitlines()[2:]}
    assert rows["small"][:6] == ["40", "150", "µs", "250", "µs", "0.60"]
    assert rows["large"][:6] == ["60", "1,000", "µs", "500", "µs", "2.00"]
    assert rows["all"][:6] == ["100", "660", "µs", "400", "µs", "1.65"]
    assert "unused" not in rows


def test_each_variant_has_a_column_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(["small"], [group(0, 1, 100e-6, whole=200e-6, without_coverage=100e-6)])
    assert capsys.readouterr().out.splitlines()[2].split()[-4:] == ["0.50", "1.00", "0.50", "0.50"]


@pytest.mark.parametrize("function", [name for names in LEFT_OUT.values() for name in names])
def test_the_functions_that_are_left_out_exist(function: str) -> None:
    assert callable(pkgutil.resolve_name(function))
