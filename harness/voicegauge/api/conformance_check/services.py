"""Opens the service that a check sends to: the emulator or the live service, and a receiver of its callbacks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import msgspec

from voicegauge.api.options import LiveOptions
from voicegauge.api.plan_sending import build_live_settings, describe_plan
from voicegauge.api.progress import ProgressListener
from voicegauge.api.target_selection import collect_contracts
from voicegauge.conformance import (
    CaseJournals,
    CheckSettings,
    PricedPlan,
    Reproduction,
    build_emulator_check_settings,
    build_emulator_settings,
    build_live_check_arguments,
)
from voicegauge.contract import BaseTarget, Target
from voicegauge.data_folders import get_state_folder
from voicegauge.emulator import FAULTS, RunningEmulator, starting_emulator
from voicegauge.errors import UsageError
from voicegauge.receiver import Receiver, run_receiver

EmulatorGetter = Callable[[], RunningEmulator]
"""A function that waits until the emulator runs, and returns it."""


@contextmanager
def start_emulator(
    targets: Sequence[BaseTarget], emulated: bool | RunningEmulator, faults: Sequence[str], seed: int
) -> Iterator[EmulatorGetter | None]:
    """Start an emulator of `targets` in the background if `emulated` is true. It needs about a second to start.

    Yields:
        A function that returns the emulator; `None` if requests are sent to the live service.

    Raises:
        UsageError: there are faults, but no emulator is started.
        MissingExtraError: the emulator is not installed.
    """
    if faults and emulated is not True:
        raise UsageError("faults are injected into an emulator that the check starts: pass emulated=True")
    if isinstance(emulated, RunningEmulator):
        yield lambda: emulated
    elif emulated:
        settings = build_emulator_settings(seed=seed, faults=faults)
        with starting_emulator(collect_contracts(targets), settings) as wait_for_emulator:
            yield wait_for_emulator
    else:
        yield None


@contextmanager
def open_service(
    targets: Sequence[BaseTarget],
    get_emulator: EmulatorGetter | None,
    live_options: LiveOptions | None,
    *,
    prices: Mapping[str, float] | None,
    seed: int,
    listener: ProgressListener,
    plan: PricedPlan | None = None,
    journals: CaseJournals | None = None,
    requested_names: Sequence[str] | None = None,
    public_url: str | None = None,
) -> Iterator[CheckSettings]:
    """Yield the settings for sending to an emulator or the live service.

    `requested_names` are the providers and targets that the user named. Each finding has a shell command that checks
    its case again, and the command contains these names. If they are `None`, findings have no such command.
    """
    if live_options is not None:
        settings = build_live_settings(
            collect_contracts(targets),
            live_options,
            prices=prices or {},
            seed=seed,
            listener=listener,
            plan=plan,
            journals=journals,
            suggests_fewer_calls=True,
        )
        yield replace(
            settings,
            reproduction=_build_live_reproduction(targets, requested_names, live_options, prices or {}, public_url),
        )
        return
    if get_emulator is None:
        raise UsageError("choose where to send requests: emulated=True, or live=LiveOptions()")
    emulator = get_emulator()
    if plan is not None:
        listener.notice(describe_plan(plan))
    yield build_emulator_check_settings(emulator, targets, seed=seed, provider_and_target_ids=requested_names)


def announce_ineffective_faults(
    targets: Sequence[BaseTarget], faults: Sequence[str], listener: ProgressListener
) -> None:
    """Tell the listener which of `faults` have no effect on `targets`, so that a check cannot find them."""
    for name in faults:
        fault, _, place = name.partition("@")
        reached = [target for target in targets if place in ("", target.contract.id, target.id)]
        if fault not in FAULTS or not reached or not all(isinstance(target, Target) for target in reached):
            continue
        if not any(FAULTS[fault].applies_to(target) for target in reached if isinstance(target, Target)):
            listener.notice(f"the fault {fault} has no effect here: {FAULTS[fault].description}")


def choose_journal_folder(targets: Sequence[BaseTarget], live_options: LiveOptions | None) -> Path | None:
    """Return the folder of the journals of a live check; `None` if nothing is paid, or the caller has its own ledger.

    The folder depends on the targets and their URLs only, so that spending is not forgotten if another option or the
    contract changes.
    """
    if live_options is None or live_options.ledger is not None:
        return None
    key = [sorted(target.id for target in targets), sorted(live_options.base_urls.items())]
    return get_state_folder() / "checks" / hashlib.sha256(msgspec.json.encode(key)).hexdigest()[:16]


def _build_live_reproduction(
    targets: Sequence[BaseTarget],
    requested_names: Sequence[str] | None,
    live_options: LiveOptions,
    prices: Mapping[str, float],
    public_url: str | None,
) -> Reproduction:
    if requested_names is None:
        return Reproduction()
    return Reproduction(
        build_live_check_arguments(
            requested_names,
            collect_contracts(targets),
            base_urls=live_options.base_urls,
            account_plans=live_options.account_plans,
            price_usd_by_name=prices,
            public_url=public_url,
            allow_insecure_http=live_options.allow_insecure_http,
            models=live_options.own_server_models,
            voices=live_options.own_server_voices,
        )
    )


def open_receiver(public_url: str | None, port: int) -> AbstractContextManager[Receiver | None]:
    """Return a context manager that yields a receiver of callbacks, or `None` without a `public_url` of a tunnel."""
    return nullcontext() if public_url is None else run_receiver(port=port, public_url=public_url)
