"""A check of a contract's own emulator in one process, without sockets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from voicegauge.conformance import (
    CasePlan,
    CheckReport,
    Collector,
    ConformanceCase,
    build_emulator_check_settings,
    build_emulator_settings,
    check_service,
    plan_cases,
    run_check,
)
from voicegauge.contract import Contract, Target
from voicegauge.emulator import RunningEmulator, create_app


def check_in_process(
    contract: Contract,
    *faults: str,
    targets: Sequence[Target] = (),
    include_all_billable: bool = True,
    keep_case: Callable[[ConformanceCase], bool] = lambda _: True,
) -> CheckReport:
    """Check the targets (default: all of the contract) against its emulator, which has the given faults."""
    checked = list(targets or contract.targets.values())
    plan = plan_cases(checked, is_emulated=True, include_all_billable=include_all_billable)
    plan = CasePlan(cases=tuple(filter(keep_case, plan.cases)), skipped=plan.skipped)
    emulator = RunningEmulator("127.0.0.1", 1, (contract.id,))  # never asked: requests go to the app
    settings = dataclasses.replace(
        build_emulator_check_settings(emulator, checked, requested_names=[contract.id]),
        emulator_app=create_app([contract], build_emulator_settings(faults=faults)),
    )
    collector = Collector([target.id for target in checked], 0)
    run_check(collector, check_service(checked, plan, settings, collector))
    return collector.build_report()
