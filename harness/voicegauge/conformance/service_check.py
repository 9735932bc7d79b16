"""Checks one service: planned cases, random requests, documented examples."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from voicegauge.cases.boundary_values import find_fitting_value
from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.case_order import find_excluded_operations
from voicegauge.cases.plan import CasePlan
from voicegauge.client.client import Client
from voicegauge.client.daily_spending import open_provider_ledgers
from voicegauge.conformance._case_runner import CaseRunner
from voicegauge.conformance._resource_tracking import ResourceJournal, ResourceTracker, compute_account_checksum
from voicegauge.conformance.callbacks import open_receiver_for_cases
from voicegauge.conformance.checked_service import (
    CheckedService,
    CheckSettings,
    Reproduction,
    build_emulated_check_arguments,
    build_emulator_command,
)
from voicegauge.conformance.plan_budgets import create_request_limit
from voicegauge.conformance.resource_cleanup import ResourceCleanup
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import Example, MediaType
from voicegauge.contract.operation import Operation
from voicegauge.contract.targets import BaseTarget, Target
from voicegauge.emulator.process import RunningEmulator
from voicegauge.emulator.settings import EmulatorSettings
from voicegauge.errors import BudgetError
from voicegauge.formats.bodies import is_form, is_json
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request, Response, UploadedFile
from voicegauge.model.finding import Finding
from voicegauge.rules.call import Call
from voicegauge.rules.checker import Checker
from voicegauge.rules.registry import RULE_BY_ID, Rule
from voicegauge.rules.webhooks import Callback
from voicegauge.transport.bodies import encode_body
from voicegauge.transport.clock import VirtualClock
from voicegauge.transport.http import Transport, create_default_timeouts

# Reads the documented examples of callbacks and webhooks.


def iterate_documented_callbacks(contract: Contract, *, include_inferred_examples: bool = False) -> Iterator[Callback]:
    """Yield every example of a callback of an operation, and of a webhook at the root of the document.

    Args:
        contract: the contract.
        include_inferred_examples: whether to include examples that no document contains.
    """
    for operation in contract.operations.values():
        for name, node in operation.part_data.get("callbacks", {}).items():
            node, pointer = contract.schemas.resolve_reference(
                node, f"{operation.pointer}/callbacks/{escape_pointer_token(name)}"
            )
            yield from _iterate_example_callbacks(
                operation, node, pointer, include_inferred_examples=include_inferred_examples
            )
    webhooks = contract.document.data.get("webhooks", {})
    # A webhook belongs to no operation. `Callback` needs one to find the contract, so any operation is used.
    yield from _iterate_example_callbacks(
        next(iter((*contract.operations.values(), *contract.socket_operations.values()))),
        webhooks,
        "/webhooks",
        include_inferred_examples=include_inferred_examples,
    )


def _iterate_example_callbacks(
    operation: Operation, path_items: Mapping[str, Any], parent_pointer: str, *, include_inferred_examples: bool
) -> Iterator[Callback]:
    """Yield the documented examples in `path_items`: path items by the URL of a callback or the name of a webhook."""
    schemas = operation.contract.schemas
    for url, item in path_items.items():
        for method, node in item.items():
            if not isinstance(node, dict) or "requestBody" not in node:
                continue
            pointer = f"{parent_pointer}/{escape_pointer_token(url)}/{method}/requestBody"
            body, pointer = schemas.resolve_reference(node["requestBody"], pointer)
            for name, data in body.get("content", {}).items():
                media = MediaType(
                    operation.schemas, f"{pointer}/content/{escape_pointer_token(name)}", data, name.lower()
                )
                name_of_callback = str(node.get("operationId", url))
                yield from _build_example_callbacks(
                    operation, media, name_of_callback, method, include_inferred_examples=include_inferred_examples
                )


def _build_example_callbacks(
    operation: Operation,
    media_type: MediaType,
    callback_name: str,
    http_method: str,
    *,
    include_inferred_examples: bool,
) -> Iterator[Callback]:
    for example in media_type.examples:
        if example.is_inferred and not include_inferred_examples:
            continue
        body = json.dumps(example.value, ensure_ascii=False).encode()
        headers = (("Content-Type", media_type.name),)
        # The URL belongs to the user, so no document contains it.
        request = Request(method=http_method.upper(), url="https://callback.invalid/", headers=headers, body=body)
        exchange = Exchange(
            provider=operation.contract.id, operation=callback_name, request=request, response=Response(status=200)
        )
        yield Callback(media_type, exchange, operation)


# Makes exchanges from the examples of requests and responses in the documents, and judges them.


def iterate_documented_calls(contract: Contract, *, include_inferred_examples: bool = False) -> Iterator[Call]:
    """Yield every example of a response as a call, with the example of its request if that is known.

    Args:
        contract: the contract.
        include_inferred_examples: whether to include examples that no document contains.
    """
    for operation in contract.operations.values():
        requests = dict(_iterate_request_examples(operation, include_inferred_examples=include_inferred_examples))
        for status, response in operation.responses.items():
            for media in response.media_types.values():
                for example in media.examples:
                    if example.is_inferred and not include_inferred_examples:
                        continue
                    request = requests.get(example.request_example_name or "")
                    yield _build_example_call(operation, _choose_status_code(status), media, example, request)


def iterate_documented_requests(contract: Contract, *, include_inferred_examples: bool = False) -> Iterator[Call]:
    """Yield every example of a request as an accepted call with an empty response."""
    for operation in contract.operations.values():
        for request in dict(
            _iterate_request_examples(operation, include_inferred_examples=include_inferred_examples)
        ).values():
            yield _build_call_with_target(
                operation, request, Response(status=_choose_status_code(operation.success_response.status))
            )


def judge_documented_examples(
    contract: Contract, rules: Mapping[str, Rule] | None = None, *, include_inferred_examples: bool = False
) -> Iterator[tuple[Exchange, list[Finding]]]:
    """Judge every documented example, and yield its exchange and findings.

    Args:
        contract: the contract.
        rules: the rules to apply, by id; all by default.
        include_inferred_examples: whether to include examples that no document contains.
    """
    chosen = {name: rule for name, rule in (rules or RULE_BY_ID).items() if rule.needs != "headers"}
    checker = Checker(Provenance.DOCUMENTED, chosen)
    responses: Iterator[Call | Callback] = chain(
        iterate_documented_calls(contract, include_inferred_examples=include_inferred_examples),
        iterate_documented_callbacks(contract, include_inferred_examples=include_inferred_examples),
    )
    for subject in responses:
        yield subject.exchange, list(checker.iterate_findings(subject))
    # Documented requests have no response that other rules could judge.
    request_rules = {name: rule for name, rule in chosen.items() if rule.needs == "request"}
    request_checker = Checker(Provenance.DOCUMENTED, request_rules)
    for call in iterate_documented_requests(contract, include_inferred_examples=include_inferred_examples):
        yield call.exchange, list(request_checker.iterate_findings(call))


def _choose_status_code(status_key: str) -> int:
    """Return a status code for a key of `responses`: 400 for "4XX", 500 for "default"."""
    if status_key.isdecimal():
        return int(status_key)
    return int(status_key[0]) * 100 if status_key[0].isdecimal() else 500


def _iterate_request_examples(
    operation: Operation, *, include_inferred_examples: bool
) -> Iterator[tuple[str, Request]]:
    for media in operation.request_media.values():
        for example in media.examples:
            if include_inferred_examples or not example.is_inferred:
                yield example.name, _build_example_request(operation, media, example)


def _build_example_request(operation: Operation, media_type: MediaType, example: Example) -> Request:
    value = _replace_file_names_by_files(media_type, example.value) if is_form(media_type.name) else example.value
    content_type, body = encode_body(media_type.name, value)
    headers = (("Content-Type", content_type), *operation.required_headers.items())
    return Request(method=operation.method, url=_build_example_url(operation, None), headers=headers, body=body)


def _replace_file_names_by_files(media_type: MediaType, form_fields: Any) -> Any:
    """Return form fields with an empty file in each file field, where the document shows only a file name."""
    schema = media_type.schema if isinstance(media_type.schema, dict) else {}
    schemas = media_type.schemas
    fields = {}
    for name, text in form_fields.items():
        inner = schemas.resolve_reference(schema.get("properties", {}).get(name, {}))[0]
        is_binary = isinstance(inner, dict) and ("contentMediaType" in inner or inner.get("format") == "binary")
        is_file = is_binary and media_type.name == "multipart/form-data"
        fields[name] = (
            UploadedFile(filename=str(text), media_type="application/octet-stream", data=b"") if is_file else text
        )
    return fields


def _build_example_url(operation: Operation, example_response_body: Any) -> str:
    """Return the URL of a documented request.

    The value of a parameter is the job id in the response, a documented example, or an invented value.
    """
    path, query = operation.path, []
    for parameter in operation.parameters:
        value = _find_parameter_value(operation, parameter.name, parameter.part_data, example_response_body)
        if parameter.message_part == "path":
            path = path.replace(f"{{{parameter.name}}}", quote(str(value), safe=""))
        elif parameter.message_part == "query" and parameter.is_required:
            query.append(f"{parameter.name}={quote(str(value), safe='')}")
    return f"{operation.server.url}{path}{'?' if query else ''}{'&'.join(query)}"


def _find_parameter_value(
    operation: Operation, parameter_name: str, parameter_definition: dict[str, Any], example_response_body: Any
) -> Any:
    """Return a value for a parameter; the name of the parameter if no value is known."""
    if operation.job is not None and operation.job.job_id_location is not None:
        job_id = operation.job.job_id_location.read_body(example_response_body)
        if job_id is not MISSING:
            return job_id
    if "example" in parameter_definition:
        return parameter_definition["example"]
    sample = find_fitting_value(operation.contract.schemas, parameter_definition.get("schema", {}))
    return parameter_name if sample is MISSING else sample


def _build_example_call(
    operation: Operation, status: int, media_type: MediaType, example: Example, request: Request | None
) -> Call:
    text = json.dumps(example.value, ensure_ascii=False) if is_json(media_type.name) else str(example.value)
    body = text.encode()
    response = Response(status=status, headers=(("Content-Type", media_type.name),), body=body)
    if request is not None:
        return _build_call_with_target(operation, request, response)
    without_body = Request(method=operation.method, url=_build_example_url(operation, example.value))
    exchange = Exchange(provider=operation.contract.id, operation=operation.id, request=without_body, response=response)
    return Call(operation, exchange, request_intent="unknown")


def _build_call_with_target(operation: Operation, request: Request, response: Response) -> Call:
    exchange = Exchange(provider=operation.contract.id, operation=operation.id, request=request, response=response)
    return Call(operation, exchange, target=operation.find_target(Call(operation, exchange).read_request))


# Runs a check of documented examples or of a service. An interruption does not lose the findings so far.


def check_documented_examples(
    contracts: Sequence[Contract], rules: Mapping[str, Rule], collector: ResultCollector
) -> None:
    """Judge every example in the documents of the providers, and add the results to `collector`."""
    for contract in contracts:
        for exchange, findings in judge_documented_examples(contract, rules):
            collector.count_exchange(Provenance.DOCUMENTED, contract.id, exchange.operation)
            collector.add_findings(findings)


async def check_service(
    targets: Sequence[BaseTarget],
    plan: CasePlan,
    settings: CheckSettings,
    collector: ResultCollector,
    on_case_started: Callable[[ConformanceCase], None] | None = None,
    limits: AbstractContextManager[None] | None = None,
) -> None:
    """Send the plan to the services of `targets` and judge the responses.

    Args:
        targets: the targets of the plan.
        plan: the cases to send.
        settings: settings that decide how the services are reached.
        collector: collects findings and results, and keeps them if an error is raised.
        on_case_started: function that is called before each case.
        limits: context in which everything is sent, and which cancels this task to end it early; `None` for none.

    Raises:
        UnreachableError: a service cannot be reached.
    """
    collector.exclude_operations(plan.excluded_operations)
    for skipped in plan.skipped_cases:
        collector.add_skipped_result(skipped.id, skipped.skip_reason)
    for target, reason in plan.left_out_reason_by_target.items():
        collector.add_left_out_target(target, reason)
    collector.over_budget_case_count += plan.over_budget_case_count
    if not settings.fuzz_request_count:  # random requests are judged too
        reasons = {skipped.id: skipped.skip_reason for skipped in plan.skipped_cases}
        beyond_limit = f"its delivery is beyond --max-calls {plan.max_billable_requests}"
        for name in plan.targets_without_delivery:
            collector.add_unjudged_item(name, reasons.get(name, beyond_limit))
    collector.emulator_command = settings.reproduction.emulator_command
    limit = create_request_limit(plan, settings.case_journal_by_provider.values())
    with (
        limits or nullcontext(),
        open_receiver_for_cases(plan.cases, settings.callback_receiver, settings.provenance) as receiver,
    ):
        settings = replace(settings, callback_receiver=receiver)
        async with _open_transport(settings) as transport:
            for contract in {target.contract.id: target.contract for target in targets}.values():
                cases = [case for case in plan.cases if case.provider == contract.id]
                called = {case.operation for case in cases}
                async with _open_service(contract, transport, settings, collector, called) as service:
                    try:
                        concurrency = settings.get_concurrency(contract)
                        runner = CaseRunner(service, settings.rules, collector, limit, concurrency=concurrency)
                        await runner.run_cases(cases, on_case_started)
                        await _fuzz_service(service, targets, settings, collector)
                    except BudgetError as error:
                        collector.stop_message = str(error)
                        return


async def _fuzz_service(
    service: CheckedService, targets: Sequence[BaseTarget], settings: CheckSettings, collector: ResultCollector
) -> None:
    """Fuzz one speech target of each operation, because all targets of an operation have the same schema and jobs."""
    if not settings.fuzz_request_count:
        return
    # Imported here because Hypothesis takes 0.2 s to import.
    from voicegauge.conformance._fuzzing_jobs import fuzz_jobs
    from voicegauge.conformance._fuzzing_requests import FuzzSettings, fuzz_target

    fuzz_settings = FuzzSettings(settings.fuzz_request_count, settings.seed, settings.fuzz_failures_folder)
    fuzz_settings = fuzz_settings.copy_with_failures_subfolder(settings.provenance.value, service.contract.id)
    first_targets: dict[str, Target] = {}
    for target in targets:
        if isinstance(target, Target) and target.contract is service.contract:
            first_targets.setdefault(target.operation.id, target)
    for target in first_targets.values():
        runner = CaseRunner(service, settings.rules, collector)
        await fuzz_target(target, runner, collector, fuzz_settings)
        if target.job_operation is not None:
            await fuzz_jobs(target, runner, fuzz_settings)


async def check_job_steps(
    target: Target,
    steps: Sequence[str],
    settings: CheckSettings,
    collector: ResultCollector,
    limits: AbstractContextManager[None] | None = None,
) -> None:
    """Take `steps`, in the notation of `StatefulJobs`, with jobs of `target`, and add findings to `collector`.

    `limits` is the context in which everything is sent, and which cancels this task to end it early; `None` for none.

    Raises:
        UsageError: the target has no jobs, or a step is not a valid step.
        TransportError: the service did not respond.
    """
    from voicegauge.conformance._fuzzing_jobs import StatefulJobs

    collector.exclude_operations(find_excluded_operations([target], ()))
    collector.emulator_command = settings.reproduction.emulator_command
    with limits or nullcontext():
        async with (
            _open_transport(settings) as transport,
            _open_service(target.contract, transport, settings, collector) as service,
        ):
            runner = CaseRunner(service, settings.rules, collector)
            jobs = StatefulJobs(target, runner)
            try:
                for step in steps:
                    runner.collect_findings(await jobs.take_step(step))
            except BudgetError as error:
                collector.stop_message = str(error)


def _open_transport(settings: CheckSettings) -> Transport:
    return Transport(app=settings.emulator_app, timeouts=create_default_timeouts(settings.max_wait_s))


async def delete_leftover_resources(contracts: Sequence[Contract], settings: CheckSettings) -> None:
    """Delete the resources that killed checks left at the servers of `contracts`.

    Each result is reported with `settings.on_deletion_message`. Nothing is sent if there are no such resources.

    Raises:
        UsageError: a base URL is not valid.
    """
    folders = {contract: settings.get_resource_journal_folder(contract) for contract in contracts}
    async with _open_transport(settings) as transport:
        for contract, folder in folders.items():
            if folder is not None and folder.is_dir():
                service = _create_service(contract, transport, settings, None)
                cleanup = ResourceCleanup(
                    service, compute_account_checksum(settings.api_key_by_provider.get(contract.id))
                )
                await cleanup.delete_leftover_resources(folder, settings.on_deletion_message)


@asynccontextmanager
async def _open_service(
    contract: Contract,
    transport: Transport,
    settings: CheckSettings,
    collector: ResultCollector,
    operation_ids: Collection[str] = (),
) -> AsyncIterator[CheckedService]:
    """Yield the service, and delete what its requests created when the context ends, even after Ctrl-C.

    Args:
        contract: the contract of the service.
        transport: an open transport.
        settings: settings that decide how the service is reached.
        collector: gets what was deleted, and what is left.
        operation_ids: ids of the operations that are going to be called.
    """
    account = compute_account_checksum(settings.api_key_by_provider.get(contract.id))
    folder = settings.get_resource_journal_folder(contract)
    resource_tracker = ResourceTracker(
        contract,
        settings.api_key_by_provider.get(contract.id),
        ResourceJournal(folder, account) if folder is not None else None,
    )
    service = _create_service(contract, transport, settings, resource_tracker)
    if not service.is_emulated:
        collector.secrets.update(service.client.secrets)
    cleanup = ResourceCleanup(service, account)
    try:
        if folder is not None:
            collector.add_resource_summary(
                await cleanup.delete_leftover_resources(folder, settings.on_deletion_message)
            )
            await cleanup.list_existing_resources(operation_ids, resource_tracker)
        yield service
    finally:
        collector.add_resource_summary(await cleanup.delete_created_resources(resource_tracker))


def _create_service(
    contract: Contract, transport: Transport, settings: CheckSettings, resource_tracker: ResourceTracker | None
) -> CheckedService:
    # A check has one client for each provider, so that each share is opened once.
    ledger = open_provider_ledgers(
        settings.ledger,
        [contract.id],
        daily_budget_by_provider=settings.daily_budget_by_provider,
        max_cost_usd_by_provider=settings.max_cost_usd_by_provider,
        spent_usd_by_provider=settings.spent_usd_by_provider,
    ).get(contract.id)
    client = Client(
        contract,
        transport,
        base_urls=settings.base_urls_by_provider.get(contract.id, {}),
        key=settings.api_key_by_provider.get(contract.id),
        clock=settings.create_clock() if settings.create_clock else None,
        ledger=ledger,
        rate_limiter=settings.rate_limiter_by_provider.get(contract.id),
        seed=settings.seed,
        max_wait_s=settings.max_wait_s,
        traffic_observer=resource_tracker,
    )
    return CheckedService(contract, client, settings, ledger)


# Makes the settings for a check against the emulator: those of the emulator and those of the check.


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
            temporary_emulator_url=emulator.url,
            emulator_command=build_emulator_command(emulator, contracts),
        ),
    )
