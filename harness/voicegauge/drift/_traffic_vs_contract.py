"""Compares recorded traffic with its contract: contradictions, what is undocumented, and what no recording covers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import MediaType, ResponseSpec
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.extension.provider import Dispute
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import SchemaViolation
from voicegauge.contract.socket_messages import SocketChannel
from voicegauge.drift._json_values import (
    ANY_INDEX,
    FlattenedValue,
    JsonScalar,
    find_applicable_schemas,
    find_body_schemas,
    find_undocumented_properties,
    flatten_json,
    get_recorded_json_type,
    iterate_documented_properties,
    list_enumerated_values,
)
from voicegauge.drift._recorded_traffic import (
    STANDARD_HEADER_NAMES,
    RecordedExchange,
    RecordedTraffic,
    is_infrastructure_header,
    iterate_job_states,
)
from voicegauge.drift.drift_report import (
    ComparedInput,
    DriftChange,
    DriftReport,
    build_change,
    build_report,
    find_file_position,
)
from voicegauge.formats.bodies import UnreadableBodyError, is_form, is_json, read_form, read_json
from voicegauge.formats.located_yaml import escape_pointer_token, split_json_pointer
from voicegauge.formats.locations import MISSING, read_json_pointer, read_pointer
from voicegauge.recording.masking import MASK, get_bare_media_type

# Finds out whether a contradiction is disputed: whether another source of the contract agrees with the traffic.


_CHECK_RULE_IDS_BY_DRIFT_RULE_ID = {
    "observed-status-undocumented": ("status-undocumented", "wrong-error-status"),
    "observed-media-type-undocumented": ("content-type",),
    "observed-header-value-undocumented": ("header-schema",),
    "observed-state-undocumented": ("job-state-unknown",),
    "observed-transition-undocumented": ("job-transition-illegal",),
}
"""Ids of the equivalent check rules for each drift rule, because disputes in contracts name check rules."""
_BODY_CHECK_RULE_IDS = ("response-schema", "error-shape", "job-completed-without-output")
"""Ids of the check rules that are equivalent to all drift rules without a row in `_CHECK_RULE_IDS_BY_DRIFT_RULE_ID`.
These drift rules are about bodies."""


def is_disputed(recorded_exchange: RecordedExchange, rule_id: str, contract_pointer: str) -> bool:
    """Whether the contract has a dispute about what the drift rule `rule_id` reports.

    Args:
        recorded_exchange: the exchange that contradicts the contract.
        rule_id: the id of the drift rule.
        contract_pointer: JSON pointer to the contradicted part of the contract. Disputes about its parents count too.
    """
    check_rules = set(_CHECK_RULE_IDS_BY_DRIFT_RULE_ID.get(rule_id, _BODY_CHECK_RULE_IDS))
    return any(
        check_rules & set(dispute.rule_ids) and _covers_contradiction(dispute, recorded_exchange, location)
        for candidate in _list_disputable_pointers(recorded_exchange, contract_pointer)
        for dispute, location in recorded_exchange.contract.iterate_disputes(candidate)
    )


def _list_disputable_pointers(recorded_exchange: RecordedExchange, contract_pointer: str) -> list[str]:
    """Return the JSON pointers of the parts of the contract that may state a dispute about a contradiction.

    These are the contradicted part at `contract_pointer`, the documented response and the operation.
    """
    operation, spec = recorded_exchange.operation, recorded_exchange.response_spec
    pointers = [contract_pointer, spec.pointer if spec is not None else ""]
    if operation is not None:
        # A dispute next to the `$ref` of a shared response is not among the parents of that response.
        pointers += [operation.pointer, f"{operation.pointer}/responses/{recorded_exchange.status}"]
    return list(filter(None, pointers))


def _covers_contradiction(dispute: Dispute, recorded_exchange: RecordedExchange, dispute_pointer: str) -> bool:
    """Whether the response is as the dispute says that another source describes it."""
    response = recorded_exchange.response
    if dispute.status is not None and dispute.status != response.status:
        return False
    if dispute.media_type and dispute.media_type.lower() != response.media_type:
        return False
    if dispute.body_schema is None:
        return True
    if recorded_exchange.json_body is MISSING:
        return False
    pointers = _list_schema_pointers(recorded_exchange.contract, dispute, dispute_pointer)
    return any(
        recorded_exchange.contract.schemas.is_valid(pointer, recorded_exchange.json_body) for pointer in pointers
    )


def _list_schema_pointers(contract: Contract, dispute: Dispute, dispute_pointer: str) -> list[str]:
    """Return the JSON pointers at which the contract has the schema of a dispute. References in it start from there."""
    found, pointer_tokens = [], split_json_pointer(dispute_pointer)
    for key in ("x-source", "source"):
        entries = read_pointer(contract.document.data, [*pointer_tokens, key, "disputes"])
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if entry.get("claim") == dispute.claim and entry.get("body_schema") == dispute.body_schema:
                found.append(f"{dispute_pointer}/{key}/disputes/{index}/body_schema")
    return found


# Creates the changes that report how recorded traffic contradicts its contract.


def build_contradiction_change(
    recorded_exchange: RecordedExchange,
    rule_id: str,
    location: str,
    *,
    contract_pointer: str,
    exchange_part: str,
    observed_value: Any,
) -> DriftChange:
    """Create a change for traffic that contradicts its contract.

    If another source of the contract agrees with the traffic, the contract says so, and a rule for disputed facts is
    used.

    Args:
        recorded_exchange: the exchange that contradicts the contract.
        rule_id: the id of the rule to use if the contradiction is not disputed.
        location: the part of the operation that is contradicted, as `DriftChange.location`.
        contract_pointer: JSON pointer to the part of the contract that is contradicted.
        exchange_part: the part of the exchange, in the format that `RecordedExchange.find_position` takes.
        observed_value: the observed value.
    """
    return build_change(
        "observed-disputed-reading" if is_disputed(recorded_exchange, rule_id, contract_pointer) else rule_id,
        location=location,
        operation_id=recorded_exchange.operation_id,
        old_position=find_file_position(recorded_exchange.contract.document, contract_pointer),
        new_position=recorded_exchange.find_position(exchange_part),
        message_values={"new": observed_value},
    )


# Compares recorded response bodies with their documented schemas.


_MAX_SCHEMA_ERRORS = 20
"""Largest number of schema errors reported per body, because every entry of a long list may have the same error."""
_UNDOCUMENTED_FIELD_KEYWORDS = ("additionalProperties", "unevaluatedProperties", "patternProperties", "false")
"""Keywords under which a schema rejects a field because it is not documented. Such schema errors are not reported,
because each undocumented field is a change of its own."""
_RULE_ID_BY_KEYWORD = {
    "type": "observed-type-undocumented",
    "enum": "observed-value-undocumented",
    "const": "observed-value-undocumented",
    "required": "observed-field-missing",
}
"""By the schema keyword that a value violates: the id of the rule that reports this."""


def compare_body_with_schema(recorded_exchange: RecordedExchange, media_type: MediaType) -> Iterator[DriftChange]:
    """Yield the undocumented fields of a response body, and the parts of the body that its schema rejects."""
    for extra in find_undocumented_properties(
        recorded_exchange.contract.schemas, recorded_exchange.json_body, find_body_schemas(media_type)
    ):
        yield build_contradiction_change(
            recorded_exchange,
            "observed-field-undocumented",
            f"{recorded_exchange.status} body#{extra.path}",
            contract_pointer=extra.parent_pointer,
            exchange_part=f"/response/content/text#{extra.path}",
            observed_value=extra.value,
        )
    for error in islice(media_type.iterate_violations(recorded_exchange.json_body), _MAX_SCHEMA_ERRORS):
        if error.keyword not in _UNDOCUMENTED_FIELD_KEYWORDS:
            yield from _build_schema_error_changes(recorded_exchange, error)


def _build_schema_error_changes(
    recorded_exchange: RecordedExchange, schema_violation: SchemaViolation
) -> Iterator[DriftChange]:
    pointer_tokens = split_json_pointer(schema_violation.value_pointer)
    value = read_pointer(recorded_exchange.json_body, pointer_tokens)
    rule = _choose_rule_id_of_violation(recorded_exchange, schema_violation, value)
    if isinstance(value, str) and MASK in value and rule != "observed-type-undocumented":
        return  # only the type of a redacted value is known: the value was a string
    yield build_contradiction_change(
        recorded_exchange,
        rule,
        f"{recorded_exchange.status} body#{_build_path_without_indexes(recorded_exchange.json_body, pointer_tokens)}",
        contract_pointer=schema_violation.keyword_pointer,
        exchange_part=f"/response/content/text#{schema_violation.value_pointer}",
        observed_value=schema_violation.message if rule == "observed-field-missing" else value,
    )


def _choose_rule_id_of_violation(
    recorded_exchange: RecordedExchange, schema_violation: SchemaViolation, value: Any
) -> str:
    """Return the id of the rule that reports a schema error: a wrong type, value or range, or a missing field.

    If `value` matches no branch of an `anyOf` or `oneOf`, the types and the enums of all branches decide.
    """
    if schema_violation.keyword in _RULE_ID_BY_KEYWORD:
        return _RULE_ID_BY_KEYWORD[schema_violation.keyword]
    if schema_violation.keyword not in ("anyOf", "oneOf"):
        return "observed-value-out-of-bounds"
    pointer = schema_violation.keyword_pointer.rpartition("/")[0]
    schema = read_json_pointer(recorded_exchange.contract.document.data, pointer)
    located = (
        find_applicable_schemas(recorded_exchange.contract.schemas, schema, pointer) if schema is not MISSING else []
    )
    stated = [one.schema.get("type", []) for one in located]
    types = {name.replace("integer", "number") for one in stated for name in ([one] if isinstance(one, str) else one)}
    if types and get_recorded_json_type(value) not in types:
        return "observed-type-undocumented"
    return "observed-value-undocumented" if list_enumerated_values(located) else "observed-value-out-of-bounds"


def _build_path_without_indexes(body: Any, pointer_tokens: list[str]) -> str:
    """Return the path of a value with `*` in place of list indices, so that equal errors in items are one change."""
    path = ""
    for index, token in enumerate(pointer_tokens):
        parent = read_pointer(body, pointer_tokens[:index])
        path += f"/{ANY_INDEX}" if isinstance(parent, list) else f"/{escape_pointer_token(token)}"
    return path


# Finds undocumented fields and parameters in requests that the provider accepted.


def find_undocumented_request_parts(recorded_exchange: RecordedExchange) -> Iterator[DriftChange]:
    """Yield a change for each undocumented query parameter or field of a request with a successful response."""
    operation = recorded_exchange.operation
    # A rejected request shows nothing: it may have been rejected for what is undocumented.
    if operation is None or recorded_exchange.status >= 300:
        return
    documented = {parameter.name for parameter in operation.parameters if parameter.message_part == "query"}
    # The API key may be in the query, too.
    schemes = operation.contract.security_schemes.values()
    documented |= {str(scheme.get("name")) for scheme in schemes if scheme.get("in") == "query"}
    for name, value in parse_qsl(urlsplit(recorded_exchange.request.url).query, keep_blank_values=True):
        if name not in documented:
            yield _build_request_change(recorded_exchange, f"query.{name}", operation.pointer, value)
    content_type = recorded_exchange.request.find_header("content-type") or ""
    media_type = operation.request_media.get(get_bare_media_type(content_type))
    if media_type is None:
        return
    body = _read_body(recorded_exchange, media_type)
    for extra in find_undocumented_properties(recorded_exchange.contract.schemas, body, find_body_schemas(media_type)):
        yield _build_request_change(recorded_exchange, f"request body#{extra.path}", extra.parent_pointer, extra.value)


def _read_body(recorded_exchange: RecordedExchange, media_type: MediaType) -> Any:
    request = recorded_exchange.request
    try:
        if is_json(media_type.name):
            return read_json(request.body)
        if is_form(media_type.name):
            form = read_form(request.find_header("content-type") or "", request.body)
            return {**form.fields, **dict.fromkeys(form.files, "(a file)")}
    except UnreadableBodyError:
        pass
    return MISSING


def _build_request_change(
    recorded_exchange: RecordedExchange, location: str, contract_pointer: str, observed_value: Any
) -> DriftChange:
    return build_change(
        "observed-request-field-undocumented",
        location=location,
        operation_id=recorded_exchange.operation_id,
        old_position=find_file_position(recorded_exchange.contract.document, contract_pointer),
        new_position=recorded_exchange.find_position("/request"),
        message_values={"new": observed_value},
    )


# Compares recorded job states and transitions with the documented state machine.


def find_undocumented_transitions(conversation: Sequence[RecordedExchange]) -> Iterator[DriftChange]:
    """Yield a change for each undocumented state or transition of the job in a conversation."""
    last: str | None = None
    for recorded_exchange, state in iterate_job_states(conversation):
        status_operation, job = recorded_exchange.status_operation, recorded_exchange.job_spec
        assert status_operation is not None, "only exchanges of a job have states"
        assert job is not None, "only exchanges of a job have states"
        pointer = f"{status_operation.pointer}/x-job/states"
        rule, observed = "", state
        if state not in job.states:
            rule = "observed-state-undocumented"
        # After an undocumented state, no transition is documented either: the state itself was reported.
        elif last in job.states and not _can_reach_state(job, last, state):
            rule, observed, pointer = "observed-transition-undocumented", f"{last} -> {state}", f"{pointer}/{last}"
        if rule:
            yield build_contradiction_change(
                recorded_exchange,
                rule,
                f"{recorded_exchange.status} {recorded_exchange.state_location}",
                contract_pointer=pointer,
                exchange_part="/response/content/text",
                observed_value=observed,
            )
        last = state


def _can_reach_state(job: JobSpec, start_state: str, end_state: str) -> bool:
    """Whether a job can go from one state to another, even through states that no poll reported."""
    # Between two polls, a job may pass through any number of states.
    reached, pending = set[str](), [start_state]
    while pending:
        for state in job.states[pending.pop()].successor_names:
            if state not in reached and state in job.states:
                reached.add(state)
                pending.append(state)
    return end_state in reached


# Finds the parts of a contract that no recording covers.


def find_documented_parts_not_recorded(traffic: RecordedTraffic) -> Iterator[DriftChange]:
    """Yield a change for each documented part that traffic does not show.

    Parts are operations, statuses, media types, headers, fields, values, job states, and messages of WebSockets.
    """
    by_operation: dict[str, list[RecordedExchange]] = defaultdict(list)
    for recorded_exchange in traffic.exchanges:
        by_operation[recorded_exchange.operation_id].append(recorded_exchange)
    contract = traffic.contract
    for operation in (*contract.operations.values(), *contract.socket_operations.values()):
        exchanges = by_operation.get(operation.id, [])
        if not exchanges:
            yield _build_not_recorded_change(
                "documented-operation-not-recorded", operation, "operation", operation.pointer
            )
        elif operation.socket is not None:
            yield from _find_messages_not_recorded(operation, operation.socket, exchanges)
        else:
            yield from _find_responses_not_recorded(operation, exchanges)
            yield from _find_states_not_recorded(operation, traffic)


def _find_messages_not_recorded(
    operation: Operation, channel: SocketChannel, exchanges: Sequence[RecordedExchange]
) -> Iterator[DriftChange]:
    """Yield a change for each message of the service over a WebSocket that no recording has."""
    received = {
        (message.data, message.is_binary)
        for one in exchanges
        for message in (one.exchange.socket.messages if one.exchange.socket is not None else ())
        if message.sender == "server"
    }
    seen = {name for data, is_binary in received for name in channel.find_server_messages(data, is_binary=is_binary)}
    for name, schema in channel.server_schemas.items():
        if name not in seen:
            yield _build_not_recorded_change(
                "documented-message-not-recorded", operation, f"server message {name}", schema.pointer, name
            )


def _build_not_recorded_change(
    rule_id: str, operation: Operation, location: str, contract_pointer: str, documented_value: JsonScalar = None
) -> DriftChange:
    return build_change(
        rule_id,
        location=location,
        operation_id=operation.id,
        old_position=find_file_position(operation.contract.document, contract_pointer),
        message_values=None if documented_value is None else {"old": documented_value},
    )


def _find_responses_not_recorded(operation: Operation, exchanges: Sequence[RecordedExchange]) -> Iterator[DriftChange]:
    for status, spec in operation.responses.items():
        with_status = [one for one in exchanges if one.response_spec is not None and one.response_spec.status == status]
        if not with_status:
            yield _build_not_recorded_change(
                "documented-status-not-recorded", operation, f"{status}", spec.pointer, status
            )
            continue
        yield from _find_headers_not_recorded(operation, spec, with_status)
        for name, media_type in spec.media_types.items():
            with_media_type = [one for one in with_status if one.media_type is not None and one.media_type.name == name]
            if with_media_type:
                yield from _find_fields_not_recorded(operation, status, media_type, with_media_type)
            else:
                location = f"{status} {name}"
                yield _build_not_recorded_change(
                    "documented-media-type-not-recorded", operation, location, media_type.pointer, name
                )


def _find_headers_not_recorded(
    operation: Operation, response_spec: ResponseSpec, exchanges: Sequence[RecordedExchange]
) -> Iterator[DriftChange]:
    for name, header in response_spec.headers.items():
        if all(recorded_exchange.response.find_header(name) is None for recorded_exchange in exchanges):
            location = f"{response_spec.status} header.{name}"
            yield _build_not_recorded_change(
                "documented-header-not-recorded", operation, location, header.pointer, name
            )


def _find_fields_not_recorded(
    operation: Operation, status: str, media_type: MediaType, exchanges: Sequence[RecordedExchange]
) -> Iterator[DriftChange]:
    values = _group_values_by_path(exchanges)
    for path, schemas in iterate_documented_properties(media_type.schemas, find_body_schemas(media_type)):
        if path.rpartition("/")[0] not in values:
            continue  # the object that would have it is uncovered itself
        location, pointer = f"{status} body#{path}", schemas[0].pointer if schemas else media_type.pointer
        if path not in values:
            yield _build_not_recorded_change("documented-field-not-recorded", operation, location, pointer)
            continue
        # A value that was masked may have been any of the documented ones.
        for value in list_enumerated_values(schemas) if MASK not in values[path] else ():
            if value is not None and value not in values[path]:
                yield _build_not_recorded_change("documented-value-not-recorded", operation, location, pointer, value)


def _group_values_by_path(exchanges: Sequence[RecordedExchange]) -> dict[str, set[JsonScalar]]:
    """Return the texts, numbers and booleans at each path in the response bodies, in which `*` replaces list indices.

    An object or a list is listed as `None`, like null.
    """
    values: dict[str, set[JsonScalar]] = defaultdict(set)
    for recorded_exchange in exchanges:
        if recorded_exchange.json_body is not MISSING:
            for part in flatten_json(recorded_exchange.json_body, {}):
                values[part.path].add(part.value if isinstance(part, FlattenedValue) else None)
    return values


def _find_states_not_recorded(operation: Operation, traffic: RecordedTraffic) -> Iterator[DriftChange]:
    if operation.job is None:
        return
    # States are collected from the exchanges of all operations, because responses to a submit report a state too.
    reported = {one.job_state for one in traffic.exchanges if one.job_spec is operation.job}
    for state in operation.job.states:
        if state not in reported:
            pointer = f"{operation.pointer}/x-job/states/{state}"
            yield _build_not_recorded_change(
                "documented-state-not-recorded", operation, str(operation.job.state_location), pointer, state
            )


# Compares recorded traffic with its contract to find what is undocumented and what no recording covers.


def compare_traffic_with_contract(traffic: RecordedTraffic) -> DriftReport:
    """Report what occurs in traffic but is not in the contract, and what is in the contract but does not occur."""
    contract = traffic.contract
    old = ComparedInput(
        file=str(contract.document.path), title=contract.provider.title, version=contract.version, provider=contract.id
    )
    return build_report(
        "recording-contract", old, traffic.compared_input, _remove_repeated_changes(_iterate_changes(traffic))
    )


def _remove_repeated_changes(changes: Iterator[DriftChange]) -> Iterator[DriftChange]:
    """Yield each change only once, with the first exchange that shows the change."""
    reported = set[tuple[Any, ...]]()
    for change in changes:
        # Names of headers have no case, and a header of one name has one description.
        location, shown = change.location, change.new_value
        if change.rule == "observed-header-undocumented":
            location, shown = change.location.lower(), None
        elif change.rule == "observed-message-undocumented":
            shown = None
        elif change.rule == "observed-type-undocumented":
            shown = (change.new_value or "")[:1]  # the first character of JSON tells its type
        key = (change.rule, change.operation, location, change.old_position, shown)
        if key not in reported:
            reported.add(key)
            yield change


def _iterate_changes(traffic: RecordedTraffic) -> Iterator[DriftChange]:
    for recorded_exchange in traffic.exchanges:
        if recorded_exchange.operation is not None:
            yield from _iterate_response_changes(recorded_exchange)
            yield from find_undocumented_request_parts(recorded_exchange)
        elif recorded_exchange.channel is not None:
            yield from _find_undocumented_messages(recorded_exchange, recorded_exchange.channel)
        elif not recorded_exchange.operation_id.startswith("("):  # "(download)" is not an operation
            yield build_change(
                "observed-operation-undocumented",
                location="request",
                operation_id=recorded_exchange.operation_id,
                new_position=recorded_exchange.find_position(),
            )
    yield from _find_infrastructure_headers(traffic)
    for conversation in traffic.conversations:
        yield from find_undocumented_transitions(conversation)
    yield from find_documented_parts_not_recorded(traffic)


def _find_undocumented_messages(recorded_exchange: RecordedExchange, channel: Operation) -> Iterator[DriftChange]:
    """Yield a change for each part of the service's messages that contradicts the contract."""
    socket = recorded_exchange.exchange.socket
    assert socket is not None, "a channel has messages"
    assert channel.socket is not None, "a channel has messages"
    for index, message in enumerate(socket.messages):
        if message.sender == "client":
            continue
        for violation in channel.socket.iterate_violations("server", message.data, is_binary=message.is_binary):
            yield build_change(
                "observed-message-undocumented",
                location=f"server message{violation.value_pointer or ''}",
                operation_id=channel.id,
                old_position=find_file_position(channel.contract.document, violation.contract_pointer),
                new_position=recorded_exchange.find_position(f"/_webSocketMessages/{index}"),
                message_values={"new": f"a message {violation.reason}"},
            )


