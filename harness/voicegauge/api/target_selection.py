"""Finds the contracts and targets for the names that a caller gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from voicegauge.api.calls import run_coroutine
from voicegauge.api.options import LiveOptions
from voicegauge.api.progress import ProgressListener
from voicegauge.cases.audio_input_cases import choose_recorded_sentence
from voicegauge.cases.valid_requests import add_required_fields, build_valid_speech_request
from voicegauge.client.client import Client
from voicegauge.client.connection import (
    KeyDestinations,
    check_key_consent,
    find_account_plan_limits,
    find_key_destinations,
    read_permitted_key,
)
from voicegauge.client.exchange_log import describe_exchange
from voicegauge.client.model_and_voice_names import (
    ModelAndVoiceNames,
    WrongBaseUrlError,
    read_account_voices,
    read_model_and_voice_names,
)
from voicegauge.client.speech_request import RequestParts, build_audio_input_request, map_speech_request
from voicegauge.contract.contract import BaseTarget, Contract, Target
from voicegauge.contract.loading import Catalogue, adapt_contract_to_server, load_catalogue, replace_missing_voices
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.contract.price_computation import describe_price, quote_price
from voicegauge.errors import MissingKeyError, TransportError, UnknownNameError, UnreachableError, UsageError
from voicegauge.formats.bodies import is_json
from voicegauge.options import PathLike, with_checked_arguments
from voicegauge.printable_text import format_count
from voicegauge.transport.http import Transport

ContractsOrFolders = Catalogue | PathLike | Sequence[PathLike]
"""Loaded contracts, or a folder or file of your own contracts, or several of them, which are loaded in addition to the
bundled ones."""


@with_checked_arguments
def load_contracts(folders: PathLike | Sequence[PathLike] = ()) -> Catalogue:
    """Load the bundled contracts and your own.

    >>> catalogue = voicegauge.load_contracts()
    >>> catalogue.find_provider("pixelapi").targets["voice-design"].id
    'pixelapi/voice-design'

    Args:
        folders: a folder or file of your own contracts, or several of them; they replace bundled contracts with the
            same provider id.

    Returns:
        The contracts, which can be looked up by provider id and target name.

    Raises:
        ContractError: a document is not a usable contract; the error message gives file, line and reason.
    """
    return load_catalogue(to_path_tuple(folders))


def to_catalogue(contracts: ContractsOrFolders, live_options: LiveOptions | None = None) -> Catalogue:
    """Return the contracts with the account plans and the prices of credits in `live_options`.

    Folders in `contracts` are loaded. Nothing is changed if `live_options` is `None`.

    Raises:
        UnknownNameError: a price is for an unknown provider.
        UsageError: a price is for a provider without credits.
    """
    catalogue = contracts if isinstance(contracts, Catalogue) else load_contracts(contracts)
    if live_options is None:
        return catalogue
    return catalogue.replace_credit_prices(live_options.credit_prices_usd).select_account_plans(
        live_options.account_plans
    )


def check_key_hosts(contracts: Iterable[Contract], live_options: LiveOptions) -> list[KeyDestinations]:
    """Return where the key of each contract will be sent, after checking that it may go there.

    Raises:
        UsageError: a key would be sent unencrypted to another machine, or to a host that no bundled contract names for
            it, and `live_options` does not allow that.
    """
    checked = []
    for contract in contracts:
        base_urls = live_options.find_base_urls(contract)
        destinations = find_key_destinations(contract, base_urls)
        if not live_options.allow_insecure_http:
            destinations.check_encryption()
        check_key_consent(contract, base_urls, live_options.allowed_keys)
        checked.append(destinations)
    return checked


def announce_key_hosts(contracts: Iterable[Contract], live_options: LiveOptions, listener: ProgressListener) -> None:
    """Tell the listener which hosts will receive which keys. Call this before anything else is announced or sent.

    Raises:
        UsageError: as for `check_key_hosts`.
    """
    for destinations in check_key_hosts(contracts, live_options):
        listener.notice(f"LIVE: {destinations.describe()}")


def adapt_to_self_hosted_servers(
    catalogue: Catalogue,
    target_names: str | Sequence[str],
    live_options: LiveOptions | None,
    *,
    ask_servers_for_names: bool,
    listener: ProgressListener,
    max_wait_s: float | None = None,
) -> Catalogue:
    """Return the contracts, completed with the models and voices of servers that users run themselves.

    The first notices say where keys are sent, because a server is asked for its names with the key.

    Args:
        catalogue: the known contracts.
        target_names: providers or targets, as for `select_targets`.
        live_options: options with the base URL, and names of models and voices; `None` if nothing is sent to a live
            service.
        ask_servers_for_names: whether the servers are asked for names that `live_options` does not have.
        listener: receives notices about the hosts of keys and the names that are used.
        max_wait_s: maximum time of each request for names, in seconds; it can only shorten the default time limit,
            which `None` leaves as it is.

    Raises:
        MissingKeyError: a server requires a key, and none is set.
        UsageError: a base URL is not that of the API, the server rejects the key, or the key may not be sent to it.
        TransportError: a server cannot be reached.
    """
    if live_options is None:
        return catalogue
    adapted: dict[str, Contract] = {}
    selected = collect_contracts(select_targets(catalogue, target_names, live_options, with_sockets=True))
    announce_key_hosts(selected, live_options, listener)
    _check_named_models_and_voices(selected, live_options)
    for contract in selected:
        if contract.provider.self_hosted is None:
            if ask_servers_for_names and contract.provider.voice_lists:
                adapted[contract.id] = _adapt_to_account_voices(contract, live_options, listener, max_wait_s)
            continue
        server_names = ModelAndVoiceNames()
        if ask_servers_for_names:
            server_names = run_coroutine(_request_model_and_voice_names(contract, live_options, max_wait_s))
        models, voices = (
            tuple(live_options.own_server_models) or server_names.model_names,
            tuple(live_options.own_server_voices) or server_names.voice_names,
        )
        # A single model needs no trial: the first request shows whether it works.
        if ask_servers_for_names and len(models) > 1 and not live_options.own_server_models:
            models = run_coroutine(exclude_failing_models(contract, models, voices, live_options, max_wait_s))
        adapted[contract.id] = adapt_contract_to_server(
            contract, model_names=models, voice_names=voices, missing_operation_ids=server_names.missing_operation_ids
        )
        spec = contract.provider.self_hosted
        if ask_servers_for_names and (spec.model_list is not None or spec.voice_lists):
            described = _describe_model_and_voice_counts(server_names, live_options, adapted[contract.id])
            listener.notice(
                f"{contract.id}: {described}; uses {_describe_model_and_voice_of_first_target(adapted[contract.id])}"
            )
    return catalogue.replace_contracts(adapted.values())


def _adapt_to_account_voices(
    contract: Contract, live_options: LiveOptions, listener: ProgressListener, max_wait_s: float | None
) -> Contract:
    """Return the contract with voices that the account has, and tell the listener which voices are used.

    The request for the voices ends after `max_wait_s` seconds; `None` for as long as the contract documents.
    """

    async def request_voices() -> tuple[str, ...]:
        async with Transport() as transport:
            base_urls = live_options.find_base_urls(contract)
            key = read_permitted_key(contract, base_urls, live_options.allowed_keys)
            client = Client(contract, transport, base_urls=base_urls, key=key, max_wait_s=max_wait_s)
            return await read_account_voices(client)

    try:
        voices = run_coroutine(request_voices())
    except MissingKeyError:
        # Workers of a Dask cluster may have the key. What sends from this machine reports that it is missing.
        return contract
    adapted = replace_missing_voices(contract, voices) if voices else contract
    used = ", ".join(dict.fromkeys(target.target_spec.default_voice or "" for target in adapted.targets.values()))
    if not voices:
        listener.notice(f"{contract.id}: no voices listed; uses the documented voice {used}")
    elif adapted is contract:
        listener.notice(f"{contract.id}: {format_count(len(voices), 'voice')} listed; uses voice {used}")
    else:
        listener.notice(
            f"{contract.id}: {format_count(len(voices), 'voice')} listed, not the documented one; uses voice {used}"
        )
    return adapted


def _check_named_models_and_voices(contracts: Sequence[Contract], live_options: LiveOptions) -> None:
    """Reject names of models and voices that cannot be used.

    Raises:
        UsageError: a name is empty, or no contract is that of a self-hosted server.
    """
    named = [*live_options.own_server_models, *live_options.own_server_voices]
    if not all(name.strip() for name in named):
        raise UsageError("--model and --voice: a name must not be empty")
    if named and all(contract.provider.self_hosted is None for contract in contracts):
        raise UsageError("--model and --voice are for a server of your own, such as openai-compatible: leave them out")


def find_base_url_and_names(
    contract: Contract, base_url: str, allowed_keys: Sequence[str] = ()
) -> tuple[str, ModelAndVoiceNames]:
    """Return the base URL of the API of a server of the user's own, and the names of its models and voices.

    There are no names if the server requires a key that is not set. No request is sent if the contract does not
    describe a server that users run themselves.

    Args:
        contract: the contract that the server follows.
        base_url: the URL that the user names, which may lack a path such as `/v1`.
        allowed_keys: which variable's key may go to which host, see `check_key_consent`.

    Raises:
        UsageError: there is no API at the URL or below it, the server rejects the key, or it may not receive the key.
        TransportError: the server cannot be reached.
    """
    if contract.provider.self_hosted is None:
        return base_url, ModelAndVoiceNames()
    try:
        try:
            return base_url, _ask_server_for_names(contract, base_url, allowed_keys)
        except WrongBaseUrlError as error:
            return error.right_base_url, _ask_server_for_names(contract, error.right_base_url, allowed_keys)
    except MissingKeyError:
        return base_url, ModelAndVoiceNames()
    except UsageError as error:
        # The proxy, which asks, has the option under this name.
        raise UsageError(str(error).replace("--base-url", "--upstream")) from error


def _ask_server_for_names(contract: Contract, base_url: str, allowed_keys: Sequence[str]) -> ModelAndVoiceNames:
    live_options = LiveOptions(base_urls={"": base_url}, allowed_keys=allowed_keys)
    return run_coroutine(_request_model_and_voice_names(contract, live_options, None))


async def _request_model_and_voice_names(
    contract: Contract, live_options: LiveOptions, max_wait_s: float | None
) -> ModelAndVoiceNames:
    async with Transport() as transport:
        base_urls = live_options.find_base_urls(contract)
        key = read_permitted_key(contract, base_urls, live_options.allowed_keys)
        client = Client(contract, transport, base_urls=base_urls, key=key, max_wait_s=max_wait_s)
        try:
            return await read_model_and_voice_names(client)
        except UnreachableError as error:
            if base_urls:
                raise
            reason = f"{error}: start the server, or name its base URL with --base-url"
            raise UnreachableError(reason, request_was_sent=error.request_was_sent) from error


def _describe_model_and_voice_of_first_target(contract: Contract) -> str:
    """Return which model and, of a server that speaks, which voice the first target uses."""
    spec = contract.provider.self_hosted
    targets: list[BaseTarget] = [*contract.targets.values(), *contract.audio_input_targets.values()]
    location = spec.model_list.request_field_location if spec is not None and spec.model_list is not None else None
    model = targets[0].target_spec.request_constants.get(location) if location is not None else None
    names = [] if model is None else [f"model {model}"]
    if contract.targets:
        voice = targets[0].target_spec.default_voice
        names.append(f"voice {voice}" if voice else "no voice")
    return " and ".join(names)


def _describe_model_and_voice_counts(
    server_names: ModelAndVoiceNames, live_options: LiveOptions, contract: Contract
) -> str:
    """Return how many models and voices there are, and whether the server lists them or the user has named them."""
    models = (live_options.own_server_models, server_names.model_names, "model")
    voices = (live_options.own_server_voices, server_names.voice_names, "voice")
    named = (models, voices) if contract.targets else (models,)
    if not live_options.own_server_models and not live_options.own_server_voices:
        return ", ".join(_describe_listed_count(len(listed), noun) for _, listed, noun in named) + " listed"
    return ", ".join(
        f"{format_count(len(chosen), noun)} of --{noun}"
        if chosen
        else f"{_describe_listed_count(len(listed), noun)} listed"
        for chosen, listed, noun in named
    )


def _describe_listed_count(count: int, noun: str) -> str:
    return format_count(count, noun) if count else f"no {noun}s"


def to_name_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return `names`, one name or a sequence of names, as a tuple."""
    return (names,) if isinstance(names, str) else tuple(names)


