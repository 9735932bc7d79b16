"""Sends webhooks, signed and repeated as documented."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import ssl
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from voicegauge.contract.extension.jobs import JobState, WebhookEmulation
from voicegauge.contract.extension.provider import WebhookSignature
from voicegauge.emulator._job_state import EmulatedClock, EmulatedJob
from voicegauge.emulator._request import ParsedRequest, Rejection
from voicegauge.emulator._response import EmulatedResponse
from voicegauge.emulator._response_builder import ResponseBuilder
from voicegauge.emulator._webhook_payloads import (
    EmulatedCallback,
    WebhookSubscription,
    build_callback,
    find_webhook_url_field,
    read_callback_timing,
)
from voicegauge.emulator.fault_injection import FaultInjector
from voicegauge.emulator.settings import EMULATED_WEBHOOK_SECRET, SERVER_HEADER_VALUE, EmulatorSettings
from voicegauge.hosts import is_loopback

# Delivers a callback, with retries.


def may_send_callback_to(url: str, settings: EmulatorSettings) -> bool:
    """Whether callbacks may be sent to `url`, because it is on this machine or on a host that the settings allow."""
    host = urlsplit(url).hostname or ""
    return is_loopback(host) or host in settings.webhook_hosts


@functools.cache
def _create_ssl_context() -> ssl.SSLContext:
    """Return the TLS context with the trusted certificates. All callbacks share it, because loading takes 30 ms."""
    import httpx

    return httpx.create_ssl_context()


async def send_callback_with_retries(
    url: str,
    payload: bytes,
    webhook_emulation: WebhookEmulation,
    sleep: Callable[[float], Awaitable[None]],
    signature_headers: Mapping[str, str] = MappingProxyType({}),
) -> int | None:
    """POST `payload` until the receiver responds with a status below 500, or all attempts are used.

    Redirects are not followed and proxies are not used: the callback must not leave the allowed hosts.

    Args:
        url: URL of the receiver.
        payload: JSON body.
        webhook_emulation: the number of attempts, the timeout and the delay between attempts.
        sleep: function that waits for a duration in seconds, used between attempts.
        signature_headers: headers that sign the payload; empty if callbacks are not signed.

    Returns:
        The last status code; `None` if the last attempt got no response.
    """
    import httpx

    headers = {"Content-Type": "application/json", "User-Agent": SERVER_HEADER_VALUE, **signature_headers}
    status: int | None = None
    timeout_s = webhook_emulation.response_timeout_s
    async with httpx.AsyncClient(timeout=timeout_s, trust_env=False, verify=_create_ssl_context()) as client:
        for attempt in range(webhook_emulation.max_attempts):
            if attempt:
                await sleep(webhook_emulation.retry_delay_s)
            try:
                status = (await client.post(url, content=payload, headers=headers)).status_code
            except (httpx.HTTPError, httpx.InvalidURL):
                status = None
                continue
            if status < 500:
                break
    return status


# Signs callbacks as the contract documents.


_WRONG_SECRET = "d3Jvbmctc2VjcmV0"  # noqa: S105 - what a forger would use


def sign_callback(signature_spec: WebhookSignature, callback: EmulatedCallback, payload: bytes) -> dict[str, str]:
    """Return the headers that sign a callback.

    The signed time is real even with an emulated clock, because the receiver compares it with its own clock. The
    secret comes from the environment. If it is invalid, `EMULATED_WEBHOOK_SECRET` signs instead: the receiver rejects
    that signature, so that the mistake is noticed.
    """
    secret = os.environ.get(signature_spec.secret_variable, "").strip() or EMULATED_WEBHOOK_SECRET
    callback_id, timestamp = f"msg_{uuid.uuid4().hex}", str(int(time.time() - callback.signature_age_s))
    parts = {"callback_id": callback_id, "timestamp": timestamp}
    try:
        signature = signature_spec.compute_signature(
            _WRONG_SECRET if callback.has_forged_signature else secret, payload, **parts
        )
    except ValueError:
        signature = signature_spec.compute_signature(EMULATED_WEBHOOK_SECRET, payload, **parts)
    return signature_spec.build_headers(signature, **parts)


# Sends callbacks when jobs change state (`x-webhook`).


MAX_STORED_CALLBACKS = 1_000
"""Maximum number of pending subscriptions, and of sent callbacks that the control API lists."""
MAX_STATE_READS_PER_SUBSCRIPTION = 1_000
"""Maximum number of times that the state of one subscription's job is read. It ends the task for a stuck job."""
MIN_WAIT_BETWEEN_STATE_READS_S = 0.01  # with a time scale of 0, reads would otherwise block the event loop


@dataclass(frozen=True)
class CallbackRecord:
    """A callback that was due, and what became of it."""

    job_id: str | None
    is_final: bool
    """Whether the callback reported a terminal state."""
    response_status: int | None
    """Status code of the receiver's response; `None` if the receiver did not respond or the callback was not sent."""
    was_sent: bool
    """Whether the callback was sent. It is not sent to other machines unless the settings allow them."""


