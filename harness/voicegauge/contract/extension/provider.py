"""Defines `x-provider`, `x-limits`, `x-key` and `x-idempotency`, and how rejections are documented."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from voicegauge.contract.extension.sources import PositiveFloat, PositiveInt, SourceDocument, SourceReference
from voicegauge.formats.locations import Location, RequestLocation
from voicegauge.model.base import Record

# Defines `x-idempotency` on an operation: requests with the same key are performed and charged once.


class IdempotencySpec(Record, frozen=True, kw_only=True):
    """`x-idempotency` on an operation that accepts an idempotency key."""

    header_name: str
    """Name of the request header that has the key, such as Idempotency-Key."""
    key_lifetime_s: PositiveFloat | None = None
    """Time in seconds for which the provider remembers a key. `None` if no document states it; a request is then not
    sent again by a later command."""
    source: SourceReference | None = None


# Defines `x-limits`: limits of accounts, uploads and requests without a key.


class PlanLimits(Record, frozen=True, kw_only=True):
    """The documented limits of one account plan; `None` for a limit that no document states."""

    max_requests_per_minute: PositiveInt | None = None
    max_concurrent_requests: PositiveInt | None = None
    """Maximum number of requests in progress at the same time."""
    max_text_characters: PositiveInt | None = None
    """Maximum number of characters in the text of one request."""
    source: SourceReference | None = None


class UploadLimits(Record, frozen=True, kw_only=True):
    """The documented limits of an uploaded audio file; `None` for a limit that no document states."""

    max_bytes: int | None = None
    """Maximum size in bytes. MB in a document is read as MiB, so that only files above the limit in both units
    are too large."""
    min_duration_s: float | None = None
    max_duration_s: float | None = None
    min_sample_rate_hz: int | None = None
    accepted_formats: tuple[str, ...] = ()
    """Names of the accepted audio formats; empty if no document lists them."""
    source: SourceReference | None = None


class KeylessLimits(Record, frozen=True, kw_only=True):
    """Limits of requests without a key."""

    max_characters_per_day: int
    source: SourceReference | None = None


class LimitsSpec(Record, frozen=True, kw_only=True):
    """`x-limits` at the root or on an operation, where it overrides the limits of the root."""

    plan_limits: dict[str, PlanLimits] = {}
    """The account plans by name. The first one is the plan of a new account."""
    upload_limits: dict[str, UploadLimits] = {}
    """Limits of uploads by the name of the form field."""
    keyless_limits: KeylessLimits | None = None
    rate_limit_header_names: dict[Literal["limit", "remaining", "reset", "retry_after"], str] = {}
    """Names of the response headers that report the rate limit."""
    source: SourceReference | None = None

    def find_plan(self, plan_names: Collection[str] = ()) -> PlanLimits:
        """Return the first documented plan that `plan_names` contains, else the first documented plan.

        If no plan is documented, return a plan without limits.
        """
        named = [plan for name, plan in self.plan_limits.items() if name in plan_names]
        return next(iter(named or self.plan_limits.values()), PlanLimits())


# Defines the reasons for which a provider rejects a request, and their usual status codes.


RejectionReason = Literal[
    "invalid",
    "unauthorized",
    "no-credit",
    "forbidden",
    "not-found",
    "expired",
    "too-large",
    "rate-limited",
    "internal",
    "busy",
]
"""Why a provider rejects a request. `x-rejection-reason` gives the reason for the example of an error response."""
STATUS_CODES_BY_REASON: Mapping[str, tuple[int, ...]] = {
    "invalid": (400, 422),
    "unauthorized": (401, 403),
    "no-credit": (402,),
    "forbidden": (403,),
    "not-found": (404,),
    "expired": (410, 404),
    "too-large": (413, 400, 422),
    "rate-limited": (429,),
    "internal": (500,),
    "busy": (503,),
}
"""Common status codes for each rejection reason, most likely first; the first one that is documented is used."""

REJECTION_KEYWORDS = (
    "required",
    "type",
    "enum",
    "const",
    "pattern",
    "format",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "additionalProperties",
)
"""JSON Schema keywords of `x-rejection-keywords`; a blank text violates `minLength`."""


# Defines `x-key` on a security scheme, and the signature of webhooks: keys of requests in both directions.


EnvironmentVariable = Annotated[str, Meta(pattern=r"^[A-Z_][A-Z0-9_]*$(?!\n)")]
"""Name of an environment variable in capital letters: it becomes part of shell commands."""


class AwsSignature(Record, frozen=True, kw_only=True):
    """The region and the service for which AWS Signature Version 4 signs requests."""

    region: str
    service: str


class KeySpec(Record, frozen=True, kw_only=True):
    """`x-key` on a security scheme: where the key comes from, and how it is written into a request."""

    key_variable: EnvironmentVariable | None = None
    """Name of the environment variable with what this scheme sends, such as a user id; by default that of
    `x-provider.key_variable`."""
    key_prefix: Annotated[str, Meta(pattern=r"^[ -~]{0,40}$(?!\n)")] = ""
    """Text before the key in the header, query parameter or cookie, such as "Token "."""
    id_variable: EnvironmentVariable | None = None
    """Name of the environment variable with the id that belongs to a secret key: the OAuth 2 client id, or the AWS
    access key id."""
    aws_signature: AwsSignature | None = None
    """How requests are signed with the key by AWS Signature Version 4; `None` if the key itself is sent."""


class WebhookSignature(Record, frozen=True, kw_only=True):
    """`signature` of `x-webhook`: how a provider signs its callbacks with an HMAC."""

    signature_header_name: str
    """Name of the header with the signature. The header may contain several signatures, one for each secret."""
    signature_header_template: str = "{signature}"
    """Content of the signature header for one signature, in which "{signature}" and "{timestamp}" are replaced."""
    signed_text_template: str = "{body}"
    """Text that is signed, in which "{body}", "{timestamp}" and "{id}" are replaced by the values of the callback."""
    id_header_name: str | None = None
    """Name of the header with the id of the callback; `None` if no header has it."""
    timestamp_header_name: str | None = None
    """Name of the header with the Unix time, in seconds, at which the callback was sent; `None` if the signature header
    has the time, or no time is sent."""
    hash_algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    signature_encoding: Literal["hex", "base64"] = "hex"
    """Whether the bytes of the signature are written in hexadecimal digits or in base64."""
    secret_variable: EnvironmentVariable
    """Environment variable with the secret that the provider and the receiver share."""
    secret_prefix: str = ""
    """Text before the secret that is not part of it."""
    secret_encoding: Literal["text", "base64"] = "text"  # noqa: S105 - not a secret
    timestamp_tolerance_s: Annotated[float, Meta(gt=0)] = 300.0
    """Maximum difference between the timestamp and the time of arrival, in seconds."""


# Defines `x-provider` at the root: identity, key, source documents, credits and retries.


MAX_LISTED_NAMES = 1_000
"""Maximum number of names that are read from a server's list of models or voices."""
MAX_LISTED_NAME_CHARACTERS = 200
"""Maximum length of a name in a server's list of models or voices; longer texts are left out."""
_LISTED_NAME_PATTERN = re.compile(r"[\w/][\w .,+@/:()'&#-]*")
"""Matches an item of a list that is a name, such as "cpu:whisper/tiny" or the path of a model. Lists also have patterns
such as "clone:<id>" and "whisper-*", which are not names."""


