"""Options for the baseline of a benchmark: another target, another base URL, or another version of the contract.

The baseline is measured in the same run, in turn with the targets. If the network or a service becomes slower during
the run, both are affected alike, so that their comparison remains valid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from voicegauge.api.options import LiveOptions, PathLike
from voicegauge.api.target_selection import select_targets
from voicegauge.contract import BaseTarget, Catalogue, Contract, load_contract
from voicegauge.errors import UsageError


@dataclass(frozen=True)
class BaselineOptions:
    """The baseline that the targets of a benchmark are compared with. At most one of the fields is given."""

    target_id: str | None = None
    """Id of the target that the others are compared with. It is measured even if the user does not list it as a
    target."""
    base_url: str | None = None
    """Base URL of another server, at which the only target of the benchmark is measured too; `None` if not given."""
    contract_file: PathLike | None = None
    """File of another version of the contract, with which the only target of the benchmark is measured too."""

    def validate(self, live_options: LiveOptions | None) -> None:
        """Reject options that contradict each other.

        Raises:
            UsageError: several baselines are given, or a base URL without permission to send to it.
        """
        if sum(one is not None for one in (self.target_id, self.base_url, self.contract_file)) > 1:
            raise UsageError("a run has one baseline: give --against, --against-url or --against-contract")
        if self.base_url is not None and live_options is None:
            raise UsageError("--against-url sends to a live service: add --live")

    def list_target_names(self, target_names: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the targets to measure, the baseline target first.

        Raises:
            UsageError: the baseline is a whole provider, or no other target is named.
        """
        if self.target_id is None:
            return tuple(target_names)
        if "/" not in self.target_id:
            raise UsageError(f"--against {self.target_id}: name one target, such as {self.target_id}/NAME")
        if not set(target_names) - {self.target_id}:
            raise UsageError(f"--against {self.target_id}: name the targets to compare with it, too")
        return self.target_id, *(name for name in target_names if name != self.target_id)


@dataclass(frozen=True)
class TargetVariant:
    """Another version of the only target of a benchmark: on another server, or described by another contract file."""

    target: BaseTarget
    live_options: LiveOptions | None
    """Permission to send to the live service of the variant; `None` if the variant is emulated."""
    shares_account: bool
    """Whether the variant has the same servers as the target that it is compared with, so that both use up the rate
    limits of one account."""


def find_target_variant(
    catalogue: Catalogue, target_names: Sequence[str], options: BaselineOptions, live_options: LiveOptions | None
) -> TargetVariant | None:
    """Return the variant of the benchmark's only target: on another server, or described by another contract file.

    `options` give the base URL of the other server or the other contract file; without either, `None` is returned. The
    provider id of the variant is that of the target, followed by "@" and the host of the other server or the version of
    the other contract.

    Raises:
        ContractError: the contract is not usable.
        UsageError: there are several targets, or the other contract does not have the target.
    """
    if options.base_url is None and options.contract_file is None:
        return None
    chosen = select_targets(catalogue, target_names, live_options)
    if len(chosen) != 1:
        flag = "--against-url" if options.base_url is not None else "--against-contract"
        raise UsageError(f"{flag} takes one target, not {len(chosen)}: name one")
    (target,) = chosen
    contract = target.contract
    if options.base_url is not None:
        renamed = contract.rename_provider(f"{contract.id}@{urlsplit(options.base_url).netloc}")
        other_live = (
            dataclasses.replace(live_options, base_urls={"": options.base_url}) if live_options is not None else None
        )
        return TargetVariant(_find_target_of_same_name(renamed, target), other_live, shares_account=False)
    other = load_contract(Path(str(options.contract_file)))
    if other.id != contract.id:
        raise UsageError(
            f"--against-contract: {options.contract_file} is the contract of {other.id}, not of {contract.id}"
        )
    version = other.version if other.version != contract.version else other.document.sha256[:7]
    renamed = other.select_account_plans(live_options.account_plans if live_options is not None else ())
    renamed = renamed.rename_provider(f"{contract.id}@{version}")
    return TargetVariant(_find_target_of_same_name(renamed, target), live_options, shares_account=True)


def _find_target_of_same_name(contract: Contract, target: BaseTarget) -> BaseTarget:
    """Return the target of `contract` with the name of `target`."""
    targets: dict[str, BaseTarget] = {**contract.targets, **contract.audio_input_targets}
    if target.name not in targets:
        known = ", ".join(targets)
        raise UsageError(f"--against-contract: the other contract has no target {target.name!r}; it has {known}")
    return targets[target.name]
