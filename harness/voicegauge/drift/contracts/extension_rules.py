"""The rules over what OpenAPI lacks: one row for each fact that the `x-` keys can state.

A row names a place in the record of a key (`voicegauge.contract.extension`), how two
values there are compared, and the level of each way in which they can differ. Its rules
follow from it. A place without a row is compared by nobody: titles, sources, and all
that is said for the emulator alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from voicegauge.drift.registry import DriftLevel, DriftRule

B, P, S = DriftLevel.BREAKING, DriftLevel.POSSIBLY_BREAKING, DriftLevel.COMPATIBLE

FactComparison = Literal["amount", "value", "names", "listed", "flag"]
"""
- amount: a number that grows or shrinks; `None` where it is not stated
- value: anything else that is there or not, and the same or not
- names: a list or the keys of a mapping; the order is of no consequence
- listed: the same, where an empty one says nothing
- flag: true or not
"""
_SAYS = {
    "increased": "was raised",
    "decreased": "was lowered",
    "set": "is stated now and was not before",
    "unset": "is no longer stated",
    "added": "is new",
    "removed": "was removed",
    "changed": "was changed",
    "began": "holds now and did not before",
    "ended": "holds no longer",
}


class ExtensionFact(NamedTuple):
    """A fact that a key can state."""

    path: str
    """Where in the record: "states/*/charged"; empty for the whole key."""
    stem: str
    """What the ids of its rules begin with."""
    says: str
    how: FactComparison
    levels: dict[str, DriftLevel]
    """By the end of the id. A difference that is not among them is none."""


def _amount(
    path: str, stem: str, says: str, levels: tuple[DriftLevel, DriftLevel, DriftLevel, DriftLevel]
) -> ExtensionFact:
    """A number; the levels of its being raised, lowered, stated, and stated no longer."""
    names = ("increased", "decreased", "set", "unset")
    return ExtensionFact(path, stem, says, "amount", dict(zip(names, levels, strict=True)))


def _measure(path: str, stem: str, says: str, levels: tuple[DriftLevel, DriftLevel]) -> ExtensionFact:
    """A number that always has a value; the levels of its being raised and lowered."""
    return ExtensionFact(path, stem, says, "amount", dict(zip(("increased", "decreased"), levels, strict=True)))


def _value(path: str, stem: str, says: str, levels: tuple[DriftLevel, DriftLevel, DriftLevel]) -> ExtensionFact:
    """A text or a part; the levels of its coming, going and changing."""
    return ExtensionFact(path, stem, says, "value", dict(zip(("added", "removed", "changed"), levels, strict=True)))


def _names(path: str, stem: str, says: str, levels: tuple[DriftLevel, DriftLevel]) -> ExtensionFact:
    """Names; the levels of one more and one less."""
    return ExtensionFact(path, stem, says, "names", dict(zip(("added", "removed"), levels, strict=True)))


def _listed(path: str, stem: str, says: str) -> ExtensionFact:
    """What a client may choose from, where a document lists it at all."""
    return ExtensionFact(path, stem, says, "listed", {"added": S, "removed": B, "set": P, "unset": P})


def _flag(path: str, stem: str, says: str, levels: tuple[DriftLevel, DriftLevel]) -> ExtensionFact:
    """True or not; the levels of beginning and ending to hold."""
    return ExtensionFact(path, stem, says, "flag", dict(zip(("began", "ended"), levels, strict=True)))


def _price(path: str) -> tuple[ExtensionFact, ...]:
    inside = f"{path}/" if path else ""
    return (
        ExtensionFact(path, "price", "The price", "value", {"added": P, "removed": P}),
        _amount(f"{inside}usd", "price-usd", "The price in dollars", (P, S, P, P)),
        _amount(f"{inside}credits", "price-credits", "The price in the provider's own money", (P, S, P, P)),
        ExtensionFact(f"{inside}per", "price-unit", "What the price is for", "value", {"changed": P}),
        _names(f"{inside}alternatives", "price-reading", "Another reading of the price", (P, S)),
    )


def _audio(path: str, stem: str) -> tuple[ExtensionFact, ...]:
    return (
        ExtensionFact(f"{path}/at", f"{stem}-place", "The place of the audio", "value", {"changed": B}),
        ExtensionFact(f"{path}/delivered", f"{stem}-delivery", "How the audio is delivered", "value", {"changed": B}),
        _value(f"{path}/format", f"{stem}-format", "The format that the audio always has", (S, P, B)),
        _value(f"{path}/media_type", f"{stem}-media-type-place", "The place of the audio's media type", (S, P, B)),
        _value(f"{path}/sample_rate_hz", f"{stem}-sample-rate", "The sample rate of raw audio", (S, B, B)),
        ExtensionFact(
            f"{path}/channels", f"{stem}-channels", "The number of channels of raw audio", "value", {"changed": B}
        ),
        _value(f"{path}/download", f"{stem}-download", "The operation that the audio's URL leads to", (S, P, P)),
    )


PROVIDER = (
    ExtensionFact("id", "provider-id", "The provider's id, which targets begin with,", "value", {"changed": B}),
    ExtensionFact("key_env", "provider-key-variable", "The environment variable of the key", "value", {"changed": P}),
    _flag("key_optional", "provider-key-optional", "That some operations answer without a key", (S, B)),
    _names("headers", "provider-header", "A header that goes with every request", (P, S)),
    ExtensionFact("headers/*", "provider-header", "A header that goes with every request", "value", {"changed": P}),
    _amount("credits/usd", "credit-price", "The price of one credit", (P, S, S, P)),
    _amount("credits/free", "free-credits", "What a new account is given", (S, P, S, P)),
    ExtensionFact("credits/name", "credit-name", "The name of the provider's own money", "value", {"changed": S}),
    _names("retry/statuses", "retry-status", "A status after which to send again", (S, P)),
    _measure("retry/first_s", "retry-first-wait", "The first wait before sending again", (P, S)),
    _measure("retry/max_s", "retry-longest-wait", "The longest wait before sending again", (P, S)),
    _measure("retry/factor", "retry-factor", "The growth of the wait before sending again", (P, S)),
    _measure("retry/attempts", "retry-attempts", "How often a request is worth sending", (S, P)),
)
LIMITS = (
    _names("plans", "plan", "A plan", (S, P)),
    _amount("plans/*/requests_per_minute", "plan-requests", "The number of requests a minute of a plan", (S, P, P, S)),
    _amount("plans/*/concurrent", "plan-concurrent", "The number of requests at one time of a plan", (S, P, P, S)),
    _amount("plans/*/text_characters", "plan-text-length", "The longest text of a plan", (S, B, P, S)),
    _names("uploads", "upload-limit", "A limit on an upload", (P, S)),
    _amount("uploads/*/max_bytes", "upload-size", "The largest upload", (S, B, P, S)),
    _amount("uploads/*/min_s", "upload-length", "The shortest recording that is taken", (B, S, P, S)),
    _amount("uploads/*/max_s", "upload-longest", "The longest recording that is taken", (S, B, P, S)),
    _amount("uploads/*/min_sample_rate_hz", "upload-sample-rate", "The lowest sample rate taken", (B, S, P, S)),
    _listed("uploads/*/formats", "upload-format", "A format of uploads"),
    ExtensionFact("keyless", "keyless-allowance", "What can be had without a key", "value", {"added": S, "removed": B}),
    _measure("keyless/characters_per_day", "keyless-characters", "The number of free characters a day", (S, P)),
    _names("headers", "limit-header", "A header that tells of the rate limit", (S, P)),
    ExtensionFact("headers/*", "limit-header", "A header that tells of the rate limit", "value", {"changed": P}),
)
JOB = (
    ExtensionFact("", "job", "That the operation tells of a job", "value", {"added": P, "removed": B}),
    _names("states", "job-state", "A state of a job", (P, S)),
    _names("states/*/next", "job-transition", "A transition between states", (P, S)),
    _value("states/*/end", "job-state-end", "That a job ends in a state, and how,", (B, B, B)),
    _flag("states/*/charged", "job-charge", "That a job which ends in a state is paid for", (P, S)),
    _names("states/*/carries", "job-carries", "A place that is never empty in a state", (S, B)),
    _flag("states/*/partial", "job-partial", "That a state may carry audio before the job has ended", (P, S)),
    _amount("states/*/max_s", "job-state-time", "The longest time in a state", (P, S, P, S)),
    ExtensionFact(
        "submit/id", "job-submit-id-place", "The place of the id in the submit's answer", "value", {"changed": B}
    ),
    _value("submit/state", "job-submit-state-place", "The place of the state in the submit's answer", (S, P, B)),
    _value("submit/url", "job-submit-url-place", "The place of the URL to poll in the submit's answer", (S, P, B)),
    _value("id", "job-id-place", "The place of the job's id", (S, P, B)),
    ExtensionFact("state", "job-state-place", "The place of the job's state", "value", {"changed": B}),
    *_audio("audio", "job-audio"),
    _value("result", "job-result-call", "The call that fetches the result", (B, B, B)),
    _value("reason", "job-reason-place", "The place of the reason of a failure", (S, P, P)),
    _value("model", "job-model-place", "The place of the model's name", (S, P, P)),
    _value("created", "job-created-place", "The place of the time of creation", (S, P, P)),
    _value("updated", "job-updated-place", "The place of the time of the last change", (S, P, P)),
    _value("completed", "job-completed-place", "The place of the time of completion", (S, P, P)),
    _value("charged", "job-charged-place", "The place of what was charged", (S, P, P)),
    _measure("poll/min_s", "job-poll-shortest", "The shortest time between two polls", (P, S)),
    _measure("poll/max_s", "job-poll-longest", "The longest time between two polls", (S, S)),
    _measure("poll/factor", "job-poll-factor", "The growth of the time between polls", (S, S)),
    _measure("poll/timeout_s", "job-poll-timeout", "The time after which a job is given up", (P, S)),
    ExtensionFact("cancel", "job-cancel", "That a job can be cancelled", "value", {"added": S, "removed": B}),
    ExtensionFact("cancel/operation", "job-cancel-call", "The call that cancels a job", "value", {"changed": P}),
    ExtensionFact("cancel/state", "job-cancel-state", "The state of a job that was cancelled", "value", {"changed": P}),
    _amount("expires_s", "job-expiry", "The time for which a job can be asked for after its end", (S, P, P, S)),
)
SPEECH = (
    ExtensionFact("", "speech", "That the operation speaks", "value", {"added": S, "removed": B}),
    _names("request", "speech-word", "A word of a request for speech", (S, B)),
    ExtensionFact("request/*/at", "speech-word-place", "The place of a word of a request", "value", {"changed": B}),
    ExtensionFact(
        "request/*/template", "speech-word-template", "How a word of a request is written", "value", {"changed": P}
    ),
    _names("request/*/map", "speech-word-value", "The provider's own name for a word's value", (S, P)),
    ExtensionFact(
        "request/*/map/*", "speech-word-value", "The provider's own name for a word's value", "value", {"changed": P}
    ),
    _value("answer/job", "speech-job-call", "The call that tells of the job which answers", (B, B, B)),
    ExtensionFact("answer/audio", "speech-audio", "That the answer carries audio", "value", {"added": S, "removed": B}),
    *_audio("answer/audio", "speech-audio"),
    _value("answer/charged", "speech-charged-place", "The place of what was charged", (S, P, P)),
    _value("answer/balance", "speech-balance-place", "The place of what is left", (S, P, P)),
    _names("targets", "target", "A target", (S, B)),
    _value("targets/*/model", "target-model", "What answers call the target's model", (S, P, P)),
    _names("targets/*/set", "target-constant", "A constant to send for a target", (B, B)),
    ExtensionFact("targets/*/set/*", "target-constant", "A constant to send for a target", "value", {"changed": B}),
    _value("targets/*/voice", "target-voice", "The default voice of a target", (S, P, P)),
    _value("targets/*/voice_description", "target-voice-description", "The default description", (S, P, P)),
    _value("targets/*/voice_sample_url", "target-voice-sample", "The default voice sample", (S, P, P)),
    _names("targets/*/needs", "target-need", "A word that a target needs", (B, S)),
    _value("targets/*/language", "target-default-language", "The default language of a target", (S, P, P)),
    _listed("targets/*/languages", "target-language", "A language of a target"),
    _value("targets/*/format", "target-default-format", "The default format of a target", (S, P, P)),
    _listed("targets/*/formats", "target-format", "A format of a target"),
    _amount("targets/*/text_characters", "target-text-length", "The longest advisable text", (S, P, P, S)),
    _value("targets/*/media_type", "target-media-type", "The media type of a target's requests", (P, P, B)),
    _flag("targets/*/keyless", "target-keyless", "That a target answers without a key", (S, B)),
    *_price("targets/*/pricing"),
)
STREAM = (
    ExtensionFact("", "stream", "That the answer is a stream of events", "value", {"added": B, "removed": B}),
    ExtensionFact("kind", "stream-kind-place", "The place of an event's kind", "value", {"changed": B}),
    _names("events", "stream-event", "A kind of event", (P, P)),
    _names("events/*/next", "stream-order", "That one event may follow another", (P, S)),
    _value("events/*/end", "stream-end", "That an event ends the stream, and how,", (B, B, B)),
    ExtensionFact(
        "events/*/schema",
        "stream-data",
        "That the data of an event has a documented shape",
        "value",
        {"added": S, "removed": P},
    ),
    ExtensionFact("audio/event", "stream-audio-event", "The event that carries the audio", "value", {"changed": B}),
    ExtensionFact("audio/at", "stream-audio-place", "The place of the audio in its event", "value", {"changed": B}),
    ExtensionFact("audio/encoding", "stream-audio-encoding", "The encoding of the audio", "value", {"changed": B}),
    _value("audio/index", "stream-index-place", "The place of the number of an event", (S, P, P)),
    _value("marker", "stream-marker", "The marker at the end of a stream", (P, B, B)),
    _value("reason", "stream-reason-place", "The place of the reason of a failure", (S, P, P)),
    _amount("max_gap_s", "stream-gap", "The longest pause within a stream", (P, S, P, S)),
)
WEBHOOK = (
    ExtensionFact(
        "", "webhook-naming", "That a request may name a URL to be told at", "value", {"added": S, "removed": B}
    ),
    _names("url", "webhook-url", "A place of the request for the URL, with its modes,", (S, B)),
    ExtensionFact("callback", "webhook-callback", "Which callback describes what is sent", "value", {"changed": P}),
    _flag("https", "webhook-https", "That the URL must be https", (B, S)),
    _flag("repeats", "webhook-repeats", "That the same POST may come more than once", (P, S)),
    _amount("progress_max_s", "webhook-progress", "The longest time between two POSTs of progress", (P, S, S, P)),
    ExtensionFact("body", "webhook-body", "That a body of its own is sent", "value", {"added": B, "removed": B}),
    ExtensionFact("body/id", "webhook-id-place", "The place of the id in what is sent", "value", {"changed": B}),
    ExtensionFact(
        "body/state", "webhook-state-place", "The place of the state in what is sent", "value", {"changed": B}
    ),
    _names("body/states", "webhook-state", "A state that is sent", (P, P)),
)
INTAKE = (
    _names("request", "intake-word", "A word of a request that carries audio", (S, B)),
    ExtensionFact("request/*/at", "intake-word-place", "The place of a word beside audio", "value", {"changed": B}),
    _names("request/*/map", "intake-word-value", "The provider's own name for a word's value", (S, P)),
    ExtensionFact(
        "request/*/map/*", "intake-word-value", "The provider's own name for a word's value", "value", {"changed": P}
    ),
    _value("answer/charged", "intake-charged-place", "The place of what was charged", (S, P, P)),
    _names("targets", "target", "A target", (S, B)),
    _names("targets/*/set", "target-constant", "A constant to send for a target", (B, B)),
    ExtensionFact("targets/*/set/*", "target-constant", "A constant to send for a target", "value", {"changed": B}),
    _value("targets/*/voice", "target-voice", "The default voice of a target", (S, P, P)),
    _value("targets/*/language", "target-default-language", "The default language of a target", (S, P, P)),
    _listed("targets/*/languages", "target-language", "A language of a target"),
    *_price("targets/*/pricing"),
)
TRANSCRIPTION = (
    ExtensionFact("", "transcription", "That the operation writes speech down", "value", {"added": S, "removed": B}),
    ExtensionFact("answer/text", "transcript-place", "The place of the text that was heard", "value", {"changed": B}),
    _value("answer/language", "transcript-language-place", "The place of the language heard", (S, P, P)),
    _value("answer/audio_s", "transcript-length-place", "The place of the length of the audio", (S, P, P)),
    _value("answer/segments", "transcript-segments-place", "The place of the segments", (S, B, B)),
    *(
        ExtensionFact(
            f"answer/segment/{key}",
            "transcript-segment-key",
            "The name of a part of a segment",
            "value",
            {"changed": B},
        )
        for key in ("start", "end", "text")
    ),
    *(
        _value(f"answer/segment/{key}", f"transcript-{key}", f"The {key} of a segment", (S, P, B))
        for key in ("speaker", "words")
    ),
    *INTAKE,
)
CONVERSION = (
    ExtensionFact(
        "", "conversion", "That the operation makes other audio of audio", "value", {"added": S, "removed": B}
    ),
    ExtensionFact("does", "conversion-purpose", "What a conversion does", "value", {"changed": B}),
    ExtensionFact(
        "answer/audio", "conversion-audio", "That the answer carries audio", "value", {"added": S, "removed": B}
    ),
    *_audio("answer/audio", "conversion-audio"),
    ExtensionFact(
        "answer/stems", "conversion-stems", "That the answer lists stems", "value", {"added": S, "removed": B}
    ),
    ExtensionFact("answer/stems/at", "conversion-stems-place", "The place of the stems", "value", {"changed": B}),
    ExtensionFact("answer/stems/name", "conversion-stem-key", "The name of a part of a stem", "value", {"changed": B}),
    ExtensionFact("answer/stems/url", "conversion-stem-key", "The name of a part of a stem", "value", {"changed": B}),
    _value("answer/stems/download", "conversion-stems-download", "The operation that a stem's URL leads to", (S, P, P)),
    _names("answer/facts", "conversion-fact", "A fact of the answer", (S, B)),
    ExtensionFact(
        "answer/facts/*", "conversion-fact-place", "The place of a fact of the answer", "value", {"changed": B}
    ),
    *INTAKE,
)
RESOURCE = (
    ExtensionFact(
        "", "resource", "That what the operation makes is there in later calls", "value", {"added": S, "removed": B}
    ),
    ExtensionFact("id", "resource-id-place", "The place of the id of what is made", "value", {"changed": B}),
    _value("state", "resource-state-place", "The place of the state of what is kept", (S, P, B)),
    _names("states", "resource-state", "A state of what is kept", (P, S)),
    ExtensionFact("list", "resource-list", "That what is kept can be listed", "value", {"added": S, "removed": B}),
    ExtensionFact("list/operation", "resource-list-call", "The call that lists what is kept", "value", {"changed": P}),
    _value("list/used", "resource-count-place", "The place of the number of things kept", (S, P, P)),
    _value("list/limit", "resource-limit-place", "The place of how many things may be kept", (S, P, P)),
    ExtensionFact(
        "delete", "resource-deletion", "That what is kept can be deleted", "value", {"added": S, "removed": B}
    ),
    ExtensionFact(
        "delete/operation", "resource-deletion-call", "The call that deletes what is kept", "value", {"changed": P}
    ),
    ExtensionFact(
        "delete/id", "resource-deletion-place", "The place of the id of what is deleted", "value", {"changed": B}
    ),
    _names("set", "resource-setting", "A call that brings what is kept into a state", (S, B)),
    _names("uses", "resource-use", "A call that takes the id of what is kept, as it is documented,", (S, B)),
)
BATCH = (
    ExtensionFact("", "batch", "That the operation takes many requests at once", "value", {"added": S, "removed": B}),
    ExtensionFact("items", "batch-items-place", "The place of the list of requests", "value", {"changed": B}),
    ExtensionFact("each", "batch-call", "The call that each request of a batch stands for", "value", {"changed": P}),
    ExtensionFact("results", "batch-results-place", "The place of the list of jobs", "value", {"changed": B}),
    ExtensionFact("job", "batch-job-key", "The name of a job's id in the list", "value", {"changed": B}),
    _value("index", "batch-index-key", "The name of a job's number in the list", (S, P, P)),
    _value("state", "batch-state-key", "The name of a job's state in the list", (S, P, B)),
    _value("charged", "batch-charged-key", "The name of what a job was charged in the list", (S, P, P)),
    _value("url", "batch-url-key", "The name of a job's audio in the list", (S, P, B)),
    _value("total", "batch-total-place", "The place of the number of jobs", (S, P, P)),
    _value("completed", "batch-completed-place", "The place of the number of jobs that are over", (S, P, P)),
)
CHAT = (
    ExtensionFact("", "chat", "That the operation answers what is said to it", "value", {"added": S, "removed": B}),
    ExtensionFact("text", "chat-text-place", "The place of what is said, as text", "value", {"changed": B}),
    _value("audio", "chat-recording-place", "The place of what is said, as a recording", (S, B, B)),
    _value("heard", "chat-heard-place", "The place of what was heard", (S, P, P)),
    ExtensionFact("reply", "chat-reply-place", "The place of the answer in words", "value", {"changed": B}),
    *_audio("spoken", "chat-audio"),
    _value("voice", "chat-voice-place", "The place of the voice that answers", (S, B, B)),
    _value("charged", "chat-charged-place", "The place of what was charged", (S, P, P)),
)
PRICING = _price("")


def rules() -> Iterable[DriftRule]:
    """All rules over the `x-` keys; rows with one stem share theirs."""
    tables = (PROVIDER, LIMITS, JOB, SPEECH, STREAM, WEBHOOK, RESOURCE, BATCH, CHAT, TRANSCRIPTION, CONVERSION, PRICING)
    found = {
        f"{row.stem}-{action}": DriftRule(f"{row.stem}-{action}", level, f"{row.says} {_SAYS[action]}", "contracts")
        for table in tables
        for row in table
        for action, level in row.levels.items()
    }
    return found.values()