def _find_infrastructure_headers(traffic: RecordedTraffic) -> Iterator[DriftChange]:
    """Yield one change for all headers of proxies, CDNs and web servers, which say nothing about the API."""
    found = [
        (one, name)
        for one in traffic.exchanges
        for name, _ in one.response.headers
        if one.operation is not None and is_infrastructure_header(name)
    ]
    if found:
        yield build_change(
            "observed-infrastructure-headers",
            location="headers",
            new_position=found[0][0].find_position("/response/headers"),
            message_values={"new": sorted({name.lower() for _, name in found})},
        )


def _iterate_response_changes(recorded_exchange: RecordedExchange) -> Iterator[DriftChange]:
    assert recorded_exchange.operation is not None
    spec, response = recorded_exchange.response_spec, recorded_exchange.response
    if spec is None:
        yield build_contradiction_change(
            recorded_exchange,
            "observed-status-undocumented",
            "status",
            contract_pointer=f"{recorded_exchange.operation.pointer}/responses",
            exchange_part="/response/status",
            observed_value=recorded_exchange.status,
        )
        return
    yield from _iterate_header_changes(recorded_exchange)
    if spec.media_types and response.body and recorded_exchange.media_type is None:
        yield build_contradiction_change(
            recorded_exchange,
            "observed-media-type-undocumented",
            f"{recorded_exchange.status} content-type",
            contract_pointer=f"{spec.pointer}/content",
            exchange_part="/response/content",
            observed_value=response.media_type,
        )
    if recorded_exchange.media_type is not None and recorded_exchange.json_body is not MISSING:
        yield from compare_body_with_schema(recorded_exchange, recorded_exchange.media_type)


def _iterate_header_changes(recorded_exchange: RecordedExchange) -> Iterator[DriftChange]:
    assert recorded_exchange.response_spec is not None
    contract, spec = recorded_exchange.contract, recorded_exchange.response_spec
    documented = {name.lower(): header for name, header in spec.headers.items()}
    expected = STANDARD_HEADER_NAMES | {name.lower() for name in contract.limits.rate_limit_header_names.values()}
    for name, text in recorded_exchange.response.headers:
        header = documented.get(name.lower())
        if header is None and is_infrastructure_header(name):
            continue
        if header is None and name.lower() not in expected:
            rule, pointer = "observed-header-undocumented", spec.pointer
        elif header is not None and MASK not in text and header.parse_text(text).violations:
            rule, pointer = "observed-header-value-undocumented", header.pointer
        else:
            continue
        location, part = f"{recorded_exchange.status} header.{name}", f"/response/headers#{name}"
        yield build_contradiction_change(
            recorded_exchange, rule, location, contract_pointer=pointer, exchange_part=part, observed_value=text
        )
