"""Defines the rules for the `x-` extensions of contracts, in tables with one row per fact in an extension.

A row names a value in the record of an extension (`voicegauge.contract.extension`), how two such values are compared,
and the level of each kind of difference. The rules are created from the rows. Values without a row are not compared:
these are titles, sources and everything that only the emulator uses.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from voicegauge.drift.registry import DriftLevel, DriftRule

# Each name is a single letter, because the tables below are read by column.
B, P, C = DriftLevel.BREAKING, DriftLevel.POSSIBLY_BREAKING, DriftLevel.COMPATIBLE

FactComparison = Literal["number", "value", "names", "choices", "flag"]
"""How two values of a fact are compared.

- number: the number was increased, decreased, newly documented, or is no longer documented
- value: the value was added, removed or changed
- names: names were added to or removed from a list or a mapping; the order is ignored
- choices: as for names, but an empty list means that nothing is documented rather than that nothing is allowed
- flag: the value became true or is no longer true
"""
_DESCRIPTION_BY_DIFFERENCE = {
    "increased": "was increased",
    "decreased": "was decreased",
    "set": "is now documented",
    "unset": "is no longer documented",
    "added": "was added",
    "removed": "was removed",
    "changed": "was changed",
}
"""The words that rule descriptions use for each difference, by the end of the rule id."""
_DESCRIPTION_BY_FLAG_DIFFERENCE = {"began": "now", "ended": "no longer"}
"""The words that replace `{}` in the description of a flag, by the end of the rule id."""


class ExtensionFact(NamedTuple):
    """A fact that an extension can document, and the rules for changes of the fact."""

    fact_path: str
    """Path in the record, in which `*` means every key: "states/*/charged". Empty for the extension as a whole."""
    id_prefix: str
    """Start of the ids of the rules for this fact."""
    subject: str
    """Subject of the rule descriptions. For a flag, the whole sentence, with `{}` in place of "now" or "no longer"."""
    comparison: FactComparison
    level_by_difference: dict[str, DriftLevel]
    """Level of each difference, by the end of the rule id. Differences without a level are not reported."""

    def describe_difference(self, difference: str) -> str:
        """Return the description of the rule for a difference."""
        if self.comparison == "flag":
            return self.subject.format(_DESCRIPTION_BY_FLAG_DIFFERENCE[difference])
        return f"{self.subject} {_DESCRIPTION_BY_DIFFERENCE[difference]}"


def _build_optional_number_fact(
    fact_path: str, rule_id_prefix: str, subject: str, levels: tuple[DriftLevel, DriftLevel, DriftLevel, DriftLevel]
) -> ExtensionFact:
    """Describe a number that may be undocumented. Levels: increased, decreased, documented, no longer documented."""
    differences = ("increased", "decreased", "set", "unset")
    return ExtensionFact(fact_path, rule_id_prefix, subject, "number", dict(zip(differences, levels, strict=True)))


def _build_number_fact(
    fact_path: str, rule_id_prefix: str, subject: str, levels: tuple[DriftLevel, DriftLevel]
) -> ExtensionFact:
    """Describe a number that always has a value. Levels: increased, decreased."""
    differences = ("increased", "decreased")
    return ExtensionFact(fact_path, rule_id_prefix, subject, "number", dict(zip(differences, levels, strict=True)))


def _build_optional_value_fact(
    fact_path: str, rule_id_prefix: str, subject: str, levels: tuple[DriftLevel, DriftLevel, DriftLevel]
) -> ExtensionFact:
    """Describe an optional value. Levels: added, removed, changed."""
    differences = ("added", "removed", "changed")
    return ExtensionFact(fact_path, rule_id_prefix, subject, "value", dict(zip(differences, levels, strict=True)))


def _build_required_value_fact(
    fact_path: str, rule_id_prefix: str, subject: str, level_if_changed: DriftLevel
) -> ExtensionFact:
    """Describe a value that is always documented, or whose presence another row compares."""
    return ExtensionFact(fact_path, rule_id_prefix, subject, "value", {"changed": level_if_changed})


def _build_presence_fact(
    fact_path: str, rule_id_prefix: str, subject: str, levels: tuple[DriftLevel, DriftLevel]
) -> ExtensionFact:
    """Describe a part whose content other rows compare. Levels: added, removed."""
    return ExtensionFact(
        fact_path, rule_id_prefix, subject, "value", dict(zip(("added", "removed"), levels, strict=True))
    )


def _build_names_fact(
    fact_path: str, rule_id_prefix: str, subject: str, levels: tuple[DriftLevel, DriftLevel]
) -> ExtensionFact:
    """Describe a list, or the keys of a mapping. Levels: a name was added, a name was removed."""
    return ExtensionFact(
        fact_path, rule_id_prefix, subject, "names", dict(zip(("added", "removed"), levels, strict=True))
    )


def _build_choices_fact(fact_path: str, rule_id_prefix: str, subject: str) -> ExtensionFact:
    """Describe the values that a client may choose from. A document may list no values."""
    return ExtensionFact(
        fact_path, rule_id_prefix, subject, "choices", {"added": C, "removed": B, "set": P, "unset": P}
    )


def _build_flag_fact(
    fact_path: str, rule_id_prefix: str, sentence: str, levels: tuple[DriftLevel, DriftLevel]
) -> ExtensionFact:
    """Describe a flag. Levels: the flag became true, the flag became false."""
    return ExtensionFact(
        fact_path, rule_id_prefix, sentence, "flag", dict(zip(("began", "ended"), levels, strict=True))
    )


def _build_price_facts(fact_path: str) -> tuple[ExtensionFact, ...]:
    prefix = f"{fact_path}/" if fact_path else ""
    return (
        _build_presence_fact(fact_path, "price", "The price", (P, P)),
        _build_optional_number_fact(f"{prefix}usd", "price-usd", "The price in US dollars", (P, C, P, P)),
        _build_optional_number_fact(f"{prefix}credits", "price-credits", "The price in credits", (P, C, P, P)),
        _build_required_value_fact(f"{prefix}per", "price-unit", "The unit that the price is for", P),
        _build_names_fact(
            f"{prefix}alternatives", "price-reading", "An alternative price from another document", (P, C)
        ),
        _build_required_value_fact(f"{prefix}count/unit", "price-count", "What is counted for the price", P),
        _build_flag_fact(
            f"{prefix}count/whitespace", "price-white-space", "White space {} counts for the price", (P, C)
        ),
        _build_optional_value_fact(
            f"{prefix}count/doubled",
            "price-doubled-characters",
            "Which characters count twice for the price",
            (P, C, P),
        ),
        _build_flag_fact(f"{prefix}count/tags", "price-tags", "Tags {} count for the price", (P, C)),
        _build_names_fact(
            f"{prefix}count/free_tags", "price-free-tag", "A tag that does not count for the price", (C, P)
        ),
        _build_optional_number_fact(
            f"{prefix}step", "price-rounding", "The step to which a request is rounded up", (P, C, P, C)
        ),
        _build_number_fact(f"{prefix}minimum", "price-rounding", "What a request is charged for at least", (P, C)),
        _build_names_fact(f"{prefix}plus", "price-part", "A further part of the price", (P, C)),
        _build_presence_fact(f"{prefix}usage", "price-usage", "The usage that a request is charged at most", (P, P)),
        _build_number_fact(
            f"{prefix}usage/max_per_request",
            "price-usage",
            "The usage that a request without text is charged at most",
            (P, C),
        ),
        _build_number_fact(
            f"{prefix}usage/max_per_character",
            "price-usage-per-character",
            "The usage that a character is charged at most",
            (P, C),
        ),
        _build_optional_value_fact(
            f"{prefix}usage/reported", "price-usage-location", "The location of the usage", (C, P, P)
        ),
        _build_optional_value_fact(
            f"{prefix}usage/reported_in_event", "price-usage-location", "The location of the usage", (C, P, P)
        ),
        _build_names_fact(f"{prefix}plans", "price-plan", "An account plan with a price of its own", (C, P)),
        _build_optional_number_fact(f"{prefix}plans/*/usd", "price-usd", "The price in US dollars", (P, C, P, P)),
        _build_optional_number_fact(f"{prefix}plans/*/credits", "price-credits", "The price in credits", (P, C, P, P)),
        _build_optional_number_fact(
            f"{prefix}plans/*/included", "price-included", "The usage that the fee of a plan includes", (C, P, C, P)
        ),
        _build_optional_number_fact(
            f"{prefix}plans/*/monthly_fee_usd", "price-fee", "The monthly fee of a plan", (P, C, P, C)
        ),
        _build_flag_fact(
            f"{prefix}plans/*/overage", "price-overage", "More than a plan includes {} can be bought", (C, P)
        ),
    )


def _build_audio_facts(fact_path: str, rule_id_prefix: str) -> tuple[ExtensionFact, ...]:
    return (
        _build_required_value_fact(f"{fact_path}/at", f"{rule_id_prefix}-place", "The location of the audio", B),
        _build_required_value_fact(
            f"{fact_path}/delivered", f"{rule_id_prefix}-delivery", "The way in which the audio is delivered", B
        ),
        _build_optional_value_fact(
            f"{fact_path}/format", f"{rule_id_prefix}-format", "The only format of the audio", (C, P, B)
        ),
        _build_optional_value_fact(
            f"{fact_path}/media_type",
            f"{rule_id_prefix}-media-type-place",
            "The location of the audio's media type",
            (C, P, B),
        ),
        _build_optional_value_fact(
            f"{fact_path}/sample_rate_hz", f"{rule_id_prefix}-sample-rate", "The sample rate of raw audio", (C, B, B)
        ),
        _build_required_value_fact(
            f"{fact_path}/channels", f"{rule_id_prefix}-channels", "The number of channels of raw audio", B
        ),
        _build_names_fact(
            f"{fact_path}/timestamps", f"{rule_id_prefix}-timestamps", "The timestamps of characters or words", (C, B)
        ),
        _build_optional_value_fact(
            f"{fact_path}/download",
            f"{rule_id_prefix}-download",
            "The operation that the audio URL belongs to",
            (C, P, P),
        ),
    )


PROVIDER_FACTS = (
    _build_required_value_fact("id", "provider-id", "The id of the provider, with which target ids begin,", B),
    _build_required_value_fact("key_env", "provider-key-variable", "The environment variable of the key", P),
    _build_flag_fact("key_optional", "provider-key-optional", "Some operations {} work without a key", (C, B)),
    _build_names_fact("headers", "provider-header", "A header to send with every request", (P, C)),
    _build_required_value_fact("headers/*", "provider-header", "A header to send with every request", P),
    _build_optional_number_fact("credits/usd", "credit-price", "The price of one credit", (P, C, C, P)),
    _build_optional_number_fact(
        "credits/free", "free-credits", "The number of free credits of a new account", (C, P, C, P)
    ),
    _build_required_value_fact("credits/name", "credit-name", "The name of the provider's credits", C),
    _build_names_fact("retry/statuses", "retry-status", "A status after which to retry", (C, P)),
    _build_number_fact("retry/initial_delay_s", "retry-first-wait", "The wait before the first retry", (P, C)),
    _build_number_fact("retry/max_delay_s", "retry-longest-wait", "The maximum wait before a retry", (P, C)),
    _build_number_fact("retry/factor", "retry-factor", "The factor by which waits before retries grow", (P, C)),
    _build_number_fact("retry/max_attempts", "retry-attempts", "The maximum number of attempts", (C, P)),
    _build_presence_fact("self_hosted", "server-lists", "What servers of users are asked for (self_hosted)", (C, B)),
    _build_presence_fact("self_hosted/models", "server-models", "The list of a server's models", (C, P)),
    _build_required_value_fact(
        "self_hosted/models/operation", "server-models-call", "The operation that lists a server's models", P
    ),
    _build_names_fact(
        "self_hosted/models/items", "server-models-location", "A location of the list of a server's models", (C, P)
    ),
    _build_required_value_fact(
        "self_hosted/models/sets", "server-models-parameter", "The location of a listed model in speech requests", B
    ),
    _build_names_fact("self_hosted/voices", "server-voices", "A list of a server's voices", (C, P)),
)
KEY_FACTS = (
    _build_optional_value_fact("env", "key-variable", "The environment variable of a security scheme", (P, P, P)),
    _build_required_value_fact("prefix", "key-prefix", "The text before the key", B),
    _build_optional_value_fact(
        "id_env", "key-id-variable", "The environment variable of the id that belongs to the key", (P, P, P)
    ),
    _build_presence_fact("aws", "key-aws-signature", "Signing of requests with AWS Signature Version 4", (B, B)),
    _build_required_value_fact("aws/region", "key-aws-region", "The region in AWS signatures", B),
    _build_required_value_fact("aws/service", "key-aws-service", "The service in AWS signatures", B),
)
SIGNATURE_FACTS = (
    _build_presence_fact("signature", "webhook-signature", "The signature of callbacks", (C, B)),
    *(
        _build_required_value_fact(f"signature/{key}", f"webhook-signature-{name}", subject, B)
        for key, name, subject in (
            ("header", "header", "The header of the signature"),
            ("format", "format", "The format of the signature's header"),
            ("signed", "content", "The content that is signed"),
            ("digest", "digest", "The digest of the signature"),
            ("encoding", "encoding", "The encoding of the signature"),
            ("secret_prefix", "secret-prefix", "The text before the secret"),
            ("secret_encoding", "secret-encoding", "The encoding of the secret"),
        )
    ),
    _build_optional_value_fact(
        "signature/id", "webhook-signature-id", "The header with the id of a callback", (C, B, B)
    ),
    _build_optional_value_fact(
        "signature/timestamp", "webhook-signature-time", "The header with the time of a callback", (C, B, B)
    ),
    _build_required_value_fact(
        "signature/secret_env", "webhook-secret-variable", "The environment variable of the secret", P
    ),
    _build_number_fact(
        "signature/tolerance_s", "webhook-tolerance", "The maximum age of a callback when it arrives", (C, P)
    ),
)
LIMITS_FACTS = (
    _build_names_fact("plans", "plan", "An account plan", (C, P)),
    _build_optional_number_fact(
        "plans/*/requests_per_minute", "plan-requests", "The rate limit of a plan", (C, P, P, C)
    ),
    _build_optional_number_fact(
        "plans/*/concurrent", "plan-concurrent", "The concurrency limit of a plan", (C, P, P, C)
    ),
    _build_optional_number_fact(
        "plans/*/text_characters", "plan-text-length", "The maximum text length of a plan", (C, B, P, C)
    ),
    _build_names_fact("uploads", "upload-limit", "A limit for an upload", (P, C)),
    _build_optional_number_fact("uploads/*/max_bytes", "upload-size", "The maximum size of an upload", (C, B, P, C)),
    _build_optional_number_fact("uploads/*/min_s", "upload-length", "The minimum duration of an upload", (B, C, P, C)),
    _build_optional_number_fact("uploads/*/max_s", "upload-longest", "The maximum duration of an upload", (C, B, P, C)),
    _build_optional_number_fact(
        "uploads/*/min_sample_rate_hz", "upload-sample-rate", "The minimum sample rate of an upload", (B, C, P, C)
    ),
    _build_choices_fact("uploads/*/formats", "upload-format", "An allowed upload format"),
    _build_presence_fact("keyless", "keyless-allowance", "The allowance for requests without a key", (C, B)),
    _build_number_fact(
        "keyless/characters_per_day", "keyless-characters", "The number of free characters per day", (C, P)
    ),
    _build_names_fact("headers", "limit-header", "A header that reports the rate limit", (C, P)),
    _build_required_value_fact("headers/*", "limit-header", "A header that reports the rate limit", P),
)
JOB_FACTS = (
    _build_presence_fact("", "job", "The job of the operation (x-job)", (P, B)),
    _build_names_fact("states", "job-state", "A job state", (P, C)),
    _build_names_fact("states/*/next", "job-transition", "A transition between job states", (P, C)),
    _build_optional_value_fact("states/*/end", "job-state-end", "The outcome of a terminal job state", (B, B, B)),
    _build_flag_fact("states/*/charged", "job-charge", "A job that ends in a certain state is {} charged", (P, C)),
    _build_names_fact("states/*/required", "job-carries", "A location that always has a value in a job state", (C, B)),
    _build_flag_fact(
        "states/*/partial", "job-partial", "A job may {} have audio in a state before it has ended", (P, C)
    ),
    _build_optional_number_fact("states/*/max_s", "job-state-time", "The maximum time in a job state", (P, C, P, C)),
    _build_required_value_fact(
        "submit/id", "job-submit-id-location", "The location of the job id in the submit response", B
    ),
    _build_optional_value_fact(
        "submit/state", "job-submit-state-location", "The location of the job state in the submit response", (C, P, B)
    ),
    _build_optional_value_fact(
        "submit/url", "job-submit-url-location", "The location of the polling URL in the submit response", (C, P, B)
    ),
    _build_optional_value_fact("id", "job-id-location", "The location of the job id in the status response", (C, P, B)),
    _build_required_value_fact(
        "state", "job-state-location", "The location of the job state in the status response", B
    ),
    *_build_audio_facts("audio", "job-audio"),
    _build_optional_value_fact(
        "result", "job-result-call", "The operation that fetches the result of a job", (B, B, B)
    ),
    _build_optional_value_fact("reason", "job-reason-location", "The location of the failure reason", (C, P, P)),
    _build_optional_value_fact("model", "job-model-location", "The location of the model name", (C, P, P)),
    _build_optional_value_fact("created", "job-created-location", "The location of the creation time", (C, P, P)),
    _build_optional_value_fact(
        "updated", "job-updated-location", "The location of the time of the last update", (C, P, P)
    ),
    _build_optional_value_fact("completed", "job-completed-location", "The location of the completion time", (C, P, P)),
    _build_optional_value_fact("charged", "job-charged-location", "The location of the charge", (C, P, P)),
    _build_number_fact("poll/min_s", "job-poll-shortest", "The minimum polling interval", (P, C)),
    _build_number_fact("poll/max_s", "job-poll-longest", "The maximum polling interval", (C, C)),
    _build_number_fact("poll/factor", "job-poll-factor", "The factor by which the polling interval grows", (C, C)),
    _build_number_fact("poll/timeout_s", "job-poll-timeout", "The timeout of a job", (P, C)),
    _build_presence_fact("cancel", "job-cancel", "Cancelling of a job", (C, B)),
    _build_required_value_fact("cancel/operation", "job-cancel-call", "The operation that cancels a job", P),
    _build_required_value_fact("cancel/state", "job-cancel-state", "The state of a cancelled job", P),
    _build_optional_number_fact(
        "expires_s", "job-expiry", "The time for which an ended job can be polled", (C, P, P, C)
    ),
)
SPEECH_FACTS = (
    _build_presence_fact("", "speech", "The speech synthesis of the operation (x-speech)", (C, B)),
    _build_names_fact("request", "speech-parameter", "A parameter of speech requests", (C, B)),
    _build_required_value_fact(
        "request/*/at", "speech-parameter-location", "The location of a parameter in the request", B
    ),
    _build_required_value_fact(
        "request/*/template", "speech-parameter-template", "The template of a parameter's value", P
    ),
    _build_names_fact(
        "request/*/map", "speech-parameter-value", "The provider's name for a value of a parameter", (C, P)
    ),
    _build_required_value_fact(
        "request/*/map/*", "speech-parameter-value", "The provider's name for a value of a parameter", P
    ),
    _build_presence_fact("request/*/markup", "speech-markup", "The markup of the text", (B, B)),
    _build_flag_fact("request/*/reproducible", "speech-seed-kept", "The same seed {} gives the same audio", (C, P)),
    _build_optional_value_fact(
        "response/job", "speech-job-call", "The operation that returns the status of the job", (B, B, B)
    ),
    _build_presence_fact("response/wait", "speech-wait", "The wait for the end of the job in the response", (C, B)),
    _build_required_value_fact(
        "response/wait/at", "speech-wait-location", "The location of the wait in the request", B
    ),
    _build_required_value_fact("response/wait/value", "speech-wait-value", "The value that asks to wait", B),
    _build_number_fact("response/wait/max_s", "speech-wait-time", "The maximum wait for the end of the job", (C, P)),
    _build_presence_fact("response/audio", "speech-audio", "Audio in the response", (C, B)),
    *_build_audio_facts("response/audio", "speech-audio"),
    _build_optional_value_fact("response/charged", "speech-charged-location", "The location of the charge", (C, P, P)),
    _build_optional_value_fact(
        "response/balance", "speech-balance-location", "The location of the remaining balance", (C, P, P)
    ),
    _build_names_fact("formats", "speech-format-meaning", "The meaning of an audio format", (C, P)),
    _build_required_value_fact("formats/*/codec", "speech-format-codec", "The codec of an audio format", B),
    _build_optional_value_fact(
        "formats/*/sample_rate_hz", "speech-format-sample-rate", "The sample rate of an audio format", (C, P, B)
    ),
    _build_optional_value_fact(
        "formats/*/bitrate_kbps", "speech-format-bit-rate", "The bit rate of an audio format", (C, P, P)
    ),
    _build_required_value_fact("formats/*/channels", "speech-format-channels", "The channels of an audio format", B),
    _build_names_fact("targets", "target", "A target", (C, B)),
    _build_optional_value_fact(
        "targets/*/model", "target-model", "The name of a target's model in responses", (C, P, P)
    ),
    _build_names_fact("targets/*/constants", "target-constant", "A constant in the requests of a target", (B, B)),
    _build_required_value_fact("targets/*/constants/*", "target-constant", "A constant in the requests of a target", B),
    _build_optional_value_fact("targets/*/voice", "target-voice", "The default voice of a target", (C, P, P)),
    _build_names_fact("targets/*/voices", "target-language-voice", "The default voice of a language", (C, P)),
    _build_required_value_fact("targets/*/voices/*", "target-language-voice", "The default voice of a language", P),
    _build_optional_value_fact(
        "targets/*/voice_description",
        "target-voice-description",
        "The default voice description of a target",
        (C, P, P),
    ),
    _build_optional_value_fact(
        "targets/*/voice_sample_url", "target-voice-sample", "The default voice sample of a target", (C, P, P)
    ),
    _build_names_fact(
        "targets/*/request", "target-parameter", "A parameter that a target describes on its own", (P, P)
    ),
    _build_required_value_fact(
        "targets/*/request/*/at", "target-parameter-location", "The location of a parameter of a target", B
    ),
    _build_required_value_fact(
        "targets/*/request/*/template", "target-parameter-template", "The template of a target's parameter", P
    ),
    _build_names_fact(
        "targets/*/request/*/map", "target-parameter-value", "A target's name for a value of a parameter", (C, P)
    ),
    _build_required_value_fact(
        "targets/*/request/*/map/*", "target-parameter-value", "A target's name for a value of a parameter", P
    ),
    _build_presence_fact("targets/*/request/*/markup", "target-markup", "The markup of a target's text", (B, B)),
    _build_names_fact("targets/*/required_fields", "target-need", "A required parameter of a target", (B, C)),
    _build_optional_value_fact(
        "targets/*/language", "target-default-language", "The default language of a target", (C, P, P)
    ),
    _build_choices_fact("targets/*/languages", "target-language", "A language of a target"),
    _build_optional_value_fact(
        "targets/*/format", "target-default-format", "The default audio format of a target", (C, P, P)
    ),
    _build_choices_fact("targets/*/formats", "target-format", "An audio format of a target"),
    _build_optional_number_fact(
        "targets/*/recommended_max_characters",
        "target-text-length",
        "The recommended maximum text length",
        (C, P, P, C),
    ),
    _build_optional_value_fact(
        "targets/*/media_type", "target-media-type", "The media type of a target's requests", (P, P, B)
    ),
    _build_presence_fact("targets/*/audio", "target-audio", "The kind of response that a target selects", (B, B)),
    *_build_audio_facts("targets/*/audio", "target-audio"),
    _build_flag_fact("targets/*/keyless", "target-keyless", "A target {} works without a key", (C, B)),
    *_build_price_facts("targets/*/pricing"),
)
STREAM_FACTS = (
    _build_presence_fact("", "stream", "The event stream of the response (x-stream)", (B, B)),
    _build_required_value_fact("framing", "stream-framing", "The way in which events are separated", B),
    _build_optional_value_fact("media_type", "stream-media-type", "The media type of a stream", (P, P, B)),
    _build_required_value_fact("event_type", "stream-kind-location", "The location of an event's type", B),
    _build_optional_value_fact(
        "events/*/has", "stream-event-mark", "The value that tells the type of an event", (C, P, B)
    ),
    _build_flag_fact("ends_with_response", "stream-end-unmarked", "A stream {} ends without a final event", (B, P)),
    _build_names_fact("events", "stream-event", "An event type", (P, P)),
    _build_names_fact("events/*/next", "stream-order", "An event type that may follow another", (P, C)),
    _build_optional_value_fact("events/*/end", "stream-end", "The outcome of a stream that an event ends", (B, B, B)),
    _build_presence_fact("events/*/schema", "stream-data", "The schema of an event's data", (C, P)),
    _build_required_value_fact("audio/event", "stream-audio-event", "The event that has the audio", B),
    _build_required_value_fact("audio/at", "stream-audio-location", "The location of the audio in its event", B),
    _build_required_value_fact("audio/encoding", "stream-audio-encoding", "The encoding of the audio", B),
    _build_optional_value_fact(
        "audio/index", "stream-index-location", "The location of the sequence number of an event", (C, P, P)
    ),
    _build_names_fact("audio/timestamps", "stream-timestamps", "The timestamps of characters or words", (C, B)),
    _build_optional_value_fact("end_marker", "stream-marker", "The marker at the end of a stream", (P, B, B)),
    _build_optional_value_fact("reason", "stream-reason-location", "The location of the failure reason", (C, P, P)),
    _build_optional_number_fact("max_gap_s", "stream-gap", "The maximum gap between events", (P, C, P, C)),
)
WEBHOOK_FACTS = (
    _build_presence_fact("", "webhook-naming", "The webhook URL in requests (x-webhook)", (C, B)),
    _build_names_fact("url", "webhook-url", "A location of the webhook URL in the request, or its modes,", (C, B)),
    _build_required_value_fact(
        "callback", "webhook-callback", "The documented callback that is sent to the webhook", P
    ),
    _build_flag_fact("https_only", "webhook-https", "Webhook URLs {} have to use HTTPS", (B, C)),
    _build_flag_fact("may_repeat", "webhook-repeats", "A callback may {} be repeated", (P, C)),
    _build_optional_number_fact(
        "progress_max_s", "webhook-progress", "The maximum time between two progress callbacks", (P, C, C, P)
    ),
    _build_presence_fact("body", "webhook-body", "A callback body that differs from the status response", (B, B)),
    _build_required_value_fact("body/id", "webhook-id-location", "The location of the job id in a callback", B),
    _build_required_value_fact(
        "body/state", "webhook-state-location", "The location of the job state in a callback", B
    ),
    _build_names_fact("body/states", "webhook-state", "A job state that is reported by callbacks", (P, P)),
    _build_optional_value_fact(
        "body/submit_id", "webhook-submit-id-location", "The location of the callback's id in the submit", (C, P, P)
    ),
    _build_optional_value_fact(
        "body/result", "webhook-result-location", "The location of the result in a callback", (C, P, B)
    ),
    _build_optional_value_fact(
        "body/charged", "webhook-charged-location", "The location of the charge in a callback", (C, P, P)
    ),
    _build_optional_value_fact(
        "body/created", "webhook-created-location", "The location of the creation time in a callback", (C, P, P)
    ),
    _build_optional_value_fact(
        "body/completed", "webhook-completed-location", "The location of the completion time in a callback", (C, P, P)
    ),
    *SIGNATURE_FACTS,
)
SUBMIT_FACTS = (
    _build_presence_fact("", "submit", "The start of a job without audio (x-submit)", (C, B)),
    _build_required_value_fact("job", "submit-job-call", "The operation that returns the status of the job", B),
)
IDEMPOTENCY_FACTS = (
    _build_presence_fact("", "idempotency", "Idempotency keys in requests (x-idempotency)", (C, B)),
    _build_required_value_fact("header", "idempotency-header", "The header of the idempotency key", B),
    _build_optional_number_fact("valid_s", "idempotency-time", "The time for which a key is remembered", (C, P, C, P)),
)
AUDIO_INPUT_FACTS = (
    _build_names_fact("request", "audio-input-parameter", "A parameter of requests with audio input", (C, B)),
    _build_required_value_fact(
        "request/*/at", "audio-input-parameter-location", "The location of a parameter in requests with audio input", B
    ),
    _build_names_fact(
        "request/*/map", "audio-input-parameter-value", "The provider's name for a value of a parameter", (C, P)
    ),
    _build_required_value_fact(
        "request/*/map/*", "audio-input-parameter-value", "The provider's name for a value of a parameter", P
    ),
    _build_optional_value_fact(
        "response/charged", "audio-input-charged-location", "The location of the charge", (C, P, P)
    ),
    _build_names_fact("targets", "target", "A target", (C, B)),
    _build_names_fact("targets/*/constants", "target-constant", "A constant in the requests of a target", (B, B)),
    _build_required_value_fact("targets/*/constants/*", "target-constant", "A constant in the requests of a target", B),
    _build_optional_value_fact("targets/*/voice", "target-voice", "The default voice of a target", (C, P, P)),
    _build_optional_value_fact(
        "targets/*/language", "target-default-language", "The default language of a target", (C, P, P)
    ),
    _build_choices_fact("targets/*/languages", "target-language", "A language of a target"),
    *_build_price_facts("targets/*/pricing"),
)
TRANSCRIPTION_FACTS = (
    _build_presence_fact("", "transcription", "The transcription of the operation (x-transcription)", (C, B)),
    _build_required_value_fact("response/text", "transcript-location", "The location of the transcript", B),
    _build_optional_value_fact(
        "response/language", "transcript-language-location", "The location of the detected language", (C, P, P)
    ),
    _build_optional_value_fact(
        "response/audio_s", "transcript-length-location", "The location of the audio duration", (C, P, P)
    ),
    _build_optional_value_fact(
        "response/segments", "transcript-segments-location", "The location of the segments", (C, B, B)
    ),
    *(
        _build_required_value_fact(
            f"response/segment/{key}", "transcript-segment-key", "The name of a field of a segment", B
        )
        for key in ("start", "end", "text")
    ),
    *(
        _build_optional_value_fact(
            f"response/segment/{key}", f"transcript-{key}", f"The field {key} of a segment", (C, P, B)
        )
        for key in ("speaker", "words")
    ),
    *AUDIO_INPUT_FACTS,
)
CONVERSION_FACTS = (
    _build_presence_fact("", "conversion", "The audio conversion of the operation (x-conversion)", (C, B)),
    _build_required_value_fact("purpose", "conversion-purpose", "The purpose of a conversion", B),
    _build_presence_fact("response/audio", "conversion-audio", "Audio in the response", (C, B)),
    *_build_audio_facts("response/audio", "conversion-audio"),
    _build_presence_fact("response/stems", "conversion-stems", "The list of stems in the response", (C, B)),
    _build_required_value_fact("response/stems/at", "conversion-stems-location", "The location of the stems", B),
    _build_required_value_fact("response/stems/name", "conversion-stem-key", "The name of a field of a stem", B),
    _build_required_value_fact("response/stems/url", "conversion-stem-key", "The name of a field of a stem", B),
    _build_optional_value_fact(
        "response/stems/download", "conversion-stems-download", "The operation that a stem URL belongs to", (C, P, P)
    ),
    _build_names_fact("response/facts", "conversion-fact", "An audio property in the response", (C, B)),
    _build_required_value_fact(
        "response/facts/*", "conversion-fact-location", "The location of a property of the audio in the response", B
    ),
    *AUDIO_INPUT_FACTS,
)
RESOURCE_FACTS = (
    _build_presence_fact("", "resource", "The resource that the operation creates (x-resource)", (C, B)),
    _build_required_value_fact("id", "resource-id-location", "The location of the resource id", B),
    _build_optional_value_fact("state", "resource-state-location", "The location of the resource state", (C, P, B)),
    _build_names_fact("states", "resource-state", "A resource state", (P, C)),
    _build_presence_fact("list", "resource-list", "Listing of resources", (C, B)),
    _build_required_value_fact("list/operation", "resource-list-call", "The operation that lists resources", P),
    _build_optional_value_fact(
        "list/count", "resource-count-location", "The location of the number of resources", (C, P, P)
    ),
    _build_optional_value_fact(
        "list/limit", "resource-limit-location", "The location of the maximum number of resources", (C, P, P)
    ),
    _build_presence_fact("delete", "resource-deletion", "Deletion of resources", (C, B)),
    _build_required_value_fact(
        "delete/operation", "resource-deletion-call", "The operation that deletes a resource", P
    ),
    _build_required_value_fact(
        "delete/id", "resource-deletion-location", "The location of the id in a deletion request", B
    ),
    _build_names_fact("transitions", "resource-setting", "An operation that changes the state of a resource", (C, B)),
    _build_names_fact("uses", "resource-use", "An operation that accepts the resource id, or its parameter,", (C, B)),
)
BATCH_FACTS = (
    _build_presence_fact("", "batch", "The batch of requests of the operation (x-batch)", (C, B)),
    _build_required_value_fact("items", "batch-items-location", "The location of the list of requests", B),
    _build_required_value_fact("item_operation", "batch-call", "The operation that each request of a batch is for", P),
    _build_required_value_fact("results", "batch-results-location", "The location of the list of jobs", B),
    _build_required_value_fact("job_id", "batch-job-key", "The name of the job id in the list of jobs", B),
    _build_optional_value_fact("index", "batch-index-key", "The name of the index in the list of jobs", (C, P, P)),
    _build_optional_value_fact("state", "batch-state-key", "The name of the job state in the list of jobs", (C, P, B)),
    _build_optional_value_fact("charged", "batch-charged-key", "The name of the charge in the list of jobs", (C, P, P)),
    _build_optional_value_fact("url", "batch-url-key", "The name of the audio URL in the list of jobs", (C, P, B)),
    _build_optional_value_fact("total", "batch-total-location", "The location of the number of jobs", (C, P, P)),
    _build_optional_value_fact(
        "completed", "batch-completed-location", "The location of the number of ended jobs", (C, P, P)
    ),
)
CHAT_FACTS = (
    _build_presence_fact("", "chat", "The spoken chat of the operation (x-chat)", (C, B)),
    _build_required_value_fact("text", "chat-text-location", "The location of the user's message as text", B),
    _build_optional_value_fact(
        "audio", "chat-recording-location", "The location of the user's message as audio", (C, B, B)
    ),
    _build_optional_value_fact(
        "transcript", "chat-transcript-location", "The location of the transcript of the user's message", (C, P, P)
    ),
    _build_required_value_fact("reply", "chat-reply-location", "The location of the reply text", B),
    *_build_audio_facts("reply_audio", "chat-audio"),
    _build_optional_value_fact("voice", "chat-voice-location", "The location of the voice of the reply", (C, B, B)),
    _build_optional_value_fact("charged", "chat-charged-location", "The location of the charge", (C, P, P)),
)
PRICING_FACTS = _build_price_facts("")

_FACT_TABLES = (
    PROVIDER_FACTS,
    KEY_FACTS,
    LIMITS_FACTS,
    JOB_FACTS,
    SPEECH_FACTS,
    STREAM_FACTS,
    WEBHOOK_FACTS,
    IDEMPOTENCY_FACTS,
    SUBMIT_FACTS,
    RESOURCE_FACTS,
    BATCH_FACTS,
    CHAT_FACTS,
    TRANSCRIPTION_FACTS,
    CONVERSION_FACTS,
    PRICING_FACTS,
)


def build_rules() -> Iterable[DriftRule]:
    """Return all rules for extensions. Facts with the same `id_prefix` share their rules."""
    found = {}
    for fact in (fact for table in _FACT_TABLES for fact in table):
        for difference, level in fact.level_by_difference.items():
            rule_id = f"{fact.id_prefix}-{difference}"
            found[rule_id] = DriftRule(rule_id, level, fact.describe_difference(difference), "contracts")
    return found.values()
