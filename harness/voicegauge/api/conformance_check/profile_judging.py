"""Judges a server by a published profile."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from voicegauge.api.conformance_check.checking import check
from voicegauge.api.options import LiveOptions
from voicegauge.api.progress import ProgressListener
from voicegauge.conformance import CasePatterns, CheckReport
from voicegauge.contract import Catalogue, Contract, load_catalogue, replace_key_variable
from voicegauge.errors import ContractError, UsageError
from voicegauge.profiles import ProfileReport, judge_profile, load_profile, load_profile_contract

_EMULATOR_SERVER_NAME = "emulator"
"""Name of the judged server in the report if it is the emulator; otherwise the report has its base URL."""


def check_profile(
    profile: str,
    *,
    emulated: bool = False,
    live: LiveOptions | None = None,
    key_env: str | None = None,
    capabilities: Sequence[str] = (),
    faults: Sequence[str] = (),
    seed: int = 0,
    max_wait_s: float | None = None,
    on_report: Callable[[ProfileReport], None] | None = None,
    progress: ProgressListener | None = None,
) -> ProfileReport:
    """Judge a server by the requirements of a published profile.

    >>> report = voicegauge.check_profile("openai-speech@2026-11", emulated=True)
    >>> report.verdict
    'passed'

    Args:
        profile: id of the profile.
        emulated: whether an emulator of the profile's contract is judged.
        live: the base URL of the server.
        key_env: name of the environment variable with the key; by default no key is sent unless that of the profile's
            contract is set.
        capabilities: names of the capabilities whose requirements count as required.
        faults: ids of faults to inject into the emulator.
        seed: seed of everything random.
        max_wait_s: maximum time of one delivery or request in seconds; by default as long as the contract documents.
        on_report: see `check`.
        progress: receives progress and notices.

    Returns:
        The verdict of every requirement, the score, and the report of the check that was made for it.

    Raises:
        UsageError: the profile or a capability is not known, no base URL is given, or the base URL belongs to a
            service that charges for requests.
        TransportError: not a single response was received.
    """
    chosen = load_profile(profile)
    contract = load_profile_contract(chosen)
    if emulated == (live is not None):
        raise UsageError(
            f"name the server to judge by {profile} with --base-url, or judge the emulator with --emulated"
        )
    if live is not None:
        live = _prepare_live_options(live, contract)
    if key_env is not None:
        contract = _replace_key_environment_variable(contract, key_env)
        if live is not None and not os.environ.get(key_env):
            raise UsageError(f"--key-env: {key_env} is not set: set it, or leave out --key-env if no key is required")

    def judge_report(report: CheckReport) -> ProfileReport:
        server = _EMULATOR_SERVER_NAME if live is None else live.base_urls[""]
        return judge_profile(chosen, report, server=server, claimed_capabilities=capabilities)

    judge_report(
        CheckReport(voicegauge_version="", created_at="", is_finished=True, seed=seed, targets=())
    )  # rejects wrong names early
    report = check(
        contract.id,
        emulated=emulated,
        live=live,
        contracts=Catalogue([contract]),
        case_ids=CasePatterns(patterns=chosen.case_patterns),
        faults=faults,
        seed=seed,
        max_wait_s=max_wait_s,
        on_report=None if on_report is None else lambda one: on_report(judge_report(one)),
        progress=progress,
    )
    return judge_report(report)


def _prepare_live_options(live: LiveOptions, contract: Contract) -> LiveOptions:
    """Return `live` without a budget. A server that is known to charge for requests is rejected.

    Raises:
        UsageError: as described above.
    """
    if "" not in live.base_urls:
        raise UsageError(f"name the server with --base-url, such as --base-url {contract.servers['server'].url}")
    host = urlsplit(live.base_urls[""]).hostname
    for other in load_catalogue():
        if other.provider.self_hosted is None and host in {
            urlsplit(one.url).hostname for one in other.servers.values()
        }:
            raise UsageError(
                f"{host} charges for requests, and a profile has no prices: use voicegauge check {other.id}"
            )
    return replace(live, max_cost_usd=0.0)


def _replace_key_environment_variable(contract: Contract, variable_name: str) -> Contract:
    try:
        return replace_key_variable(contract, variable_name)
    except ContractError:
        raise UsageError("--key-env: write the name of an environment variable, such as MY_API_KEY") from None
