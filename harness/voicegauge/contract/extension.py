"""The keys beginning with `x-` that say what OpenAPI cannot.

These records are the grammar: `docs/contract-extension.schema.json` is generated
from them, and a document that does not fit is refused with file, line and reason.
Places are written as `voicegauge.contract.places` describes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from voicegauge.model import Record

Amount = Annotated[float, Meta(ge=0)]
"""Money, a time or a rate: none of them is negative."""

Word = Literal[
    "text",
    "voice",
    "voice_description",
    "voice_sample_url",
    "voice_sample_upload",
    "language",
    "format",
    "speed",
    "seed",
]
"""The neutral words of a request for speech."""

Situation = Literal[
    "invalid",
    "unauthorized",
    "no-credit",
    "forbidden",
    "not-found",
    "too-large",
    "rate-limited",
    "internal",
    "busy",
]
"""Why a request is refused. Each has a usual status code; `x-when` on an example says more."""


class Dispute(Record, frozen=True, kw_only=True):
    """Another reading of the same fact."""

    says: str
    """The reading, in one sentence."""
    document: str
    rules: tuple[str, ...] = ()
    """Rules whose findings on this part of the contract are disputed, not errors."""
    status: int | None = None
    """Only where the answer has this status."""
    media_type: str | None = None
    """Only where the traffic has this media type."""
    schema: dict[str, Any] | None = None
    """Only where the JSON body fits this schema."""


class Source(Record, frozen=True, kw_only=True):
    """Where a fact is written down."""

    document: str
    """A file name among `x-provider.sources`."""
    says: str | None = None
    """What the document says, where the contract's own words are not enough."""
    inferred: bool = False
    """Not stated outright, but read from an example or from how the provider's client behaves."""
    disputed: tuple[Dispute, ...] = ()


class SourceDocument(Record, frozen=True, kw_only=True):
    """A document that the contract was written from."""

    title: str
    date: str
    """When it was read, or its own date: YYYY-MM-DD."""
    url: str | None = None


class Credits(Record, frozen=True, kw_only=True):
    """The provider's own money."""

    name: str = "credits"
    usd: float | None = None
    """Dollars for one; `None` where no document says."""
    free: float | None = None
    """What a new account is given."""
    source: Source | None = None


class Retry(Record, frozen=True, kw_only=True):
    """When to send a request again, as the document recommends."""

    statuses: tuple[int, ...] = (429, 503)
    first_s: float = 1.0
    factor: float = 2.0
    max_s: float = 30.0
    attempts: int = 4
    """All sends, the first included."""
    source: Source | None = None


class RecordingRules(Record, frozen=True, kw_only=True):
    """How long what was recorded of a provider is believed."""

    max_age_days: Annotated[float, Meta(gt=0)] = 90.0
    """Counted from the oldest exchange with the live service; emulated ones do not age."""


class Provider(Record, frozen=True, kw_only=True):
    """`x-provider` at the root."""

    id: str
    title: str
    key_env: str
    """The environment variable that holds the key."""
    key_optional: bool = False
    """Some operations answer without a key."""
    sources: dict[str, SourceDocument]
    credits: Credits | None = None
    retry: Retry = Retry()
    headers: dict[str, str] = {}
    """Sent with every request, as the documents ask."""
    recordings: RecordingRules = RecordingRules()


class Slot(Record, frozen=True, kw_only=True):
    """Where a neutral word goes. A bare string in the document is `at` alone."""

    at: str
    template: str = "{}"
    """`{}` stands for the value: "Speaker 0: {}"."""
    map: dict[str, str] = {}
    """Neutral value to the provider's: {en: en-US}."""