def to_path_tuple(paths: PathLike | Sequence[PathLike]) -> tuple[Path, ...]:
    """Return `paths`, one path or a sequence of paths, as a tuple."""
    return (Path(paths),) if isinstance(paths, str | os.PathLike) else tuple(Path(path) for path in paths)


def select_providers(catalogue: Catalogue, provider_names: str | Sequence[str]) -> list[Contract]:
    """Return the contracts of the named providers; all contracts if no name is given.

    Raises:
        UnknownNameError: a name is not a provider.
    """
    return [catalogue.find_provider(name) for name in to_name_tuple(provider_names)] or list(catalogue)


def select_targets(
    catalogue: Catalogue,
    target_names: str | Sequence[str],
    live_options: LiveOptions | None,
    *,
    with_sockets: bool = False,
) -> list[BaseTarget]:
    """Return the named targets, after checking that the caller's base URLs and account plans belong to them.

    Args:
        catalogue: the known contracts.
        target_names: providers ("acme") or targets ("acme/voice-1"); all targets if empty.
        live_options: options whose base URLs and account plans are compared with those in the contracts; `None` if
            nothing is sent to a live service.
        with_sockets: whether a provider stands for its targets on WebSockets too.

    Raises:
        UnknownNameError: a name is not a provider or a target, or an account plan of `live_options` is not a plan of
            any of their providers.
        UsageError: the base URLs are for several providers, or for an unknown server.
    """
    targets = catalogue.select_targets(to_name_tuple(target_names), with_sockets=with_sockets)
    if live_options is not None:
        contracts = collect_contracts(targets)
        require_known_base_url_servers(live_options.base_urls, contracts)
        check_provider_budgets(live_options, contracts)
        find_account_plan_limits(contracts, live_options.account_plans)  # raises for unknown names
    return targets


