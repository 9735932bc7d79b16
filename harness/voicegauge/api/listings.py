"""Lists the providers with their targets, the rules, and the ASR engines that voicegauge knows."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import msgspec

from voicegauge.api.calls import create_keyword_function
from voicegauge.api.local_requests import ProvidersRequest
from voicegauge.api.progress import ProgressListener, choose_progress_listener, report_phase
from voicegauge.api.target_selection import to_catalogue, to_name_tuple
from voicegauge.contract.contract import AudioInputTarget, BaseSocketTarget, Contract, Target
from voicegauge.contract.document_parts import walk_objects
from voicegauge.contract.loading import Catalogue, is_bundled
from voicegauge.contract.operation import Operation
from voicegauge.contract.price_computation import describe_price
from voicegauge.drift.drift_report import DRIFT_RULE_BY_ID, DriftLevel, DriftRule
from voicegauge.emulator.client_findings import CLIENT_RULES
from voicegauge.emulator.fault_injection import FAULTS
from voicegauge.emulator.provider_app import describe_emulation
from voicegauge.errors import UnknownNameError, UsageError, find_similar_names
from voicegauge.model.base import Record, Severity
from voicegauge.options import PathLike, with_checked_arguments
from voicegauge.outputs.result_summary import SummaryTable, TabularResult
from voicegauge.printable_text import format_count
from voicegauge.rules.registry import RULE_BY_ID, FaultTraffic, Rule, find_applicable_rules


class TargetRow(Record, frozen=True, kw_only=True):
    """One target of a provider."""

    id: str
    """Id of the target: "pixazo/xtts-v2"."""
    title: str
    """Name of the target for readers."""
    operation_id: str
    input_kind: Literal["text", "audio"]
    """What is sent to the target: text to speak, or audio to transcribe or convert."""
    response_kind: str
    """What the target responds with: "job", "audio" or "transcript"; "conversation" for turns over a WebSocket."""
    price: str
    """The documented price in words."""
    languages: tuple[str, ...]
    """BCP 47 codes of the documented languages; empty if no document lists them."""
    formats: tuple[str, ...]
    """The provider's names of the documented audio formats."""
    required_inputs: tuple[str, ...]
    """Names of the fields that a speech request must have, such as "voice"."""


class OperationRow(Record, frozen=True, kw_only=True):
    """One documented operation."""

    id: str
    """Id of the operation or channel in the document."""
    method: str
    """The HTTP method; "WebSocket" for a channel of the AsyncAPI document."""
    path: str
    server_url: str
    """The URL that the path is appended to. That of a channel has http or https for ws or wss."""
    title: str
    """`summary` of the operation; empty if the document has none."""
    document_name: str | None
    """Name of the document that describes the operation; `None` if the contract does not name it."""
    is_inferred: bool
    """Whether the method and path are inferred, because the document does not state them explicitly."""
    disputes: tuple[str, ...]
    """What other documents or passages say differently about the operation, one sentence each."""
    emulation_description: str
    """How the emulator responds to the operation."""
    rule_ids: tuple[str, ...]
    """Ids of the rules that apply to the operation."""


class ProviderRow(Record, frozen=True, kw_only=True):
    """One provider with its targets and operations."""

    id: str
    """Id of the provider: "pixazo"."""
    title: str
    contract_version: str
    """`info.version` of the contract."""
    contract_file: str
    """Path of the contract."""
    server_urls: dict[str, str]
    key_variable: str
    """Environment variable with the API key."""
    is_key_set: bool
    """Whether every variable that the provider needs is set in the environment."""
    operations: tuple[OperationRow, ...]
    targets: tuple[TargetRow, ...]


class ProviderList(TabularResult, frozen=True, kw_only=True):
    """The result of `list_providers`, which `voicegauge providers --json` writes as JSON."""

    schema: str = "voicegauge/providers/2"
    providers: tuple[ProviderRow, ...]

    def build_table(self) -> SummaryTable:
        """Return a row for each target."""
        rows = [
            (target.id, target.title, target.response_kind, target.price, provider.key_variable)
            for provider in self.providers
            for target in provider.targets
        ]
        title = f"{format_count(len(self.providers), 'provider')} with {format_count(len(rows), 'target')}"
        return SummaryTable(
            title=title, headings=("target", "what it is", "responds with", "price", "key"), rows=tuple(rows)
        )


