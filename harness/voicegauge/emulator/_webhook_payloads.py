"""Builds the bodies of webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension.jobs import CallbackBodyLocations, CallbackTiming, JobState, WebhookUrlField
from voicegauge.contract.operation import Operation
from voicegauge.emulator._job_state import EmulatedJob
from voicegauge.emulator._request import ParsedRequest, read_value_at, write_value_at
from voicegauge.emulator._response import EmulatedResponse
from voicegauge.emulator._response_bodies import build_default_body
from voicegauge.emulator._response_builder import ResponseBuilder
from voicegauge.emulator._schema_values import format_time_like_example
from voicegauge.formats.locations import MISSING, Location


@dataclass(frozen=True)
class EmulatedCallback:
    """A callback that may be sent in the current state of a job."""

    body: Any
    documented_media_type: MediaType
    """Documented media type of the body."""
    is_final: bool
    """Whether the callback reports the terminal state."""
    is_due: bool
    """Whether the subscriber asked for this callback. Callbacks before the end are sent only to subscribers that asked
    for progress."""
    essential_field_paths: frozenset[tuple[str, ...]] = frozenset()
    """Paths of the fields that identify the job and its state; faults avoid breaking them."""
    completion_time_location: Location | None = None
    """Location of the completion time in the body; `None` if the body has none."""
    has_forged_signature: bool = False
    """Whether the callback is signed with a wrong secret."""
    signature_age_s: float = 0.0
    """Number of seconds between the signed time and the actual sending."""
    send_count: int = 1
    """How often the same callback is sent, with the same signature."""


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
        """Operation of the request."""
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
    """Return when the request wants callbacks. Undocumented timing counts as "terminal", which is safest to assume."""
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
    result = read_value_at(body, body_locations.result_url_location)
    if body_locations.result_url_location is not None and isinstance(result, str):
        body = write_value_at(
            body,
            body_locations.result_url_location,
            _choose_result_url(subscription, result.replace(str(shown), str(job_id))),
        )
    if job is None:
        return body
    values: dict[Location | None, Any] = {body_locations.charge_location: _convert_to_integer_if_whole(job.charge)}
    for location, at in (
        (body_locations.creation_time_location, job.created_at_s),
        (body_locations.end_time_location, job.state_start_times_s[-1]),
    ):
        values[location] = format_time_like_example(at, read_value_at(body, location))
    for location, value in values.items():
        if location is not None and value is not None:
            body = write_value_at(body, location, value)
    return body


def _convert_to_integer_if_whole(amount: float | None) -> float | None:
    """Return `amount`, as an integer if it is a whole number, because documented examples do the same."""
    return int(amount) if amount is not None and float(amount).is_integer() else amount


def _choose_result_url(subscription: WebhookSubscription, example_url: str) -> str:
    """Return `example_url`, or the URL of the first stem if the response lists several files."""
    audio_input = subscription.operation.audio_input
    stems = getattr(getattr(audio_input, "response", None), "stems", None)
    found = (
        read_value_at(subscription.response.body, stems.list_location.child("0", stems.url_field))
        if stems is not None
        else MISSING
    )
    return found if isinstance(found, str) else example_url