def select_speech_target(catalogue: Catalogue, target_name: str, live_options: LiveOptions | None) -> Target:
    """Return the named target, or the first target of the named provider, as `select_targets` does.

    `live_options` is `None` if nothing is sent to a live service.

    Raises:
        UnknownNameError: as for `select_targets`.
        UsageError: as for `select_targets`. Also if audio is sent to the target.
    """
    target = select_targets(catalogue, target_name, live_options)[0]
    if not isinstance(target, Target):
        raise UsageError(f"{target_name} takes audio: name a target that speaks")
    return target


def find_wholly_named_providers(catalogue: Catalogue, target_names: str | Sequence[str]) -> frozenset[str]:
    """Return the ids of the providers that `target_names` contains: "acme", but not "acme/voice-1".

    If there are no names, return the ids of all providers.
    """
    chosen = to_name_tuple(target_names)
    return frozenset(name for name in catalogue.provider_ids if not chosen or name in chosen)


def collect_contracts(targets: Iterable[BaseTarget]) -> list[Contract]:
    """Return the contracts of `targets`, each once."""
    return list({target.contract.id: target.contract for target in targets}.values())


def resolve_prices(catalogue: Catalogue, prices: Mapping[str, float] | None) -> dict[str, float]:
    """Return the caller's prices by target or operation.

    A price for a whole provider applies to its targets and operations without a documented price in dollars. A price of
    0 says that the server is your own, and applies to all targets and operations of the provider.

    Args:
        catalogue: the known contracts.
        prices: dollars per request by target ("acme/voice-1"), operation ("acme/createVoice") or provider ("acme").
            The more specific name wins. `None` for no prices.

    Raises:
        UnknownNameError: a name is not a target, operation or provider. If a misspelled name were ignored, the
            documented price would silently be used.
    """
    if not prices:
        return {}
    items = {contract.id: _find_priced_targets_and_operations(contract) for contract in catalogue}
    known = {*items, *(name for names in items.values() for name in names)}
    caller_prices = dict(prices)
    for name in caller_prices:
        if name not in known:
            targets = {target.id for contract in catalogue for target in contract.iterate_targets()}
            command = "voicegauge providers"
            raise UnknownNameError("target", name, targets, other_names=known - targets, listing_command=command)
    of_providers: dict[str, float] = {}
    for provider, priced_items in items.items():
        if provider in caller_prices:
            of_providers |= _select_items_with_provider_price(priced_items, caller_prices[provider])
    return of_providers | {name: usd for name, usd in caller_prices.items() if name not in items}


