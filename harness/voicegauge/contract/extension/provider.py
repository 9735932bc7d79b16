"""Grammar of a provider: its sources, limits, keys, signatures, credits and retries, and how it rejects requests.

These are `x-source`, `x-idempotency`, `x-limits`, `x-key` and `x-provider`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, field

from voicegauge.formats.bodies import parse_whole_number
from voicegauge.formats.locations import Location, RequestLocation
from voicegauge.model.base import Record

# Defines `x-source` on any object, and the documents that it names: which of them states a fact, and which dispute it.


NonNegativeFloat = Annotated[float, Meta(ge=0)]
"""A number of at least 0, such as a price."""
PositiveFloat = Annotated[float, Meta(gt=0)]
PositiveInt = Annotated[int, Meta(ge=1)]
"""A number of at least 1. Limits have this type, because a limit of 0 would allow nothing."""


class Dispute(Record, frozen=True, kw_only=True):
    """What another document states about a fact, in contradiction to the document that the contract follows."""

    claim: str
    """One sentence that says what the other document states."""
    document_name: str
    """The document that makes the claim: a file name listed in `x-provider.sources`."""
    rule_ids: tuple[str, ...] = ()
    """Ids of the rules whose findings about this part of the contract are reported as disputed instead of as errors."""
    status: int | None = None
    """HTTP status of the responses that the dispute is about; `None` means any status."""
    media_type: str | None = None
    """Media type of the bodies that the dispute is about; `None` means any media type."""
    body_schema: dict[str, Any] | None = None
    """JSON Schema of the JSON bodies that the dispute is about; `None` means any body."""


class SourceReference(Record, frozen=True, kw_only=True):
    """`x-source` on any object: the document that states the fact."""

    document_name: str
    """The document: a file name listed in `x-provider.sources`."""
    note: str | None = None
    """A quotation or explanation; `None` if the contract is clear without it."""
    is_inferred: bool = False
    """Whether the fact is not stated explicitly, but derived from an example or from the behavior of the provider's
    client."""
    disputes: tuple[Dispute, ...] = ()


Publisher = Literal["price_page", "quoted_price_page", "provider", "third_party", "reseller"]
"""Who states the prices of a document: the provider on its price page, or on that page as others quote it because it
was not read itself; the provider in another text; somebody else; or somebody who sells the service at own prices."""


class ExplainedDifference(Record, frozen=True, kw_only=True):
    """Why the contract differs from the official document in some places, on purpose."""

    locations: Annotated[tuple[str, ...], Meta(min_length=1)]
    """Where it differs, as `voicegauge drift --official` names the place; "*" stands for any text."""
    change: str = "*"
    """The message about the difference; "*" stands for any text."""
    reason: str
    """One sentence that says why the contract differs there."""


class LeftOutOperations(Record, frozen=True, kw_only=True):
    """Operations of the official document that the contract does not describe, on purpose."""

    operations: Annotated[tuple[str, ...], Meta(min_length=1)]
    """Method and path, as "POST /v1/dubbing"; "*" stands for any text."""
    reason: str
    """One sentence that says why the contract leaves the operations out."""


class SourceDocument(Record, frozen=True, kw_only=True):
    """A document from which the contract was written."""

    title: str
    """Name of the document for readers."""
    publisher: Publisher | None = None
    """Who states the prices of the document; by default the provider if the document is normative, otherwise a third
    party."""
    date: str
    """The date of the document, or the date when it was read: YYYY-MM-DD."""
    is_normative: bool = True
    """Whether the document binds the provider. Client libraries and pages of third parties do not: a request that tests
    what only such a document states may be accepted or rejected."""
    url: str | None = None
    """Address of the document; `None` if it is not public."""
    compared_on: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$(?!\n)")] | None = None
    """The day on which the whole contract was last compared with the document: YYYY-MM-DD; `None` if it never was."""
    openapi_url: str | None = None
    """URL of the document's file, if it is an OpenAPI description: `voicegauge drift --official` compares the contract
    with it."""
    explained_differences: tuple[ExplainedDifference, ...] = ()
    """The differences from the OpenAPI description that are known and have a reason."""
    left_out_operations: tuple[LeftOutOperations, ...] = ()
    """The operations of the OpenAPI description that the contract does not describe, and why."""


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
    """Maximum number of characters of all texts of a day."""
    source: SourceReference | None = None
    """The document that states the limits."""


class LimitsSpec(Record, frozen=True, kw_only=True):
    """`x-limits` at the root or on an operation, where it overrides the limits of the root."""

    plan_limits: dict[str, PlanLimits] = {}
    """The account plans by name. The first one is the plan of a new account."""
    upload_limits: dict[str, UploadLimits] = {}
    """Limits of uploads by the name of the form field."""
    keyless_limits: KeylessLimits | None = None
    """Limits of requests without a key; `None` if none are documented."""
    rate_limit_header_names: dict[Literal["limit", "remaining", "reset", "retry_after"], str] = {}
    """Names of the response headers that report the rate limit."""
    source: SourceReference | None = None

    def find_plan_limits(self, plan_names: Collection[str] = ()) -> PlanLimits:
        """Return the limits of the first documented plan that `plan_names` contains, else of the first documented plan.

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
"""Why a provider rejects a request. `x-rejection-reason` gives the reason for the example of an error response.

A check of the emulator requests the documented reasons of an operation in this order, except `invalid` and
`unauthorized` if other cases show them, as requests with invalid values and without a key do."""
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
    """Name of the AWS region, such as "us-east-1"."""
    service: str
    """Name of the AWS service, such as "polly"."""


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


