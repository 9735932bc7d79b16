"""All contracts that are known, with their providers and targets."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from voicegauge.contract.contract import Contract
from voicegauge.contract.document_assembly import find_contract_files
from voicegauge.contract.loading import load_contract
from voicegauge.contract.price_computation import check_credit_price
from voicegauge.contract.targets import AudioInputTarget, BaseTarget, SocketTarget, Target, TranscriptionSocketTarget
from voicegauge.data_folders import find_bundled_folder
from voicegauge.errors import ContractError, UnknownNameError, UsageError


class _ContractsById(Mapping[str, Contract]):
    """Contracts by provider id. Bundled ones are loaded on first use: reading all takes longer than most commands."""

    def __init__(self, contracts: Iterable[Contract], bundled_paths: Mapping[str, Path] | None = None) -> None:
        """Collect contracts, which replace those at `bundled_paths` that have the same provider id."""
        self.loaded_by_id = {contract.id: contract for contract in contracts}
        self.bundled_paths = bundled_paths or {}
        self._ids = sorted({*self.loaded_by_id, *self.bundled_paths})

    def __getitem__(self, provider_id: str) -> Contract:
        if provider_id not in self.loaded_by_id:
            self.loaded_by_id[provider_id] = _load_bundled_contract(self.bundled_paths[provider_id])
        return self.loaded_by_id[provider_id]

    def __contains__(self, provider_id: object) -> bool:
        return provider_id in self.loaded_by_id or provider_id in self.bundled_paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


class Catalogue:
    """The available contracts, by provider id."""

    def __init__(self, contracts: Iterable[Contract], bundled_paths: Mapping[str, Path] | None = None) -> None:
        """Collect contracts. If several have the same provider id, the last one counts.

        Args:
            contracts: contracts that are loaded already.
            bundled_paths: files of bundled contracts by provider id, each of which is loaded when it is needed. A
                contract in `contracts` with the same id replaces it.
        """
        self._contracts = _ContractsById(contracts, bundled_paths)

    def __iter__(self) -> Iterator[Contract]:
        """Iterate over the contracts, sorted by provider id."""
        return iter(self._contracts.values())

    @property
    def bundled_paths(self) -> Mapping[str, Path]:
        """The files of the bundled contracts by provider id."""
        return self._contracts.bundled_paths

    @property
    def provider_ids(self) -> tuple[str, ...]:
        """The ids of all providers, sorted."""
        return tuple(self._contracts)

    def replace_contracts(self, contracts: Iterable[Contract]) -> Catalogue:
        """Return a catalogue in which `contracts` replace those with the same provider ids."""
        return Catalogue([*self._contracts.loaded_by_id.values(), *contracts], self._contracts.bundled_paths)

    def select_account_plans(self, plan_names: Collection[str]) -> Catalogue:
        """Return a catalogue whose prices are those of the account plans `plan_names`."""
        return Catalogue(contract.select_account_plans(plan_names) for contract in self) if plan_names else self

    def replace_credit_prices(self, usd_by_provider: Mapping[str, float]) -> Catalogue:
        """Return a catalogue with other prices of one credit in dollars, by provider.

        Raises:
            UnknownNameError: no contract has that provider id.
            UsageError: the provider has no credits, or a price is not a number from 0 to `MAX_CREDIT_USD`.
        """
        for name, usd in usd_by_provider.items():
            check_credit_price(name, usd)
        changed = {name: self.find_provider(name).replace_credit_price(usd) for name, usd in usd_by_provider.items()}
        return self.replace_contracts(changed.values()) if changed else self

    @property
    def targets(self) -> dict[str, Target]:
        """All speech targets by full id."""
        return {target.id: target for contract in self for target in contract.targets.values()}

    @property
    def audio_input_targets(self) -> dict[str, AudioInputTarget]:
        """All targets that audio is sent to, by full id."""
        return {t.id: t for contract in self for t in contract.audio_input_targets.values()}

    def find_provider(self, provider_id: str) -> Contract:
        """Return the contract of a provider.

        Raises:
            UnknownNameError: no contract has that provider id.
        """
        try:
            return self._contracts[provider_id]
        except KeyError:
            raise UnknownNameError(
                "provider", provider_id, self._contracts, listing_command="voicegauge providers"
            ) from None

    @property
    def socket_targets(self) -> dict[str, SocketTarget]:
        """All targets that speak over a WebSocket, by full id."""
        return {t.id: t for contract in self for t in contract.socket_targets.values()}

    @property
    def transcription_socket_targets(self) -> dict[str, TranscriptionSocketTarget]:
        """All targets that transcribe over a WebSocket, by full id."""
        return {t.id: t for contract in self for t in contract.transcription_socket_targets.values()}

    def select_targets(self, names: Sequence[str], *, with_sockets: bool = False) -> list[BaseTarget]:
        """Return the targets for names such as "provider" or "provider/target"; all speech targets if `names` is empty.

        A provider stands for its speech targets; a target that audio is sent to is selected by its own name, or by its
        provider if that has no speech targets. A target that speaks over a WebSocket is selected by its own name, or
        with its provider if `with_sockets` is set or the provider has no other target.

        Raises:
            ContractError: a provider has no target.
            UnknownNameError: a name is neither a provider nor a target.
            UsageError: a name is that of an operation; the message names its targets.
        """
        if not names:
            sockets = [*self.socket_targets.values(), *self.transcription_socket_targets.values()]
            return [*self.targets.values(), *(sockets if with_sockets else ())]
        chosen = {target.id: target for name in names for target in self._find_targets(name, with_sockets=with_sockets)}
        return list(chosen.values())

    def _find_targets(self, name: str, *, with_sockets: bool) -> list[BaseTarget]:
        provider, _, target_name = name.partition("/")
        contract = self._contracts.get(provider)
        if contract is not None and name == provider:
            return _list_provider_targets(contract, with_sockets=with_sockets)
        targets: dict[str, BaseTarget] = {}
        if contract is not None:
            targets = {target.name: target for target in contract.iterate_targets()}
        if target_name not in targets:
            raise self._build_unknown_target_error(name)
        return [targets[target_name]]

    def _build_unknown_target_error(self, name: str) -> UsageError:
        provider, _, operation_id = name.partition("/")
        contract = self._contracts.get(provider)
        operation = contract.operations.get(operation_id) if contract is not None else None
        if operation is None:
            names = [target.id for one in self for target in one.iterate_targets()]
            command = "voicegauge providers"
            return UnknownNameError("target", name, names, other_names=self._contracts, listing_command=command)
        served = ", ".join(target.id for target in operation.targets)
        hint = f"name a target of it ({served})" if served else f"name {provider}, which stands for all operations"
        return UsageError(f"{name} is an operation, not a target: {hint}")


def _list_provider_targets(contract: Contract, *, with_sockets: bool) -> list[BaseTarget]:
    """Return the targets that the name of a provider stands for.

    Raises:
        ContractError: there are none.
    """
    found: list[BaseTarget] = [*contract.targets.values()] or [*contract.audio_input_targets.values()]
    if with_sockets or not found:
        found += contract.socket_targets.values()
        found += contract.transcription_socket_targets.values()
    if not found:
        found += [target for one in contract.operations.values() if (target := one.job_target) is not None]
    if not found:
        raise contract.document.build_error(
            "/paths", "describes no target: x-speech on an operation names its targets, x-submit one that starts a job"
        )
    return found


def load_catalogue(folders: Sequence[Path] = ()) -> Catalogue:
    """Load the bundled contracts and those in `folders`, which replace bundled ones with the same id.

    Raises:
        ContractError: a document cannot be used, or would send the key of a bundled contract to other servers; or a
        folder has two contracts with the same id.
    """
    bundled_paths = _list_bundled_paths(find_bundled_folder("contracts"))
    own = [contract for folder in folders for contract in _load_folder(folder)]
    for contract in own:
        if contract.id in bundled_paths:
            _reject_unsafe_replacement(contract, _load_bundled_contract(bundled_paths[contract.id]))
    return Catalogue(own, bundled_paths)


def _load_folder(folder: Path) -> Collection[Contract]:
    """Load the contracts in a folder.

    Raises:
        ContractError: two have the same id, so that it is not clear which one counts.
    """
    by_id: dict[str, Contract] = {}
    for contract in map(load_contract, find_contract_files(folder)):
        other = by_id.setdefault(contract.id, contract)
        if other is not contract:
            paths = f"{other.document.path}, {contract.document.path}"
            raise ContractError(
                folder, None, f"{contract.id} is defined twice: {paths}: change one id, or name one file"
            )
    return by_id.values()


def _reject_unsafe_replacement(user_contract: Contract, bundled_contract: Contract) -> None:
    """Check that a replacement of a bundled contract sends the same key to the same servers.

    Raises:
        ContractError: the replacement sends the key to other servers, which a user who names the provider would not
        expect.
    """
    servers = _list_server_origins(user_contract) - _list_server_origins(bundled_contract)
    if servers:
        change = f"names {min(servers)}, which is not among its servers"
    elif set(user_contract.key_variables) != set(bundled_contract.key_variables):
        names, bundled_names = (" and ".join(one.key_variables) for one in (user_contract, bundled_contract))
        change = f"takes the key from {names}, not from {bundled_names}"
    else:
        return
    raise user_contract.document.build_error(
        "/x-provider/id",
        f"{user_contract.id} is a bundled contract, and this document {change}: choose another id",
    )


def _list_server_origins(contract: Contract) -> set[str]:
    """Return scheme, host and port of every server."""
    urls = (urlsplit(server.url) for server in contract.servers.values())
    return {f"{url.scheme}://{url.netloc.lower()}" for url in urls}


@functools.cache
def _list_bundled_paths(folder: Path) -> Mapping[str, Path]:
    """Return the files of the bundled contracts by provider id, which is the name of a contract's folder."""
    return MappingProxyType({path.parent.name: path for path in find_contract_files(folder)})


def _load_bundled_contract(path: Path) -> Contract:
    return _load_cached_contract(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _load_cached_contract(path: Path, modification_time_ns: int) -> Contract:
    """Load a bundled contract, once per process because contracts are immutable, and again if the file was modified."""
    del modification_time_ns  # only part of the cache key
    return load_contract(path)
