"""Write the generated parts of the documentation: JSON Schemas and the help block of README.md.

`make docs` runs it; `python docs/generate.py --check` lists files that are not up to date and exits with status 1.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import re
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner

from voicegauge.api.cost_estimation import CostEstimate
from voicegauge.api.listings import AsrEngineList, ProviderList, RuleExplanation, RuleList, list_providers
from voicegauge.api.local_servers import ListenResult
from voicegauge.api.saved_runs import ScoreResult
from voicegauge.bench.benchmark_plan import BenchPlanResult
from voicegauge.bench.comparison_result import RunComparison
from voicegauge.bench.estimates import BoundEstimates, Estimate
from voicegauge.bench.run_history import RunHistory
from voicegauge.bench.suites import SuiteFile, TextEntry
from voicegauge.bench.target_summaries import BenchResult
from voicegauge.cli import COMMAND_LOADER_BY_NAME, cli
from voicegauge.cli._settings import build_settings_schema
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.plan_prices import PricedPlan as PricedCheck
from voicegauge.conformance.recording_updates import RecordResult
from voicegauge.contract.contract import BaseTarget
from voicegauge.contract.document_parts import build_json_schema
from voicegauge.contract.loading import load_catalogue
from voicegauge.contract.price_computation import describe_price, list_all_claims, list_priced_claims
from voicegauge.drift.drift_report import DriftReport, OfficialDriftReport
from voicegauge.model.price import PriceClaim, PriceRange, compute_price_range
from voicegauge.model.run import Run
from voicegauge.model.sample import SAMPLE_COLUMNS, Interval
from voicegauge.profiles.judging import Profile, ProfileReport
from voicegauge.recording.foreign_recordings import Conversion
from voicegauge.relay.traffic_monitor import ProxyReport
from voicegauge.report.report_data import BenchReport

ROOT = Path(__file__).resolve().parents[1]
PROVIDERS_BLOCK = re.compile(r"(<!-- providers -->).*?(<!-- /providers -->)", re.DOTALL)
PRICES_BLOCK = re.compile(r"(<!-- prices -->).*?(<!-- /prices -->)", re.DOTALL)
PRICED_LENGTHS = (100, 500, 2_000)
"""Numbers of characters for which docs/prices.md states what a text costs."""
FIGURES_BLOCK = re.compile(r"(<!-- figures -->).*?(<!-- /figures -->)", re.DOTALL)
HELP_BLOCK = re.compile(r"(<!-- help -->\n```text\n).*?(```\n<!-- /help -->)", re.DOTALL)


def record_schema(record: type[Any], title: str) -> dict[str, Any]:
    """Return the JSON Schema of a record that a command writes."""
    schema = msgspec.json.schema(record)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}


def as_json(schema: dict[str, Any]) -> str:
    """Return a schema as the text of its file."""
    return json.dumps(remove_indentation(schema), indent=2, ensure_ascii=False) + "\n"


def remove_indentation(schema: Any) -> Any:
    """Return `schema` without the indentation of docstrings in its descriptions, which Python 3.13 removes itself."""
    if isinstance(schema, list):
        return [remove_indentation(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else remove_indentation(value)
        for key, value in schema.items()
    }


def readme() -> str:
    """Return README.md with the current providers and the current help of the command."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    providers = ", ".join(provider.title for provider in list_providers().providers)
    text = PROVIDERS_BLOCK.sub(lambda found: found[1] + providers + found[2], text)
    help_text = CliRunner().invoke(cli, ["--help"], prog_name="voicegauge").output
    return HELP_BLOCK.sub(lambda found: found[1] + help_text + found[2], text)


@functools.cache
def parse_module(name: str) -> ast.Module:
    """Return the syntax tree of an imported module."""
    return ast.parse(inspect.getsource(sys.modules[name]))


