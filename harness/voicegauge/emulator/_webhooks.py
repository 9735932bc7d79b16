"""Builds the callbacks of webhooks, and sends them, signed and repeated as documented."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import ssl
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension.jobs import (
    CallbackBodyLocations,
    CallbackTiming,
    JobState,
    WebhookEmulation,
    WebhookUrlField,
)
from voicegauge.contract.extension.provider import WebhookSignature
from voicegauge.contract.operation import Operation
from voicegauge.emulator._endpoint_context import EndpointContext
from voicegauge.emulator._output import EmulatedCallback, EmulatedResponse
from voicegauge.emulator._provider_state import BoundedDict, EmulatedJob
from voicegauge.emulator._request import ParsedRequest, Rejection, read_value_at, write_value_at
from voicegauge.emulator._response_bodies import build_default_body
from voicegauge.emulator._response_builder import ResponseBuilder
from voicegauge.emulator._schema_values import format_time_like_example
from voicegauge.emulator.process import EMULATED_WEBHOOK_SECRET, SERVER_HEADER_VALUE
from voicegauge.formats.locations import MISSING, Location
from voicegauge.hosts import is_loopback


@dataclass
class WebhookSubscription:
    """A request that named a webhook URL, so that callbacks are sent for it."""

    url: str
    callback_timing: CallbackTiming
    """Which callbacks the request asks for: only the final one, or others before it too."""
    response: EmulatedResponse
    """The emulator's response to the request."""
    request: ParsedRequest

    @property
    def operation(self) -> Operation:
        """The operation of the request that named the webhook URL."""
        return self.request.operation

    @property
    def job(self) -> EmulatedJob | None:
        """The job that the request started; `None` if the response to the request was already final."""
        return self.response.job


def find_webhook_url_field(request: ParsedRequest) -> tuple[WebhookUrlField, str] | None:
    """Return the field or parameter that contains a webhook URL, and the URL; `None` if the request names no URL."""
    for location in request.operation.webhook.url_fields if request.operation.webhook else ():
        value = request.read_value(location.location)
        if value not in (MISSING, None, ""):
            return location, str(value)
    return None


def read_callback_timing(request: ParsedRequest, url_field: WebhookUrlField) -> CallbackTiming:
    """Return when the request wants callbacks. "any" and undocumented timing count as "terminal", which is safest."""
    mode = url_field.mode_field
    if mode is None:
        return "terminal"
    requested = request.read_value(mode.location)
    timing = mode.timing_by_value.get(requested if isinstance(requested, str) else mode.default_value, "terminal")
    return "terminal" if timing == "any" else timing


def build_callback(
    response_builder: ResponseBuilder, subscription: WebhookSubscription, job_state: JobState | None
) -> EmulatedCallback | None:
    """Return the callback for the current state; `None` if the contract describes no callback for this state.

    Args:
        response_builder: builder of status bodies.
        subscription: the request that named the webhook URL.
        job_state: the documented state of the job; `None` if there is no job or its state is undocumented.
    """
    webhook, job = subscription.operation.webhook, subscription.job
    assert webhook is not None
    is_final = job is None or (job_state is not None and job_state.terminal_outcome is not None)
    media_spec = subscription.operation.callback_body
    is_due = is_final or subscription.callback_timing == "progress"
    if webhook.body_locations is not None:
        failed = job is not None and job_state is not None and job_state.terminal_outcome == "failure"
        means = "failure" if failed else "success"
        # Callbacks may have names of states of their own, of which the contract states the meaning.
        state_name = next(
            (state_name for state_name, meaning in webhook.body_locations.outcome_by_state.items() if meaning == means),
            None,
        )
        if state_name is None or not is_final:
            return None
        body = _build_callback_body(subscription, media_spec, webhook.body_locations, state_name)
        essential_fields = (webhook.body_locations.id_location, webhook.body_locations.state_location)
        completed = webhook.body_locations.end_time_location
    else:
        assert job is not None, "contracts without a callback body must have jobs (checked when loaded)"
        status = job.target.job_operation
        assert status is not None
        assert status.job is not None
        status_request = ParsedRequest(subscription.request.incoming_request, status, {})
        body = response_builder.build_status_response(status_request, job).body
        essential_fields = (status.job.job_id_location or Location("body"), status.job.state_location)
        completed = status.job.end_time_location
    base_url = subscription.request.incoming_request.base_url
    keys = frozenset(location.pointer_tokens for location in essential_fields)
    return EmulatedCallback(
        response_builder.replace_server_urls(body, base_url), media_spec, is_final, is_due, keys, completed
    )


def _build_callback_body(
    subscription: WebhookSubscription, media_spec: MediaType, body_locations: CallbackBodyLocations, state_name: str
) -> Any:
    """Return the documented example of a callback with the values of this request."""
    response, job = subscription.response, subscription.job
    draft = build_default_body(media_spec)
    shown = read_value_at(draft.initial_body, body_locations.id_location)
    job_id = read_value_at(response.body, subscription.operation.callback_id_location) if job is None else job.id
    body = write_value_at(
        write_value_at(draft.initial_body, body_locations.id_location, job_id),
        body_locations.state_location,
        state_name,
    )
    # The URL in the example contains the id of the example.
    result = read_value_at(body, body_locations.result_url_location)
    if body_locations.result_url_location is not None and isinstance(result, str):
        body = write_value_at(
            body,
            body_locations.result_url_location,
            _choose_result_url(subscription, result.replace(str(shown), str(job_id))),
        )
    if job is None:
        return body
    # A whole number without a fraction, as documented examples have it.
    charge = int(job.charge) if job.charge is not None and float(job.charge).is_integer() else job.charge
    values: dict[Location | None, Any] = {body_locations.charge_location: charge}
    for location, at in (
        (body_locations.creation_time_location, job.created_at_s),
        (body_locations.end_time_location, job.state_start_times_s[-1]),
    ):
        values[location] = format_time_like_example(at, read_value_at(body, location))
    for location, value in values.items():
        if location is not None and value is not None:
            body = write_value_at(body, location, value)
    return body