class AudioPlace(Record, frozen=True, kw_only=True):
    """Where audio is in an answer."""

    at: str
    delivered: Literal["bytes", "url", "base64"]
    media_type: str | None = None
    """The place that declares the media type; for bytes the Content-Type does."""
    format: str | None = None
    """What it always is, where nothing declares it: "wav", "pcm_s16le"."""
    sample_rate_hz: int | None = None
    """For raw PCM."""
    channels: int = 1
    """For raw PCM."""
    download: str | None = None
    """For a URL: the operation id that the URL leads to, where the document describes it."""


class Answer(Record, frozen=True, kw_only=True):
    """What a request for speech is answered with: a job or audio."""

    job: str | None = None
    """The operation id of the status operation."""
    audio: AudioPlace | None = None
    charged: str | None = None
    """The place that says what was charged, in credits (or in dollars without credits)."""
    balance: str | None = None
    """The place that says what is left."""


class Emulation(Record, frozen=True, kw_only=True):
    """How the emulator plays a target. Numbers are made up: they say nothing of the provider."""

    voice: str | None = None
    """An espeak-ng variant, such as "klatt4" or "f3"; chosen by the target's name if left out."""
    words_per_minute: int = 165
    pitch: int = 50
    """0 to 99."""
    accept_ms: float = 30.0
    queue_ms: float = 200.0
    base_ms: float = 300.0
    ms_per_character: float = 4.0
    jitter: float = 0.15
    """Standard deviation of the logarithm of each time."""
    sample_rate_hz: int = 24000
    format: str | None = None
    """What it answers with where the request names no format; by default a documented media type, else WAV."""
    lead_s: float = 0.12
    """Silence before the speech."""
    id: str | None = None
    """Job ids: "{hexN}" stands for N hexadecimal digits, as in "xtts-v2-api_019d{hex4}-{hex4}"."""
    constants: dict[str, Any] = {}
    """Places of the submit's and the status answers with their value: written where the example has them.

    "{hexN}" in a text stands for N hexadecimal digits, drawn once a job.
    """
    unspoken: tuple[str, ...] = ()
    """Regular expressions of what a text may carry and no voice says, such as "^[(][^)]*[)]" for a cue."""


class Price(Record, frozen=True, kw_only=True):
    """`x-pricing` on an operation or a target."""

    per: Literal["request", "1k_characters", "1m_characters", "minute"]
    usd: Amount | None = None
    credits: Amount | None = None
    source: Source | None = None
    alternatives: tuple[Price, ...] = ()
    """Disputed readings. The dearest one is reserved where the price itself names no amount."""


class TargetSpec(Record, frozen=True, kw_only=True):
    """One model or mode that an operation serves."""

    title: str
    model: str | None = None
    """What answers call the model, at `x-job.model`; `None` where no document says."""
    set: dict[str, Any] = {}
    """Constants to send: {"body#/model": kokoro}."""
    voice: str | None = None
    """The default voice."""
    voices: dict[str, str] = {}
    """The default voice of a language, where it is another one: {zh: "Bowen [ZH]"}."""
    voice_description: str | None = None
    voice_sample_url: str | None = None
    needs: tuple[Word, ...] = ()
    """Words without which this target makes no sense, such as voice_sample_upload."""
    language: str | None = None
    languages: tuple[str, ...] = ()
    """Neutral codes it speaks; empty where the document names none."""
    format: str | None = None
    formats: tuple[str, ...] = ()
    text_characters: int | None = None
    """The longest text that is still advisable, where the document gives one that is no bound."""
    media_type: str | None = None
    """The request's media type, where the operation takes several."""
    keyless: bool = False
    """Answers without a key."""
    pricing: Price | None = None
    emulation: Emulation = Emulation()
    source: Source | None = None


class Speech(Record, frozen=True, kw_only=True):
    """`x-speech` on an operation: it turns text into speech."""

    request: dict[Word, Slot]
    answer: Answer
    targets: dict[str, TargetSpec]


