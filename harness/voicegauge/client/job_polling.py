"""Polls a job until it ends, with the links that responses contain.

The links in the contract document which value of the response is used for which parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeGuard

from voicegauge.client.connection import ProviderConnection
from voicegauge.client.exchange_log import (
    MAX_RETRY_AFTER_S,
    DeliveryFailedError,
    ExchangeLog,
    build_masked_excerpt,
    describe_exchange,
    get_retry_after_s,
    iterate_poll_waits_s,
)
from voicegauge.client.http_request import parse_origin
from voicegauge.client.ledger import Settlement
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import BaseTarget
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import ParsedExchange
from voicegauge.errors import TransportError, UsageError
from voicegauge.formats.bodies import is_json
from voicegauge.formats.located_yaml import split_json_pointer
from voicegauge.formats.locations import MISSING, Location, read_pointer
from voicegauge.model.exchange import BillingStatus, Failure, Job, Request, StateObservation
from voicegauge.recording.secret_search import find_secret_spelling

# Reads the parameters of a follow-up request (status, result, cancellation) from a response.


_RUNTIME_EXPRESSION_PATTERN = re.compile(
    r"^\$(?P<side>request|response)\.(?P<source>body|header\.|query\.|path\.)(?P<rest>.*)$"
)
"""Matches the expression of a link, such as "$response.body#/id": the message, the part of it, and the name there."""
MAX_ID_CHARACTERS = 512
"""Maximum length of an id, which becomes part of a URL. Servers commonly reject URLs over 2,000 characters; real ids
are far shorter."""


def is_usable_id(json_value: Any) -> bool:
    """Whether `json_value` can be the id of a job or resource: a short text without control characters."""
    return isinstance(json_value, str) and 0 < len(json_value) <= MAX_ID_CHARACTERS and json_value.isprintable()


def is_storable_id(json_value: Any, secrets: Iterable[str]) -> TypeGuard[str]:
    """Whether `json_value` is a usable id (`is_usable_id`) that may be saved and printed: it contains no secret."""
    return is_usable_id(json_value) and find_secret_spelling(json_value.encode(), secrets) is None


def evaluate_runtime_expression(exchange: ParsedExchange, expression: Any) -> Any:
    """Return the value in `exchange` that an OpenAPI runtime expression names (OpenAPI 3.1, section 4.8.20.4).

    An `expression` that does not begin with "$" is a constant and is returned unchanged. The result is `MISSING` if the
    exchange has no such value.
    """
    if not isinstance(expression, str) or not expression.startswith("$"):
        return expression
    parts = _RUNTIME_EXPRESSION_PATTERN.match(expression)
    if not parts:
        return MISSING
    name, request = parts["rest"], exchange.exchange.request
    tokens = split_json_pointer(name.removeprefix("#")) if parts["source"] == "body" else []
    value: Any = MISSING
    match parts["side"], parts["source"]:
        case "response", "header.":
            value = exchange.read_response_value(Location("header", name))
        case "response", "body":
            value = exchange.read_response_value(Location("body", pointer_tokens=tokens))
        case "request", "header.":
            header = request.find_header(name)
            value = MISSING if header is None else header
        case "request", "query.":
            value = exchange.query_parameters.get(name, MISSING)
        case "request", "body" if is_json(request.media_type):
            value = read_pointer(exchange.request_json, tokens)
        case "request", "body" if exchange.request_form is not None:
            value = read_pointer(exchange.request_form.fields, tokens)
    return value


def read_link_parameters(
    exchange: ParsedExchange, source_operation: Operation, target_operation: Operation
) -> dict[str, Any] | None:
    """Return the parameters of `target_operation`, as a link in the response of `source_operation` documents them.

    Return `None` if no link names `target_operation`, or if a value that the link needs is missing from the exchange.
    """
    response = source_operation.find_response(exchange.exchange.response.status)
    if response is None:
        return None
    for link in response.links.values():
        if link.get("operationId") != target_operation.id:
            continue
        values = {
            name: evaluate_runtime_expression(exchange, value) for name, value in link.get("parameters", {}).items()
        }
        # A link can assign a number or a boolean to a parameter as it can an id.
        usable = {
            name: value
            for name, value in values.items()
            if is_usable_id(value) or isinstance(value, bool | int | float)
        }
        return usable if len(usable) == len(values) else None
    return None


def find_id_parameter(
    source_operation: Operation | None, target_operation: Operation, id_location: Location | None
) -> str | None:
    """Return the name of the parameter of `target_operation` that takes the job id.

    This is the parameter to which a link of `source_operation` assigns the value at `id_location`. Without such a link
    it is the only required parameter of `target_operation`. Return `None` if neither exists.
    """
    expression = f"$response.{id_location}"
    for response in source_operation.responses.values() if source_operation else ():
        for link in response.links.values():
            if link.get("operationId") == target_operation.id:
                for name, value in link.get("parameters", {}).items():
                    if value == expression:
                        return _remove_location_prefix(str(name))
    required = [parameter.name for parameter in target_operation.parameters if parameter.is_required]
    return required[0] if len(required) == 1 else None


def _format_job_state(value: Any) -> str | None:
    """Return the state in a response as text; `None` if it is neither a text that is not empty nor a whole number."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _remove_location_prefix(name: str) -> str:
    """Remove the location from a parameter name such as "path.id" (allowed in links by OpenAPI 3.1)."""
    location, _, rest = name.partition(".")
    return rest if location in ("path", "query", "header") and rest else name