def _choose_result_url(subscription: WebhookSubscription, example_url: str) -> str:
    """Return `example_url`, or the URL of the first stem if the response lists several files."""
    audio_input = subscription.operation.audio_input
    stems = getattr(getattr(audio_input, "response", None), "stems", None)
    found = (
        read_value_at(subscription.response.body, stems.list_location.get_inner_location("0", stems.url_field))
        if stems is not None
        else MISSING
    )
    return found if isinstance(found, str) else example_url


# Delivers a callback, with retries.


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
MIN_WAIT_BETWEEN_STATE_READS_S = 0.01
"""Shortest wait in seconds. With a time scale of 0, reads would otherwise block the event loop."""


@dataclass(frozen=True)
class CallbackRecord:
    """A callback that was due, and what became of it."""

    job_id: str | None
    """Id of the job that the callback was about; `None` if the request started no job."""
    is_final: bool
    """Whether the callback reported a terminal state."""
    response_status: int | None
    """Status code of the receiver's response; `None` if the receiver did not respond or the callback was not sent."""
    was_sent: bool
    """Whether the callback was sent. It is not sent to other machines unless the settings allow them."""


class WebhookNotifier:
    """Sends the callbacks of one provider."""

    def __init__(self, context: EndpointContext) -> None:
        """Send the callbacks that the contract in `context` documents."""
        self._context, self._clock, self._fault_injector = context, context.clock, context.fault_injector
        self._pending_subscriptions = BoundedDict[str, WebhookSubscription](MAX_STORED_CALLBACKS)
        self._sending_tasks: set[asyncio.Task[None]] = set()
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
        is_local_http_allowed = self._context.settings.accepts_http_webhook_urls and is_loopback(parts.hostname)
        is_check_skipped = self._fault_injector.is_check_skipped("webhook-https", request.operation)
        is_http_allowed = is_local_http_allowed or is_check_skipped
        if request.operation.webhook.requires_https and parts.scheme == "http" and not is_http_allowed:
            raise Rejection("invalid", field, f"{field} must be an https URL")

    async def subscribe_if_requested(self, response: EmulatedResponse) -> None:
        """Subscribe the request to callbacks if it named a webhook URL, and send the callbacks that are due.

        With a real clock, a background task sends callbacks later. With a virtual clock, `send_due_callbacks` sends
        those of jobs. All others are sent before the response.
        """
        request, job = response.request, response.job
        if request is None or response.kind == "error":
            return
        if (
            response.kind == "status"
            and job is not None
            and job.id in self._pending_subscriptions
            and self._clock.advances_per_poll
        ):
            await self._send_due_callbacks_of(self._pending_subscriptions[job.id])
        named = find_webhook_url_field(request)
        if named is None or response.kind not in ("submit", "audio-input"):
            return
        location, url = named
        subscription = WebhookSubscription(url, read_callback_timing(request, location), response, request)
        if job is not None:
            self._pending_subscriptions[job.id] = subscription
        if self._clock.mode == "real":
            task = asyncio.create_task(self._send_until_final(subscription))
            self._sending_tasks.add(task)
            task.add_done_callback(self._sending_tasks.discard)
        elif job is None:
            await self._send_due_callbacks_of(subscription)

    async def send_due_callbacks(self) -> None:
        """Send the callbacks that are due after a virtual clock was advanced.

        For each pending subscription, at most one progress report is sent per advance.
        """
        for subscription in list(self._pending_subscriptions.values()):
            await self._send_due_callbacks_of(subscription)

    async def _send_until_final(self, subscription: WebhookSubscription) -> None:
        webhook, job = subscription.operation.webhook, subscription.job
        assert webhook is not None
        for _ in range(MAX_STATE_READS_PER_SUBSCRIPTION):
            if job is not None:
                cycle_s = self._clock.scale_duration(webhook.emulation.progress_interval_s)
                remaining_s = job.created_at_s + sum(job.state_durations_s) - self._clock.now()
                # Not past the end of the job, so that the final callback is sent in time.
                wait_s = min(cycle_s, remaining_s) if remaining_s > 0 else cycle_s
                await asyncio.sleep(max(wait_s, MIN_WAIT_BETWEEN_STATE_READS_S))
            if await self._send_due_callbacks_of(subscription):
                return

    async def _send_due_callbacks_of(self, subscription: WebhookSubscription) -> bool:
        """Send the callbacks that are due now, and return whether the final one was among them."""
        job, state = subscription.job, None
        status = job.target.job_operation if job is not None else None
        if job is not None and status is not None and status.job is not None:
            state = status.job.states.get(self._context.job_store.update_job_state(job))
        callback = build_callback(self._context.response_builder, subscription, state)
        if callback is None:
            return False
        if callback.is_final and job is not None:
            self._pending_subscriptions.pop(job.id, None)
        target = job.target if job is not None else None
        for due in self._fault_injector.change_callbacks(callback, target, subscription.operation):
            if due.is_due:
                await self._send_callback(subscription, due)
        return callback.is_final

    async def _send_callback(self, subscription: WebhookSubscription, callback: EmulatedCallback) -> None:
        webhook, job = subscription.operation.webhook, subscription.job
        assert webhook is not None
        # The URL is the client's: without this limit, anyone could make this machine send requests to any host.
        host, status = urlsplit(subscription.url).hostname or "", None
        is_allowed = is_loopback(host) or host in self._context.settings.webhook_hosts
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
