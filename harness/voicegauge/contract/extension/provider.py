"""Defines `x-provider` at the root: identity, key, source documents, credits and retries."""

from __future__ import annotations

import re
from typing import Any

from voicegauge.contract.extension.security import EnvironmentVariable
from voicegauge.contract.extension.sources import PositiveFloat, SourceDocument, SourceReference
from voicegauge.formats import Location, RequestLocation
from voicegauge.model import Record

MAX_NAMES = 1_000
"""Number of names in a server's list that are read."""
MAX_NAME_CHARACTERS = 200
_USABLE_NAME = re.compile(r"\w[\w .+@/-]*")
"""Matches an item of a list that is a name. Lists also have patterns such as "clone:<id>", which are not names."""


class CreditSpec(Record, frozen=True, kw_only=True):
    """The provider's own currency."""

    name: str = "credits"
    usd: float | None = None
    """Price of one credit in dollars; `None` if no document states it."""
    free: float | None = None
    """Number of free credits of a new account."""
    source: SourceReference | None = None


class RetryPolicy(Record, frozen=True, kw_only=True):
    """The recommended retries after a failed request."""

    statuses: tuple[int, ...] = (429,)
    """HTTP statuses after which a request is sent again. A server error other than 503 may have been charged, so a
    billable request is not sent again after it."""
    initial_delay_s: float = 1.0
    """Time in seconds before the first retry."""
    factor: float = 2.0
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


class ServerList(Record, frozen=True, kw_only=True):
    """An operation that lists what a server has, such as its voices."""

    operation: str
    items: tuple[Location, ...]
    """Locations of the list in the response; the first one that has a list counts. An item is a name, or an object with
    the name in `id` or `name`."""
    sets: RequestLocation
    """Location, in speech requests, of the field that has one of the names."""

    def read_names(self, body: Any) -> tuple[str, ...]:
        """Return the names in the body of a response, each once; empty if there is no list."""
        items: Any = next((found for at in self.items if isinstance(found := at.read_body(body), list)), [])
        names = (_read_name(item) for item in items[:MAX_NAMES])
        return tuple(dict.fromkeys(name for name in names if _USABLE_NAME.fullmatch(name)))


def _read_name(item: Any) -> str:
    if isinstance(item, dict):
        item = next((item[key] for key in ("id", "name") if isinstance(item.get(key), str)), None)
    return item if isinstance(item, str) and len(item) <= MAX_NAME_CHARACTERS else ""


class SelfHostedSpec(Record, frozen=True, kw_only=True):
    """`self_hosted` of `x-provider`: users run the server themselves, so it is asked what it has."""

    models: ServerList | None = None
    voices: tuple[ServerList, ...] = ()
    """The operations that may list the voices. Servers need not have them: the first one that responds counts, and the
    others are not checked."""


class ProviderSpec(Record, frozen=True, kw_only=True):
    """`x-provider` at the root."""

    id: str
    title: str
    key_env: EnvironmentVariable
    """Name of the environment variable with the API key."""
    key_optional: bool = False
    """Whether some operations work without a key."""
    sources: dict[str, SourceDocument]
    self_hosted: SelfHostedSpec | None = None
    """How a server of the user's own is asked for its models and voices; `None` for a hosted service."""
    credits: CreditSpec | None = None
    retry: RetryPolicy = RetryPolicy()
    headers: dict[str, str] = {}
    """Headers to send with every request."""
    recordings: RecordingAgeLimit = RecordingAgeLimit()