def _select_items_with_provider_price(
    priced_items: Mapping[str, BaseTarget | Operation], usd: float
) -> dict[str, float]:
    return {name: usd for name, item in priced_items.items() if usd == 0 or quote_price(item, 1).reserved_usd is None}


def find_shortest_prices(contracts: Iterable[Contract], prices: Mapping[str, float]) -> dict[str, float]:
    """Return the shortest prices from which `resolve_prices` returns `prices`, so that commands can repeat them.

    Args:
        contracts: contracts of the providers.
        prices: dollars per request by target or operation; see `resolve_prices`.
    """
    shortened = dict(prices)
    for contract in contracts:
        priced_items = _find_priced_targets_and_operations(contract)
        given = {name: usd for name, usd in prices.items() if name in priced_items}
        for usd in dict.fromkeys(given.values()):
            of_provider = _select_items_with_provider_price(priced_items, usd)
            exceptions = {name: price for name, price in given.items() if of_provider.get(name) != price}
            # Only if the command becomes shorter, and no other price is replaced.
            if of_provider.keys() <= given.keys() and len(exceptions) + 1 < len(given):
                others = {name: price for name, price in shortened.items() if name not in given}
                shortened = {contract.id: usd, **exceptions, **others}
                break
    return shortened


def describe_replaced_prices(targets: Iterable[BaseTarget], prices: Mapping[str, float]) -> dict[str, str]:
    """Return the documented prices that the caller's prices replace, as text by target or operation.

    Args:
        targets: the targets of the command, which may also use the operations of their providers.
        prices: dollars per request by target or operation; see `resolve_prices`.
    """
    target_by_id = {target.id: target for target in targets}
    items = {
        name: item
        for contract in collect_contracts(target_by_id.values())
        for name, item in _find_priced_targets_and_operations(contract).items()
        if name in prices and (isinstance(item, Operation) or name in target_by_id)
    }
    # The price of an operation with targets is that of its targets.
    return {
        name: describe_price(item)
        for name, item in items.items()
        if not (isinstance(item, Operation) and item.targets) and quote_price(item, 1).reserved_usd
    }


