"""Makes what rules judge from what was not sent by a check: documented examples, and recorded or passed traffic."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from voicegauge.cases.boundary_values import find_fitting_value
from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.delivery_cases import TEXT_LANGUAGE
from voicegauge.cases.valid_requests import replace_file_names
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import BaseSocketTarget, Contract
from voicegauge.contract.document_parts import Example, MediaType
from voicegauge.contract.extension.sockets import SocketFormat
from voicegauge.contract.operation import Operation
from voicegauge.contract.socket_turns import find_handshake_violation, recognize_target
from voicegauge.formats.bodies import is_form, is_json, quote_json
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.base import Finding, Provenance
from voicegauge.model.exchange import Exchange, Request, Response, SocketTraffic, UploadedFile, build_socket_traffic
from voicegauge.rules.call import Call
from voicegauge.rules.checker import Checker
from voicegauge.rules.registry import RULE_BY_ID, Rule
from voicegauge.rules.socket_subjects import (
    ConnectionExpectation,
    SocketConnection,
    SocketSubject,
    SpokenTurn,
    TranscribedConnection,
)
from voicegauge.rules.webhooks import Callback
from voicegauge.transport.body_encoding import encode_body, join_form_field_lists

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

    Rules about headers are not applied, because documents show bodies only.

    Args:
        contract: the contract.
        rules: the rules to apply, by id; `None` for all rules.
        include_inferred_examples: whether to include examples that no document contains.
    """
    # Documents show bodies only, so each response would lack every required header.
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
        value = join_form_field_lists(
            replace_file_names(
                media_type,
                value,
                lambda name: UploadedFile(filename=name, media_type="application/octet-stream", data=b""),
            ),
            media_type.separator_by_list_field,
        )
    content_type, body = encode_body(media_type.name, value)
    headers = (("Content-Type", content_type), *operation.required_headers.items())
    return Request(method=operation.method, url=_build_example_url(operation, None), headers=headers, body=body)


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
    """Return the call with a documented response; `request` is `None` if no document shows the request."""
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


# Makes subjects from recorded WebSockets and calls, and says why a call addresses no target.
#
# Nobody knows whether the client of a recorded connection did everything right. What may be a mistake of the client is
# therefore no finding about the service: a rejected handshake, an error, and a close after a message that the document
# does not allow.


MAX_TURN_WAIT_S = 30.0
"""Time in seconds without an end of a turn after which it counts as unfinished, as for the client."""
_MIN_SHARE_OF_INACTIVITY_LIMIT = 0.9
"""Share of the documented inactivity limit after which a close counts as caused by the limit, because clocks differ."""


class RecordedSocket(NamedTuple):
    """What can be judged of a recorded connection."""

    subjects: tuple[SocketSubject, ...]
    """The connection and its turns; empty if nothing is judged."""
    not_judged_reason: str | None = None
    """Why nothing, or not everything, is judged; `None` if everything is."""


def read_recorded_socket(
    contract: Contract, exchange: Exchange, case_by_id: Mapping[str, ConformanceCase]
) -> RecordedSocket:
    """Return the connection and its turns as subjects of rules.

    Args:
        contract: the contract of the provider.
        exchange: the handshake, with the messages that followed.
        case_by_id: the planned cases by id. A connection that was recorded for a case is judged as one of that case.
    """
    operation = contract.socket_operations.get(exchange.operation)
    if operation is None:
        return RecordedSocket((), f"the contract has no WebSocket {exchange.operation!r}")
    traffic = build_socket_traffic(exchange)
    case = case_by_id.get(exchange.conversation_id or "")
    recognized = recognize_target(operation, traffic)
    if recognized is None:
        return RecordedSocket((), f"a WebSocket of no target: {operation.id} with values that no target has")
    target, audio_format = recognized
    unknown_format = f"the audio of a WebSocket of {operation.id}, in a format that the contract does not describe"
    if case is not None and case.expected_response.acceptance == "rejected":
        return RecordedSocket((SocketConnection(target, traffic, "rejected"),))
    if case is None:
        own_mistake = _find_possible_client_mistake(target, traffic)
        if own_mistake is not None:
            # What the service answers may be its reaction, but must still have the form of its messages.
            connection = SocketConnection(target, msgspec.structs.replace(traffic, close=None))
            return RecordedSocket((connection,) if traffic.is_open else (), own_mistake)
    connection = SocketConnection(target, *_find_judged_traffic_and_expectation(target, traffic))
    if connection.expectation != "accepted" or not traffic.is_open or audio_format is None:
        return RecordedSocket((connection,), unknown_format if audio_format is None else None)
    return RecordedSocket(
        (connection, *_iterate_recorded_subjects(connection, audio_format, is_of_case=case is not None))
    )


