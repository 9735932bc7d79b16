"""Polls a job until it ends, within the documented time and the deadline of the delivery."""

from __future__ import annotations

from voicegauge.client.delivery.exchange_log import ExchangeLog
from voicegauge.client.delivery.failures import DeliveryFailedError, describe_response
from voicegauge.client.delivery.job_tracking import JobTracker
from voicegauge.client.delivery.retry_policy import MAX_RETRY_AFTER_S, get_retry_after_s, iterate_poll_waits_s
from voicegauge.contract import ParsedExchange
from voicegauge.errors import TransportError
from voicegauge.model import Failure, Request

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
        """Prepare to poll.

        Args:
            exchange_log: sends and keeps the status requests.
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
        """Send the status request `status_request` until the job has succeeded, and return the last exchange.

        Raises:
            DeliveryFailedError: the job failed, did not end in time, or is in an undocumented state.
        """
        schedule = self._job.job_spec.poll_schedule
        is_limit_documented = schedule.job_timeout_s <= self._deadline.remaining_s
        limit_s = min(schedule.job_timeout_s, self._deadline.remaining_s)
        ends_at_s = self._clock.monotonic() + limit_s
        requested_s = 0.0 if poll_immediately else None
        for poll_number, wait_s in enumerate(iterate_poll_waits_s(schedule)):
            if poll_number == 0:
                # Ends of equal jobs then lie between polls at different times, which together tell them precisely.
                wait_s += wait_s * self._log.connection.choose_first_wait_extension_fraction()
            remaining_s = ends_at_s - self._clock.monotonic()
            if remaining_s <= 0:
                break
            await self._clock.sleep(min(wait_s if requested_s is None else requested_s, remaining_s))
            if not self._deadline.remaining_s:
                break
            poll, is_done = await self._poll_once(status_request)
            if poll is not None and is_done:
                return poll
            requested_s = None if poll is None else self._get_requested_wait_s(poll)
        raise self._build_timeout_error(limit_s, is_limit_documented=is_limit_documented)

    async def _poll_once(self, status_request: Request) -> tuple[ParsedExchange | None, bool]:
        """Poll once; return the exchange, which is `None` without a response, and whether the job has succeeded."""
        requested_ms = self._elapsed_ms
        poll = await self._send_poll(status_request)
        if poll is None or not 200 <= poll.exchange.response.status < 300:
            self._failed_polls += 1
            return poll, False
        self._failed_polls = 0
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
        return poll, is_done

    async def _send_poll(self, status_request: Request) -> ParsedExchange | None:
        """Send one status request; return `None` if there was no response.

        Status requests cost nothing, so failures are tolerated.
        """
        is_last_try = self._failed_polls >= MAX_CONSECUTIVE_FAILED_POLLS
        try:
            poll = await self._log.send(status_request, self._job.status_operation.id)
        except TransportError as error:
            if is_last_try:
                note = f" in {MAX_CONSECUTIVE_FAILED_POLLS + 1} consecutive polls"
                raise self._log.build_no_response_error(error, note, is_temporary=True) from error
            self._last_response = f"no response: {error}"
            return None
        response = poll.exchange.response
        if not 200 <= response.status < 300:
            if is_last_try or not self._log.is_temporary_status(response.status):
                raise self._log.build_rejection_error(poll, "polling the job")
            self._last_response = describe_response(response, self._log.connection.secrets)
        return poll

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
