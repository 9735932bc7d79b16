"""A service that refuses an account in the way that its documents, or recorded traffic, show has no errors.

Every request is answered with one documented refusal: the account has no credit, may not use the operation, asks too
often, or the service is busy. Such a response says nothing about the rest of the contract, so that nothing is an error,
and nothing has passed either. The refusals of single requests, such as of a text that is too long, are those that the
emulator gives (test_emulated.py).
"""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any

import pytest

from voicegauge.cases.boundary_values import find_fitting_value
from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.conformance.check_settings import CheckSettings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import Example, MediaType, ResponseSpec
from voicegauge.contract.loading import load_catalogue
from voicegauge.formats.bodies import is_json
from voicegauge.model.base import Provenance, Severity
from voicegauge.transport.timing import VirtualClock

OF_THE_ACCOUNT = ("no-credit", "forbidden", "rate-limited", "busy")


@functools.cache
def cases_of(contract: Contract) -> tuple[ConformanceCase, ...]:
    """The first cases of each kind, operation and target, without those that are refused for their key."""
    targets = [*contract.targets.values()] or [*contract.audio_input_targets.values()]
    plan = plan_cases(targets, is_emulated=False, include_all_billable_cases=False)
    first: dict[tuple[str, str, str | None], ConformanceCase] = {}
    for case in plan.cases:
        if case.api_key_validity == "valid" and case.socket_scenario is None:
            first.setdefault((case.kind, case.operation, case.target_name), case)
    return tuple(first.values())


def list_refusals(contract: Contract) -> dict[str, tuple[ResponseSpec, MediaType, Example]]:
    """The documented refusals of an account, by status and name of the example."""
    return {
        f"{status}-{example.name}": (response, media, example)
        for operation in contract.operations.values()
        for status, response in operation.responses.items()
        for media in response.media_types.values()
        for example in media.examples
        if example.rejection_reason in OF_THE_ACCOUNT and status.isdecimal()
    }


class RefusingService:
    """An ASGI application that answers every request with one refusal."""

    def __init__(self, response: ResponseSpec, media: MediaType, example: Example) -> None:
        body = json.dumps(example.value) if is_json(media.name) else str(example.value)
        self.status, self.body = int(response.status), body.encode()
        texts = {"Content-Type": media.name, "Retry-After": "1"}
        for name, header in response.headers.items():
            value = header.part_data.get("example", find_fitting_value(header.schemas, header.schema))
            texts.setdefault(name, str(value))
        self.headers = [(name.lower().encode(), text.encode()) for name, text in texts.items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


REFUSALS = [(contract, name) for contract in load_catalogue() for name in list_refusals(contract)]


@pytest.mark.parametrize(
    ("contract", "name"),
    [
        pytest.param(contract, name, marks=pytest.mark.slow if number % 4 else (), id=f"{contract.id}-{name}")
        for number, (contract, name) in enumerate(REFUSALS)
    ],
)
def test_a_documented_refusal_of_the_account_is_no_error(contract: Contract, name: str) -> None:
    targets = [*contract.targets.values()] or [*contract.audio_input_targets.values()]
    settings = CheckSettings(
        provenance=Provenance.LIVE,
        api_key_by_provider={contract.id: "any-key"},
        create_clock=VirtualClock,
        emulator_app=RefusingService(*list_refusals(contract)[name]),
    )
    collector = ResultCollector([], 0)
    asyncio.run(check_service(targets, CasePlan(cases=cases_of(contract)), settings, collector))
    report = collector.build_report()
    errors = [f"{finding.rule}: {finding.message}" for finding in report.findings if finding.severity is Severity.ERROR]
    assert errors == []
    assert "passed" not in {case.verdict for case in report.case_results if case.is_delivery}
