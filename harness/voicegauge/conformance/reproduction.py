"""Builds the shell commands that show a finding again: curl for one request, `voicegauge check --case` for several."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from voicegauge.client import Client, build_curl_command
from voicegauge.conformance.cases import ConformanceCase
from voicegauge.contract import Contract, is_bundled
from voicegauge.emulator import RunningEmulator
from voicegauge.hosts import EMULATOR_PORT
from voicegauge.model import Exchange

DEFAULT_EMULATOR_API_KEY = "any-key"
"""The key that a curl command sends to an emulator if the environment variable for the key is not set."""


@dataclass(frozen=True)
class Reproduction:
    """How the requests and cases of one check can be repeated after the check."""

    check_arguments: tuple[str, ...] = ()
    """Arguments with which `voicegauge check` plans the same cases and sends them to the same service; empty if the
    command has no such arguments."""
    emulator_url: str | None = None
    """Root URL of the emulator, if the check started one that ends with it; otherwise `None`. Commands name the default
    URL of `voicegauge serve` instead."""
    emulator_command: str | None = None
    """The shell command that starts the emulator of the check again; `None` if the check started none."""

    def build_case_command(self, case: ConformanceCase) -> str | None:
        """Return the command that sends all requests of a planned case again; `None` if no command can."""
        if not self.check_arguments or case.is_fuzzed or not case.id.isprintable():
            return None
        return shlex.join(["voicegauge", "check", *self.check_arguments, "--case", case.id])

    def build_request_command(self, exchange: Exchange, client: Client) -> str | None:
        """Return the curl command that sends the request of an exchange again; `None` if no command can.

        Args:
            exchange: the exchange.
            client: the client that sent the request.
        """
        request, origins, default_key = exchange.request, client.origins, None
        if self.emulator_url is not None and request.url.startswith(f"{self.emulator_url}/"):
            url = f"http://127.0.0.1:{EMULATOR_PORT}{request.url.removeprefix(self.emulator_url)}"
            request = msgspec.structs.replace(request, url=url)
            origins = frozenset({("http", "127.0.0.1", EMULATOR_PORT)})
            default_key = DEFAULT_EMULATOR_API_KEY
        return build_curl_command(
            request, client.contract, key=client.key, key_origins=origins, default_key=default_key
        )


def build_emulator_command(emulator: RunningEmulator, contracts: Iterable[Contract]) -> str:
    """Return the command that starts an emulator with the settings and faults of `emulator`.

    Args:
        emulator: an emulator that will not run any more when the command is used.
        contracts: the contracts to emulate.
    """
    contracts, settings = tuple(contracts), emulator.settings
    options = ["--port", str(EMULATOR_PORT), "--clock", settings.clock]
    options += ["--seed", str(settings.seed)] if settings.seed else []
    options += ["--credits", f"{settings.credits:g}"] if settings.credits is not None else []
    options += ["--plan", settings.account_plan] if settings.account_plan is not None else []
    options += ["--webhook-http"] if settings.accepts_http_webhook_urls else []
    options += _repeat_option_for_each_value("--fault", settings.faults)
    return shlex.join(["voicegauge", "serve", *(c.id for c in contracts), *options, *build_contract_options(contracts)])


def build_emulated_check_arguments(
    provider_and_target_ids: Iterable[str], emulator: RunningEmulator, contracts: Iterable[Contract], seed: int
) -> tuple[str, ...]:
    """Return the arguments of `voicegauge check` that check the same targets at an emulator with the same faults.

    Args:
        provider_and_target_ids: the checked providers and targets; empty for all.
        emulator: the emulator of the check.
        contracts: the contracts of the targets.
        seed: seed of everything random.
    """
    seeds = ("--seed", str(seed)) if seed else ()
    faults = _repeat_option_for_each_value("--fault", emulator.settings.faults)
    return (*provider_and_target_ids, "--emulated", *faults, *seeds, *build_contract_options(contracts))


def build_live_check_arguments(
    provider_and_target_ids: Iterable[str],
    contracts: Iterable[Contract],
    *,
    base_urls: Mapping[str, str],
    account_plans: Iterable[str],
    price_usd_by_name: Mapping[str, float],
    public_url: str | None,
    allow_insecure_http: bool,
    models: Iterable[str],
    voices: Iterable[str],
) -> tuple[str, ...]:
    """Return the arguments of `voicegauge check` that check the same targets at the same live services.

    Args:
        provider_and_target_ids: the checked providers and targets; empty for all.
        contracts: the contracts of the targets.
        base_urls: replacement base URLs by server name; the name "" means every other server.
        account_plans: names of the account plans.
        price_usd_by_name: dollars per request that the user set, by target id.
        public_url: URL of the tunnel for callbacks; `None` without one.
        allow_insecure_http: whether a key may be sent over http to another machine.
        models: names of the models of the user's own server that the user gave.
        voices: names of its voices that the user gave.
    """
    urls = [f"{server}={url}" if server else url for server, url in base_urls.items()]
    options = [
        *_repeat_option_for_each_value("--base-url", urls),
        *_repeat_option_for_each_value("--plan", account_plans),
    ]
    options += _repeat_option_for_each_value("--price", (f"{name}={usd:g}" for name, usd in price_usd_by_name.items()))
    options += ["--public-url", public_url] if public_url is not None else []
    options += [*_repeat_option_for_each_value("--model", models), *_repeat_option_for_each_value("--voice", voices)]
    options += ["--allow-insecure-http"] if allow_insecure_http else []
    return (*provider_and_target_ids, "--live", *options, *build_contract_options(contracts))


def build_contract_options(contracts: Iterable[Contract]) -> list[str]:
    """Return the `--contracts` options that load those of `contracts` that are not bundled."""
    own = (str(contract.document.path) for contract in contracts if not is_bundled(contract.document.path))
    return _repeat_option_for_each_value("--contracts", own)


def _repeat_option_for_each_value(option_name: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option_name, value)]
