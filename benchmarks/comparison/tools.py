"""Both tools, set up for the same target."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mutation.mutant import Mutant

from comparison import schemathesis
from comparison.service import serve_provider
from comparison.tool_run import ToolRun
from voicegauge.checks import RULES
from voicegauge.client import Client, build_credentials
from voicegauge.conformance import Collector, ConformanceCase, plan_cases
from voicegauge.conformance.emulator_setup import EMULATED_KEY
from voicegauge.conformance.reporting.spending import BillableLimit
from voicegauge.conformance.running import CaseRunner, CheckedService
from voicegauge.contract import Target
from voicegauge.transport import Transport, VirtualClock

MAX_PAID_CALLS = 300
"""The largest number of paid calls that is compared."""


class ComparedTarget:
    """The target that both tools test: its submit operation and, if it starts jobs, its status operation."""

    def __init__(self, target: Target, folder: Path) -> None:
        """Write the document that Schemathesis reads to `folder`."""
        self.target, self.contract, self.operation = target, target.contract, target.operation
        self.operations = [self.operation.id, *([target.job_operation.id] if target.job_operation else [])]
        self.document = folder / "openapi.json"
        self.document.write_text(json.dumps(self.contract.document.data), encoding="utf-8")

    def plan(self) -> list[ConformanceCase]:
        """Return the plan of a live check of these operations with at most `MAX_PAID_CALLS` paid calls."""
        plan = plan_cases([self.target], emulated=False, all_billable=True, max_calls=MAX_PAID_CALLS)
        return [case for case in plan.cases if case.operation in self.operations]

    def run_schemathesis(self, url: str, seed: int, options: Sequence[str]) -> schemathesis.SchemathesisRun:
        """Run Schemathesis against the provider at `url`."""
        [credential] = build_credentials(self.operation, EMULATED_KEY)
        headers = {credential.name: credential.value}
        return schemathesis.run(self.document, url, headers, self.operations, seed=seed, options=options)

    def is_paid(self, case: schemathesis.JudgedCase) -> bool:
        """Whether a request of Schemathesis would be charged: an accepted one to the submit operation."""
        method, _, url = case.request.partition(" ")
        is_submit = method == self.operation.method and self.operation.match_end(urlsplit(url).path) is not None
        return is_submit and case.status is not None and 200 <= case.status < 300


@dataclass(frozen=True)
class VoicegaugeTool:
    """voicegauge with the plan of a live check."""

    compared: ComparedTarget
    name: str = "voicegauge"
    command_line: str = f"voicegauge check TARGET --live --max-calls {MAX_PAID_CALLS}"

    def run(self, mutant: Mutant | None, seed: int, *, to_the_end: bool) -> ToolRun:
        """Send the plan case by case, and note after which paid call each rule reports its first finding."""
        compared, collector = self.compared, Collector((), seed)
        first_reports: dict[str, int] = {}
        with serve_provider(compared.contract, compared.operation, mutant) as served:

            async def check() -> None:
                async with Transport() as transport:
                    client = Client(
                        compared.contract,
                        transport,
                        base_urls={"": served.url},
                        key=EMULATED_KEY,
                        clock=VirtualClock(),
                        seed=seed,
                    )
                    limit = BillableLimit(MAX_PAID_CALLS)
                    runner = CaseRunner(CheckedService(compared.contract, client), RULES, collector, limit)
                    for case in compared.plan():
                        if first_reports and not to_the_end:
                            break
                        await runner.run([case])
                        for finding in collector.report().findings:
                            if finding.rule not in first_reports:
                                first_reports[finding.rule] = served.counts(compared.operation).accepted

            asyncio.run(check())
            counts = served.counts(compared.operation)
        return ToolRun(first_reports=first_reports, sent=counts.sent, paid=counts.accepted)


@dataclass(frozen=True)
class SchemathesisTool:
    """Schemathesis with one set of options."""

    compared: ComparedTarget
    name: str
    options: tuple[str, ...]

    @property
    def command_line(self) -> str:
        """The options of each run."""
        words = ("st run DOCUMENT --url URL --seed SEED", *self.options, "--header KEY --include-operation-id ...")
        return " ".join(words)

    def run(self, mutant: Mutant | None, seed: int, *, to_the_end: bool) -> ToolRun:
        """Run it, and note after which paid call each check fails for the first time.

        Raises:
            RuntimeError: the provider counted other paid calls than Schemathesis.
        """
        compared = self.compared
        with serve_provider(compared.contract, compared.operation, mutant) as served:
            options = self.options if to_the_end else (*self.options, "--max-failures", "1")
            judged = compared.run_schemathesis(served.url, seed, options)
            counts = served.counts(compared.operation)
        paid, first_reports = 0, dict[str, int]()
        for case in judged.cases:
            paid += compared.is_paid(case)
            for failure in case.failures:
                first_reports.setdefault(failure, paid)
        if paid != counts.accepted:
            raise RuntimeError(f"{paid} paid calls in the report of Schemathesis, {counts.accepted} at the provider")
        return ToolRun(first_reports=first_reports, sent=counts.sent, paid=paid)