def _find_priced_targets_and_operations(contract: Contract) -> dict[str, BaseTarget | Operation]:
    operations = {f"{contract.id}/{name}": operation for name, operation in contract.operations.items()}
    return {target.id: target for target in contract.iterate_targets()} | operations


def require_known_base_url_servers(base_urls: Mapping[str, str], contracts: Sequence[Contract]) -> None:
    """Reject a base URL whose provider, or whose server in the provider's contract, is not known.

    Raises:
        UsageError: the provider or the server of a base URL is not known.
    """
    contract_by_id = {contract.id: contract for contract in contracts}
    names = ", ".join(contract_by_id)
    for name in base_urls:
        provider, slash, server = name.partition("/")
        if provider in contract_by_id:
            contract = contract_by_id[provider]
            if server not in contract.servers if slash else False:
                raise _build_unknown_server_error(contract, server)
        elif slash:
            raise UsageError(f"--base-url {name}: no target of {provider} is named; these are of {names}")
        elif len(contracts) != 1:
            if name:
                raise UsageError(f"--base-url {name}: the targets are of {names}: write --base-url PROVIDER=URL")
            raise UsageError(
                f"--base-url without a name goes with the targets of one provider; these are of {names}: write "
                "--base-url PROVIDER=URL for each server that you mean"
            )
        elif name and name not in contracts[0].servers:
            raise _build_unknown_server_error(contracts[0], name)


def _build_unknown_server_error(contract: Contract, server: str) -> UsageError:
    return UsageError(
        f"--base-url: {contract.id} has no server {server!r}; it has {', '.join(map(repr, contract.servers))}"
    )


