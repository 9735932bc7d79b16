"""`x-webhook` on an operation whose request may name a URL that is told of the job.

What is sent there stands in OpenAPI's own `callbacks` and `webhooks`; this says when, and what it means.
"""

from __future__ import annotations

from typing import Literal

from voicegauge.contract.extension.sources import SourceReference
from voicegauge.formats import Location
from voicegauge.model import Record

CallbackTiming = Literal["terminal", "progress", "any"]
"""`terminal`: one POST when the job has ended. `progress`: others before it. `any`: no document says which others."""


class WebhookModeField(Record, frozen=True, kw_only=True):
    """Where a request chooses when it is told."""

    at: Location
    values: dict[str, CallbackTiming]
    default: str
    """The value that counts where none is sent."""


class WebhookUrlField(Record, frozen=True, kw_only=True):
    """A place of the request that names the URL."""

    at: Location
    mode: WebhookModeField | None = None
    """`None` where nothing can be chosen: one POST at the end."""


class WebhookBody(Record, frozen=True, kw_only=True):
    """A body of its own; places of what is sent, but for `given`."""

    id: Location
    submit_id: Location | None = None
    """The place of the same id in the answer to the request; `x-job.submit.id` if left out."""
    state: Location
    states: dict[str, Literal["success", "failure"]]
    """What the values of `state` mean."""
    result: Location | None = None
    """The URL of the result."""
    charged: Location | None = None
    created: Location | None = None
    completed: Location | None = None


class WebhookEmulation(Record, frozen=True, kw_only=True):
    """How the emulator plays it; these numbers are made up."""

    progress_interval_s: float = 5.0
    """From one POST of progress to the next."""
    attempts: int = 3
    """How often a POST is tried that is not answered with 2xx."""
    retry_delay_s: float = 1.0
    """Between two attempts."""
    timeout_s: float = 5.0
    """How long the receiver may take to answer."""


class WebhookSpec(Record, frozen=True, kw_only=True):
    """`x-webhook` on an operation."""

    url: tuple[WebhookUrlField, ...]
    """The first one that a request holds counts."""
    callback: str
    """The operation id, in `callbacks` of this operation or in `webhooks`, that says what is sent."""
    body: WebhookBody | None = None
    """`None` where what is sent has the shape of the status answer."""
    https_only: bool = False
    """Whether URLs with plain http are refused."""
    progress_max_s: float | None = None
    """The longest time between two POSTs of progress."""
    may_repeat: bool = False
    """Whether a receiver is told to expect the same POST more than once."""
    emulation: WebhookEmulation = WebhookEmulation()
    source: SourceReference | None = None