def read_field_descriptions(record: type[Any]) -> dict[str, str]:
    """Return the docstring of each field of a record, by the field's name; empty for one without."""
    (definition,) = (
        statement
        for statement in parse_module(record.__module__).body
        if isinstance(statement, ast.ClassDef) and statement.name == record.__qualname__
    )
    found: dict[str, str] = {}
    for statement, following in zip(definition.body, [*definition.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            is_described = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            text = str(following.value.value) if is_described else ""  # type: ignore[union-attr]
            found[statement.target.id] = " ".join(text.split())
    return found


def list_figures() -> list[tuple[str, str, str]]:
    """Return record, name and definition of each figure that a benchmark states."""
    return [
        (record.__name__, field.name, descriptions[field.name])
        for record in list_figure_records()
        for descriptions in [read_field_descriptions(record)]
        for field in msgspec.structs.fields(record)
        if is_figure(field.type)
    ]


def is_figure(annotation: Any) -> bool:
    """Whether a field holds a number, with what limits it or as it is, or several."""
    alternatives = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        return is_figure(alternatives[0])
    if typing.get_origin(annotation) is typing.Literal:
        return False
    return annotation in {int, float, *VALUE_RECORDS} or any(map(is_figure, alternatives))


RESULT_RECORDS = (Run, BenchReport, BenchResult, RunComparison, RunHistory)
"""What `bench`, `report`, `compare` and `history` write as JSON; docs/methodology.md defines each number in it."""
VALUE_RECORDS = {Estimate, BoundEstimates, PriceRange, Interval}
"""Records that are a number with what limits it."""


def list_figure_records() -> list[type[Any]]:
    """Return all records of results, with those in their fields, by name."""
    found: dict[str, type[Any]] = {}
    pending: list[Any] = list(RESULT_RECORDS)
    while pending:
        annotation = pending.pop()
        pending += typing.get_args(annotation)
        if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct) and annotation.__name__ not in found:
            found[annotation.__name__] = annotation
            pending += [field.type for field in msgspec.structs.fields(annotation)]
    return [found[name] for name in sorted(found)]


def methodology() -> str:
    """Return docs/methodology.md with the current definitions of all figures."""
    text = (ROOT / "docs/methodology.md").read_text(encoding="utf-8")
    rows = [f"| `{record}.{name}` | {meaning} |" for record, name, meaning in list_figures()]
    table = "\n".join(["| figure | definition |", "|---|---|", *rows])
    return FIGURES_BLOCK.sub(lambda found: f"{found[1]}\n{table}\n{found[2]}", text)


def samples() -> str:
    """Return the page about tables with one row per sample."""
    rows = [
        f"| `{column.name}` | {column.type}{', always' if column.presence == 'required' else ''} | {column.unit} | "
        f"{column.meaning} |"
        for column in SAMPLE_COLUMNS
    ]
    return SAMPLES_PAGE + "\n".join(["| column | type | unit | meaning |", "|---|---|---|---|", *rows]) + "\n"


def compute_text_price(target: BaseTarget, character_count: int) -> PriceRange:
    """Return the price of one text, as `voicegauge cost` computes it without account plans."""
    priced = list_priced_claims(target)
    costs = {
        (id(one.claim), takes_maximum): one.compute_cost(character_count, takes_maximum=takes_maximum).usd
        for one in priced
        for takes_maximum in (False, True)
    }
    return compute_price_range(
        [one.claim for one in priced], lambda claim, takes_maximum: costs[id(claim), takes_maximum]
    )


def prices() -> str:
    """Return docs/prices.md with the current price of every target that speaks, and who states it."""
    names_by_row: dict[tuple[str, ...], list[str]] = {}
    for target in load_catalogue().targets.values():
        ranges = [compute_text_price(target, length) for length in PRICED_LENGTHS]
        sources = dict.fromkeys(link_claim(one.claim) for one in list_all_claims(target) if one.claim.title)
        row = (
            target.contract.id,
            *(one.format_amount() or "-" for one in ranges),
            describe_price(target).replace("|", "/"),
            "<br>".join(sources) or "-",
        )
        names_by_row.setdefault(row, []).append(target.id.partition("/")[2])
    head = [
        f"| target | {' | '.join(f'{length:,}' for length in PRICED_LENGTHS)} | price | stated by |",
        "|---|--:|--:|--:|---|---|",
    ]
    rows = [f"| {row[0]}: {', '.join(names)} | {' | '.join(row[1:])} |" for row, names in names_by_row.items()]
    text = (ROOT / "docs/prices.md").read_text(encoding="utf-8")
    table = "\n".join([*head, *rows])
    return PRICES_BLOCK.sub(lambda found: f"{found[1]}\n\n{table}\n\n{found[2]}", text)


def link_claim(claim: PriceClaim) -> str:
    """Return a link to the document that states a price, with its date."""
    title = claim.title.replace("|", "/")
    return ", ".join(filter(None, (f"[{title}]({claim.url})" if claim.url else title, claim.date)))


SAMPLES_PAGE = """\
<!-- Written by docs/generate.py. -->
# Tables of samples

A saved run as a table with one row per sample, for pandas, DuckDB, R or a spreadsheet:

```console
$ voicegauge bench pixelapi --out runs
$ voicegauge report runs/* --out samples.parquet
$ voicegauge report runs/* --out samples.csv
```

```python
run = voicegauge.load_run("runs/monday")  # typed records: run.manifest, run.samples, run.score_sets
frame = run.to_data_frame()  # pandas
frame[(frame.status == "success") & ~frame.warmup].groupby("target").total_latency_ms.median()
```

Parquet and data frames need `pip install 'voicegauge[data]'`. Failed samples and warm-up samples have a row as well
(`status`, `warmup`), and what was not measured is missing. Names and types are stable and do not depend on the values:

| type | Parquet | pandas | CSV |
|---|---|---|---|
| text | string | string | text; an apostrophe precedes what a spreadsheet would run as a formula |
| integer | int64 | Int64 | number |
| number | double | Float64 | number |
| boolean | bool | boolean | 0 or 1 |
| timestamp | timestamp in microseconds, UTC | datetime64, UTC | ISO 8601 |

Fields of a Parquet file have the metadata `unit` and `meaning`; by `written_by` of a file, `report` knows that it
may replace it. A later version may add columns, also between others.
Columns marked `always` are never missing. Error rates and transcripts are those of the last scoring.

"""

DOCUMENTS: dict[str, Callable[[], str]] = {
    "docs/contract-extension.schema.json": lambda: as_json(build_json_schema()),
    "docs/check.schema.json": lambda: as_json(record_schema(CheckReport, "voicegauge check --json")),
    "docs/profile.schema.json": lambda: as_json(record_schema(Profile, "profile.yaml of a published profile")),
    "docs/profile-check.schema.json": lambda: as_json(
        record_schema(ProfileReport, "voicegauge check --profile --json")
    ),
    "docs/check-plan.schema.json": lambda: as_json(record_schema(PricedCheck, "voicegauge check --dry-run --json")),
    "docs/run.schema.json": lambda: as_json(record_schema(Run, "run.json of a run's folder")),
    "docs/bench.schema.json": lambda: as_json(record_schema(BenchResult, "voicegauge bench --json")),
    "docs/samples.md": samples,
    "docs/methodology.md": methodology,
    "docs/prices.md": prices,
    "docs/cost.schema.json": lambda: as_json(record_schema(CostEstimate, "voicegauge cost --json")),
    "docs/bench-plan.schema.json": lambda: as_json(record_schema(BenchPlanResult, "voicegauge bench --dry-run --json")),
    "docs/suite.schema.json": lambda: as_json(record_schema(SuiteFile, "a file for voicegauge bench --suite")),
    "docs/texts.schema.json": lambda: as_json(record_schema(TextEntry, "a line of a .jsonl file for bench --texts")),
    "docs/score.schema.json": lambda: as_json(record_schema(ScoreResult, "voicegauge score --json")),
    "docs/asr.schema.json": lambda: as_json(record_schema(AsrEngineList, "voicegauge asr list --json")),
    "docs/compare.schema.json": lambda: as_json(record_schema(RunComparison, "voicegauge compare --json")),
    "docs/history.schema.json": lambda: as_json(record_schema(RunHistory, "voicegauge history --json")),
    "docs/report.schema.json": lambda: as_json(record_schema(BenchReport, "voicegauge report --json")),
    "docs/record.schema.json": lambda: as_json(record_schema(RecordResult, "voicegauge record --json")),
    "docs/convert.schema.json": lambda: as_json(record_schema(Conversion, "voicegauge convert --json")),
    "docs/providers.schema.json": lambda: as_json(record_schema(ProviderList, "voicegauge providers --json")),
    "docs/listen.schema.json": lambda: as_json(record_schema(ListenResult, "voicegauge listen --json")),
    "docs/drift.schema.json": lambda: as_json(record_schema(DriftReport, "voicegauge drift --json")),
    "docs/official-drift.schema.json": lambda: as_json(
        record_schema(OfficialDriftReport, "voicegauge drift --official --json")
    ),
    "docs/proxy.schema.json": lambda: as_json(record_schema(ProxyReport, "voicegauge proxy --json")),
    "docs/rules.schema.json": lambda: as_json(record_schema(RuleList, "voicegauge rules --json")),
    "docs/explain.schema.json": lambda: as_json(record_schema(RuleExplanation, "voicegauge explain RULE --json")),
    "docs/settings.schema.json": lambda: as_json(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "voicegauge.toml, or [tool.voicegauge] of pyproject.toml",
            **build_settings_schema(COMMAND_LOADER_BY_NAME),
        }
    ),
    "README.md": readme,
}


def outdated() -> list[str]:
    """Return the names of generated files that are not up to date."""
    return [
        name
        for name, make in DOCUMENTS.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != make()
    ]


def main() -> int:
    """Write the files that are not up to date, or list them with --check."""
    names = outdated()
    if "--check" in sys.argv:
        for name in names:
            print(f"{name} is not up to date: run make docs")
        return 1 if names else 0
    for name in names:
        (ROOT / name).write_text(DOCUMENTS[name](), encoding="utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