class RuleRow(Record, frozen=True, kw_only=True):
    """One rule of `check`."""

    id: str
    severity: Severity
    description: str
    """One sentence about what is true of the API if the rule finds nothing."""
    contract_condition: str
    """What a contract must state so that the rule can find a violation. Commas separate alternatives:
    "x-resource.deletion, x-resource.listing"."""
    subject: str
    """What the rule inspects, such as "call", "job history", "speech delivery" or "case outcome"."""


_MEANING_BY_DRIFT_LEVEL = {
    DriftLevel.BREAKING: "A request that worked may be rejected, or a client may not understand a response.",
    DriftLevel.POSSIBLY_BREAKING: "Some clients break, or their requests become more expensive or slower.",
    DriftLevel.COMPATIBLE: "Every client that worked still works.",
}
"""What a change of each level means for clients."""


class ClientRuleRow(Record, frozen=True, kw_only=True):
    """One rule about the clients of emulated WebSockets."""

    id: str
    description: str
    """One or two sentences about what a client must do."""


class RuleList(TabularResult, frozen=True, kw_only=True):
    """The result of `list_rules`, which `voicegauge rules --json` writes as JSON."""

    schema: str = "voicegauge/rules/2"
    check_rules: tuple[RuleRow, ...]
    drift_rules: tuple[DriftRule, ...]
    client_rules: tuple[ClientRuleRow, ...]
    """What the emulator requires of the clients of WebSockets; `serve` prints what breaks it."""

    def build_table(self) -> SummaryTable:
        """Return a row for each rule of `check`."""
        count = format_count(len(self.check_rules), "rule")
        others = f"{len(self.drift_rules)} of `drift` (in `drift_rules`), {len(self.client_rules)} about clients"
        return SummaryTable(
            title=f"{count} of `check`, {others} (in `client_rules`)",
            headings=("rule", "severity", "what it proves"),
            rows=tuple((rule.id, rule.severity.value, rule.description) for rule in self.check_rules),
        )


class RuleExplanation(Record, frozen=True, kw_only=True):
    """The result of `explain_rule`, which `voicegauge explain ID --json` writes as JSON: about a rule or a fault."""

    schema: str = "voicegauge/explain/2"
    id: str
    severity: str
    """Severity of a violation ("error"), or level of a change ("breaking"); "client" for a rule about clients of
    WebSockets, "fault" for a fault of the emulator."""
    description: str
    """One sentence about what is true of the API, or of the client, if the rule finds nothing; for `drift`, what
    changed; for a fault, what the emulator does wrong."""
    consequence: str
    """What goes wrong for a client if the rule is broken; for `drift`, what the level means; for a fault, which rules
    find it."""
    contract_condition: str | None = None
    """What a contract must state so that the rule can find a violation; `None` for a rule of `drift` or about clients
    and for a fault, as are the examples."""
    conforming_example: str | None = None
    """An example of traffic that keeps the rule."""
    violating_example: str | None = None
    """An example of traffic that breaks the rule."""
    violation_command: str | None = None
    """A command that finds a violation at the emulator; `None` if no fault of the emulator breaks the rule."""
    fault_of_same_id: RuleExplanation | None = None
    """The explanation of the fault that has the same id as the rule; `None` if there is none."""


class AsrEngineRow(Record, frozen=True, kw_only=True):
    """One ASR engine that can transcribe on this machine."""

    spec: str
    """The value of `--asr` that selects the engine."""
    description: str
    is_chosen_for_live_runs: bool
    """Whether `--asr auto` chooses this engine for runs of live services."""


class AsrEngineList(Record, frozen=True, kw_only=True):
    """The result of `list_asr_engines`, which `voicegauge asr list --json` writes as JSON."""

    schema: str = "voicegauge/asr/2"
    installed_engines: tuple[AsrEngineRow, ...]
    missing_extras: tuple[str, ...]
    """Extras of voicegauge that are not installed and would add more engines."""


