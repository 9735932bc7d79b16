"""Both tools, set up for the same target."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from mutation.mutant import Mutant

from comparison import schemathesis
from comparison.service import ServedProvider, serve_provider
from comparison.tool_run import ToolRun
from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import plan_cases
from voicegauge.client.client import Client
from voicegauge.client.keys import build_credentials
from voicegauge.conformance._case_runner import CaseRunner
from voicegauge.conformance.check_settings import EMULATOR_API_KEY, CheckedService
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.spending import BillableRequestLimit
from voicegauge.contract.contract import Target
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

MAX_PAID_CALLS = 300
"""The largest number of paid calls that is compared."""
FAULTS_OF_FILES = ("audio truncated", "audio silenced", "audio replaced", "parameter ignored")
"""Classes of faults that only the audio files show. The URL of a file is in the response of the status operation."""


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
        plan = plan_cases(
            [self.target], is_emulated=False, include_all_billable_cases=True, max_billable_requests=MAX_PAID_CALLS
        )
        return [case for case in plan.cases if case.operation in self.operations]

    def run_schemathesis(
        self,
        url: str,
        seed: int,
        options: Sequence[str],
        is_enough: Callable[[Sequence[schemathesis.JudgedCase]], bool] = lambda _cases: False,
    ) -> schemathesis.SchemathesisRun:
        """Run Schemathesis against the provider at `url`."""
        [credential] = build_credentials(self.operation, EMULATOR_API_KEY)
        headers = {credential.name: credential.value}
        return schemathesis.run(
            self.document, url, headers, self.operations, seed=seed, options=options, is_enough=is_enough
        )

    def is_paid(self, case: schemathesis.JudgedCase) -> bool:
        """Whether a request of Schemathesis would be charged: an accepted one to the submit operation."""
        path = urlsplit(case.url).path
        is_submit = case.method == self.operation.method and self.operation.match_path_end(path) is not None
        return is_submit and case.status is not None and 200 <= case.status < 300


@dataclass(frozen=True)
class VoicegaugeTool:
    """voicegauge with the plan of a live check."""

    compared: ComparedTarget
    name: str = "voicegauge"
    command_line: str = f"voicegauge check TARGET --live --max-calls {MAX_PAID_CALLS}"

    def can_observe(self, _mutant: Mutant, /) -> bool:
        """Return true: voicegauge calls both operations and downloads the audio."""
        return True

    def run_to_the_end(self, seed: int) -> ToolRun:
        """Send the whole plan to the correct provider."""
        return self._run(None, seed, lambda _report: False)

    def run_until_found(self, mutant: Mutant, seed: int, false_alarms: frozenset[str]) -> ToolRun:
        """Send the plan case by case until a rule has a finding."""
        return self._run(mutant, seed, lambda report: report not in false_alarms)

    def _run(self, mutant: Mutant | None, seed: int, is_fault: Callable[[str], bool]) -> ToolRun:
        compared, collector = self.compared, ResultCollector((), seed)
        first_reports: dict[str, int] = {}
        with serve_provider(compared.contract, compared.operation, mutant) as served:

            async def check() -> None:
                async with Transport() as transport:
                    client = Client(
                        compared.contract,
                        transport,
                        base_urls={"": served.url},
                        key=EMULATOR_API_KEY,
                        clock=VirtualClock(),
                        seed=seed,
                    )
                    limit = BillableRequestLimit(MAX_PAID_CALLS)
                    runner = CaseRunner(CheckedService(compared.contract, client), RULE_BY_ID, collector, limit)
                    for case in compared.plan():
                        await runner.run_cases([case])
                        for finding in collector.build_report().findings:
                            if finding.rule not in first_reports:
                                first_reports[finding.rule] = served.counts(compared.operation).accepted
                        if any(map(is_fault, first_reports)):
                            break

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

    def can_observe(self, mutant: Mutant, /) -> bool:
        """Whether a response of the tested operations may be faulty: no operation returns the audio files."""
        return mutant.kind not in FAULTS_OF_FILES

    def run_to_the_end(self, seed: int) -> ToolRun:
        """Run Schemathesis once against the correct provider."""
        return self._run(None, seed, lambda _reports: False)

    def run_until_found(self, mutant: Mutant, seed: int, false_alarms: frozenset[str]) -> ToolRun:
        """Run Schemathesis until a check fails that does not fail for the same reason at the correct provider."""
        return self._run(
            mutant,
            seed,
            lambda reports: reports.paid >= MAX_PAID_CALLS or not reports.first_reports.keys() <= false_alarms,
        )

    def _run(self, mutant: Mutant | None, seed: int, is_enough: Callable[[ReadReports], bool]) -> ToolRun:
        compared = self.compared
        with (
            serve_provider(compared.contract, compared.operation, mutant) as served,
            serve_provider(compared.contract, compared.operation) as correct,
        ):
            reports = ReadReports(compared, correct)

            def read(cases: Sequence[schemathesis.JudgedCase]) -> bool:
                for case in cases:
                    reports.read(case)
                    if is_enough(reports):
                        return True
                return False

            stopped = compared.run_schemathesis(served.url, seed, self.options, read).stopped
            counts = served.counts(compared.operation)
        if not stopped and reports.paid != counts.accepted:
            raise RuntimeError(
                f"{reports.paid} paid calls in the report of Schemathesis, {counts.accepted} at the provider"
            )
        return ToolRun(first_reports=reports.first_reports, sent=counts.sent, paid=counts.accepted)


class ReadReports:
    """The failed checks of a run of Schemathesis, and the paid calls before each."""

    def __init__(self, compared: ComparedTarget, correct: ServedProvider) -> None:
        """Compare the responses with those of the `correct` provider."""
        self._compared, self._correct = compared, correct
        self.paid = 0
        self.first_reports: dict[str, int] = {}

    def read(self, case: schemathesis.JudgedCase) -> None:
        """Count one request, and note the checks that its response failed.

        Schemathesis may reject a correct response (that to a blank text, which is valid by the document) for the same
        reason as a faulty one. The two differ in the status with which the correct provider responds to the same
        request, so a report is named "<check> <operation>: <status>, <status> if correct".
        """
        self.paid += self._compared.is_paid(case)
        if case.failed_checks:
            statuses = f"{case.status}, {send_again(case, self._correct)} if correct"
            for check in case.failed_checks:
                self.first_reports.setdefault(f"{check} {case.operation}: {statuses}", self.paid)


def send_again(case: schemathesis.JudgedCase, provider: ServedProvider) -> int | None:
    """Return the status with which `provider` responds to the request of `case`; `None` if it cannot be sent again."""
    parts = urlsplit(case.url)
    url = f"{provider.root}{parts.path}" + (f"?{parts.query}" if parts.query else "")
    try:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in case.headers]
        return httpx.request(case.method, url, headers=headers, content=case.body).status_code
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError):
        return None
