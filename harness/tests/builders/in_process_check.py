"""A check of a contract's own emulator in one process, without sockets."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import build_emulator_check_settings, build_emulator_settings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.contract import BaseTarget, Contract, Target
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import RunningEmulator


def check_in_process(
    contract: Contract,
    *faults: str,
    targets: Sequence[Target] = (),
    include_all_billable_cases: bool = True,
    keep_case: Callable[[ConformanceCase], bool] = lambda _: True,
) -> CheckReport:
    """Check the targets (default: all of the contract) against its emulator, which has the given faults."""
    checked = list(targets or contract.targets.values())
    plan = plan_cases(checked, is_emulated=True, include_all_billable_cases=include_all_billable_cases)
    plan = CasePlan(cases=tuple(filter(keep_case, plan.cases)), skipped_cases=plan.skipped_cases)
    return check_plan_in_process(checked, plan, names=[contract.id], faults=faults)


def check_plan_in_process(
    targets: Sequence[BaseTarget],
    plan: CasePlan,
    *,
    names: Sequence[str],
    faults: Sequence[str] = (),
    seed: int = 0,
    emulator: RunningEmulator | None = None,
    concurrency: int = 1,
    **settings_changes: Any,
) -> CheckReport:
    """Send a plan to an emulator in this process, which has the given faults, or to a running one.

    Args:
        targets: the checked targets.
        plan: the cases to send.
        names: the providers and targets that a user would name.
        faults: faults of the emulator in this process.
        seed: seed of everything random.
        emulator: a running emulator, which is used instead.
        concurrency: number of cases in flight.
        settings_changes: further arguments of `build_emulator_check_settings`.
    """
    providers = tuple({target.contract.id for target in targets})
    running = emulator or RunningEmulator("127.0.0.1", 1, providers)  # never asked: requests go to the app
    settings = build_emulator_check_settings(
        running, targets, seed=seed, ids_of_repeat_command=names, **settings_changes
    )
    if emulator is None:
        contracts = {target.contract.id: target.contract for target in targets}
        app = create_app(contracts.values(), build_emulator_settings(seed=seed, faults=faults))
        settings = dataclasses.replace(settings, emulator_app=app)
    settings = dataclasses.replace(settings, concurrency=concurrency)
    collector = ResultCollector([target.id for target in targets], seed)
    # Findings without clips: encoding their audio takes a twentieth of a check, and `test_finding_clips.py` listens.
    collector.clips.add_clips = lambda findings, _: findings  # type: ignore[method-assign]
    run_to_the_end(collector, check_service(targets, plan, settings, collector))
    return collector.build_report()


def run_to_the_end(collector: ResultCollector, check_coroutine: Coroutine[Any, Any, None]) -> None:
    """Run `check_coroutine` to its end. Ctrl-C stops it early; the findings so far stay in `collector`."""
    try:
        asyncio.run(check_coroutine)
    except KeyboardInterrupt:
        collector.interrupted = True
        collector.end_early("interrupted", "interrupted")