def run_list_providers(request: ProvidersRequest) -> ProviderList:
    """List providers with their targets, prices and operations, and whether their keys are set.

    >>> [provider.id for provider in voicegauge.list_providers("deepgram").providers]
    ['deepgram']

    Folders of your own in `contracts` are listed alone, unless providers are named.

    Returns:
        One row per provider.

    Raises:
        ContractError: a document is not a usable contract.
        UnknownNameError: there is no such provider, or it has no such target.
    """
    catalogue = to_catalogue(request.contracts)
    names = to_name_tuple(request.providers)
    if names:
        return _list_named_providers(catalogue, names)
    if request.contracts and not isinstance(request.contracts, Catalogue):
        listed = [contract for contract in catalogue if not is_bundled(contract.document.path)]
    else:
        listed = list(catalogue)
    return ProviderList(providers=tuple(map(_build_provider_row, listed)))


def _list_named_providers(catalogue: Catalogue, names: Sequence[str]) -> ProviderList:
    """Return the named providers, each with the named targets ("acme/voice-1") only, or with all if none is named."""
    targets_by_provider: dict[str, set[str] | None] = {}
    for name in names:
        provider, slash, _ = name.partition("/")
        if not slash:
            targets_by_provider[provider] = None
        elif (targets := targets_by_provider.setdefault(provider, set())) is not None:
            targets.add(name)
    rows = []
    for provider, targets in targets_by_provider.items():
        row = _build_provider_row(catalogue.find_provider(provider))
        known = {target.id for target in row.targets}
        for name in sorted((targets or set()) - known):
            raise UnknownNameError("target", name, known, listing_command=f"voicegauge providers {provider}")
        if targets is not None:
            row = msgspec.structs.replace(row, targets=tuple(one for one in row.targets if one.id in targets))
        rows.append(row)
    return ProviderList(providers=tuple(rows))


list_providers = create_keyword_function(ProvidersRequest, run_list_providers, name="list_providers")


@with_checked_arguments
def list_rules(words: Sequence[str] = ()) -> RuleList:
    """List the rules of `check`, of `drift`, and about the clients of emulated WebSockets.

    >>> [rule.id for rule in voicegauge.list_rules(["empty-body"]).check_rules]
    ['empty-body']

    Args:
        words: list only rules whose ids contain all of these words. The ids of drift rules are treated as if they
            began with "drift ".

    Returns:
        The rules, with what each proves and how severe its findings are.
    """
    return RuleList(
        check_rules=tuple(
            RuleRow(
                id=rule.id,
                severity=rule.severity,
                description=rule.description,
                contract_condition=rule.contract_condition,
                subject=re.sub(r"(?<!^)(?=[A-Z])", " ", rule.subject_class.__name__).lower(),
            )
            for rule in RULE_BY_ID.values()
            if _contains_all_words(rule.id, words)
        ),
        drift_rules=tuple(rule for rule in DRIFT_RULE_BY_ID.values() if _contains_all_words(f"drift {rule.id}", words)),
        client_rules=tuple(
            ClientRuleRow(id=rule_id, description=rule.description)
            for rule_id, rule in CLIENT_RULES.items()
            if _contains_all_words(rule_id, words)
        ),
    )


@with_checked_arguments
def explain_rule(rule_id: str) -> RuleExplanation:
    """Explain one rule of `check`, of `drift` or about clients, or one fault of the emulator.

    An id that a rule and a fault share explains both.

    >>> voicegauge.explain_rule("audio-silent").consequence
    'The file plays, the request was charged, and nobody hears anything.'

    Raises:
        UsageError: no rule and no fault has this id; the error message names the most similar ones.
    """
    if rule_id in DRIFT_RULE_BY_ID:
        change = DRIFT_RULE_BY_ID[rule_id]
        return RuleExplanation(
            id=rule_id,
            severity=change.level.value,
            description=change.description,
            consequence=_MEANING_BY_DRIFT_LEVEL[change.level],
        )
    if rule_id in CLIENT_RULES:
        rule_of_clients = CLIENT_RULES[rule_id]
        return RuleExplanation(
            id=rule_id,
            severity="client",
            description=rule_of_clients.description,
            consequence=rule_of_clients.consequence,
        )
    fault = _explain_fault(rule_id) if rule_id in FAULTS else None
    if rule_id not in RULE_BY_ID:
        if fault is not None:
            return fault
        near = find_similar_names(rule_id, [*RULE_BY_ID, *DRIFT_RULE_BY_ID, *CLIENT_RULES, *FAULTS])
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(
            f"unknown rule or fault {rule_id!r}: {hint}`voicegauge explain` lists all rules, "
            "`voicegauge serve --fault list` all faults"
        )
    rule = RULE_BY_ID[rule_id]
    return RuleExplanation(
        id=rule_id,
        severity=rule.severity.value,
        description=rule.description,
        consequence=rule.explanation.consequence,
        contract_condition=rule.contract_condition,
        conforming_example=rule.explanation.conforming_example,
        violating_example=rule.explanation.violating_example,
        violation_command=_build_fault_command(rule),
        fault_of_same_id=fault,
    )


