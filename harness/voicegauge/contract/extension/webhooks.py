"""Defines `x-webhook` on an operation whose requests may have a webhook URL, to which the provider sends callbacks.

OpenAPI's `callbacks` and `webhooks` document the callbacks; these records state when they are sent and what they mean.
"""

from __future__ import annotations

from typing import Literal

from voicegauge.contract.extension.security import WebhookSignature
from voicegauge.contract.extension.sources import SourceReference
from voicegauge.formats import Location, RequestLocation
from voicegauge.model import Record

CallbackTiming = Literal["terminal", "progress", "any"]
"""Which callbacks are sent. `terminal`: one when the job has ended. `progress`: also others before. `any`: unknown."""


class WebhookModeField(Record, frozen=True, kw_only=True):
    """The field of a request that selects which callbacks are sent."""

    at: RequestLocation
    values: dict[str, CallbackTiming]
    default: str
    """The value that applies if a request does not have the field."""


class WebhookUrlField(Record, frozen=True, kw_only=True):
    """A location of the webhook URL in the request."""

    at: RequestLocation
    mode: WebhookModeField | None = None
    """The field that selects which callbacks are sent; `None` if one callback is always sent when the job has ended."""


class WebhookBody(Record, frozen=True, kw_only=True):
    """Locations in a callback whose body differs from the status response."""

    id: Location
    submit_id: Location | None = None
    """Location of the same id in the response to the submit; `None` means `x-job.submit.id`."""
    state: Location
    states: dict[str, Literal["success", "failure"]]
    """The outcome for each value of `state`."""
    result: Location | None = None
    """Location of the URL of the result in the callback."""
    charged: Location | None = None
    created: Location | None = None
    completed: Location | None = None


class WebhookEmulation(Record, frozen=True, kw_only=True):
    """How the emulator sends callbacks. The numbers are invented."""

    progress_interval_s: float = 5.0
    """Seconds between two progress callbacks."""
    attempts: int = 3
    """Maximum number of attempts to deliver a callback until the response is 2xx."""
    retry_delay_s: float = 1.0
    """Seconds between two attempts."""
    timeout_s: float = 5.0
    """Time limit for the response of the receiver."""


class WebhookSpec(Record, frozen=True, kw_only=True):
    """`x-webhook` on an operation."""

    url: tuple[WebhookUrlField, ...]
    """Locations of the webhook URL. If a request has several of them, the first one counts."""
    callback: str
    """The `operationId` in `callbacks` of this operation or in `webhooks` that documents the callback."""
    body: WebhookBody | None = None
    """Locations in the body of a callback; `None` if a callback has the same body as the status response."""
    https_only: bool = False
    """Whether URLs with plain http are rejected."""
    progress_max_s: float | None = None
    """The documented maximum time between two progress callbacks, in seconds."""
    may_repeat: bool = False
    """Whether the same callback may be sent more than once."""
    signature: WebhookSignature | None = None
    """How callbacks are signed; `None` if no signature is documented."""
    emulation: WebhookEmulation = WebhookEmulation()
    source: SourceReference | None = None