class SignatureHeaders(NamedTuple):
    """The values of the headers that sign a callback: its signatures, id and timestamp."""

    signatures: tuple[str, ...]
    callback_id: str
    """The id of the callback; empty if it has none."""
    timestamp: str
    """The text that should be a Unix time in seconds; empty if there is none."""

    @property
    def time_s(self) -> int | None:
        """The Unix time in seconds; `None` if `timestamp`, which any sender can choose, is not one."""
        return parse_whole_number(self.timestamp)


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

    def read_headers(self, read_header: Callable[[str], str | None]) -> SignatureHeaders:
        """Return the signature values in the headers of a callback.

        Args:
            read_header: returns the value of a header by its name; `None` if there is none.
        """
        pattern = re.escape(self.signature_header_template).replace(
            r"\{signature\}", r"(?P<signature>[A-Za-z0-9+/=_-]+)"
        )
        pattern = pattern.replace(r"\{timestamp\}", r"(?P<timestamp>\d+)")
        found = list(re.finditer(pattern, read_header(self.signature_header_name) or ""))
        timestamp = found[0]["timestamp"] if found and "{timestamp}" in self.signature_header_template else ""
        if self.timestamp_header_name:
            timestamp = read_header(self.timestamp_header_name) or ""
        return SignatureHeaders(
            signatures=tuple(match["signature"] for match in found),
            callback_id=(read_header(self.id_header_name) or "") if self.id_header_name else "",
            timestamp=timestamp,
        )

    def compute_signature(self, secret: str, body: bytes, *, callback_id: str, timestamp: str) -> str:
        """Return the signature of a callback.

        Raises:
            ValueError: the secret is not base64, although the contract says so.
        """
        text = secret.removeprefix(self.secret_prefix)
        # Padding is added, because secrets are also shown without it.
        is_base64 = self.secret_encoding == "base64"  # noqa: S105
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True) if is_base64 else text.encode()
        except binascii.Error:
            raise ValueError(
                f"{self.secret_variable} is not base64: set it to the secret as the provider shows it"
            ) from None
        # The body is signed as the bytes that were sent: it need not be text, and decoding could change it.
        before, _, after = self.signed_text_template.partition("{body}")
        start, end = (part.replace("{id}", callback_id).replace("{timestamp}", timestamp) for part in (before, after))
        digest = hmac.digest(key, start.encode() + body + end.encode(), self.hash_algorithm)
        return digest.hex() if self.signature_encoding == "hex" else base64.b64encode(digest).decode()

    def build_headers(self, signature: str, *, callback_id: str, timestamp: str) -> dict[str, str]:
        """Return the headers of a signed callback."""
        value = self.signature_header_template.replace("{signature}", signature).replace("{timestamp}", timestamp)
        headers = {self.signature_header_name: value}
        headers |= {self.id_header_name: callback_id} if self.id_header_name else {}
        headers |= {self.timestamp_header_name: timestamp} if self.timestamp_header_name else {}
        return headers


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
        names = (
            _read_listed_name(item, self.name_keys)
            for item in items[:MAX_LISTED_NAMES]
            if self._has_required_values(item)
        )
        return tuple(dict.fromkeys(name for name in names if _LISTED_NAME_PATTERN.fullmatch(name)))

    def _has_required_values(self, item: Any) -> bool:
        """Whether an item has the values that `item_values` asks for, as far as it has their keys."""
        return not isinstance(item, dict) or all(
            key not in item or item[key] in values for key, values in self.item_values.items()
        )


def _read_listed_name(item: Any, name_keys: tuple[str, ...]) -> str:
    """Return the name of an item of a list; empty without a name, and for one that is too long."""
    if isinstance(item, dict):
        item = next((item[key] for key in name_keys if isinstance(item.get(key), str)), None)
    return item if isinstance(item, str) and len(item) <= MAX_LISTED_NAME_CHARACTERS else ""


class SelfHostedListOperation(ListOperation, frozen=True, kw_only=True):
    """An operation that lists the models or voices of a self-hosted server: one that users run themselves."""

    request_field_location: RequestLocation
    """Location, in speech requests, of the field that has one of the names."""


class SelfHostedSpec(Record, frozen=True, kw_only=True):
    """`self_hosted` of `x-provider`: users run the server themselves, so it is asked what it has."""

    model_list: SelfHostedListOperation | None = None
    """The operation that lists the models; `None` if the server has none."""
    voice_lists: tuple[SelfHostedListOperation, ...] = ()
    """The operations that may list the voices. Servers need not have them: the first one that responds counts, and the
    others are not checked."""


class ProviderSpec(Record, frozen=True, kw_only=True):
    """`x-provider` at the root: who the provider is, and what holds for all of its operations."""

    id: str
    """The id of the provider, as users write it on the command line: "pixelapi"."""
    title: str
    """Name of the provider for readers: "PixelAPI"."""
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

    @property
    def credit_usd(self) -> float | None:
        """Price of one credit in dollars; `None` if the provider has no credits, or no document states it."""
        return self.credits.usd_per_credit if self.credits is not None else None
