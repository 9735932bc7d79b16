"""Completes known names in a shell: providers, targets, rules, faults and suites."""

from __future__ import annotations

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from voicegauge.errors import VoicegaugeError
from voicegauge.options import Completion


def find_completer(kind: Completion | None) -> Callable[..., list[CompletionItem]] | None:
    """Return what click calls to complete a value of an option; `None` if its values have no known names."""
    if kind is None:
        return None

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return complete_name(kind, incomplete)

    return complete


def complete_name(kind: Completion, incomplete: str) -> list[CompletionItem]:
    """Return the known names that begin with `incomplete`, each with a short text about it.

    For targets, providers are completed first; after a slash, the targets of the provider, so that one contract is
    loaded instead of all.
    """
    return [
        CompletionItem(name, help=about)
        for name, about in _list_names(kind, incomplete).items()
        if name.startswith(incomplete)
    ]


def _list_names(kind: Completion, incomplete: str) -> dict[str, str]:
    """Return what is known by name. What is imported here costs no command its start."""
    match kind:
        case Completion.PROVIDER:
            from voicegauge.contract.catalogue import load_catalogue

            return dict.fromkeys(load_catalogue().provider_ids, "provider")
        case Completion.TARGET:
            provider_id, slash, _ = incomplete.partition("/")
            return _list_targets(provider_id) if slash else _list_names(Completion.PROVIDER, incomplete)
        case Completion.RULE:
            from voicegauge.api.listings import list_rules

            listed = list_rules()
            return {row.id: row.description for row in listed.check_rules} | {
                row.id: row.description for row in listed.drift_rules
            }
        case Completion.FAULT:
            from voicegauge.emulator.fault_injection import FAULTS

            return {name: fault.description for name, fault in FAULTS.items()}
        case Completion.SUITE:
            from voicegauge.bench.suites import list_suite_names

            return dict.fromkeys(list_suite_names(), "suite")


def _list_targets(provider_id: str) -> dict[str, str]:
    """Return the targets of a provider; none if its contract cannot be loaded, as the command itself will say."""
    from voicegauge.api.listings import list_providers

    try:
        (provider,) = list_providers(provider_id).providers
    except VoicegaugeError:
        return {}
    return {row.id: row.title for row in provider.targets}
