"""Generated documentation is current, and the output of commands is valid by the published schemas."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from voicegauge.bench.comparison import MetricComparison
from voicegauge.bench.cost import PriceFunction
from voicegauge.bench.estimates import BoundEstimates
from voicegauge.bench.target_summaries import TargetSummary
from voicegauge.cli import run
from voicegauge.model.price import PlanClaim, PriceClaim, PricePart
from voicegauge.model.run import RampResult, TimingError

ROOT = Path(__file__).resolve().parents[3]


def test_generated_files_are_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        (["providers"], "providers"),
        (["rules"], "rules"),
        (["check", "pixelapi"], "check"),
    ],
)
def test_output_is_valid_by_its_schema(arguments: list[str], schema: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--json", "-"]) == 0
    published = json.loads((ROOT / "docs" / f"{schema}.schema.json").read_text())
    jsonschema_rs.validate(published, json.loads(capsys.readouterr().out))


def test_every_figure_of_a_benchmark_is_defined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    generate = importlib.import_module("generate")
    undefined = [f"{record}.{name}" for record, name, meaning in generate.list_figures() if not meaning]
    assert not undefined, "write a docstring that says what the number is"

    def find_records(annotation: Any) -> Iterator[type[msgspec.Struct]]:
        if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
            yield annotation
        for inner in typing.get_args(annotation):
            yield from find_records(inner)

    found, pending = set[type[msgspec.Struct]](), [TargetSummary, RampResult, TimingError, MetricComparison]
    while pending:
        record = pending.pop()
        if record in found:
            continue
        found.add(record)
        pending += [inner for field in msgspec.structs.fields(record) for inner in find_records(field.type)]
    inputs = {PriceFunction, PriceClaim, PlanClaim, PricePart, BoundEstimates}  # of a price; and two estimates
    for record in found - inputs:
        has_figures = any(generate.is_figure(field.type) for field in msgspec.structs.fields(record))
        assert not has_figures or record in generate.FIGURE_RECORDS, record
