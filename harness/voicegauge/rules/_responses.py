"""Rules about statuses, schemas and headers of single responses."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from voicegauge.contract.document_parts import Parameter
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.contract.schemas import SchemaViolation
from voicegauge.formats.bodies import is_json, parse_http_date, parse_timestamp, parse_whole_number, quote_json
from voicegauge.formats.locations import MISSING, read_json_pointer
from voicegauge.model.base import Severity
from voicegauge.rules.call import Call, IncompleteResponse
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule
from voicegauge.rules.webhooks import Callback

# Rules about one exchange: its status, headers and body must be as the contract documents them.


STATUSES_WITHOUT_BODY = (204, 205, 304)
"""Statuses of responses that have no body (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5)."""
RETRY_AFTER_HEADER = "retry-after"
"""Name of the header that states when to send a request again, in lower case."""
RETRY_DATE_TOLERANCE_S = 1.0
"""Tolerance in seconds for the date in Retry-After, because dates in headers have whole seconds."""
MAX_QUOTED_CHARACTERS = 1_000
"""Maximum length of a value that is quoted as evidence, before secrets in it are masked."""
MAX_SCHEMA_VIOLATIONS = 10
"""Maximum number of schema violations reported for one body, because a hostile body could have a million."""


@register_rule(
    "status-undocumented",
    subject_class=Call,
    description="Every status code of a response is documented; an undocumented one from 400 on is a warning.",
    contract_condition="responses",
    explanation=Explanation(
        consequence=(
            "A client handles the statuses it knows of. Another one ends in its generic error, or is retried at a cost."
        ),
        conforming_example="Documented: 200, 400, 401. Response: 400.",
        violating_example="Documented: 200, 400, 401. Response: 422.",
    ),
    shown_by=(
        FaultExample("undocumented-status", found_in="valid"),
        FaultExample("flaky-503", found_in="valid"),
    ),
)
def _check_status_undocumented(call: Call) -> Iterator[Violation]:
    if call.documented_response is None:
        known = ", ".join(call.operation.responses)
        yield Violation(
            f"got status {call.status}, which is not among the documented {known}",
            f"{call.operation.pointer}/responses",
            evidence=quote_text_body(call),
            common_cause=f"status {call.status}",
            # Official documents list few refusals: often 200 and 422, of services that send 401, 404, 429 and 503 too.
            # Clients handle them by their class (RFC 9110, section 15).
            is_warning=call.status >= 400,
        )


@register_rule(
    "content-type",
    subject_class=Call,
    description="The Content-Type of a response is documented for its status.",
    contract_condition="responses/*/content",
    explanation=Explanation(
        consequence="A client chooses its parser by this header, and browsers and players refuse a wrong one.",
        conforming_example="Documented: application/json. Response: Content-Type: application/json; charset=utf-8",
        violating_example="Documented: application/json. Response: Content-Type: text/html",
    ),
    shown_by=(FaultExample("wrong-content-type", also_found_by=("audio-media-type",)),),
)
def _check_content_type(call: Call) -> Iterator[Violation]:
    if call.documented_response is None or not call.documented_response.media_types or not call.exchange.response.body:
        return
    media_type = call.response_media_type
    if not media_type or call.documented_body is None:
        sent = f"is {media_type!r}" if media_type else "is missing"
        known = " or ".join(call.documented_response.media_types)
        yield Violation(
            f"Content-Type {sent}; documented: {known}",
            f"{call.documented_response.pointer}/content",
            common_cause=f"Content-Type {media_type[:MAX_QUOTED_CHARACTERS]}",
            # The page of a gateway in front of a service that is down is not a response of the service.
            is_warning=call.status >= 500 and media_type == "text/html",
        )


@register_rule(
    "empty-body",
    subject_class=Call,
    description="A response with a documented body has a body.",
    contract_condition="responses/*/content",
    explanation=Explanation(
        consequence=(
            "A client that parses the documented body fails where the call itself has succeeded, and may have been "
            "charged."
        ),
        conforming_example='200 with {"id": "job-1"}',
        violating_example="200 with Content-Length 0, although a JSON body is documented",
    ),
    shown_by=(FaultExample("empty-body", also_found_by=("audio-missing",)),),
)
def _check_empty_body(call: Call) -> Iterator[Violation]:
    if (
        call.documented_response is None
        or not call.documented_response.media_types
        or call.status in STATUSES_WITHOUT_BODY
    ):
        return
    # A response to HEAD has the headers of that to GET, and no body (RFC 9110, section 9.3.2).
    if not call.exchange.response.body and call.operation.method != "HEAD":
        yield Violation(
            f"status {call.status} with an empty body",
            f"{call.documented_response.pointer}/content",
            common_cause=f"no body with status {call.status}",
        )


@register_rule(
    "response-incomplete",
    subject_class=IncompleteResponse,
    description="A response that begins does not break off; once, without a second attempt, is a warning.",
    contract_condition="responses",
    explanation=Explanation(
        consequence=(
            "What breaks off cannot be used, and a client cannot know whether the request was performed and charged."
        ),
        conforming_example="Content-Length 812, and 812 bytes arrive.",
        violating_example="Content-Length 812, and the connection closes after 300 bytes, in each of three attempts.",
    ),
    shown_by=(
        FaultExample("unauthorized-cut-off", target_id="pixelapi/voice-design", found_in="socket"),
        FaultExample("drops-connection", target_id="pixelapi/voice-design", found_in="socket"),
    ),
)
def _check_response_incomplete(response: IncompleteResponse) -> Iterator[Violation]:
    documented = response.call.documented_response
    times = f", {response.attempt_count} times out of {response.attempt_count}" if response.attempt_count > 1 else ""
    yield Violation(
        f"status {response.call.status}, then the body broke off{times}: {response.reason}",
        documented.pointer if documented else f"{response.operation.pointer}/responses",
        is_warning=response.attempt_count == 1,
    )


@register_rule(
    "body-not-json",
    subject_class=Call,
    description="A body with a JSON Content-Type is valid JSON.",
    contract_condition="responses",
    explanation=Explanation(
        consequence="Every JSON client raises a parser error instead of the provider's own message.",
        conforming_example='Content-Type: application/json, body {"error": "no credits"}',
        violating_example="Content-Type: application/json, body <html>502 Bad Gateway</html>",
    ),
    unshown_reason="The emulator serializes every JSON body; its faults change values, not syntax.",
)
def _check_body_not_json(call: Call) -> Iterator[Violation]:
    if call.json_error is not None:
        documented = call.documented_response
        pointer = f"{documented.pointer}/content" if documented else f"{call.operation.pointer}/responses"
        yield Violation(f"the body {call.json_error}", pointer, evidence=quote_text_body(call))


@register_rule(
    "response-schema",
    subject_class=Call,
    description="The JSON body of a successful response matches its documented schema.",
    contract_condition="responses/2XX,3XX,default/content/*/schema",
    explanation=Explanation(
        consequence=(
            "Clients with types reject the response, and clients without them fail later, at the field that is missing."
        ),
        conforming_example='Documented: {id: string, required}. Response: {"id": "job-1"}',
        violating_example='Documented: {id: string, required}. Response: {"job_id": 17}',
    ),
    shown_by=(
        FaultExample("missing-field", also_found_by=("audio-missing", "job-completed-without-output")),
        FaultExample("wrong-type", also_found_by=("job-state-unknown", "job-stuck", "job-timestamps", "rejects-valid")),
        FaultExample("renamed-field", also_found_by=("audio-missing", "job-completed-without-output")),
        FaultExample("null-field", also_found_by=("audio-missing", "job-id-changed", "job-state-unknown")),
    ),
)
def _check_response_schema(call: Call) -> Iterator[Violation]:
    if call.status < 400:
        yield from _check_body_schema(call)


@register_rule(
    "error-shape",
    subject_class=Call,
    description="The JSON body of an error response matches its documented schema.",
    contract_condition="responses/4XX,5XX,default/content/*/schema",
    explanation=Explanation(
        consequence=(
            "A client reads the reason of an error where it is documented, and shows nothing if it is elsewhere."
        ),
        conforming_example='Documented: {error: {message: string}}. Response: {"error": {"message": "no credits"}}',
        violating_example='Documented: {error: {message: string}}. Response: {"detail": "no credits"}',
    ),
    shown_by=(FaultExample("wrong-error-shape", found_in="rejection-reason"),),
)
def _check_error_body_schema(call: Call) -> Iterator[Violation]:
    if call.status >= 400 and call.documented_response is not None:
        yield from _check_body_schema(call)
    elif call.status >= 400:
        yield from _check_undocumented_error_body(call)


def _check_undocumented_error_body(call: Call) -> Iterator[Violation]:
    """Yield violations by the body of an error response whose status is not documented.

    The body should match the schema of a documented error, because clients parse all errors in the same way.
    """
    documented = [
        media
        for status, response in call.operation.responses.items()
        if status[0] in "45d"  # 4XX, 5XX or default
        for media in response.media_types.values()
    ]
    prefix = f"status {call.status} is not documented, and its body is not that of any documented error"
    media_type = call.response_media_type
    if documented and media_type and not any(media.name in (media_type, "*/*") for media in documented):
        known = " or ".join(dict.fromkeys(media.name for media in documented))
        yield Violation(
            f"{prefix}: Content-Type is {media_type!r}; documented: {known}",
            f"{call.operation.pointer}/responses",
            evidence=quote_text_body(call),
            cause_rule_id="status-undocumented",
            is_warning=True,
        )
        return
    schemas = [media for media in documented if is_json(media.name)]
    value = call.response_json if media_type else MISSING
    if value is MISSING or not schemas or any(media.is_valid(value) for media in schemas):
        return
    # Against one schema: the violations of several would say the same several times.
    for error in itertools.islice(schemas[0].iterate_violations(value), MAX_SCHEMA_VIOLATIONS):
        violation = convert_schema_violation(error, value)
        message = f"{prefix}: {violation.message}"
        yield violation._replace(message=message, cause_rule_id="status-undocumented", is_warning=True)


def _check_body_schema(call: Call) -> Iterator[Violation]:
    """Yield a violation for each keyword of the documented schema that the JSON body breaks, up to a maximum."""
    media = call.documented_body
    if media is None or call.response_json is MISSING:
        return
    for error, _ in zip(media.iterate_violations(call.response_json), range(MAX_SCHEMA_VIOLATIONS), strict=False):
        yield convert_schema_violation(error, call.response_json)


@register_rule(
    "callback-schema",
    subject_class=Callback,
    description="The body of a callback matches its documented schema.",
    contract_condition="callbacks, webhooks",
    needs="request",
    explanation=Explanation(
        consequence="A receiver that validates its input refuses the callback, and the job seems never to end.",
        conforming_example='Documented: {id, status} required. Callback: {"id": "job-1", "status": "done"}',
        violating_example='Documented: {id, status} required. Callback: {"status": "done"}',
    ),
    shown_by=(FaultExample("webhook-wrong-shape", found_in="webhook"),),
)
def _check_callback_schema(callback: Callback) -> Iterator[Violation]:
    parsed = parse_exchange(callback.exchange)
    if parsed.request_json_error is not None:
        yield Violation(f"the callback {parsed.request_json_error}", callback.documented_body.pointer)
        return
    value = parsed.request_json
    for error, _ in zip(callback.documented_body.iterate_violations(value), range(MAX_SCHEMA_VIOLATIONS), strict=False):
        yield convert_schema_violation(error, value)


def convert_schema_violation(schema_violation: SchemaViolation, value: Any) -> Violation:
    """Convert `schema_violation`, which was found in the JSON value `value`, to a `Violation` that a rule can yield."""
    prefix = f"{schema_violation.value_pointer}: " if schema_violation.value_pointer else ""
    found = read_json_pointer(value, schema_violation.value_pointer)
    evidence = None if found is MISSING else quote_json(found, MAX_QUOTED_CHARACTERS)
    message = f"{prefix}{schema_violation.message}"
    return Violation(
        message,
        schema_violation.keyword_pointer,
        schema_violation.value_pointer or None,
        evidence,
        # Operations may have schemas of their own for one thing, such as a charge, which is missing in all, or null.
        common_cause=message[:MAX_QUOTED_CHARACTERS]
        if schema_violation.keyword == "required" or found is None
        else None,
    )


@register_rule(
    "request-schema",
    subject_class=Call,
    description="A request that the provider documents or accepts matches its documented schema.",
    contract_condition="requestBody, parameters",
    needs="request",
    explanation=Explanation(
        consequence=(
            "An example that the schema forbids misleads everyone who copies it, or the schema forbids what works."
        ),
        conforming_example='Schema: speed at most 2. Documented example: {"speed": 1.5}',
        violating_example='Schema: speed at most 2. Documented example: {"speed": 4}',
    ),
    unshown_reason="It judges requests and documented examples, which the emulator does not write.",
)
def _check_request_schema(call: Call) -> Iterator[Violation]:
    # A rejected request may be invalid on purpose. In that case the rejection was right.
    if call.request_intent != "valid" or not call.is_accepted:
        return
    yield from _check_request_body_schema(call)
    for parameter in call.operation.parameters:
        parsed = call.read_parameter(parameter)
        if parsed is None:
            # A URL outside the documented path was chosen by the provider, and the client only followed it.
            if parameter.is_required and parameter.message_part not in ("cookie", "path"):
                yield Violation(
                    f"the {parameter.message_part} parameter {parameter.name!r} is required", parameter.pointer
                )
            continue
        for error in parsed.violations:
            yield Violation(
                f"{parameter.message_part} parameter {parameter.name!r}: {error.message}", error.keyword_pointer
            )


def _check_request_body_schema(call: Call) -> Iterator[Violation]:
    documented = call.operation.request_media
    if not documented or not call.exchange.request.body:
        return
    media_type = call.exchange.request.media_type
    media = call.operation.find_request_media(media_type)
    if media is None:
        at = next(iter(documented.values())).pointer.rpartition("/")[0]
        yield Violation(f"the request is {media_type or 'untyped'}; documented: {' or '.join(documented)}", at)
        return
    for error in call.request_body.violations:
        violation = convert_schema_violation(error, call.request_value)
        yield violation._replace(message=f"request {violation.message}")


def _iterate_documented_headers(call: Call) -> Iterable[tuple[str, Parameter]]:
    return call.documented_response.headers.items() if call.documented_response else ()


@register_rule(
    "header-missing",
    subject_class=Call,
    description="Every response header that is documented as required is present.",
    contract_condition="responses/*/headers",
    needs="headers",
    explanation=Explanation(
        consequence="Clients take the request id, limits or the place of the result from such headers.",
        conforming_example="Documented as required: X-Request-Id. Response: X-Request-Id: 7f3a",
        violating_example="Documented as required: X-Request-Id. The response has none.",
    ),
    shown_by=(FaultExample("missing-header"),),
)
def _check_header_missing(call: Call) -> Iterator[Violation]:
    for name, header in _iterate_documented_headers(call):
        # The rule retry-after-missing reports that header, also where the document does not call it required.
        if (
            header.is_required
            and name.lower() != RETRY_AFTER_HEADER
            and call.exchange.response.find_header(name) is None
        ):
            yield Violation(
                f"status {call.status} without the header {name}", header.pointer, common_cause=f"without {name}"
            )


@register_rule(
    "retry-after-missing",
    subject_class=Call,
    description="A rejection has the Retry-After header that is documented for it.",
    contract_condition="responses/*/headers/Retry-After",
    needs="headers",
    explanation=Explanation(
        consequence="Without it a client retries too early and stays limited, or waits longer than needed.",
        conforming_example="429 with Retry-After: 30",
        violating_example="429 without Retry-After, although it is documented",
    ),
    shown_by=(FaultExample("missing-retry-after", found_in="rejection-reason"),),
)
def _check_retry_after_missing(call: Call) -> Iterator[Violation]:
    for name, header in _iterate_documented_headers(call):
        if name.lower() == RETRY_AFTER_HEADER and call.exchange.response.find_header(name) is None:
            yield Violation(
                f"status {call.status} without {name}", header.pointer, common_cause=f"status {call.status}"
            )


@register_rule(
    "header-schema",
    subject_class=Call,
    description="The value of a documented response header matches its schema.",
    contract_condition="responses/*/headers/*/schema",
    needs="headers",
    explanation=Explanation(
        consequence="A client that converts the value fails.",
        conforming_example="Documented: integer. X-RateLimit-Remaining: 41",
        violating_example="Documented: integer. X-RateLimit-Remaining: many",
    ),
    shown_by=(FaultExample("negative-retry-after", found_in="rejection-reason"),),
)
def _check_header_schema(call: Call) -> Iterator[Violation]:
    for name, header in _iterate_documented_headers(call):
        text = call.exchange.response.find_header(name)
        if text is None:
            continue
        for error in header.parse_text(text).violations:
            yield Violation(f"header {name}: {error.message}", error.keyword_pointer, evidence=f"{name}: {text}")


@register_rule(
    "retry-after-invalid",
    subject_class=Call,
    description="A Retry-After header states a delay in whole seconds, or a date that has not passed.",
    contract_condition="responses",
    severity=Severity.WARNING,
    explanation=Explanation(
        consequence=(
            "A client that cannot read it guesses a wait; one that reads a date in the past retries at once, and stays "
            "limited."
        ),
        conforming_example="429 with Retry-After: 30",
        violating_example="429 in 2026 with Retry-After: Thu, 01 Jan 1970 00:00:00 GMT",
    ),
    needs="headers",
    shown_by=(FaultExample("negative-retry-after", found_in="rejection-reason", also_found_by=("header-schema",)),),
)
def _check_retry_after_invalid(call: Call) -> Iterator[Violation]:
    text = call.exchange.response.find_header(RETRY_AFTER_HEADER)
    # RFC 9110, section 10.2.3: digits alone are a delay, which is neither negative nor a fraction.
    if text is None or (text.isascii() and text.isdecimal()):
        return
    date, responded_at = parse_http_date(text), _find_response_time(call)
    if date is None:
        problem = "is neither a whole number of seconds nor a date"
    elif responded_at is not None and date < responded_at - timedelta(seconds=RETRY_DATE_TOLERANCE_S):
        problem = f"is before the response at {responded_at:%Y-%m-%d %H:%M:%S} UTC"
    else:
        return
    # The header is defined for all of HTTP, so it is judged even where no document mentions it.
    documented = (
        header.pointer for name, header in _iterate_documented_headers(call) if name.lower() == RETRY_AFTER_HEADER
    )
    pointer = next(documented, f"{call.operation.pointer}/responses")
    yield Violation(f"Retry-After {text!r:.80} {problem}", pointer, evidence=f"Retry-After: {text}")


@register_rule(
    "rate-limit-inconsistent",
    subject_class=Call,
    description="No more requests remain than the rate limit allows, and its window does not end in the past.",
    contract_condition="x-limits.rate_limit_header_names.remaining, x-limits.rate_limit_header_names.reset",
    severity=Severity.WARNING,
    explanation=Explanation(
        consequence="A client that paces its requests by these headers sends too many, or waits for nothing.",
        conforming_example="X-RateLimit-Limit: 60, X-RateLimit-Remaining: 59",
        violating_example="X-RateLimit-Limit: 60, X-RateLimit-Remaining: 61",
    ),
    needs="headers",
    shown_by=(FaultExample("wrong-rate-limit", target_id="ttsai/kokoro-sync"),),
)
def _check_rate_limit_inconsistent(call: Call) -> Iterator[Violation]:
    names = call.operation.limits.rate_limit_header_names
    values = {role: call.exchange.response.find_header(name) for role, name in names.items()}
    limit, remaining, reset = (parse_whole_number(values.get(role)) for role in ("limit", "remaining", "reset"))
    own = f"{call.operation.pointer}/x-limits" if "x-limits" in call.operation.part_data else "/x-limits"
    pointer = f"{own}/rate_limit_header_names"
    if limit is not None and remaining is not None and remaining > limit:
        yield Violation(
            f"{names['remaining']} is {remaining}, more than {names['limit']}, {limit}",
            f"{pointer}/remaining",
            evidence=f"{names['limit']}: {limit}, {names['remaining']}: {remaining}",
        )
    responded_at = _find_response_time(call)
    if reset is not None and reset >= MIN_UNIX_TIME_S and responded_at is not None:
        reset_at = parse_timestamp(reset)
        if reset_at is not None and reset_at < responded_at - timedelta(seconds=RETRY_DATE_TOLERANCE_S):
            yield Violation(
                f"{names['reset']} is {reset_at:%Y-%m-%d %H:%M:%S} UTC, before the response at "
                f"{responded_at:%Y-%m-%d %H:%M:%S} UTC",
                f"{pointer}/reset",
                evidence=f"{names['reset']}: {reset}",
            )


MIN_UNIX_TIME_S = 1e9
"""Smallest number that is read as a Unix time, in 2001; a smaller one is a number of seconds to wait."""


def _find_response_time(call: Call) -> datetime | None:
    """Return when the response was sent, by the clock of the service if it states it; `None` if it is not known."""
    # Dates in other headers of the response follow the clock of the service, not that of this machine.
    stated = parse_http_date(call.exchange.response.find_header("date") or "")
    if stated is not None or call.exchange.timing is None:
        return stated
    return datetime.fromtimestamp(call.exchange.timing.started_at, UTC)


def quote_text_body(call: Call) -> str | None:
    """Return the first 1,000 bytes of the response's body as text; `None` if the body is binary or empty."""
    response = call.exchange.response
    if is_json(response.media_type) or response.media_type.startswith("text/"):
        return response.body[:1000].decode(errors="replace") or None
    return None