def check_provider_budgets(live_options: LiveOptions, contracts: Sequence[Contract]) -> None:
    """Reject a budget for a provider that this command does not send requests to, and a provider without a budget.

    Raises:
        UsageError: a provider has a budget and gets no requests, or gets requests and has no budget.
    """
    budgets, names = live_options.budget_usd_by_provider, [contract.id for contract in contracts]
    for provider, usd in budgets.items():
        if provider not in names:
            raise UsageError(
                f"--max-cost {provider}={usd:g}: no target of {provider} is named; these are of {', '.join(names)}"
            )
    missing = [name for name in names if name not in budgets]
    has_total = not isinstance(live_options.max_cost_usd, Mapping) or "" in live_options.max_cost_usd
    if missing and not has_total:
        raise UsageError(
            f"--max-cost names no budget of {', '.join(missing)}: add --max-cost {missing[0]}=USD, or --max-cost USD "
            "for all together"
        )


# Finds out which of the models that a user's own server lists work for the targets of the server's contract. A server
# that speaks and transcribes lists recognizers and voices together, and its list need not say which is which.


MAX_MODELS_TO_TRY = 8
"""Maximum number of models that are tried with one request each. A server may list hundreds."""
_TEXT_TO_TRY_MODELS = "Good morning."
"""Text that each tried model has to speak."""


async def exclude_failing_models(
    contract: Contract,
    model_names: Sequence[str],
    voice_names: Sequence[str],
    live_options: LiveOptions,
    max_wait_s: float | None,
) -> tuple[str, ...]:
    """Return the listed models without those that were tried and do not work.

    Models are tried in their order with one request each, up to the first that works. Servers of users charge nothing.

    Args:
        contract: a contract with `self_hosted`.
        model_names: the models that the server lists.
        voice_names: the voices that it lists; empty if they are not known.
        live_options: options with the base URL of the server.
        max_wait_s: maximum time of each request, in seconds; `None` for that of the transport.

    Raises:
        UsageError: none of the models that were tried works; the error message has the server's response to the first.
    """
    first_reason: str | None = None
    async with Transport() as transport:
        base_urls = live_options.find_base_urls(contract)
        key = read_permitted_key(contract, base_urls, live_options.allowed_keys)
        client = Client(contract, transport, base_urls=base_urls, key=key, max_wait_s=max_wait_s)
        for index, name in enumerate(model_names[:MAX_MODELS_TO_TRY]):
            adapted = adapt_contract_to_server(contract, model_names=[name], voice_names=voice_names)
            target = next(iter((*adapted.targets.values(), *adapted.audio_input_targets.values())))
            reason = await _find_reason_of_rejection(client, target)
            if reason is None:
                return tuple(model_names[index:])
            first_reason = first_reason or f"{name}: {reason}"
    tried = f"the {min(len(model_names), MAX_MODELS_TO_TRY)} models that were tried, of {len(model_names)} listed"
    raise UsageError(
        f"{contract.id}: none of {tried}, answers a valid request ({first_reason}): name one that works with --model"
    )


async def _find_reason_of_rejection(client: Client, target: BaseTarget) -> str | None:
    """Return why a valid request to `target` was not answered with what the operation returns; `None` if it was."""
    request = client.build_request(target.operation, _build_trial_request(target))
    try:
        exchange = await client.send(request, target.operation.id)
    except TransportError as error:
        return str(error)
    body = parse_exchange(exchange).response_json if is_json(exchange.response.media_type) else None
    # Some servers report an error with status 200.
    is_error = isinstance(body, dict) and any(body.get(name) for name in ("error", "errors", "detail"))
    is_answered = 200 <= exchange.response.status < 300 and bool(exchange.response.body) and not is_error
    return None if is_answered else describe_exchange(exchange, client)


def _build_trial_request(target: BaseTarget) -> RequestParts:
    if isinstance(target, Target):
        return map_speech_request(target, build_valid_speech_request(target, text=_TEXT_TO_TRY_MODELS))
    recognizer = target.contract.audio_input_targets[target.name]
    return add_required_fields(
        target.operation, build_audio_input_request(recognizer, choose_recorded_sentence(recognizer).file)
    )
