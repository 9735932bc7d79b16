"""Checks one given request, or a given sequence of steps with jobs, such as submits and polls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from voicegauge import conformance
from voicegauge.api.conformance_check.reports import build_report
from voicegauge.api.conformance_check.services import open_service, start_emulator
from voicegauge.api.event_loop import run_coroutine
from voicegauge.api.options import LiveOptions
from voicegauge.api.plan_sending import send_plan
from voicegauge.api.progress import ProgressListener
from voicegauge.api.target_selection import ContractsOrFolders, resolve_prices, select_speech_target, to_catalogue
from voicegauge.conformance import (
    CaseJournals,
    CasePlan,
    CheckReport,
    ResultCollector,
    build_modified_request,
    build_request_case,
    find_excluded_operations,
)
from voicegauge.emulator import RunningEmulator
from voicegauge.errors import TransportError
from voicegauge.model import StopReason


def check_request(
    target: str,
    body_changes: Mapping[str, object] | None = None,
    *,
    omitted_fields: Sequence[str] = (),
    expected_outcome: Literal["accepted", "rejected"] = "accepted",
    emulated: bool | RunningEmulator = False,
    live: LiveOptions | None = None,
    contracts: ContractsOrFolders = (),
    prices: Mapping[str, float] | None = None,
    faults: Sequence[str] = (),
    seed: int = 0,
    max_wait_s: float | None = None,
) -> CheckReport:
    """Send one request and check the response.

    >>> report = voicegauge.check_request("pixelapi/voice-design", {"text": "Hello."}, emulated=True)
    >>> report.findings
    ()

    Args:
        target: id of the target.
        body_changes: fields of the body that differ from a minimal valid request.
        omitted_fields: fields to leave out of the body.
        expected_outcome: whether the service should accept the request.
        emulated: see `check`.
        live: see `check`.
        contracts: see `check`.
        prices: see `check`.
        faults: see `check`.
        seed: see `check`.
        max_wait_s: see `check`.

    Returns:
        The findings.

    Raises:
        UsageError: as for `check`. Also if no minimal valid request can be built.
    """
    collector = ResultCollector([target], seed)
    catalogue = to_catalogue(contracts, live)
    one = select_speech_target(catalogue, target, live)
    prices = resolve_prices(catalogue, prices)
    case = build_request_case(
        one,
        build_modified_request(one, body_changes or {}, omitted_fields),
        expected_outcome,
        f"{target} {dict(body_changes or {})!r:.60}",
    )
    plan = CasePlan(cases=(case,), excluded_operations=tuple(find_excluded_operations([one], ())))
    journals = CaseJournals(None, [one.contract])
    with (
        start_emulator([one], emulated, faults, seed) as get_emulator,
        open_service(
            [one], get_emulator, live, prices=prices, seed=seed, listener=ProgressListener(), journals=journals
        ) as settings,
    ):
        settings = replace(settings, max_wait_s=max_wait_s)
        stop = send_plan([one], plan, settings, collector, ProgressListener())
        return build_report(collector, stop, journals=journals)


def check_job_steps(
    target: str,
    steps: Sequence[str],
    *,
    emulated: bool | RunningEmulator = False,
    live: LiveOptions | None = None,
    contracts: ContractsOrFolders = (),
    prices: Mapping[str, float] | None = None,
    faults: Sequence[str] = (),
    seed: int = 0,
    max_wait_s: float | None = None,
) -> CheckReport:
    """Carry out steps with several jobs of one account and check every response.

    >>> report = voicegauge.check_job_steps("pixazo/chatterbox", ["submit", "poll 1"], emulated=True)
    >>> report.findings
    ()

    Args:
        target: id of a target that answers with jobs.
        steps: each is "submit", or one of the following with the number N of a job, counted from 1: "poll N", "late N"
            (poll a long time later), "expired N", "cancel N", and "unknown N" (poll an id that does not exist and
            looks like that of job N).
        emulated: see `check`.
        live: see `check`.
        contracts: see `check`.
        prices: see `check`.
        faults: see `check`.
        seed: see `check`.
        max_wait_s: see `check`.

    Returns:
        The findings.

    Raises:
        UsageError: as for `check`. Also if the target does not answer with jobs, or a step is not valid.
    """
    collector = ResultCollector([target], seed)
    catalogue = to_catalogue(contracts, live)
    one = select_speech_target(catalogue, target, live)
    prices = resolve_prices(catalogue, prices)
    journals = CaseJournals(None, [one.contract])
    with (
        start_emulator([one], emulated, faults, seed) as get_emulator,
        open_service(
            [one], get_emulator, live, prices=prices, seed=seed, listener=ProgressListener(), journals=journals
        ) as settings,
    ):
        settings = replace(settings, max_wait_s=max_wait_s)
        stop: StopReason | None = None
        try:
            run_coroutine(conformance.check_job_steps(one, steps, settings, collector))
        except KeyboardInterrupt:
            collector.stop_message, stop = "interrupted", "interrupted"
        except TransportError as error:
            if not collector.exchange_count:
                raise
            collector.stop_message, stop = str(error), "unreachable"
        return build_report(collector, stop or ("budget" if collector.stop_message else None), journals=journals)
