"""Makes the settings for a check against the emulator: those of the emulator and those of the check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from voicegauge.checks import RULE_BY_ID, Rule
from voicegauge.conformance.engine import CheckSettings
from voicegauge.conformance.reproduction import Reproduction, build_emulated_check_arguments, build_emulator_command
from voicegauge.contract import BaseTarget
from voicegauge.emulator import EmulatorSettings, RunningEmulator
from voicegauge.model import Provenance
from voicegauge.transport import VirtualClock

EMULATED_CREDITS = 1e12
"""Credits of the emulated account: enough for every request of a check. The response to an empty account is tested by
a request that asks the emulator for it."""
EMULATED_KEY = "emulated-key"
"""The API key that is sent to the emulator, which accepts any key that does not begin with "invalid"."""


def build_emulator_settings(*, seed: int = 0, faults: Sequence[str] = ()) -> EmulatorSettings:
    """Return settings of an emulator in which nothing takes time and no limit is reached by accident."""
    return EmulatorSettings(
        seed=seed,
        clock="per-poll",
        faults=tuple(faults),
        rate_limits=False,
        credits=EMULATED_CREDITS,
        webhook_http=True,
    )


def build_emulator_check_settings(
    running: RunningEmulator,
    targets: Sequence[BaseTarget],
    *,
    rules: Mapping[str, Rule] = RULE_BY_ID,
    fuzz: int = 0,
    failures: Path | None = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> CheckSettings:
    """Return settings to check `targets` at an emulator; waiting between polls takes no time.

    Args:
        running: the emulator.
        targets: the targets to check.
        rules: the rules to apply, by id.
        fuzz: value of `CheckSettings.fuzz`.
        failures: value of `CheckSettings.failures`.
        seed: value of `CheckSettings.seed`.
        names: the checked providers and targets, with which findings name a command that repeats a case; with `None`
            they name none.
    """
    contracts = list({target.contract.id: target.contract for target in targets}.values())
    providers = [contract.id for contract in contracts]
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
        reproduction=Reproduction(
            arguments=() if names is None else build_emulated_check_arguments(names, running, contracts, seed),
            emulator_url=running.url,
            emulator_command=build_emulator_command(running, contracts),
        ),
    )
