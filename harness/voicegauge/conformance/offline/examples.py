"""Exchanges that the documents print: request examples with the answers beside them.

Nobody sent them. Their provenance is `documented`, and rules about what a document
does not print (headers) are not applied to them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any
from urllib.parse import quote

from voicegauge.checks import RULES, Call, Callback, Checker, Rule
from voicegauge.conformance.cases import sample_value
from voicegauge.conformance.offline.callback_examples import documented_callbacks
from voicegauge.conformance.target_matching import find_target
from voicegauge.contract import MISSING, Contract, Example, MediaType, Operation
from voicegauge.formats import is_form, is_json
from voicegauge.model import Exchange, Finding, Provenance, Request, Response, UploadedFile
from voicegauge.transport import encode_body

NOT_PRINTED = frozenset({"header-missing", "retry-after-missing", "header-schema"})
"""Rules over headers, which no document prints with its examples."""


def documented_calls(contract: Contract, *, inferred: bool = False) -> Iterator[Call]:
    """Every example of an answer as an exchange, with the request it answers where that is known.

    Args:
        contract: whose examples are read.
        inferred: whether to take examples too that no document prints.
    """
    for operation in contract.operations.values():
        requests = dict(_request_examples(operation, inferred=inferred))
        for status, response in operation.responses.items():
            for media in response.media.values():
                for example in media.examples:
                    if example.inferred and not inferred:
                        continue
                    request = requests.get(example.request or "")
                    yield _call(operation, _code(status), media, example, request)


def documented_requests(contract: Contract, *, inferred: bool = False) -> Iterator[Call]:
    """Every example of a request, as if it had been accepted; its answer is empty."""
    for operation in contract.operations.values():
        for request in dict(_request_examples(operation, inferred=inferred)).values():
            yield _with_target(operation, request, Response(status=_code(operation.success.status)))


def judge_documented_examples(
    contract: Contract, rules: Mapping[str, Rule] | None = None, *, inferred: bool = False
) -> Iterator[tuple[Exchange, list[Finding]]]:
    """Every documented example, as the exchange it stands for, with what is wrong with it."""
    chosen = {name: rule for name, rule in (rules or RULES).items() if name not in NOT_PRINTED}
    judge = Checker(Provenance.DOCUMENTED, chosen)
    answers: Iterator[Call | Callback] = chain(
        documented_calls(contract, inferred=inferred), documented_callbacks(contract, inferred=inferred)
    )
    for subject in answers:
        yield subject.exchange, list(judge.findings(subject))
    requests = Checker(Provenance.DOCUMENTED, {k: v for k, v in chosen.items() if k == "request-schema"})
    for call in documented_requests(contract, inferred=inferred):
        yield call.exchange, list(requests.findings(call))


def _code(status: str) -> int:
    """A status code that a documented key means: "4XX" as 400, "default" as 500."""
    if status.isdecimal():
        return int(status)
    return int(status[0]) * 100 if status[0].isdecimal() else 500


def _request_examples(operation: Operation, *, inferred: bool) -> Iterator[tuple[str, Request]]:
    for media in operation.request_media.values():
        for example in media.examples:
            if inferred or not example.inferred:
                yield example.name, _request(operation, media, example)


def _request(operation: Operation, media: MediaType, example: Example) -> Request:
    value = _with_files(media, example.value) if is_form(media.name) else example.value
    content_type, body = encode_body(media.name, value)
    headers = (("Content-Type", content_type),)
    return Request(method=operation.method, url=_url(operation, None), headers=headers, body=body)


def _with_files(media: MediaType, value: Any) -> Any:
    """The fields of a form; where the schema wants a file, the printed name stands for it."""
    schema = media.schema if isinstance(media.schema, dict) else {}
    schemas = media.contract.schemas
    fields = {}
    for name, text in value.items():
        inner = schemas.resolve(schema.get("properties", {}).get(name, {}))[0]
        binary = isinstance(inner, dict) and ("contentMediaType" in inner or inner.get("format") == "binary")
        is_file = binary and media.name == "multipart/form-data"
        media_type = "application/octet-stream"
        fields[name] = UploadedFile(filename=str(text), media_type=media_type, data=b"") if is_file else text
    return fields


def _url(operation: Operation, answer: Any) -> str:
    """The URL of a documented request: parameters from the answer's job id, examples or samples."""
    path, query = operation.path, []
    for parameter in operation.parameters:
        value = _parameter_value(operation, parameter.name, parameter.data, answer)
        if parameter.location == "path":
            path = path.replace(f"{{{parameter.name}}}", quote(str(value), safe=""))
        elif parameter.location == "query" and parameter.required:
            query.append(f"{parameter.name}={quote(str(value), safe='')}")
    return f"{operation.server.url}{path}{'?' if query else ''}{'&'.join(query)}"


def _parameter_value(operation: Operation, name: str, data: dict[str, Any], answer: Any) -> Any:
    if operation.job is not None and operation.job.id is not None:
        told = operation.job.id.read_body(answer)
        if told is not MISSING:
            return told
    if "example" in data:
        return data["example"]
    made = sample_value(operation.contract.schemas, data.get("schema", {}))
    return name if made is MISSING else made


def _call(operation: Operation, status: int, media: MediaType, example: Example, request: Request | None) -> Call:
    body = json.dumps(example.value, ensure_ascii=False).encode() if is_json(media.name) else b""
    if not is_json(media.name):
        body = str(example.value).encode()
    response = Response(status=status, headers=(("Content-Type", media.name),), body=body)
    if request is not None:
        return _with_target(operation, request, response)
    asked = Request(method=operation.method, url=_url(operation, example.value))
    exchange = Exchange(provider=operation.contract.id, operation=operation.id, request=asked, response=response)
    return Call(operation, exchange, request_origin="unknown")


def _with_target(operation: Operation, request: Request, response: Response) -> Call:
    exchange = Exchange(provider=operation.contract.id, operation=operation.id, request=request, response=response)
    return Call(operation, exchange, target=find_target(operation, Call(operation, exchange).read_request))