_CHECK_OPTIONS_BY_FAULT_TRAFFIC: Mapping[FaultTraffic, str | None] = {
    "job-sequence": " --fuzz 20",
    "timed-stream": None,
}
"""Options with which a check has traffic that it does not have otherwise; `None` if no option does that."""


def _explain_fault(fault_id: str) -> RuleExplanation:
    fault = FAULTS[fault_id]
    rules = [rule for rule in RULE_BY_ID.values() if any(example.fault_id == fault_id for example in rule.shown_by)]
    commands = (_build_fault_command(rule, fault_id) for rule in rules)
    return RuleExplanation(
        id=fault_id,
        severity="fault",
        description=fault.description,
        consequence=fault.why_checks_miss_it or f"A check finds it by {' and '.join(rule.id for rule in rules)}.",
        violation_command=next(filter(None, commands), None),
    )


def _build_fault_command(rule: Rule, fault_id: str | None = None) -> str | None:
    """Return a command that finds a violation of `rule` by a bundled provider, or `None` if there is none.

    The fault is `fault_id`, or the first one that shows the violation.
    """
    for example in rule.shown_by:
        if fault_id not in {None, example.fault_id}:
            continue
        options = _CHECK_OPTIONS_BY_FAULT_TRAFFIC.get(example.found_in, "")
        name = example.target_id or _find_target_for_fault(example.fault_id, rule.id)
        if options is not None and name is not None:
            return f"voicegauge check {name} --emulated --fault {example.fault_id} --select {rule.id}{options}"
    return None


def _find_target_for_fault(fault_id: str, rule_id: str) -> str | None:
    """Return the id of a target that can have the fault and to which the rule applies; `None` if there is none.

    Providers with few operations come first, because their checks are short.
    """
    contracts = sorted(to_catalogue(()), key=lambda contract: len(contract.operations))
    for target in (target for contract in contracts for target in contract.targets.values()):
        operations = (target.operation, *filter(None, [target.job_operation]))
        applied_rules = (rule for operation in operations for rule in find_applicable_rules(operation))
        if FAULTS[fault_id].applies_to(target) and any(rule.id == rule_id for rule in applied_rules):
            return target.id
    return None


def list_asr_engines() -> AsrEngineList:
    """List the ASR engines that can transcribe on this machine without a download.

    Returns:
        The engines with their installed weights, and the extras that are missing.
    """
    from voicegauge.speech.asr_engines import PREFERRED_MODEL_NAMES
    from voicegauge.speech.lexicon_engine import LEXICON_ENGINE, has_lexicon
    from voicegauge.speech.whisper_installation import EMBEDDED_ENGINE, get_weights_cache_path, list_cached_models

    installed, missing = [], []
    if find_spec("whisper"):
        installed += [
            _describe_official_whisper_engine(f"whisper:{name}")
            for name in PREFERRED_MODEL_NAMES
            if get_weights_cache_path(name).is_file()
        ]
    else:
        missing.append("openai-whisper: pip install 'voicegauge[whisper]'")
    if find_spec("faster_whisper"):
        installed += [_describe_official_whisper_engine(f"faster-whisper:{name}") for name in list_cached_models()]
    else:
        missing.append("faster-whisper: pip install 'voicegauge[faster-whisper]'")
    if has_lexicon():
        text = "the bundled phoneme network with a lexicon, for emulated English speech"
        installed.append(AsrEngineRow(spec=LEXICON_ENGINE, description=text, is_chosen_for_live_runs=False))
    if len(missing) < 2:  # the embedded weights run on either engine
        text = "a small bundled Whisper, for emulated English speech"
        installed.append(AsrEngineRow(spec=EMBEDDED_ENGINE, description=text, is_chosen_for_live_runs=False))
    return AsrEngineList(installed_engines=tuple(installed), missing_extras=tuple(missing))