def group_parameters_by_location(operation: Operation, values_by_name: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Group `values_by_name` by the documented location of each parameter: "path", "query" or "header".

    Parameters that are not documented are in the query, and cookies are left out.
    """
    grouped: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    documented = {parameter.name: parameter.message_part for parameter in operation.parameters}
    for name, value in values_by_name.items():
        bare = _remove_location_prefix(name)
        location = documented.get(name) or documented.get(bare) or "query"
        if location in grouped:
            grouped[location][name if name in documented else bare] = value
    return grouped


# Tracks one job while it is polled: its id, its reported states, and whether it has ended.


MAX_STATE_CHARACTERS = 100
"""Maximum length of a state name, which is shown in messages and stored. Documented names are one word."""


class JobTracker:
    """Keeps what is known about one job, and builds the requests about it."""

    def __init__(
        self, connection: ProviderConnection, target: BaseTarget, status_operation: Operation, settlement: Settlement
    ) -> None:
        """Track a job that is not submitted yet; `settlement` receives the charges that the provider reports."""
        self._connection, self._target, self._settlement = connection, target, settlement
        self.status_operation = status_operation
        self.id: str | None = None
        """The provider's id of the job; `None` if no usable one is known."""
        self.has_ended = False
        """Whether a response has reported a terminal state."""
        self._observations: list[StateObservation] = []

    @property
    def job_spec(self) -> JobSpec:
        """The description of the job in the contract."""
        assert self.status_operation.job is not None, "a target's job operation has an x-job"
        return self.status_operation.job

    @property
    def last_state(self) -> str | None:
        """The state that was reported last; `None` if no state was reported."""
        return self._observations[-1].state if self._observations else None

    @property
    def undocumented_state(self) -> str | None:
        """The state that was reported last, if the contract does not name this state; otherwise `None`."""
        return None if self.last_state is None or self.last_state in self.job_spec.states else self.last_state

    @property
    def can_be_resumed(self) -> bool:
        """Whether a later command can poll the job by its id alone.

        A URL from a response is not saved, because it may contain a token.
        """
        try:
            return self.id is not None and self.build_poll_request_by_job_id(self.id) is not None
        except DeliveryFailedError:  # an id that cannot be sent
            return False

    def build_job_record(self) -> Job | None:
        """Return the id and the reported states of the job; `None` if there is neither."""
        if self.id is None and not self._observations:
            return None
        return Job(id=self.id, status_operation=self.status_operation.id, observations=tuple(self._observations))

    def record_job_id(self, submit_exchange: ParsedExchange) -> None:
        """Keep the job id in the response to the submit, if there is a usable one.

        An id that contains the API key is not usable, because the id is saved for resuming the job.
        """
        job_id = submit_exchange.read_response_text(self.job_spec.submit_response.job_id_location)
        self.id = job_id if is_storable_id(job_id, self._connection.secrets) else None

    # Requests about the job

    def build_poll_request(self, submit_exchange: ParsedExchange) -> Request:
        """Return the status request.

        It is built from the documented link. Without one, the URL in the response is used, if it is on a server of the
        provider, because the request contains the key. Without such a URL, the job id is used.

        Raises:
            DeliveryFailedError: the response has neither a link, nor a URL, nor an id to poll the job with.
        """
        by_link = read_link_parameters(submit_exchange, self._target.operation, self.status_operation)
        if by_link is not None:
            return self.build_request_with_values(self.status_operation, by_link)
        url = submit_exchange.read_response_text(self.job_spec.submit_response.polling_url_location)
        # The URL as a whole, because it may have a token that the contract does not describe.
        if url is not None and parse_origin(url) in self._connection.origins:
            return self._connection.build_request(self.status_operation, RequestParts(), url=url)
        request = self.build_poll_request_by_job_id(self.id) if self.id is not None else None
        if request is None:
            shown = describe_exchange(submit_exchange.exchange, self._connection)
            location = self.job_spec.submit_response.job_id_location
            error = submit_exchange.response_json_error if location.is_in_body else None
            reason = "" if error is None else f", because the body {error}"
            raise self.build_protocol_error(
                f"the response to the submit has no usable job id at {location}{reason}: {shown}"
            )
        return request

    def build_poll_request_by_job_id(self, job_id: str) -> Request | None:
        """Return the status request for a job id; `None` if the contract does not say which parameter takes the id."""
        name = self._find_id_parameter(self.status_operation)
        return None if name is None else self.build_request_with_values(self.status_operation, {name: job_id})

    def build_request_by_job_id(self, operation: Operation) -> Request | None:
        """Return the request of another operation about the job, such as its cancellation.

        Return `None` if the job id or the parameter that takes it is not known.
        """
        name = self._find_id_parameter(operation)
        return None if name is None or self.id is None else self.build_request_with_values(operation, {name: self.id})

    def build_result_request(self, final_poll: ParsedExchange, result_operation: Operation) -> Request:
        """Return the request that fetches the result of the job; `final_poll` is the poll that reported its success."""
        values = read_link_parameters(final_poll, self.status_operation, result_operation)
        if values is None:
            name = self._find_id_parameter(result_operation)
            values = {name: self.id} if name is not None and self.id is not None else {}
        return self.build_request_with_values(result_operation, values)

    def _find_id_parameter(self, operation: Operation) -> str | None:
        return find_id_parameter(self._target.operation, operation, self.job_spec.submit_response.job_id_location)

    def build_request_with_values(self, operation: Operation, value_by_parameter: dict[str, object]) -> Request:
        """Return the request of `operation` with parameters from a response.

        Raises:
            DeliveryFailedError: a value cannot be sent. The value came from the provider, so this is not a usage error.
        """
        grouped = group_parameters_by_location(operation, value_by_parameter)
        parts = RequestParts(
            path_parameters=grouped["path"], query_parameters=grouped["query"], headers=grouped["header"]
        )
        try:
            return self._connection.build_request(operation, parts)
        except UsageError as error:
            raise self.build_protocol_error(str(error)) from error

    # States

    def record_submit_response(
        self, submit_exchange: ParsedExchange, *, received_ms: float, exchange_index: int
    ) -> bool:
        """Note the state in the response to the submit; return whether the result is available already.

        Raises:
            DeliveryFailedError: the job has failed.
        """
        state = _format_job_state(self.job_spec.read_submit_state(submit_exchange.read_response_value))
        if state is None:
            return False
        self._record_state(
            state, submit_exchange, requested_ms=0.0, received_ms=received_ms, exchange_index=exchange_index
        )
        state_spec = self.job_spec.states.get(state)
        if state_spec is None or state_spec.terminal_outcome != "success":
            return False
        return bool(
            self.job_spec.result_operation_id or submit_exchange.read_response_text(self.job_spec.speech_audio.location)
        )

    def record_poll_response(
        self, poll_exchange: ParsedExchange, *, requested_ms: float, received_ms: float, exchange_index: int
    ) -> bool:
        """Note the state in a status response; return whether the job has succeeded.

        A state that the contract does not name is noted as well.

        Raises:
            DeliveryFailedError: the job has failed, or the response names no state.
        """
        state = _format_job_state(self.job_spec.read_state(poll_exchange.read_response_value))
        if state is None:
            shown = describe_exchange(poll_exchange.exchange, self._connection)
            problem = (
                "is not JSON"
                if poll_exchange.response_json_error
                else f"has no state at {self.job_spec.state_location}"
            )
            failure = self.build_protocol_error(f"the status response {problem}: {shown}").failure
            raise DeliveryFailedError(failure, is_temporary=True)  # such as the page of a proxy
        self._record_state(
            state, poll_exchange, requested_ms=requested_ms, received_ms=received_ms, exchange_index=exchange_index
        )
        known = self.job_spec.states.get(state)
        return known is not None and known.terminal_outcome == "success"

    def _record_state(
        self,
        state: str,
        source_exchange: ParsedExchange,
        *,
        requested_ms: float,
        received_ms: float,
        exchange_index: int,
    ) -> None:
        self._observations.append(
            StateObservation(
                state=self._connection.mask_secrets(state)[:MAX_STATE_CHARACTERS],
                response_began_ms=received_ms,
                requested_ms=requested_ms,
                exchange_index=exchange_index,
            )
        )
        known = self.job_spec.states.get(state)
        if known is None or known.terminal_outcome is None:
            return
        self.has_ended = True
        if known.is_charged is not False:
            self._settlement.note_usage(source_exchange)
        self._settlement.note_charge(
            source_exchange,
            self.job_spec.charge_location,
            self._target.contract.provider.credits,
            is_documented_as_free=known.is_charged is False,
        )
        if known.terminal_outcome == "failure":
            if known.is_charged is False:
                self._settlement.status = BillingStatus.REJECTED
            reason = build_masked_excerpt(
                source_exchange.read_response_text(self.job_spec.failure_reason_location) or "",
                self._connection.secrets,
            )
            message = f"{state}: {reason or 'no reason given'}"
            raise DeliveryFailedError(Failure(kind="failed", message=message))

    def build_protocol_error(self, message: str) -> DeliveryFailedError:
        """Return the error that ends the delivery because a response violates the provider's own protocol."""
        return DeliveryFailedError(Failure(kind="protocol", message=self._connection.mask_secrets(message)))


# Polls a job until it ends, within the documented time and the deadline of the delivery.


MAX_CONSECUTIVE_FAILED_POLLS = 5
"""Number of consecutive polls that may fail. A job that costs money is not given up because of a short network outage.
"""
MIN_RETRY_AFTER_S = 0.2
"""Shortest wait, in seconds, that a `Retry-After` header can request: `Retry-After: 0` must not turn polling into a
flood of requests."""


class JobPoller:
    """Polls one job with its status operation. An instance is used once."""

    def __init__(
        self,
        exchange_log: ExchangeLog,
        job_tracker: JobTracker,
        *,
        submitted_at_s: float,
        stop_at_undocumented_state: bool,
    ) -> None:
        """Prepare to poll a job that was submitted already.

        Args:
            exchange_log: keeps the status requests with their responses.
            job_tracker: receives the observed states.
            submitted_at_s: time of the submit on the clock of the client, in seconds; all times of the job are relative
                to it.
            stop_at_undocumented_state: whether a state that the contract does not name ends the wait. Otherwise
                polling continues, because the provider may have added the state.
        """
        self._log, self._job, self._started_s = exchange_log, job_tracker, submitted_at_s
        self._stop_at_undocumented_state = stop_at_undocumented_state
        self._clock, self._deadline = exchange_log.connection.clock, exchange_log.deadline
        self._failed_polls = 0
        self._last_response = "no poll was sent"

    async def poll_until_done(self, status_request: Request, *, poll_immediately: bool) -> ParsedExchange:
        """Send `status_request` again and again until the job has succeeded, and return the last exchange.

        With `poll_immediately`, there is no wait before the first poll.

        Raises:
            DeliveryFailedError: the job failed, did not end in time, or is in an undocumented state.
        """
        schedule = self._job.job_spec.poll_schedule
        is_limit_documented = schedule.job_timeout_s <= self._deadline.remaining_s
        limit_s = min(schedule.job_timeout_s, self._deadline.remaining_s)
        ends_at_s = self._clock.monotonic() + limit_s
        # A job of an earlier process may have ended long ago: its first poll is sent without a wait.
        requested_s = 0.0 if poll_immediately else None
        for poll_number, wait_s in enumerate(iterate_poll_waits_s(schedule)):
            if poll_number == 0:
                # Ends of equal jobs then lie between polls at different times, which together tell them precisely.
                wait_s += wait_s * self._log.connection.choose_first_wait_extension_fraction()
            remaining_s = ends_at_s - self._clock.monotonic()
            if remaining_s <= 0:
                break
            await self._clock.sleep(min(wait_s if requested_s is None else requested_s, remaining_s))
            if not self._deadline.remaining_s:  # the wait has ended with the time of the delivery
                break
            poll, is_done = await self._poll_once(status_request)
            if poll is not None and is_done:
                return poll
            requested_s = None if poll is None else self._get_requested_wait_s(poll)
        raise self._build_timeout_error(limit_s, is_limit_documented=is_limit_documented)

    async def _poll_once(self, status_request: Request) -> tuple[ParsedExchange | None, bool]:
        """Send one status request; return its exchange (`None` without a response), and whether the job has succeeded.

        Status requests cost nothing, so failures are tolerated.
        """
        requested_ms = self._elapsed_ms
        is_last_try = self._failed_polls >= MAX_CONSECUTIVE_FAILED_POLLS
        try:
            poll = self._log.add(
                await self._log.connection.send(
                    status_request, self._job.status_operation.id, max_total_s=self._deadline.exchange_timeout_s
                )
            )
        except TransportError as error:
            if is_last_try:
                note = f" in {MAX_CONSECUTIVE_FAILED_POLLS + 1} consecutive polls"
                raise self._log.build_no_response_error(error, note, is_temporary=True) from error
            self._last_response = f"no response: {error}"
            self._failed_polls += 1
            return None, False
        response = poll.exchange.response
        if not 200 <= response.status < 300:
            if is_last_try or not self._log.is_temporary_status(response.status):
                raise self._log.build_rejection_error(poll, "polling the job")
            self._last_response = describe_exchange(poll.exchange, self._log.connection)
            self._failed_polls += 1
            return poll, False
        self._failed_polls = 0
        return poll, self._record_poll(poll, requested_ms)

    def _record_poll(self, poll: ParsedExchange, requested_ms: float) -> bool:
        """Record the state that a successful response reports; return whether the job has succeeded.

        Raises:
            DeliveryFailedError: the job failed, or is in an undocumented state that ends the wait.
        """
        timing, received_ms = poll.exchange.timing, self._elapsed_ms
        if timing is not None and self._clock.is_clock_of_exchange_timings:
            # The service states what it knew when it received the request, at the earliest, or began to respond.
            requested_ms = timing.started_ms + timing.delay_before_send_ms - self._started_s * 1000
            received_ms = timing.started_ms + timing.total_ms - timing.receive_ms - self._started_s * 1000
        is_done = self._job.record_poll_response(
            poll, requested_ms=requested_ms, received_ms=received_ms, exchange_index=self._log.last_exchange_index
        )
        undocumented = self._job.undocumented_state
        self._last_response = f"state {self._job.last_state!r}"
        if undocumented is not None:
            self._last_response += ", which the contract does not document"
            if self._stop_at_undocumented_state:
                failure = Failure(kind="protocol", message=f"the job is in {self._last_response}")
                raise DeliveryFailedError(failure, is_temporary=True)
        return is_done

    def _get_requested_wait_s(self, poll_exchange: ParsedExchange) -> float | None:
        """Return the wait that a status response requests with `Retry-After`, in seconds; `None` if it requests none.

        A wait longer than `MAX_RETRY_AFTER_S` is ignored if the response is 2xx, since the next poll may report the end
        of the job.

        Raises:
            DeliveryFailedError: the response is a rejection that requests such a long wait.
        """
        requested_s = get_retry_after_s(poll_exchange.exchange.response)
        if requested_s is None:
            return None
        if not 200 <= poll_exchange.exchange.response.status < 300:
            requested_s = self._log.get_requested_wait_s(poll_exchange, requested_s, "polling the job")
        elif requested_s > MAX_RETRY_AFTER_S:
            return None
        return max(requested_s, min(MIN_RETRY_AFTER_S, self._job.job_spec.poll_schedule.min_interval_s))

    def _build_timeout_error(self, limit_s: float, *, is_limit_documented: bool) -> DeliveryFailedError:
        origin = "the contract's limit" if is_limit_documented else f"a delivery may take {self._deadline.limit_s:g} s"
        message = f"job not done after {limit_s:.4g} s ({origin}), last seen: {self._last_response}"
        if self._failed_polls and self._job.last_state is not None:
            message += f"; before that, state {self._job.last_state!r}"
        is_temporary = self._failed_polls > 0 or not is_limit_documented
        return DeliveryFailedError(Failure(kind="timeout", message=message), is_temporary=is_temporary)

    @property
    def _elapsed_ms(self) -> float:
        return (self._clock.monotonic() - self._started_s) * 1000