class State(Record, frozen=True, kw_only=True):
    """A state of a job."""

    next: tuple[str, ...] = ()
    """States that may be entered from this one; those that lead on may be missed between polls."""
    end: Literal["success", "failure"] | None = None
    charged: bool | None = None
    """Whether a job that ends here is paid for; `None` where no document says."""
    carries: tuple[str, ...] = ()
    """Places of the status answer that must not be empty in this state."""


class Poll(Record, frozen=True, kw_only=True):
    """How often to ask, as the document recommends."""

    min_s: float = 1.0
    max_s: float = 5.0
    factor: float = 1.5
    """Growth from `min_s` to `max_s`."""
    timeout_s: float = 300.0
    source: Source | None = None


class Submitted(Record, frozen=True, kw_only=True):
    """Where the submit's answer carries what the status answer carries elsewhere or not at all."""

    id: str
    state: str | None = None
    url: str | None = None
    """A URL to poll, used only if its host is the contract's own."""


class JobSpec(Record, frozen=True, kw_only=True):
    """`x-job` on a status operation."""

    submit: Submitted
    id: str | None = None
    """The place of the id in a status answer; `None` where it is not repeated."""
    state: str
    states: dict[str, State]
    """In the order of a job's life: the first one is where it starts."""
    audio: AudioPlace
    result: str | None = None
    """The operation id of a second call that fetches the result, where there is one."""
    reason: str | None = None
    model: str | None = None
    created: str | None = None
    updated: str | None = None
    completed: str | None = None
    charged: str | None = None
    poll: Poll = Poll()
    cancel: str | None = None
    """The operation id that cancels a job."""


class Plan(Record, frozen=True, kw_only=True):
    """Limits of one plan of a provider."""

    requests_per_minute: int | None = None
    concurrent: int | None = None
    text_characters: int | None = None
    source: Source | None = None


class Upload(Record, frozen=True, kw_only=True):
    """Limits of an uploaded recording."""

    max_bytes: int | None = None
    min_s: float | None = None
    min_sample_rate_hz: int | None = None
    formats: tuple[str, ...] = ()
    source: Source | None = None


class Keyless(Record, frozen=True, kw_only=True):
    """What can be had without a key."""

    characters_per_day: int
    source: Source | None = None


class Limits(Record, frozen=True, kw_only=True):
    """`x-limits` at the root, or on an operation: what it says there is laid over the root's."""

    plans: dict[str, Plan] = {}
    """The first one is what a new account has."""
    uploads: dict[str, Upload] = {}
    """By form field."""
    keyless: Keyless | None = None
    headers: dict[Literal["limit", "remaining", "reset", "retry_after"], str] = {}
    """Header names that tell of the rate limit."""
    source: Source | None = None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the `x-` keys, laid over the outline of an OpenAPI document.

    It describes the keys that stand at a fixed place. `x-source` may stand on any
    object: its schema is `$defs/Source`.
    """
    records = (Provider, Speech, JobSpec, Price, Limits, Source)
    _, defs = msgspec.json.schema_components(records, ref_template="#/$defs/{name}")
    slots = defs["Speech"]["properties"]["request"]
    slots["additionalProperties"] = {"anyOf": [{"type": "string"}, slots["additionalProperties"]]}
    slots["propertyNames"] = {"enum": list(get_args(Word))}  # msgspec leaves out what keys may be

    def keys(**kinds: type[Record]) -> dict[str, Any]:
        properties = {f"x-{key}": {"$ref": f"#/$defs/{kind.__name__}"} for key, kind in kinds.items()}
        return {"type": "object", "properties": properties}

    operation = keys(speech=Speech, job=JobSpec, pricing=Price, limits=Limits, source=Source)
    root = keys(provider=Provider, limits=Limits)
    methods = {"^(get|put|post|delete|options|head|patch)$": operation}
    root["properties"]["paths"] = {
        "type": "object",
        "additionalProperties": {"type": "object", "patternProperties": methods},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The x- keys of a voicegauge contract, an OpenAPI 3.1 document",
        **root,
        "required": ["x-provider"],
        "$defs": defs,
    }