def _iterate_recorded_subjects(
    connection: SocketConnection, audio_format: SocketFormat, *, is_of_case: bool
) -> Iterator[SocketSubject]:
    """Yield the spoken turns of a connection, or its transcription as a whole, whose right words are not known.

    `is_of_case`: whether a check sent the texts, so that their language is known. Otherwise turns with an error, and
    those whose end may have come after the recording, are left out.
    """
    if connection.target.spec.transcribes:
        yield TranscribedConnection(connection.target, connection.traffic, None, MAX_TURN_WAIT_S)
        return
    traffic = connection.traffic
    times = [message.at_ms for message in traffic.messages]
    last_message_ms = max([*times, *([traffic.close.at_ms] if traffic.close is not None else [])], default=0.0)
    for turn in connection.conversation.turns:
        # For how long the connection was open after the client ended the turn; 0 if it did not end it.
        waited_s = (last_message_ms - turn.end_ms) / 1000 if turn.end_ms is not None else 0.0
        if turn.errors and not is_of_case:
            continue
        if turn.finished_ms is None and not is_of_case and waited_s < MAX_TURN_WAIT_S:
            continue  # the client, or the recording, ended before
        language = (connection.target.target_spec.default_language or TEXT_LANGUAGE) if is_of_case else None
        yield SpokenTurn(connection.target, traffic, turn, audio_format, round(waited_s, 1), language)


def _find_possible_client_mistake(target: BaseSocketTarget, traffic: SocketTraffic) -> str | None:
    """Return which turns are not judged because the client may be at fault, and why; `None` if there are none."""
    query = dict(parse_qsl(urlsplit(traffic.request.url).query, keep_blank_values=True))
    violation = find_handshake_violation(target.operation, query, traffic.request.find_header)
    if violation is not None:
        return f"the turns of a connection whose handshake is not as documented: {violation}"
    if not traffic.is_open and traffic.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"a handshake that is answered with status {traffic.status}: whether its key was valid is not known"
    for message in traffic.messages:
        if message.sender == "client" and any(
            target.socket.iterate_violations("client", message.data, is_binary=message.is_binary)
        ):
            return "the turns of a connection with a message of the client that fits no documented one"
    return None


def _find_judged_traffic_and_expectation(
    target: BaseSocketTarget, traffic: SocketTraffic
) -> tuple[SocketTraffic, ConnectionExpectation]:
    """Return the traffic and the expectation by which a connection is judged.

    A close that a documented limit explains is removed from the traffic.
    """
    close, limits = traffic.close, target.spec.limits
    if close is None or close.closed_by == "client":
        return traffic, "accepted"
    if limits.contexts is not None and close.code == limits.contexts.close_code:
        return traffic, "limit"
    sent = [message.at_ms for message in traffic.messages if message.sender == "client"]
    idle_s = (close.at_ms - max(sent, default=0.0)) / 1000
    if limits.inactivity is not None and idle_s >= limits.inactivity.max_s * _MIN_SHARE_OF_INACTIVITY_LIMIT:
        return msgspec.structs.replace(traffic, close=None), "accepted"
    return traffic, "accepted"


MAX_QUOTED_VALUE_CHARACTERS = 60
"""Maximum length of a request value that is quoted in the reason why the request addresses no target."""
_URL_SEPARATOR_PATTERN = re.compile(r"[/?&=#]")
"""Matches a character that separates the parts of a URL."""


class UnmatchedCallReason(NamedTuple):
    """Why a call is not about a target of the contract."""

    call_noun: str
    """The noun for the call in a message: "submit" or "request"."""
    explanation: str
    """A phrase that follows the noun, such as "for a job of no target"."""


_REASON_JOB_OF_NO_TARGET = UnmatchedCallReason("request", "for a job of no target")
_REASON_UNDOCUMENTED_PATH = UnmatchedCallReason("request", "with a path that the contract does not describe")


class ExchangeLookup:
    """Finds the calls of a recording by the ids in their URLs, and the downloads by path."""

    def __init__(self, calls: Sequence[Call], exchanges: Sequence[Exchange]) -> None:
        # An index over the parts of URLs: comparing each submit with each poll would be quadratic in a day of traffic.
        self.downloads: dict[str, Exchange] = {}
        """The first successful exchange of each path. Only paths are compared, because recordings contain the servers
        of the contract, and signatures in queries are masked."""
        for exchange in exchanges:
            if exchange.response.status == 200:
                self.downloads.setdefault(urlsplit(exchange.request.url).path, exchange)
        self._calls: dict[tuple[str, str | None, str], list[Call]] = defaultdict(list)
        self._operations = {call.operation.id: call.operation for call in calls}
        for call in calls:
            for part in set(_URL_SEPARATOR_PATTERN.split(unquote(call.exchange.request.url))):
                self._calls[call.operation.id, call.exchange.conversation_id, part].append(call)

    def find_polls(self, status_operation: Operation, submit_call: Call, job_id: object) -> list[Call]:
        """Return the calls of `status_operation` for the job of `submit_call`, in their order."""
        # A job id may itself be a path or a URL; its last part tells it apart from other jobs.
        parts = _URL_SEPARATOR_PATTERN.split(job_id) if isinstance(job_id, str) else []
        found = (
            self._calls.get((status_operation.id, submit_call.exchange.conversation_id, parts[-1]), []) if parts else []
        )
        return [call for call in found if str(job_id) in unquote(call.exchange.request.url)]

    def find_later_calls_for_job(self, submit_call: Call, job_id: object) -> list[Call]:
        """Return the calls of all operations for the job of `submit_call`, except the submit."""
        found = (self.find_polls(operation, submit_call, job_id) for operation in self._operations.values())
        return [call for calls in found for call in calls if call is not submit_call]


