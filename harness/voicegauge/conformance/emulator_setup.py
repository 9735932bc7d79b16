"""Makes the settings for a check against the emulator: those of the emulator and those of the check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from voicegauge.checks import RULE_BY_ID, Rule
from voicegauge.conformance.reproduction import Reproduction, build_emulated_check_arguments, build_emulator_command
from voicegauge.conformance.service_check import CheckSettings
from voicegauge.contract import BaseTarget
from voicegauge.emulator import EmulatorSettings, RunningEmulator
from voicegauge.model import Provenance
from voicegauge.transport import VirtualClock

EMULATED_ACCOUNT_CREDITS = 1e12
"""Credits of the emulated account: enough for every request of a check. The response to an empty account is tested by
a request that asks the emulator for it."""
EMULATOR_API_KEY = "emulated-key"
"""The API key that is sent to the emulator, which accepts any key that does not begin with "invalid"."""


def build_emulator_settings(*, seed: int = 0, faults: Sequence[str] = ()) -> EmulatorSettings:
    """Return settings of an emulator in which nothing takes time and no limit is reached by accident."""
    return EmulatorSettings(
        seed=seed,
        clock="per-poll",
        faults=tuple(faults),
        enforces_rate_limits=False,
        credits=EMULATED_ACCOUNT_CREDITS,
        accepts_http_webhook_urls=True,
    )


def build_emulator_check_settings(
    emulator: RunningEmulator,
    targets: Sequence[BaseTarget],
    *,
    rules: Mapping[str, Rule] = RULE_BY_ID,
    fuzz_request_count: int = 0,
    fuzz_failures_folder: Path | None = None,
    seed: int = 0,
    provider_and_target_ids: Sequence[str] | None = None,
) -> CheckSettings:
    """Return settings to check `targets` at an emulator; waiting between polls takes no time.

    Args:
        emulator: the emulator.
        targets: the targets to check.
        rules: the rules to apply, by id.
        fuzz_request_count: value of `CheckSettings.fuzz_request_count`.
        fuzz_failures_folder: value of `CheckSettings.fuzz_failures_folder`.
        seed: value of `CheckSettings.seed`.
        provider_and_target_ids: the checked providers and targets. Findings contain a command that checks them again;
            `None` to leave that command out.
    """
    contracts = list({target.contract.id: target.contract for target in targets}.values())
    providers = [contract.id for contract in contracts]
    return CheckSettings(
        provenance=Provenance.EMULATED,
        base_urls_by_provider={name: {"": emulator.base_url(name)} for name in providers},
        api_key_by_provider=dict.fromkeys(providers, EMULATOR_API_KEY),
        rules=rules,
        fuzz_request_count=fuzz_request_count,
        fuzz_failures_folder=fuzz_failures_folder,
        seed=seed,
        create_clock=VirtualClock,
        emulator_control_url=emulator.control_url,
        reproduction=Reproduction(
            check_arguments=()
            if provider_and_target_ids is None
            else build_emulated_check_arguments(provider_and_target_ids, emulator, contracts, seed),
            emulator_url=emulator.url,
            emulator_command=build_emulator_command(emulator, contracts),
        ),
    )
