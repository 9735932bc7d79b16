"""Checking against the emulator: as it must be set up, and as it is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from voicegauge.checks import RULES, Rule
from voicegauge.conformance.engine import CheckSettings
from voicegauge.contract import Target
from voicegauge.emulator import EmulatorSettings, RunningEmulator
from voicegauge.model import Provenance
from voicegauge.transport import VirtualClock

EMULATED_CREDITS = 1e12
"""A check sends hundreds of requests; what an empty account answers is asked for as a situation."""
EMULATED_KEY = "emulated-key"
"""The emulator takes any key that does not begin with "invalid"."""


def emulator_settings(*, seed: int = 0, faults: Sequence[str] = ()) -> EmulatorSettings:
    """An emulator in which nothing takes time and no limit is met by accident."""
    return EmulatorSettings(
        seed=seed,
        clock="per-poll",
        faults=tuple(faults),
        rate_limits=False,
        credits=EMULATED_CREDITS,
        webhook_http=True,
    )


def emulator_check_settings(
    running: RunningEmulator,
    targets: Sequence[Target],
    *,
    rules: Mapping[str, Rule] = RULES,
    fuzz: int = 0,
    failures: Path | None = None,
    seed: int = 0,
) -> CheckSettings:
    """How `targets` are checked at an emulator; waiting between polls costs no time."""
    providers = {target.contract.id for target in targets}
    return CheckSettings(
        provenance=Provenance.EMULATED,
        base_urls={name: {"": running.base_url(name)} for name in providers},
        keys=dict.fromkeys(providers, EMULATED_KEY),
        rules=rules,
        fuzz=fuzz,
        failures=failures,
        seed=seed,
        clock=VirtualClock,
        control_url=running.control_url,
    )