class CreditSpec(Record, frozen=True, kw_only=True):
    """The provider's own currency, and its price in dollars."""

    name: str = "credits"
    """What the provider calls its currency."""
    usd_per_credit: float | None = None
    """Price of one credit in dollars; `None` if no document states it."""
    free_credits: float | None = None
    """Number of free credits of a new account."""
    source: SourceReference | None = None


class RetryPolicy(Record, frozen=True, kw_only=True):
    """The recommended retries after a failed request."""

    retried_statuses: tuple[int, ...] = (429,)
    """HTTP statuses after which a request is sent again. A server error other than 503 may have been charged, so a
    billable request is not sent again after it."""
    initial_delay_s: float = 1.0
    """Time in seconds before the first retry."""
    delay_factor: float = 2.0
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

    operation_id: str
    list_locations: tuple[Location, ...]
    """Locations of the list in the response; the first one that has a list counts. An item is a name, or an object."""
    name_keys: tuple[str, ...] = ("id", "name")
    """Keys of an object that may have its name; the first one that has text counts."""
    item_values: dict[str, tuple[str | bool, ...]] = field(default_factory=dict)
    """Values that an item must have, by key: {task: [text-to-speech], installed: [true]} leaves out recognizers in a
    list of models, and models that are yet to be installed. An item without the key is kept."""

    def read_names(self, body: Any) -> tuple[str, ...]:
        """Return the names in the body of a response, each once; empty if there is no list."""
        items: Any = next((found for at in self.list_locations if isinstance(found := at.read_body(body), list)), [])
        names = (_read_name(item, self.name_keys) for item in items[:MAX_LISTED_NAMES] if self._is_wanted(item))
        return tuple(dict.fromkeys(name for name in names if _LISTED_NAME_PATTERN.fullmatch(name)))

    def _is_wanted(self, item: Any) -> bool:
        """Whether an item has the values that `item_values` asks for, as far as it has their keys."""
        return not isinstance(item, dict) or all(
            key not in item or item[key] in values for key, values in self.item_values.items()
        )


def _read_name(item: Any, keys: tuple[str, ...]) -> str:
    if isinstance(item, dict):
        item = next((item[key] for key in keys if isinstance(item.get(key), str)), None)
    return item if isinstance(item, str) and len(item) <= MAX_LISTED_NAME_CHARACTERS else ""


class SelfHostedListOperation(ListOperation, frozen=True, kw_only=True):
    """An operation that lists the models or voices of a self-hosted server: one that users run themselves."""

    request_field_location: RequestLocation
    """Location, in speech requests, of the field that has one of the names."""


class SelfHostedSpec(Record, frozen=True, kw_only=True):
    """`self_hosted` of `x-provider`: users run the server themselves, so it is asked what it has."""

    model_list: SelfHostedListOperation | None = None
    voice_lists: tuple[SelfHostedListOperation, ...] = ()
    """The operations that may list the voices. Servers need not have them: the first one that responds counts, and the
    others are not checked."""


class ProviderSpec(Record, frozen=True, kw_only=True):
    """`x-provider` at the root: who the provider is, and what holds for all of its operations."""

    id: str
    title: str
    key_variable: EnvironmentVariable
    """Name of the environment variable with the API key."""
    is_key_optional: bool = False
    """Whether some operations work without a key."""
    sources: dict[str, SourceDocument]
    """The documents from which the contract was written, by file name."""
    self_hosted: SelfHostedSpec | None = None
    """The operations that list the models and voices of a server that the user runs; `None` for a hosted service."""
    voice_lists: tuple[ListOperation, ...] = ()
    """The operations that list all voices of an account, best first. Before live requests are planned, they are asked
    whether the account has the voice that the contract names; if it does not, the first voice that it has is used."""
    credits: CreditSpec | None = None
    retry_policy: RetryPolicy = RetryPolicy()
    request_headers: dict[str, str] = {}
    """Headers to send with every request."""
    recording_age_limit: RecordingAgeLimit = RecordingAgeLimit()
