"""Plans and prices the requests of a check."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from voicegauge.api.options import LiveOptions
from voicegauge.api.plan_sending import announce_key_hosts, announce_replaced_prices
from voicegauge.api.progress import ProgressListener
from voicegauge.api.target_selection import (
    ContractsOrFolders,
    adapt_to_own_servers,
    collect_contracts,
    find_wholly_named_providers,
    resolve_prices,
    select_targets,
    to_catalogue,
)
from voicegauge.conformance import CasePatterns, CasePlan, PricedPlan, plan_cases, price_plan, select_cases
from voicegauge.contract import BaseTarget, quote_price
from voicegauge.errors import UsageError
from voicegauge.model import Provenance


def plan_check(
    targets: str | Sequence[str] = (),
    *,
    emulated: bool = False,
    live: LiveOptions | None = None,
    contracts: ContractsOrFolders = (),
    max_calls: int | None = None,
    every_valid_request: bool = False,
    large_uploads: bool = False,
    include_webhooks: bool = False,
    case_ids: Sequence[str] = (),
    prices: Mapping[str, float] | None = None,
    progress: ProgressListener | None = None,
) -> PricedPlan:
    """Plan and price what `check` would send with the same arguments; nothing is sent.

    >>> plan = voicegauge.plan_check("pixelapi", live=voicegauge.LiveOptions(), max_calls=5)
    >>> plan.spending.total.billable_request_count
    5

    Args:
        targets: see `check`.
        emulated: plan for the emulator; the plan is priced as the service would charge it.
        live: plan for the live service; the budget in this argument is ignored.
        contracts: see `check`.
        max_calls: see `check`.
        every_valid_request: see `check`.
        large_uploads: see `check`.
        include_webhooks: whether requests that name a webhook URL are planned for a live service.
        case_ids: see `check`.
        prices: see `check`.
        progress: receives notices, such as where keys would be sent.

    Returns:
        Every case in the order of sending, with its price.

    Raises:
        UsageError: a name is not known, neither `emulated` nor `live` is given, or a key would be sent unencrypted to
            another machine.
    """
    if emulated == (live is not None):
        raise UsageError("plan a check of either the emulator or the live service")
    listener = progress or ProgressListener()
    catalogue = adapt_to_own_servers(
        to_catalogue(contracts, live), targets, live, ask_servers_for_names=False, listener=listener
    )
    chosen = select_targets(catalogue, targets, live)
    prices = resolve_prices(catalogue, prices)
    if live is not None:
        announce_key_hosts(collect_contracts(chosen), live, listener)
        announce_replaced_prices(collect_contracts(chosen), prices, listener)
    plan = plan_cases_to_send(
        chosen,
        emulated=emulated,
        max_calls=max_calls,
        every_valid_request=every_valid_request or are_requests_free_of_charge(chosen, prices),
        include_large_uploads=large_uploads,
        include_webhooks=include_webhooks,
        fully_checked_providers=find_wholly_named_providers(catalogue, targets),
        case_ids=case_ids,
    )
    return price_plan(plan, chosen, prices, provenance=determine_provenance(live))


def are_requests_free_of_charge(targets: Sequence[BaseTarget], prices: Mapping[str, float]) -> bool:
    """Whether no request to the targets costs anything, as with a server of the user's own."""
    return all(quote_price(target, 1, user_price_usd=prices.get(target.id)).price_usd == 0 for target in targets)


def plan_cases_to_send(
    targets: Sequence[BaseTarget],
    *,
    emulated: bool,
    max_calls: int | None,
    every_valid_request: bool,
    include_large_uploads: bool,
    include_webhooks: bool,
    fully_checked_providers: Collection[str],
    case_ids: Collection[str] | CasePatterns,
) -> CasePlan:
    """Return the cases to send. Of the valid requests, a live service by default gets only one delivery per target.

    If `case_ids` has ids or patterns, only the cases that they name are returned, chosen from all that can be planned.
    """
    are_chosen = isinstance(case_ids, CasePatterns) or bool(case_ids)
    plan = plan_cases(
        targets,
        is_emulated=emulated,
        include_all_billable_cases=emulated or every_valid_request or max_calls is not None or are_chosen,
        max_billable_requests=max_calls,
        include_webhooks=emulated or include_webhooks,
        include_large_uploads=emulated or include_large_uploads or are_chosen,
        fully_checked_providers=fully_checked_providers,
    )
    if isinstance(case_ids, CasePatterns):
        return case_ids.select_cases(plan)
    return select_cases(plan, case_ids) if case_ids else plan


def determine_provenance(live_options: LiveOptions | None) -> Provenance:
    """Return the provenance of the responses; without `live_options`, requests are sent to the emulator."""
    return Provenance.EMULATED if live_options is None else Provenance.LIVE