class WebhookNotifier:
    """Sends the callbacks of one provider."""

    def __init__(
        self,
        *,
        response_builder: ResponseBuilder,
        clock: EmulatedClock,
        fault_injector: FaultInjector,
        settings: EmulatorSettings,
        update_job_state: Callable[[EmulatedJob], str],
    ) -> None:
        """Build payloads with `response_builder`; `update_job_state` returns the current state of a job."""
        self._builder, self._clock, self._fault_injector = response_builder, clock, fault_injector
        self._settings, self._update_state = settings, update_job_state
        self._waiting: OrderedDict[str, WebhookSubscription] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self.callback_records: deque[CallbackRecord] = deque(maxlen=MAX_STORED_CALLBACKS)

    def check_webhook_url(self, request: ParsedRequest) -> None:
        """Check the webhook URL of a request, if it names one.

        Raises:
            Rejection: the webhook URL is not absolute, or it uses plain http although https is required.
        """
        named = find_webhook_url_field(request)
        if named is None:
            return
        location, url = named
        assert request.operation.webhook is not None
        field = location.location.pointer_tokens[-1] if location.location.pointer_tokens else location.location.name
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise Rejection("invalid", field, f"{field} is not a URL") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Rejection("invalid", field, f"{field} is not an absolute URL with http or https")
        is_local_http_allowed = self._settings.accepts_http_webhook_urls and is_loopback(parts.hostname)
        is_http_allowed = is_local_http_allowed or self._fault_injector.is_check_skipped(
            "webhook-https", request.operation
        )
        if request.operation.webhook.requires_https and parts.scheme == "http" and not is_http_allowed:
            raise Rejection("invalid", field, f"{field} must be an https URL")

    async def subscribe_if_requested(self, response: EmulatedResponse) -> None:
        """Subscribe the request to callbacks if it named a webhook URL, and send the callbacks that are due.

        With a real clock, a background task sends callbacks later. Otherwise, they are sent before the response.
        """
        request, job = response.request, response.job
        if request is None or response.kind == "error":
            return
        if response.kind == "status" and job is not None and job.id in self._waiting and self._clock.advances_per_poll:
            await self._send_due_callbacks_of(self._waiting[job.id])
        named = find_webhook_url_field(request)
        if named is None or response.kind not in ("submit", "audio-input"):
            return
        location, url = named
        subscription = WebhookSubscription(url, read_callback_timing(request, location), response, request)
        if job is not None:
            self._waiting[job.id] = subscription
            while len(self._waiting) > MAX_STORED_CALLBACKS:
                self._waiting.popitem(last=False)
        if self._clock.mode == "real":
            task = asyncio.create_task(self._send_until_final(subscription))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif job is None:
            await self._send_due_callbacks_of(subscription)

    async def send_due_callbacks(self) -> None:
        """Send the callbacks that are due after a virtual clock was advanced.

        For each pending subscription, at most one progress report is sent per advance.
        """
        for subscription in list(self._waiting.values()):
            await self._send_due_callbacks_of(subscription)

    async def _send_until_final(self, subscription: WebhookSubscription) -> None:
        webhook, job = subscription.operation.webhook, subscription.job
        assert webhook is not None
        for _ in range(MAX_STATE_READS_PER_SUBSCRIPTION):
            if job is not None:
                cycle_s = self._clock.scale_duration(webhook.emulation.progress_interval_s)
                remaining_s = job.created_at_s + sum(job.state_durations_s) - self._clock.now()
                await asyncio.sleep(
                    max(min(cycle_s, remaining_s) if remaining_s > 0 else cycle_s, MIN_WAIT_BETWEEN_STATE_READS_S)
                )
            if await self._send_due_callbacks_of(subscription):
                return

    async def _send_due_callbacks_of(self, subscription: WebhookSubscription) -> bool:
        """Send the callbacks that are due now, and return whether the final one was among them."""
        job = subscription.job
        callback = build_callback(self._builder, subscription, self._find_current_state(job))
        if callback is None:
            return False
        if callback.is_final and job is not None:
            self._waiting.pop(job.id, None)
        target = job.target if job is not None else None
        for due in self._fault_injector.change_callbacks(callback, target, subscription.operation):
            if due.is_due:
                await self._send_callback(subscription, due)
        return callback.is_final

    def _find_current_state(self, job: EmulatedJob | None) -> JobState | None:
        status = job.target.job_operation if job is not None else None
        if job is None or status is None or status.job is None:
            return None
        return status.job.states.get(self._update_state(job))

    async def _send_callback(self, subscription: WebhookSubscription, callback: EmulatedCallback) -> None:
        webhook, job = subscription.operation.webhook, subscription.job
        assert webhook is not None
        is_allowed, status = may_send_callback_to(subscription.url, self._settings), None
        if is_allowed:
            payload = json.dumps(callback.body, ensure_ascii=False).encode()
            headers = sign_callback(webhook.signature, callback, payload) if webhook.signature is not None else {}
            for _ in range(callback.send_count):
                status = await send_callback_with_retries(
                    subscription.url, payload, webhook.emulation, self._clock.sleep, headers
                )
        self.callback_records.append(
            CallbackRecord(job.id if job is not None else None, callback.is_final, status, is_allowed)
        )
