"""One request for speech, or one that sends audio, from submit to what it leads to, as the contract says."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple, NoReturn

from voicegauge.client.connection import ProviderConnection
from voicegauge.client.delivery.audio_download import DownloadedAudio, fetch_audio
from voicegauge.client.delivery.exchange_log import ExchangeLog
from voicegauge.client.delivery.failures import DeliveryFailedError, describe, excerpt, refusal
from voicegauge.client.delivery.response_values import (
    ParsedResponse,
    id_parameter,
    is_id,
    link_parameters,
    place_parameters,
)
from voicegauge.client.delivery.retry_policy import poll_waits, retry_after_s, retry_waits
from voicegauge.client.requests.http_request import origin
from voicegauge.client.requests.speech_request import RequestParts
from voicegauge.client.spending.observer import PaymentObserver
from voicegauge.contract import AudioInputTarget, BaseTarget, Operation
from voicegauge.contract.extension import JobSpec, PollSchedule, ResponseAudio
from voicegauge.errors import TransportError, UsageError
from voicegauge.formats import Location
from voicegauge.model import Delivery, Failure, Job, Request, StateObservation

MAX_MISSES = 5
"""Polls that may fail one after the other: a job that is paid for is not given up for a broken connection."""
MIN_POLL_S = 0.2
"""A `Retry-After: 0` must not turn polling into a flood."""
CANCEL_S = 5.0
"""How long the user who pressed Ctrl-C waits for the provider to be told."""


class ReceivedTranscript(NamedTuple):
    """What was heard in audio that was sent."""

    text: str
    exchange: int
    """Index of the exchange that carried it."""


class DeliveryTask:
    """The course of one request for speech; used once."""

    def __init__(self, connection: ProviderConnection, target: BaseTarget, observer: PaymentObserver | None) -> None:
        """`observer` is told of every submit."""
        self._connection, self._target, self._observer = connection, target, observer
        self._calls = ExchangeLog(connection)
        self._clock = connection.clock
        self._started = connection.clock.monotonic()
        self._job_id: str | None = None
        self._ended = False
        self._sightings: list[StateObservation] = []
        self._attempts = 0
        self._submit_index: int | None = None
        self._charged: tuple[float | None, float | None] = (None, None)
        self.may_be_paid = False
        """Whether the provider may ask money for what was sent so far."""

    async def speak(self, request: Request) -> Delivery:
        """Submit `request` and see it through."""
        return await self._see_through(self._spoken(request))

    async def resume(self, job_id: str) -> Delivery:
        """See a job through that was paid for before."""
        self.may_be_paid = True
        return await self._see_through(self._resumed(job_id))

    async def _see_through(self, course: Any) -> Delivery:
        try:
            return self._delivery(made=await course)
        except DeliveryFailedError as bad:
            return self._delivery(failure=bad.failure)
        except asyncio.CancelledError:
            await self._cancel()
            raise

    async def _spoken(self, request: Request) -> DownloadedAudio | ReceivedTranscript:
        submit = await self._submit(request)
        answer = self._target.response
        if answer.audio is not None:
            self._note_charge(submit, answer.charged)
            return await self._audio(submit, answer.audio, self._target.operation)
        if self._target.job_operation is None:
            self._note_charge(submit, answer.charged)
            return self._transcript(submit)
        return await self._follow(submit, self._target.job_operation)

    def _transcript(self, submit: ParsedResponse) -> ReceivedTranscript:
        assert isinstance(self._target, AudioInputTarget)
        use = self._target.transcription
        text = submit.read(use.response.text) if use else None
        if not isinstance(text, str):
            place = use.response.text if use else "body"
            self._fail(f"the answer has no text at {place}: {describe(submit.response, self._connection.secrets)}")
        return ReceivedTranscript(text, len(self._calls.exchanges) - 1)

    async def _resumed(self, job_id: str) -> DownloadedAudio:
        status = self._target.job_operation
        if status is None:
            raise UsageError(f"{self._target.id} has no jobs: its answers are audio")
        self._job_id = job_id
        request = self._poll_by_id(status, job_id)
        if request is None:
            raise UsageError(f"{status.contract.id} {status.id} does not say which parameter takes the job's id")
        done = await self._poll(status, request, at_once=True)
        return await self._finish(done, status)

    # Submitting

    async def _submit(self, request: Request) -> ParsedResponse:
        retry = self._target.contract.provider.retry
        for wait in (*retry_waits(retry, self._connection.jitter), None):
            await self._connection.wait_for_rate_limit(self._target.operation)  # before anything is timed
            if self._observer is not None:
                self._observer.before_submit(self._target, request)
            self._attempts += 1
            self.may_be_paid = True
            self._started = self._clock.monotonic()
            try:
                answer = await self._send(request, self._target.operation)
            except TransportError as error:
                self.may_be_paid = error.sent
                if error.sent or wait is None:
                    raise self._calls.failed_on(
                        error, "; it may have been paid for, so it was not sent again"
                    ) from error
                await self._clock.sleep(wait)
                continue
            self._submit_index = len(self._calls.exchanges) - 1
            status = answer.response.status
            accepted = 200 <= status < 300
            self.may_be_paid = accepted or (status >= 500 and status not in retry.statuses)
            self._tell(answer, accepted=accepted)
            if accepted:
                return answer
            if status not in retry.statuses or wait is None:
                raise DeliveryFailedError(refusal(answer.response, self._connection.secrets))
            await self._clock.sleep(self._calls.asked_wait(answer, wait))
        raise AssertionError("the last send has no wait")

    def _tell(self, answer: ParsedResponse, *, accepted: bool) -> None:
        """The observer learns the job's id before anything else happens to it."""
        status = self._target.job_operation
        if accepted and status is not None and status.job is not None:
            found = answer.text(status.job.submit.id)
            self._job_id = found if is_id(found) else None
        if self._observer is not None:
            self._observer.after_submit(self._target, answer.exchange, self._job_id)

    # Following a job

    async def _follow(self, submit: ParsedResponse, status: Operation) -> DownloadedAudio:
        job = status.job
        assert job is not None
        self._note_charge(submit, self._target.response.charged)
        if submit.response.media_type.startswith("audio/"):
            return await self._audio(
                submit, ResponseAudio(at=Location("body"), delivered="bytes"), self._target.operation
            )
        state = submit.text(job.submit.state)
        if state is not None:
            self._sight(state, self._started, len(self._calls.exchanges) - 1)
            self._stop_on_failure(job, state, submit)
            known = job.states.get(state)
            if known is not None and known.end == "success" and (job.result or submit.text(job.audio.at)):
                return await self._finish(submit, status)
        done = await self._poll(status, self._poll_request(submit, status), at_once=False)
        return await self._finish(done, status)

    def _poll_request(self, submit: ParsedResponse, status: Operation) -> Request:
        """By the documented link, else by a URL from the answer if it is the provider's own, else by the id."""
        assert status.job is not None
        by_link = link_parameters(submit, self._target.operation, status)
        if by_link is not None:
            return self._call(status, by_link)
        url = submit.text(status.job.submit.url)
        if url is not None and origin(url) in self._connection.origins:
            return self._connection.build(status, RequestParts(), url=url)
        request = self._poll_by_id(status, self._job_id) if self._job_id is not None else None
        if request is None:
            place = status.job.submit.id
            said = describe(submit.response, self._connection.secrets)
            self._fail(f"the answer to the submit has no usable job id at {place}: {said}")
        return request

    def _poll_by_id(self, status: Operation, job_id: str) -> Request | None:
        assert status.job is not None
        name = id_parameter(self._target.operation, status, status.job.submit.id)
        return None if name is None else self._call(status, {name: job_id})

    def _call(self, operation: Operation, values: dict[str, Any]) -> Request:
        placed = place_parameters(operation, values)
        wire = RequestParts(path=placed["path"], query=placed["query"], headers=placed["header"])
        try:
            return self._connection.build(operation, wire)
        except UsageError as error:
            # The values came from the provider: this is its fault, not the user's.
            self._fail(str(error))

    async def _poll(self, status: Operation, request: Request, *, at_once: bool) -> ParsedResponse:
        """Ask until the job has ended well.

        Raises:
            DeliveryFailedError: it failed, or did not end in time.
        """
        assert status.job is not None
        poll = status.job.poll
        deadline = self._clock.monotonic() + poll.timeout_s
        asked: float | None = 0.0 if at_once else None
        misses = 0
        for wait in poll_waits(poll):
            left = deadline - self._clock.monotonic()
            if left <= 0:
                break
            await self._clock.sleep(min(wait if asked is None else asked, left))
            began = self._clock.monotonic()
            answer = await self._ask(status, request, last=misses >= MAX_MISSES)
            if answer is None or not 200 <= answer.response.status < 300:
                misses += 1
                asked = None if answer is None else _asked_pause(answer, poll)
                continue
            misses, asked = 0, _asked_pause(answer, poll)
            if self._see_state(status.job, answer, began):
                return answer
        last = f", last seen {self._sightings[-1].state!r}" if self._sightings else ""
        raise DeliveryFailedError(Failure(kind="timeout", message=f"job not done after {poll.timeout_s:g} s{last}"))

    async def _ask(self, status: Operation, request: Request, *, last: bool) -> ParsedResponse | None:
        """One poll; `None` where the connection failed. A poll costs nothing, so it is borne a few times."""
        try:
            answer = await self._send(request, status)
        except TransportError as error:
            if last:
                raise self._calls.failed_on(error, f" in {MAX_MISSES + 1} polls on end") from error
            return None
        code = answer.response.status
        if not 200 <= code < 300 and (last or not self._calls.is_passing(code)):
            raise DeliveryFailedError(refusal(answer.response, self._connection.secrets, "asking for the job's state"))
        return answer

    def _see_state(self, job: JobSpec, answer: ParsedResponse, began: float) -> bool:
        """Note the state; whether the job has ended well. An unknown state is noted and waited for."""
        state = answer.text(job.state)
        if state is None:
            self._fail(
                f"the status answer has no state at {job.state}: {describe(answer.response, self._connection.secrets)}"
            )
        self._sight(state, began, len(self._calls.exchanges) - 1)
        self._stop_on_failure(job, state, answer)
        known = job.states.get(state)
        return known is not None and known.end == "success"

    def _sight(self, state: str, began: float, exchange: int) -> None:
        at = self._clock.monotonic()
        self._sightings.append(
            StateObservation(
                state=state[:100],
                at_ms=(at - self._started) * 1000,
                requested_ms=(began - self._started) * 1000,
                exchange=exchange,
            )
        )

    def _stop_on_failure(self, job: JobSpec, state: str, answer: ParsedResponse) -> None:
        known = job.states.get(state)
        if known is None or known.end is None:
            return
        self._ended = True
        self._note_charge(answer, job.charged)
        if known.end == "failure":
            self.may_be_paid = known.charged is not False
            reason = excerpt(answer.text(job.reason) or "", self._connection.secrets) or "no reason given"
            raise DeliveryFailedError(Failure(kind="failed", message=f"{state}: {reason}"))

    # The audio

    async def _finish(self, done: ParsedResponse, status: Operation) -> DownloadedAudio:
        job = status.job
        assert job is not None
        self._ended = True
        if job.result is None:
            return await self._audio(done, job.audio, status)
        operation = self._target.contract.operation(job.result)
        values = link_parameters(done, status, operation)
        if values is None:
            name = id_parameter(self._target.operation, operation, job.submit.id)
            values = {name: self._job_id} if name is not None and self._job_id is not None else {}
        result = await self._insist(self._call(operation, values), operation)
        self._note_charge(result, job.charged)
        return await self._audio(result, job.audio, operation)

    async def _audio(self, answer: ParsedResponse, place: ResponseAudio, operation: Operation) -> DownloadedAudio:
        index = len(self._calls.exchanges) - 1
        return await fetch_audio(self._calls, answer, place, operation, index)

    async def _insist(self, request: Request, operation: Operation) -> ParsedResponse:
        answer = await self._calls.insist(request, operation.id)
        if not 200 <= answer.response.status < 300:
            raise DeliveryFailedError(refusal(answer.response, self._connection.secrets, "asking for the result"))
        return answer

    # What all of them use

    async def _send(self, request: Request, operation: Operation) -> ParsedResponse:
        return await self._calls.send(request, operation.id)

    def _note_charge(self, answer: ParsedResponse, place: Location | None) -> None:
        """Keep what the provider says it charged; the last word counts."""
        amount = answer.number(place)
        if amount is None:
            return
        money = self._target.contract.provider.credits
        if money is None:
            self._charged = (amount, None)
        else:
            self._charged = (None if money.usd is None else amount * money.usd, amount)

    def _fail(self, message: str) -> NoReturn:
        raise DeliveryFailedError(Failure(kind="protocol", message=self._connection.mask_secrets(message)))

    async def _cancel(self) -> None:
        """Tell the provider that the job is not wanted any more, where it can be told."""
        status = self._target.job_operation
        if status is None or status.job is None or status.job.cancel is None:
            return
        if self._job_id is None or self._ended:
            return
        operation = self._target.contract.operation(status.job.cancel.operation)
        name = id_parameter(self._target.operation, operation, status.job.submit.id)
        if name is None:
            return
        try:
            async with asyncio.timeout(CANCEL_S):
                await self._send(self._call(operation, {name: self._job_id}), operation)
        except (TransportError, DeliveryFailedError, TimeoutError):
            return  # the job runs on, as it would have without the call

    def _delivery(
        self, *, made: DownloadedAudio | ReceivedTranscript | None = None, failure: Failure | None = None
    ) -> Delivery:
        status = self._target.job_operation
        job = None
        if status is not None and (self._job_id is not None or self._sightings):
            job = Job(id=self._job_id, status_operation=status.id, observations=tuple(self._sightings))
        return Delivery(
            target=self._target.id,
            exchanges=tuple(self._calls.exchanges),
            attempts=self._attempts,
            job=job,
            audio=made.data if isinstance(made, DownloadedAudio) else None,
            text=made.text if isinstance(made, ReceivedTranscript) else None,
            media_type=made.media_type if isinstance(made, DownloadedAudio) else None,
            audio_exchange=made.exchange if made else None,
            submit_exchange=self._submit_index,
            charged_usd=self._charged[0],
            charged_credits=self._charged[1],
            failure=failure,
        )


def _asked_pause(answer: ParsedResponse, poll: PollSchedule) -> float | None:
    """The pause that a status answer asks for, if it does."""
    asked = retry_after_s(answer.response)
    return None if asked is None else max(asked, min(MIN_POLL_S, poll.min_s))
