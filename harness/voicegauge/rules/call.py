"""What rules look at: a call, a case with its outcome, a response; and what documents say about a value in a request.

Also defines the base class of subjects about one call.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from voicegauge.contract.contract import Target
from voicegauge.contract.document_parts import MediaType, Parameter, ParsedText, ResponseSpec
from voicegauge.contract.operation import Operation, PathMatch
from voicegauge.contract.parsed_exchange import EventStreamParser, ParsedExchange, RequestBody, parse_exchange
from voicegauge.formats.bodies import Form, is_json
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.base import Record
from voicegauge.model.exchange import Exchange

if TYPE_CHECKING:
    from voicegauge.contract.contract import Contract
    from voicegauge.speech.decoding import DecodedAudio


# Defines the base class of everything that rules are applied to.


class CheckSubject:
    """Base class of everything that rules judge, with the operation, exchange and target that its findings name.

    Subjects read exchanges as the contract describes them. They never raise an error because of what a provider sent.
    """

    # Some subjects have these as dataclass fields, others compute them. They are declared for type checkers only,
    # because a property that exists at run time would prevent a dataclass from setting its field.
    if TYPE_CHECKING:

        @property
        def operation(self) -> Operation:
            """The operation that findings are reported for."""

        @property
        def exchange(self) -> Exchange:
            """The exchange that shows a violation, unless the violation names another."""

        @property
        def target(self) -> Target | None:
            """The requested model or mode of the provider; `None` if it is not known."""

    @property
    def contract(self) -> Contract:
        """The contract that the rules compare with."""
        return self.operation.contract

    @property
    def quoted_exchanges(self) -> Sequence[Exchange]:
        """The exchanges that a violation may quote, unless it names one."""
        return (self.exchange,)

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """JSON pointers to the parts of the contract at which a dispute about this subject can be recorded."""
        return ()

    @property
    def can_be_sent_again(self) -> bool:
        """Whether `exchange` has a request that a user could send again."""
        return True


# Defines calls, which are exchanges interpreted by the documentation of their operations.


RequestIntent = Literal["valid", "invalid", "unknown"]
"""Whether a request is meant to be valid. `invalid`: it is invalid on purpose. `unknown`: the request is not known,
because a document shows only the response."""


@dataclass(frozen=True, eq=False)
class Call(CheckSubject):
    """One exchange, interpreted by the documentation of the operation that was called."""

    operation: Operation
    """The operation that was called."""
    exchange: Exchange
    target: Target | None = None
    """The target that the request, or the job that it is about, addresses; `None` if it is not known or none."""
    request_intent: RequestIntent = "valid"
    submit_call: Call | None = None
    """For a status request, the call that submitted the job; `None` for other requests, or if it is not known."""

    @functools.cached_property
    def parsed_exchange(self) -> ParsedExchange:
        """The exchange with its bodies parsed."""
        return parse_exchange(self.exchange)

    @property
    def can_be_sent_again(self) -> bool:
        """Whether a user could send the request again. It is false if only the response is known."""
        return self.request_intent != "unknown"

    # The response

    @property
    def status(self) -> int:
        """The HTTP status of the response."""
        return self.exchange.response.status

    @property
    def is_accepted(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @functools.cached_property
    def response_media_type(self) -> str:
        """The Content-Type of the response without its parameters, in lower case; empty if it has none."""
        return self.exchange.response.media_type

    @functools.cached_property
    def documented_response(self) -> ResponseSpec | None:
        """The documented response for the status; `None` if the status is not documented."""
        return self.operation.find_response(self.status)

    @functools.cached_property
    def documented_body(self) -> MediaType | None:
        """The documented body for the status and Content-Type of the response; `None` if there is none.

        It may be documented by the exact media type, by a range such as "audio/*", or by "*/*". A response without a
        Content-Type is treated as JSON.
        """
        documented = self.documented_response.media_types if self.documented_response else {}
        media_type = self.response_media_type or "application/json"
        names = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
        return next((documented[name] for name in names if name in documented), None)

    # Every rule about bodies reads the values below, so they are computed once per call.

    @functools.cached_property
    def expects_json(self) -> bool:
        """Whether the response body should be JSON: by its Content-Type or, without one, by the documents.

        It is false for a stream of events, even if each event is JSON.
        """
        if self.is_stream:
            return False
        if self.response_media_type:
            return is_json(self.response_media_type)
        documented = self.documented_response.media_types if self.documented_response else {}
        return bool(documented) and all(map(is_json, documented))

    @functools.cached_property
    def response_json(self) -> Any:
        """The JSON value of the response body; `MISSING` if JSON is not expected, or the body is not valid JSON."""
        return self.parsed_exchange.response_json if self._is_json_body_expected else MISSING

    @property
    def json_error(self) -> str | None:
        """Why a response body that should be JSON is not valid JSON, in words.

        `None` if the body is valid, need not be JSON, or exceeds a limit of voicegauge.
        """
        if not self._is_json_body_expected or self.parsed_exchange.exceeded_json_limit is not None:
            return None
        return self.parsed_exchange.response_json_error

    @property
    def unread_body_reason(self) -> str | None:
        """The limit of voicegauge that the JSON body exceeds; `None` if none. A body above a limit is not judged."""
        limit = self.parsed_exchange.exceeded_json_limit if self._is_json_body_expected else None
        return None if limit is None else f"the body of the response {limit}, the limit of voicegauge"

    @property
    def _is_json_body_expected(self) -> bool:
        # An empty body is reported by the rule empty-body, not as invalid JSON.
        return bool(self.exchange.response.body) and self.expects_json

    @functools.cached_property
    def event_stream(self) -> EventStreamParser | None:
        """The events of a streamed response; `None` if the response is not an event stream, or is empty."""
        spec = self.operation.stream
        if spec is None or not self.is_stream or not self.exchange.response.body:
            return None
        return self.parsed_exchange.read_stream(spec)

    @property
    def is_stream(self) -> bool:
        """Whether the response is a stream of events, by its status and its Content-Type."""
        spec = self.operation.stream
        return spec is not None and self.is_accepted and self.response_media_type == spec.response_media_type

    def read_response_value(self, location: Location | None) -> Any:
        """Return the value at `location` of the response; `MISSING` if there is none, or if `location` is `None`."""
        if location is None:
            return MISSING
        body = self.response_json if location.is_in_body else MISSING  # audio is not parsed to read a header
        return location.read_response(body, self.exchange.response.headers)

    # The request

    @functools.cached_property
    def request_body(self) -> RequestBody:
        """The request body, parsed as the operation documents it."""
        return self.parsed_exchange.read_request_body(self.operation)

    @property
    def request_value(self) -> Any:
        """The parsed value of the request body: `RequestBody.value`."""
        return self.request_body.value

    @property
    def form(self) -> Form | None:
        """The form in the request body; `None` if the body is not a readable form."""
        return self.parsed_exchange.request_form

    @functools.cached_property
    def path_parameters(self) -> dict[str, str]:
        """The values of the path parameters by name; empty if the path does not match that of the operation."""
        return self._path_match.path_parameters if self._path_match is not None else {}

    @functools.cached_property
    def base_url(self) -> str | None:
        """The URL to which the operation's path was appended; `None` if the path does not match."""
        parts = urlsplit(self.exchange.request.url)
        return f"{parts.scheme}://{parts.netloc}{self._path_match.base_path}" if self._path_match is not None else None

    @functools.cached_property
    def _path_match(self) -> PathMatch | None:
        return self.operation.match_path_end(urlsplit(self.exchange.request.url).path)

    def read_request(self, location: Location) -> Any:
        """Return the value at a location of the request; `MISSING` if there is none."""
        return location.read_request(_RequestValues(self))

    def read_parameter(self, parameter: Parameter) -> ParsedText | None:
        """Return a documented parameter of the request; `None` if it was not sent. Cookies are not read."""
        text = self.read_parameter_text(parameter)
        return None if text is None else parameter.parse_text(text)

    def read_parameter_text(self, parameter: Parameter) -> str | None:
        """Return the text of a documented parameter; `None` if it was not sent. Cookies are not read."""
        if parameter.message_part == "cookie":
            return None
        if parameter.message_part == "header":
            return self.exchange.request.find_header(parameter.name)
        by_name = self.path_parameters if parameter.message_part == "path" else self.parsed_exchange.query_parameters
        return by_name.get(parameter.name)

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """JSON pointers to the documented response, the target, the request body and the operation."""
        scopes = [f"{self.operation.pointer}/responses/{self.status}"]
        documented = self.documented_response
        if documented is not None:  # the pointer of a reference, or of a range such as 4XX, does not name the status
            scopes += [documented.pointer, f"{self.operation.pointer}/responses/{documented.status}"]
        if self.target is not None:
            scopes.append(self.target.pointer)
        return (*scopes, f"{self.operation.pointer}/requestBody", self.operation.pointer)