def find_unmatched_calls(
    calls: Sequence[Call], exchange_lookup: ExchangeLookup, case_ids: Collection[str]
) -> dict[int, UnmatchedCallReason]:
    """Return the reason for each call that is not about a target of the contract, by `id(call)`.

    A provider may have other models behind the same paths, such as models for images. Their requests, jobs and
    responses differ, and the contract does not describe them. Calls that were recorded for planned cases are always
    about a target.

    Args:
        calls: all calls of one recording.
        exchange_lookup: the index of the calls.
        case_ids: ids of the planned cases.
    """
    strangers = [call for call in calls if call.exchange.conversation_id not in case_ids]
    job_has_target: dict[int, bool] = {}
    for submit in strangers:
        if submit.operation.speech is not None and submit.is_accepted:
            for call in _iterate_later_calls_for_job(submit, exchange_lookup):
                job_has_target[id(call)] = job_has_target.get(id(call), True) and submit.target is not None
    reasons = {
        id(call): explain_unmatched_call(call, job_has_target=job_has_target.get(id(call))) for call in strangers
    }
    return {number: reason for number, reason in reasons.items() if reason is not None}


def explain_unmatched_call(call: Call, *, job_has_target: bool | None) -> UnmatchedCallReason | None:
    """Return why a call that was not recorded for a case is not about a target; `None` if it may be about one.

    Args:
        call: the call.
        job_has_target: whether the job that the call belongs to was started for a target; `None` if no job is known.
    """
    if call.operation.speech is not None:
        return _explain_unmatched_submit(call) if call.is_accepted and call.target is None else None
    if job_has_target is False:
        return _REASON_JOB_OF_NO_TARGET
    if job_has_target or not call.is_accepted:
        return None
    if _has_undocumented_path_value(call):
        return _REASON_UNDOCUMENTED_PATH
    return _REASON_JOB_OF_NO_TARGET if call.operation.job is not None and _names_no_documented_target(call) else None


def _explain_unmatched_submit(submit_call: Call) -> UnmatchedCallReason:
    """Return the reason why a submit addresses no target: the values in its request that no target has."""
    constants = [target.target_spec.request_constants for target in submit_call.operation.targets]
    known_by_location = {
        location: [one[location] for one in constants]
        for location in (constants[0] if constants else ())
        if all(location in one for one in constants)
    }
    values = {location: submit_call.read_request(location) for location in known_by_location}
    parts = [
        f"no {location}" if value is MISSING else f"{location} {quote_json(value, MAX_QUOTED_VALUE_CHARACTERS)}"
        for location, value in values.items()
        if value not in known_by_location[location]
    ]
    return UnmatchedCallReason("submit", f"of no target: {', '.join(parts) or 'values that no target combines'}")


def _iterate_later_calls_for_job(submit_call: Call, exchange_lookup: ExchangeLookup) -> Iterator[Call]:
    """Yield the calls for the job that a submit started, except the submit."""
    statuses = (target.job_operation for target in submit_call.operation.targets)
    # Each once: the targets of an operation mostly share it. It is not known which of them, if any, was submitted to.
    for status in {status.id: status for status in statuses if status is not None}.values():
        if status.job is not None:
            job_id = submit_call.read_response_value(status.job.submit_response.job_id_location)
            yield from exchange_lookup.find_later_calls_for_job(submit_call, job_id)


def _has_undocumented_path_value(call: Call) -> bool:
    """Whether a path parameter has a value that its `enum` does not list, so that no operation has this URL."""
    return any(
        parameter.message_part == "path"
        and "enum" in parameter.schema
        and parameter.name in call.path_parameters
        and call.path_parameters[parameter.name] not in parameter.schema["enum"]
        for parameter in call.operation.parameters
    )


def _names_no_documented_target(call: Call) -> bool:
    """Whether a status response has, at the location of a constant of targets, a value that no target has."""
    targets = [
        target
        for target in call.operation.contract.targets.values()
        if target.job_operation is not None and target.job_operation.id == call.operation.id
    ]
    constants: dict[Location, set[str]] = defaultdict(set)
    for target in targets:
        for location, constant in target.target_spec.request_constants.items():
            if location.message_part == "body" and isinstance(constant, str):
                constants[location].add(constant)
    values = ((call.read_response_value(location), known) for location, known in constants.items())
    return any(isinstance(value, str) and value not in known for value, known in values)
