"""Tracks one job while it is polled: its id, its reported states, and whether it has ended."""

from __future__ import annotations

from voicegauge.client.connection import ProviderConnection
from voicegauge.client.delivery.failures import DeliveryFailedError, build_masked_excerpt, describe_response
from voicegauge.client.delivery.links import (
    find_id_parameter,
    group_parameters_by_location,
    is_storable_id,
    read_link_parameters,
)
from voicegauge.client.requests import RequestParts, parse_origin
from voicegauge.client.spending import Settlement
from voicegauge.contract import BaseTarget, Operation, ParsedExchange
from voicegauge.contract.extension import JobSpec
from voicegauge.errors import UsageError
from voicegauge.model import BillingStatus, Failure, Job, Request, StateObservation

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
        self.has_ended = False
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
        found = submit_exchange.read_response_text(self.job_spec.submit_response.job_id_location)
        self.id = found if is_storable_id(found, self._connection.secrets) else None

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
        if url is not None and parse_origin(url) in self._connection.origins:
            return self._connection.build_request(self.status_operation, RequestParts(), url=url)
        request = self.build_poll_request_by_job_id(self.id) if self.id is not None else None
        if request is None:
            shown = describe_response(submit_exchange.exchange.response, self._connection.secrets)
            location = self.job_spec.submit_response.job_id_location
            raise self.build_protocol_error(f"the response to the submit has no usable job id at {location}: {shown}")
        return request

    def build_poll_request_by_job_id(self, job_id: str) -> Request | None:
        """Return the status request for a job id; `None` if the contract does not say which parameter takes the id."""
        name = find_id_parameter(
            self._target.operation, self.status_operation, self.job_spec.submit_response.job_id_location
        )
        return None if name is None else self.build_request_with_values(self.status_operation, {name: job_id})

    def build_request_by_job_id(self, operation: Operation) -> Request | None:
        """Return the request of another operation about the job, such as its cancellation.

        Return `None` if the job id or the parameter that takes it is not known.
        """
        name = find_id_parameter(self._target.operation, operation, self.job_spec.submit_response.job_id_location)
        return None if name is None or self.id is None else self.build_request_with_values(operation, {name: self.id})

    def build_result_request(self, final_poll: ParsedExchange, result_operation: Operation) -> Request:
        """Return the request that fetches the result of the job; `final_poll` is the poll that reported its success."""
        values = read_link_parameters(final_poll, self.status_operation, result_operation)
        if values is None:
            name = find_id_parameter(
                self._target.operation, result_operation, self.job_spec.submit_response.job_id_location
            )
            values = {name: self.id} if name is not None and self.id is not None else {}
        return self.build_request_with_values(result_operation, values)

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
        state = submit_exchange.read_response_text(self.job_spec.submit_response.state_location)
        if state is None:
            return False
        self._record_state(
            state, submit_exchange, requested_ms=0.0, received_ms=received_ms, exchange_index=exchange_index
        )
        known = self.job_spec.states.get(state)
        if known is None or known.terminal_outcome != "success":
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
        state = poll_exchange.read_response_text(self.job_spec.state_location)
        if state is None:
            shown = describe_response(poll_exchange.exchange.response, self._connection.secrets)
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
            source_exchange, self.job_spec.charge_location, self._target.contract.provider.credits
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
