"""Defines `x-provider` at the root: identity, key, source documents, credits and retries."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from voicegauge.contract.extension.security import EnvironmentVariable
from voicegauge.contract.extension.sources import PositiveFloat, SourceDocument, SourceReference
from voicegauge.formats import Location, RequestLocation
from voicegauge.model import Record

MAX_LISTED_NAMES = 1_000
"""Maximum number of names that are read from a server's list of models or voices."""
MAX_LISTED_NAME_CHARACTERS = 200
_LISTED_NAME_PATTERN = re.compile(r"\w[\w .+@/-]*")
"""Matches an item of a list that is a name. Lists also have patterns such as "clone:<id>", which are not names."""


class CreditSpec(Record, frozen=True, kw_only=True):
    """The provider's own currency."""

    name: str = "credits"
    """What the provider calls its currency."""
    usd_per_credit: float | None = msgspec.field(default=None, name="usd")
    """Price of one credit in dollars; `None` if no document states it."""
    free_credits: float | None = msgspec.field(default=None, name="free")
    """Number of free credits of a new account."""
    source: SourceReference | None = None


class RetryPolicy(Record, frozen=True, kw_only=True):
    """The recommended retries after a failed request."""

    retried_statuses: tuple[int, ...] = msgspec.field(default=(429,), name="statuses")
    """HTTP statuses after which a request is sent again. A server error other than 503 may have been charged, so a
    billable request is not sent again after it."""
    initial_delay_s: float = 1.0
    """Time in seconds before the first retry."""
    delay_factor: float = msgspec.field(default=2.0, name="factor")
    """Factor by which the delay grows after each attempt."""
    max_delay_s: float = 30.0
    """Maximum time in seconds before a retry."""
    max_attempts: int = 4
    """Maximum number of attempts, including the first one."""
    source: SourceReference | None = None


class RecordingAgeLimit(Record, frozen=True, kw_only=True):
    """When recordings of a provider are stale."""

    max_age_days: PositiveFloat = 90.0
    """Maximum age in days of the oldest exchange with the live service. Emulated exchanges do not age."""


class ListOperation(Record, frozen=True, kw_only=True):
    """An operation that lists what a server has, such as its voices."""

    operation_id: str = msgspec.field(name="operation")
    list_locations: tuple[Location, ...] = msgspec.field(name="items")
    """Locations of the list in the response; the first one that has a list counts. An item is a name, or an object with
    the name in `id` or `name`."""
    request_field_location: RequestLocation = msgspec.field(name="sets")
    """Location, in speech requests, of the field that has one of the names."""

    def read_names(self, body: Any) -> tuple[str, ...]:
        """Return the names in the body of a response, each once; empty if there is no list."""
        items: Any = next((found for at in self.list_locations if isinstance(found := at.read_body(body), list)), [])
        names = (_read_name(item) for item in items[:MAX_LISTED_NAMES])
        return tuple(dict.fromkeys(name for name in names if _LISTED_NAME_PATTERN.fullmatch(name)))


def _read_name(item: Any) -> str:
    if isinstance(item, dict):
        item = next((item[key] for key in ("id", "name") if isinstance(item.get(key), str)), None)
    return item if isinstance(item, str) and len(item) <= MAX_LISTED_NAME_CHARACTERS else ""


class SelfHostedSpec(Record, frozen=True, kw_only=True):
    """`self_hosted` of `x-provider`: users run the server themselves, so it is asked what it has."""

    model_list: ListOperation | None = msgspec.field(default=None, name="models")
    voice_lists: tuple[ListOperation, ...] = msgspec.field(default=(), name="voices")
    """The operations that may list the voices. Servers need not have them: the first one that responds counts, and the
    others are not checked."""


class ProviderSpec(Record, frozen=True, kw_only=True):
    """`x-provider` at the root."""

    id: str
    title: str
    key_variable: EnvironmentVariable = msgspec.field(name="key_env")
    """Name of the environment variable with the API key."""
    is_key_optional: bool = msgspec.field(default=False, name="key_optional")
    """Whether some operations work without a key."""
    sources: dict[str, SourceDocument]
    """The documents from which the contract was written, by file name."""
    self_hosted: SelfHostedSpec | None = None
    """The operations that list the models and voices of a server that the user runs; `None` for a hosted service."""
    credits: CreditSpec | None = None
    retry_policy: RetryPolicy = msgspec.field(default=RetryPolicy(), name="retry")
    request_headers: dict[str, str] = msgspec.field(default={}, name="headers")
    """Headers to send with every request."""
    recording_age_limit: RecordingAgeLimit = msgspec.field(default=RecordingAgeLimit(), name="recordings")
