"""Makes exchanges from the examples in the documents, and judges them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any
from urllib.parse import quote

from voicegauge.cases.boundary_values import find_fitting_value
from voicegauge.cases.valid_requests import replace_file_names
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import Example, MediaType
from voicegauge.contract.operation import Operation
from voicegauge.formats.bodies import is_form, is_json
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING
from voicegauge.model.base import Finding, Provenance
from voicegauge.model.exchange import Exchange, Request, Response, UploadedFile
from voicegauge.rules.call import Call
from voicegauge.rules.checker import Checker
from voicegauge.rules.registry import RULE_BY_ID, Rule
from voicegauge.rules.webhooks import Callback
from voicegauge.transport.body_encoding import encode_body, join_lists

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
    value = example.value
    if is_form(media_type.name):
        value = join_lists(replace_file_names(media_type, value, _build_empty_file), media_type.separator_by_list)
    content_type, body = encode_body(media_type.name, value)
    headers = (("Content-Type", content_type), *operation.required_headers.items())
    return Request(method=operation.method, url=_build_example_url(operation, None), headers=headers, body=body)


def _build_empty_file(filename: str) -> UploadedFile:
    return UploadedFile(filename=filename, media_type="application/octet-stream", data=b"")


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


def check_documented_examples(
    contracts: Sequence[Contract], rules: Mapping[str, Rule], collector: ResultCollector
) -> None:
    """Judge every example in the documents of the providers, and add the results to `collector`."""
    for contract in contracts:
        for exchange, findings in judge_documented_examples(contract, rules):
            collector.count_exchange(Provenance.DOCUMENTED, contract.id, exchange.operation)
            collector.add_findings(findings)
