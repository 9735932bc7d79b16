"""Telling receivers of what became of their requests, as `x-webhook` says."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from voicegauge.contract.extension import JobState
from voicegauge.emulator.faults import FaultInjector
from voicegauge.emulator.http import ParsedRequest, Rejection
from voicegauge.emulator.responses import (
    EmulatedCallback,
    EmulatedResponse,
    ResponseBuilder,
    WebhookSubscription,
    next_callback,
    requested_callbacks,
    requested_webhook_url,
)
from voicegauge.emulator.settings import EmulatorSettings
from voicegauge.emulator.state import EmulatedClock, EmulatedJob
from voicegauge.emulator.webhooks.sender import deliver, may_reach
from voicegauge.hosts import is_loopback

MAX_REMEMBERED = 1_000
"""Jobs that wait to be told of, and deliveries that are remembered."""
MAX_CYCLES = 1_000
"""A job that never ends is not told of for ever."""
MIN_WAIT_S = 0.01


@dataclass(frozen=True)
class SentCallback:
    """What became of one POST."""

    job: str | None
    ended: bool
    status: int | None
    """Of the answer; `None` where none came, or nothing was sent."""
    reached: bool
    """Whether it was sent at all: hosts beyond this machine must be named first."""


class WebhookNotifier:
    """Tells receivers of one provider's jobs."""

    def __init__(
        self,
        *,
        builder: ResponseBuilder,
        clock: EmulatedClock,
        injector: FaultInjector,
        settings: EmulatorSettings,
        update_state: Callable[[EmulatedJob], str],
    ) -> None:
        """Bodies are those of `builder`; `update_state` says in which state a job is."""
        self._builder, self._clock, self._injector = builder, clock, injector
        self._settings, self._look = settings, update_state
        self._waiting: OrderedDict[str, WebhookSubscription] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self.sent: deque[SentCallback] = deque(maxlen=MAX_REMEMBERED)

    def check(self, request: ParsedRequest) -> None:
        """Refuse a URL that the document does not take.

        Raises:
            Refusal: it is no absolute URL, or plain http where https is documented as needed.
        """
        found = requested_webhook_url(request)
        if found is None:
            return
        location, url = found
        assert request.operation.webhook is not None
        field = location.at.tokens[-1] if location.at.tokens else location.at.name
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise Rejection("invalid", field, f"{field} is no URL") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Rejection("invalid", field, f"{field} is no absolute URL with http or https")
        lenient = self._settings.webhook_http and is_loopback(parts.hostname)
        waived = lenient or self._injector.skips_check("webhook-https", request.operation)
        if request.operation.webhook.https and parts.scheme == "http" and not waived:
            raise Rejection("invalid", field, f"{field} must be an https URL")

    async def follow(self, response: EmulatedResponse) -> None:
        """Take note of what `response` says, and tell whoever is to be told of it.

        With a real clock that happens later, in the background; otherwise before the answer goes out.
        """
        request, job = response.request, response.job
        if request is None or response.kind == "error":
            return
        if response.kind == "status" and job is not None and job.id in self._waiting and self._clock.is_per_poll:
            await self._tell(self._waiting[job.id])
        found = requested_webhook_url(request)
        if found is None or response.kind not in ("submit", "audio-input"):
            return
        location, url = found
        subscription = WebhookSubscription(url, requested_callbacks(request, location), response, request)
        if job is not None:
            self._waiting[job.id] = subscription
            while len(self._waiting) > MAX_REMEMBERED:
                self._waiting.popitem(last=False)
        if self._clock.kind == "real":
            task = asyncio.create_task(self._watch(subscription))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif job is None:
            await self._tell(subscription)

    async def catch_up(self) -> None:
        """Tell of every job as it is now: one move of a virtual clock is one cycle of the queue."""
        for subscription in list(self._waiting.values()):
            await self._tell(subscription)

    async def _watch(self, subscription: WebhookSubscription) -> None:
        webhook, job = subscription.operation.webhook, subscription.job
        assert webhook is not None
        for _ in range(MAX_CYCLES):
            if job is not None:
                cycle_s = self._clock.scale(webhook.emulation.cycle_s)
                left_s = job.created + sum(job.state_durations_s) - self._clock.now()
                await asyncio.sleep(max(min(cycle_s, left_s) if left_s > 0 else cycle_s, MIN_WAIT_S))
            if await self._tell(subscription):
                return

    async def _tell(self, subscription: WebhookSubscription) -> bool:
        """Send what is due; whether that was the end."""
        job = subscription.job
        post = next_callback(self._builder, subscription, self._state(job))
        if post is None:
            return False
        if post.is_final and job is not None:
            self._waiting.pop(job.id, None)
        target = job.target if job is not None else None
        for one in self._injector.change_callbacks(post, target, subscription.operation):
            if one.is_due:
                await self._send(subscription, one)
        return post.is_final

    def _state(self, job: EmulatedJob | None) -> JobState | None:
        status = job.target.job_operation if job is not None else None
        if job is None or status is None or status.job is None:
            return None
        return status.job.states.get(self._look(job))

    async def _send(self, subscription: WebhookSubscription, post: EmulatedCallback) -> None:
        webhook, job = subscription.operation.webhook, subscription.job
        assert webhook is not None
        reached, status = may_reach(subscription.url, self._settings), None
        if reached:
            payload = json.dumps(post.body, ensure_ascii=False).encode()
            status = await deliver(subscription.url, payload, webhook.emulation, self._clock.sleep)
        self.sent.append(SentCallback(job.id if job is not None else None, post.is_final, status, reached))
