"""Defines `x-webhook` on an operation whose requests may have a webhook URL, to which the provider sends callbacks.

OpenAPI's `callbacks` and `webhooks` document the callbacks; these records state when they are sent and what they mean.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from voicegauge.contract.extension.security import WebhookSignature
from voicegauge.contract.extension.sources import SourceReference
from voicegauge.formats import Location, RequestLocation
from voicegauge.model import Record

CallbackTiming = Literal["terminal", "progress", "any"]
"""Which callbacks are sent. `terminal`: one when the job has ended. `progress`: also others before. `any`: unknown."""


class WebhookModeField(Record, frozen=True, kw_only=True):
    """The field of a request that selects which callbacks are sent."""

    location: RequestLocation = msgspec.field(name="at")
    timing_by_value: dict[str, CallbackTiming] = msgspec.field(name="values")
    """Which callbacks are sent, for each value of the field."""
    default_value: str = msgspec.field(name="default")
    """The value that applies if a request does not have the field."""


class WebhookUrlField(Record, frozen=True, kw_only=True):
    """A field of the request that can contain the webhook URL."""

    location: RequestLocation = msgspec.field(name="at")
    mode_field: WebhookModeField | None = msgspec.field(default=None, name="mode")
    """The field that selects which callbacks are sent; `None` if one callback is always sent when the job has ended."""


class CallbackBodyLocations(Record, frozen=True, kw_only=True):
    """Locations in a callback whose body differs from the status response."""

    id_location: Location = msgspec.field(name="id")
    """Location, in the callback, of the id from the response to the submit."""
    submit_id_location: Location | None = msgspec.field(default=None, name="submit_id")
    """Location, in the response to the submit, of the id that callbacks repeat; `None` means `x-job.submit.id`."""
    state_location: Location = msgspec.field(name="state")
    """Location of the job state in the callback."""
    outcome_by_state: dict[str, Literal["success", "failure"]] = msgspec.field(name="states")
    """The outcome of the job for each state that a callback may report."""
    result_url_location: Location | None = msgspec.field(default=None, name="result")
    """Location of the URL of the result in the callback."""
    charge_location: Location | None = msgspec.field(default=None, name="charged")
    creation_time_location: Location | None = msgspec.field(default=None, name="created")
    end_time_location: Location | None = msgspec.field(default=None, name="completed")


class WebhookEmulation(Record, frozen=True, kw_only=True):
    """How the emulator sends callbacks. The numbers are invented."""

    progress_interval_s: float = 5.0
    """Seconds between two progress callbacks."""
    max_attempts: int = msgspec.field(default=3, name="attempts")
    """Maximum number of attempts to deliver a callback until the response is 2xx."""
    retry_delay_s: float = 1.0
    """Seconds between two attempts."""
    response_timeout_s: float = msgspec.field(default=5.0, name="timeout_s")
    """Time limit for the response of the receiver."""


class WebhookSpec(Record, frozen=True, kw_only=True):
    """`x-webhook` on an operation."""

    url_fields: tuple[WebhookUrlField, ...] = msgspec.field(name="url")
    """The fields that can contain the webhook URL. If a request has several of them, the first one counts."""
    callback_operation_id: str = msgspec.field(name="callback")
    """Id of the operation that documents the callback, in `callbacks` of this operation or in `webhooks`."""
    body_locations: CallbackBodyLocations | None = msgspec.field(default=None, name="body")
    """Locations in the body of a callback; `None` if a callback has the same body as the status response."""
    requires_https: bool = msgspec.field(default=False, name="https_only")
    """Whether URLs with plain http are rejected."""
    max_progress_interval_s: float | None = msgspec.field(default=None, name="progress_max_s")
    """The documented maximum time between two progress callbacks, in seconds."""
    may_be_repeated: bool = msgspec.field(default=False, name="may_repeat")
    """Whether the same callback may be sent more than once."""
    signature: WebhookSignature | None = None
    """How callbacks are signed; `None` if no signature is documented."""
    emulation: WebhookEmulation = WebhookEmulation()
    source: SourceReference | None = None
