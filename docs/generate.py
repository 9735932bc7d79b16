"""Writes the generated parts of the documentation: JSON Schemas and README.md's help block.

`make docs` runs it; `python docs/generate.py --check` says what is stale and exits 1.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner

from voicegauge.bench.analysis.comparison import RunComparison
from voicegauge.bench.result import BenchPlanResult, BenchResult
from voicegauge.cli import cli
from voicegauge.cli.commands.asr import Recognisers
from voicegauge.cli.commands.convert import Conversion
from voicegauge.cli.commands.listen import Listened
from voicegauge.cli.commands.providers import Providers
from voicegauge.cli.commands.record import RecordResult
from voicegauge.cli.commands.rules import RuleList
from voicegauge.cli.commands.score import Scored
from voicegauge.conformance import CheckReport
from voicegauge.conformance import PricedPlan as PricedCheck
from voicegauge.contract.extension import json_schema
from voicegauge.drift import DriftReport
from voicegauge.model import Run
from voicegauge.report.gather import Report

ROOT = Path(__file__).resolve().parents[1]
HELP_BLOCK = re.compile(r"(<!-- help -->\n```text\n).*?(```\n<!-- /help -->)", re.DOTALL)


def record_schema(record: type[Any], title: str) -> dict[str, Any]:
    """The JSON Schema of a record that a command writes."""
    schema = msgspec.json.schema(record)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}


def as_json(schema: dict[str, Any]) -> str:
    """A schema as the text of its file."""
    return json.dumps(unindented(schema), indent=2, ensure_ascii=False) + "\n"


def unindented(schema: Any) -> Any:
    """`schema` with its descriptions free of a docstring's indentation, which Python itself takes away since 3.13."""
    if isinstance(schema, list):
        return [unindented(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else unindented(value)
        for key, value in schema.items()
    }


def readme() -> str:
    """README.md with the help of the command as it is now."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    help_text = CliRunner().invoke(cli, ["--help"], prog_name="voicegauge").output
    return HELP_BLOCK.sub(lambda found: found[1] + help_text + found[2], text)


DOCUMENTS: dict[str, Callable[[], str]] = {
    "docs/contract-extension.schema.json": lambda: as_json(json_schema()),
    "docs/check.schema.json": lambda: as_json(record_schema(CheckReport, "voicegauge check --json")),
    "docs/check-plan.schema.json": lambda: as_json(record_schema(PricedCheck, "voicegauge check --dry-run --json")),
    "docs/run.schema.json": lambda: as_json(record_schema(Run, "run.json of a run's folder")),
    "docs/bench.schema.json": lambda: as_json(record_schema(BenchResult, "voicegauge bench --json")),
    "docs/bench-plan.schema.json": lambda: as_json(record_schema(BenchPlanResult, "voicegauge bench --dry-run --json")),
    "docs/score.schema.json": lambda: as_json(record_schema(Scored, "voicegauge score --json")),
    "docs/asr.schema.json": lambda: as_json(record_schema(Recognisers, "voicegauge asr list --json")),
    "docs/compare.schema.json": lambda: as_json(record_schema(RunComparison, "voicegauge compare --json")),
    "docs/report.schema.json": lambda: as_json(record_schema(Report, "voicegauge report --json")),
    "docs/record.schema.json": lambda: as_json(record_schema(RecordResult, "voicegauge record --json")),
    "docs/convert.schema.json": lambda: as_json(record_schema(Conversion, "voicegauge convert --json")),
    "docs/providers.schema.json": lambda: as_json(record_schema(Providers, "voicegauge providers --json")),
    "docs/listen.schema.json": lambda: as_json(record_schema(Listened, "voicegauge listen --json")),
    "docs/drift.schema.json": lambda: as_json(record_schema(DriftReport, "voicegauge drift --json")),
    "docs/rules.schema.json": lambda: as_json(record_schema(RuleList, "voicegauge rules --json")),
    "README.md": readme,
}


def stale() -> list[str]:
    """The generated files that are not what they would be now."""
    return [
        name
        for name, make in DOCUMENTS.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != make()
    ]


def main() -> int:
    """Write what is stale, or with --check only say it."""
    names = stale()
    if "--check" in sys.argv:
        for name in names:
            print(f"{name} is stale: run make docs")
        return 1 if names else 0
    for name in names:
        (ROOT / name).write_text(DOCUMENTS[name](), encoding="utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
