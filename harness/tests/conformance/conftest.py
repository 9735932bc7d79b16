from __future__ import annotations

import functools
import json
import urllib.request
from collections.abc import Callable, Iterator, Sequence

import pytest

from voicegauge.conformance import Case, CheckReport, Collector, Plan, Settings, check_service, plan_cases, run_keeping
from voicegauge.contract import Catalogue
from voicegauge.emulator import RunningEmulator
from voicegauge.transport import VirtualClock

Check = Callable[..., CheckReport]


def _control(emulator: RunningEmulator, method: str, route: str, body: object) -> None:
    headers = {"Content-Type": "application/json"}
    url = f"{emulator.control_url}/{route}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        assert answer.status == 200


@pytest.fixture
def plant(voicegauge_emulator: RunningEmulator) -> Iterator[Callable[..., None]]:
    """Plant faults in the emulator that all tests share; they are gone after the test."""

    def plant_these(*faults: str) -> None:
        _control(voicegauge_emulator, "PUT", "faults", {"faults": list(faults)})

    yield plant_these
    _control(voicegauge_emulator, "PUT", "faults", {"faults": []})
    _control(voicegauge_emulator, "POST", "reset", {})


@pytest.fixture
def check_at(voicegauge_catalogue: Catalogue) -> Check:
    """Check targets against an emulator: all cases, or those that `only` chooses."""

    def run(
        emulator: RunningEmulator,
        names: Sequence[str],
        *,
        only: Callable[[Case], bool] = lambda _: True,
        fuzz: int = 0,
        seed: int = 0,
    ) -> CheckReport:
        targets = voicegauge_catalogue.select(names)
        providers = {target.contract.id for target in targets}
        plan = plan_cases(targets, emulated=True, every=True)
        chosen = Plan(cases=tuple(case for case in plan.cases if only(case)), skipped=plan.skipped)
        settings = Settings(
            base_urls={name: {"": emulator.base_url(name)} for name in providers},
            keys=dict.fromkeys(providers, "test-key"),
            fuzz=fuzz,
            seed=seed,
            clock=VirtualClock,
        )
        collector = Collector(names, seed)
        run_keeping(collector, check_service(targets, chosen, settings, collector))
        return collector.report()

    return run


@pytest.fixture
def check(check_at: Check, voicegauge_emulator: RunningEmulator) -> Check:
    """Check targets against the emulator that all tests share."""
    return functools.partial(check_at, voicegauge_emulator)
