"""`x-provider` at the root: who answers, what its money is, when to ask again."""

from __future__ import annotations

from voicegauge.contract.extension.sources import Positive, SourceDocument, SourceReference
from voicegauge.model import Record


class CreditSpec(Record, frozen=True, kw_only=True):
    """The provider's own money."""

    name: str = "credits"
    usd: float | None = None
    """Dollars for one; `None` where no document says."""
    free: float | None = None
    """What a new account is given."""
    source: SourceReference | None = None


class RetryPolicy(Record, frozen=True, kw_only=True):
    """When to send a request again, as the document recommends."""

    statuses: tuple[int, ...] = (429, 503)
    initial_delay_s: float = 1.0
    factor: float = 2.0
    max_delay_s: float = 30.0
    max_attempts: int = 4
    """All sends, the first included."""
    source: SourceReference | None = None


class RecordingRules(Record, frozen=True, kw_only=True):
    """How long what was recorded of a provider is believed."""

    max_age_days: Positive = 90.0
    """Counted from the oldest exchange with the live service; emulated ones do not age."""


class ProviderSpec(Record, frozen=True, kw_only=True):
    """`x-provider` at the root."""

    id: str
    title: str
    key_env: str
    """The environment variable that holds the key."""
    key_optional: bool = False
    """Some operations answer without a key."""
    sources: dict[str, SourceDocument]
    credits: CreditSpec | None = None
    retry: RetryPolicy = RetryPolicy()
    headers: dict[str, str] = {}
    """Sent with every request, as the documents ask."""
    recordings: RecordingRules = RecordingRules()