class _RequestValues:
    """The values of a request, in the form that `Location.read_request` reads, parsed on first use."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    @property
    def path_parameters(self) -> Mapping[str, str]:
        return self._call.path_parameters

    @property
    def query_parameters(self) -> Mapping[str, str]:
        return self._call.parsed_exchange.query_parameters

    @property
    def headers(self) -> Mapping[str, str]:
        return dict(reversed(self._call.exchange.request.headers))  # the first of repeated headers is used

    @property
    def body(self) -> Any:
        return self._call.request_value


@dataclass(frozen=True, eq=False)
class CallSubject(CheckSubject):
    """Base class of subjects about one call, with the operation, target, exchange and dispute pointers of the call."""

    call: Call

    @property
    def operation(self) -> Operation:
        """The operation of the call."""
        return self.call.operation

    @property
    def target(self) -> Target | None:
        """The target of the call; `None` if it is not known, or if the operation has none."""
        return self.call.target

    @property
    def exchange(self) -> Exchange:
        """The exchange of the call."""
        return self.call.exchange

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """JSON pointers at which a dispute about the call can be recorded."""
        return self.call.disputable_pointers

    @property
    def can_be_sent_again(self) -> bool:
        """Whether a user could send the request of the call again. It is false if only the response is known."""
        return self.call.can_be_sent_again


# A response whose body was incomplete each time the request was sent.


@dataclass(frozen=True, eq=False)
class IncompleteResponse(CallSubject):
    """A call whose response has a status and headers but whose body broke off. No part of the body is kept."""

    reason: str
    """How the connection was lost, on one line."""
    attempt_count: int
    """Number of times the request was sent, each time with this result."""


# The expected and the actual response to a planned case.


class ExpectedResponse(Record, frozen=True, kw_only=True):
    """The response that a planned case should get according to the contract."""

    acceptance: Literal["accepted", "rejected", "either"]
    """Whether the request should be accepted or rejected. `either`: no document says which, so that only a server error
    is wrong."""
    statuses: tuple[int, ...] = ()
    """The documented statuses that the response may have; empty if it may have any status that fits `acceptance`."""
    case_kind: Literal[
        "valid", "invalid", "authentication", "unknown-id", "rejection-reason", "undocumented", "plain-http"
    ]
    """The property that the case tests.

    `authentication`: a missing or wrong key; `unknown-id`: an id that the provider has not given out;
    `rejection-reason`: a documented reason such as missing credit; `undocumented`: input that no document mentions;
    `plain-http`: a webhook URL without TLS.
    """
    description: str
    """A short phrase that says what is special about the request."""
    contract_pointer: str
    """JSON pointer to the part of the contract that the case tests."""


@dataclass(frozen=True, eq=False)
class CaseOutcome(CallSubject):
    """The call of a planned case, together with the response that was expected."""

    expected_response: ExpectedResponse
    """The response that the case should get."""

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """JSON pointers at which a dispute about the call, or what its case tests, can be recorded."""
        return (self.expected_response.contract_pointer, *super().disputable_pointers)

    @property
    def has_error_with_success_status(self) -> bool:
        """Whether an error is sent with a status of success.

        The result is false for a documented response with a field for errors, and for the error of a failed job.
        """
        if not self.call.is_accepted:
            return False
        body, documented = self.call.response_json, self.call.documented_body
        # The status of a job is sent with success whatever it says: its error is one of the job, not of the request.
        return (
            isinstance(body, dict)
            and self.operation.job is None
            and any(body.get(name) for name in ("error", "errors", "detail"))
            and (self.expected_response.acceptance == "rejected" or documented is None or not documented.is_valid(body))
        )

    @property
    def is_server_error(self) -> bool:
        """Whether the response is a server error that was not expected."""
        return self.call.status >= 500 and self.call.status not in self.expected_response.statuses


_ERROR_WITH_SUCCESS_STATUS = "an error is sent with the success status"
"""The words by which profiles recognize this violation in a saved report, which has messages only."""


def describe_error_with_success_status(status: int) -> str:
    """Return the message of the violation that an error was sent with a success status."""
    return f"{_ERROR_WITH_SUCCESS_STATUS} {status}"


def names_error_with_success_status(violation_message: str) -> bool:
    """Whether the message of a violation has the words of `describe_error_with_success_status`."""
    return _ERROR_WITH_SUCCESS_STATUS in violation_message


# Defines the age of a recording as a subject of rules.


@dataclass(frozen=True, eq=False)
class RecordingAge(CheckSubject):
    """A recording with the age of its oldest exchange with the live service."""

    operation: Operation
    """The operation of the oldest exchange."""
    exchange: Exchange
    """The oldest exchange of the recording with the live service."""
    recording_name: str
    """Name of the file that contains the recording."""
    age_days: float
    """Days since the oldest exchange."""
    target: Target | None = None
    """The target that the file is named after; `None` if it is named after an operation."""


def quote_audio(decoded: DecodedAudio | None, text: str) -> str:
    """Return the evidence of a violation about sound: what was measured, and for which text.

    Args:
        decoded: the audio; `None` if it could not be decoded. Then the evidence is the text alone.
        text: the requested text.
    """
    from voicegauge.speech.audio_measurement import compute_rms_dbfs

    if decoded is None:
        return f"requested: {text}"
    level_dbfs = compute_rms_dbfs(decoded.samples)
    sound = f"audio at {level_dbfs:.0f} dBFS" if math.isfinite(level_dbfs) else "digital silence"
    return f"{decoded.duration_s:.2f} s of {sound}; requested: {text}"


# Finds the schema and the default that a contract documents for a part of a request.


def find_request_schema(operation: Operation, location: Location, media_type: str | None = None) -> dict[str, Any]:
    """Return the schema of the value at `location` of requests to `operation`; empty if none is documented.

    Schemas inside `anyOf` and `oneOf` are not read, because other fields decide which branch applies.

    Args:
        operation: the operation.
        location: the location of the value in a request.
        media_type: media type of the request body; `None` for the first documented one.
    """
    if location.message_part != "body":
        wanted = location.name.lower()
        found = (
            p for p in operation.parameters if p.message_part == location.message_part and p.name.lower() == wanted
        )
        schema = next((parameter.schema for parameter in found), None)
        return schema if isinstance(schema, dict) else {}
    documented = operation.request_media
    media = documented.get(media_type or "") or next(iter(documented.values()), None)
    schema = media.schema if media is not None else None
    for token in location.pointer_tokens:
        schema = operation.contract.schemas.resolve_reference(_find_member_schema(schema, token))[0]
    return schema if isinstance(schema, dict) else {}


def find_documented_default(operation: Operation, location: Location, media_type: str | None = None) -> Any:
    """Return the default of the value at `location`; `MISSING` if none is documented.

    Args:
        operation: the operation.
        location: the location of the value in a request.
        media_type: media type of the request body; `None` for the first documented one.
    """
    return find_request_schema(operation, location, media_type).get("default", MISSING)


def _find_member_schema(schema: Any, member_name: str) -> Any:
    """Return the schema of a property, or of the items if `member_name` is an index; empty if there is none."""
    if not isinstance(schema, dict):
        return {}
    properties = schema.get("properties", {})
    if member_name not in properties and member_name.isdecimal():
        return schema.get("items", {})
    return properties.get(member_name, {})