def install_weights(
    model: str, weights_path: PathLike | None = None, *, progress: ProgressListener | None = None
) -> Path:
    """Install official Whisper weights, verified by their SHA-256.

    Args:
        model: name of the model, such as "base.en".
        weights_path: file with the weights to copy, or its folder; `None` downloads the weights.
        progress: receives progress; `None` shows it in notebooks only.

    Returns:
        The path of the installed weights, at which openai-whisper looks for them.

    Raises:
        UnknownNameError: Whisper has no model of this name.
        DataError: the file cannot be read, or is not the official one.
        TransportError: the download failed.
    """
    from voicegauge.speech import whisper_installation

    with report_phase(choose_progress_listener(progress), f"installing {model}") as installing:
        return whisper_installation.install_weights(
            model, Path(weights_path) if weights_path is not None else None, installing.update
        )


def _build_provider_row(contract: Contract) -> ProviderRow:
    return ProviderRow(
        id=contract.id,
        title=contract.provider.title,
        contract_version=contract.version,
        contract_file=str(contract.document.path),
        server_urls={
            server.name: contract.describe_base_url(server.name, server.url) for server in contract.servers.values()
        },
        key_variable=contract.provider.key_variable,
        is_key_set=all(os.environ.get(variable, "").strip() for variable in contract.key_variables),
        operations=tuple(
            map(_build_operation_row, (*contract.operations.values(), *contract.socket_operations.values()))
        ),
        targets=(
            *(
                _build_target_row(
                    target,
                    "text",
                    "job" if target.response.status_operation_id else "audio",
                    formats=target.target_spec.supported_formats,
                    required_inputs=target.target_spec.required_fields,
                )
                for target in contract.targets.values()
            ),
            *(
                _build_target_row(target, "text", "conversation", formats=tuple(target.target_spec.formats))
                for target in contract.socket_targets.values()
            ),
            *(
                _build_target_row(target, "audio", "audio" if target.transcription is None else "transcript")
                for target in contract.audio_input_targets.values()
            ),
            *(
                _build_target_row(target, "audio", "conversation", formats=tuple(target.target_spec.formats))
                for target in contract.transcription_socket_targets.values()
            ),
        ),
    )


def _build_target_row(
    target: Target | AudioInputTarget | BaseSocketTarget,
    input_kind: Literal["text", "audio"],
    response_kind: str,
    *,
    formats: tuple[str, ...] = (),
    required_inputs: tuple[str, ...] = (),
) -> TargetRow:
    return TargetRow(
        id=target.id,
        title=target.target_spec.title,
        operation_id=target.operation.id,
        input_kind=input_kind,
        response_kind=response_kind,
        price=describe_price(target),
        languages=target.target_spec.supported_languages,
        formats=formats,
        required_inputs=required_inputs,
    )


def _build_operation_row(operation: Operation) -> OperationRow:
    source = operation.part_data.get("x-source", {})
    readings = [
        d["claim"]
        for _, node in walk_objects(operation.part_data)
        for d in node.get("x-source", {}).get("disputes", ())
    ]
    return OperationRow(
        id=operation.id,
        method=operation.method if operation.socket is None else "WebSocket",
        path=operation.path,
        server_url=operation.server.url,
        title=str(operation.part_data.get("summary", "")),
        document_name=source.get("document_name"),
        is_inferred=bool(source.get("is_inferred", False)),
        disputes=tuple(readings),
        emulation_description=describe_emulation(operation),
        rule_ids=tuple(rule.id for rule in find_applicable_rules(operation)),
    )


def _contains_all_words(text: str, words: Sequence[str]) -> bool:
    return all(word in text for word in words)


def _describe_official_whisper_engine(engine_spec: str) -> AsrEngineRow:
    return AsrEngineRow(spec=engine_spec, description="Whisper, official weights", is_chosen_for_live_runs=True)
