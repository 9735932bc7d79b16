"""An edit of one contract for each rule over the `x-` keys."""

from __future__ import annotations

from typing import Any, NamedTuple

from .made import GONE, Edit, put

B, P, S = "breaking", "possibly-breaking", "compatible"
SPEAK = "/paths/~1speak/post"
ROOT = "/x-provider"
LIMITS = "/x-limits"
JOB = "/paths/~1jobs~1{id}/get/x-job"
SPEECH = f"{SPEAK}/x-speech"
TARGET = f"{SPEECH}/targets/one"
STREAM = f"{SPEAK}/x-stream"
WEBHOOK = f"{SPEAK}/x-webhook"
HEAR = "/paths/~1hear/post/x-transcription"
CHANGE = "/paths/~1change/post/x-conversion"
KEEP = "/paths/~1voices/post/x-resource"
BATCH = "/paths/~1batch/post/x-batch"
CHAT = "/paths/~1talk/post/x-chat"


class KeyEdit(NamedTuple):
    """An edit of `key_base.BASE` and what is found: there, and where it is undone."""

    forth: dict[str, str]
    """Level by id."""
    back: dict[str, str]
    edit: Edit


def _amount(pointer: str, stem: str, levels: str) -> list[KeyEdit]:
    """A number that is larger, and one that is gone; `levels` are those of raised, lowered, set and unset."""
    raised, lowered, came, went = (_LEVELS[letter] for letter in levels)
    return [
        KeyEdit({f"{stem}-increased": raised}, {f"{stem}-decreased": lowered}, put(pointer, 100_000)),
        KeyEdit({f"{stem}-unset": went}, {f"{stem}-set": came}, put(pointer, GONE)),
    ]


def _grown(pointer: str, stem: str, levels: str) -> list[KeyEdit]:
    """A number with a default: it is never gone."""
    raised, lowered = (_LEVELS[letter] for letter in levels)
    return [KeyEdit({f"{stem}-increased": raised}, {f"{stem}-decreased": lowered}, put(pointer, 100_000))]


def _value(pointer: str, stem: str, levels: str, other: Any = "body#/other") -> list[KeyEdit]:
    """Levels of added, removed and changed; "-" where it cannot be."""
    added, removed, changed = levels
    found = []
    if added != "-":
        found.append(
            KeyEdit({f"{stem}-removed": _LEVELS[removed]}, {f"{stem}-added": _LEVELS[added]}, put(pointer, GONE))
        )
    if changed != "-":
        both = {f"{stem}-changed": _LEVELS[changed]}
        found.append(KeyEdit(both, both, put(pointer, other)))
    return found


def _names(pointer: str, stem: str, levels: str, value: Any) -> list[KeyEdit]:
    """One name more; levels of added and removed."""
    added, removed = (_LEVELS[letter] for letter in levels)
    return [KeyEdit({f"{stem}-added": added}, {f"{stem}-removed": removed}, put(pointer, value))]


def _listed(pointer: str, stem: str, value: Any) -> list[KeyEdit]:
    """A list to choose from: one more, and none named at all."""
    return [
        *_names(f"{pointer}/-", stem, "SB", value),
        KeyEdit({f"{stem}-unset": P}, {f"{stem}-set": P}, put(pointer, GONE)),
    ]


def _flag(pointer: str, stem: str, levels: str, *, value: bool = True) -> list[KeyEdit]:
    began, ended = ({f"{stem}-began": _LEVELS[levels[0]]}, {f"{stem}-ended": _LEVELS[levels[1]]})
    return [KeyEdit(*((began, ended) if value else (ended, began)), put(pointer, value))]


def _audio(pointer: str, stem: str) -> list[KeyEdit]:
    return [
        *_value(f"{pointer}/at", f"{stem}-place", "--B"),
        *_value(f"{pointer}/delivered", f"{stem}-delivery", "--B", "url"),
        *_value(f"{pointer}/format", f"{stem}-format", "SPB", "wav"),
        *_value(f"{pointer}/media_type", f"{stem}-media-type-place", "SPB"),
        *_value(f"{pointer}/sample_rate_hz", f"{stem}-sample-rate", "SBB", 16000),
        *_value(f"{pointer}/channels", f"{stem}-channels", "--B", 2),
        *_value(f"{pointer}/download", f"{stem}-download", "SPP", "fetchAudio"),
    ]


def _price(pointer: str) -> list[KeyEdit]:
    return [
        *_value(pointer, "price", "PP-"),
        *_amount(f"{pointer}/usd", "price-usd", "PSPP"),
        *_value(f"{pointer}/per", "price-unit", "--P", "minute"),
    ]


_LEVELS = {"B": B, "P": P, "S": S}

KEY_EDITS = [
    *_value(f"{ROOT}/id", "provider-id", "--B", "apex"),
    *_value(f"{ROOT}/key_env", "provider-key-variable", "--P", "ACME_TOKEN"),
    *_flag(f"{ROOT}/key_optional", "provider-key-optional", "SB"),
    *_names(f"{ROOT}/headers/X-App", "provider-header", "PS", "two"),
    *_value(f"{ROOT}/headers/X-Client", "provider-header", "--P", "two"),
    *_amount(f"{ROOT}/credits/usd", "credit-price", "PSSP"),
    *_amount(f"{ROOT}/credits/free", "free-credits", "SPSP"),
    *_value(f"{ROOT}/credits/name", "credit-name", "--S", "stars"),
    *_names(f"{ROOT}/retry/statuses/-", "retry-status", "SP", 500),
    *_grown(f"{ROOT}/retry/initial_delay_s", "retry-first-wait", "PS"),
    *_grown(f"{ROOT}/retry/max_delay_s", "retry-longest-wait", "PS"),
    *_grown(f"{ROOT}/retry/factor", "retry-factor", "PS"),
    *_grown(f"{ROOT}/retry/max_attempts", "retry-attempts", "SP"),
    *_names(f"{LIMITS}/plans/pro", "plan", "SP", {"concurrent": 9}),
    *_amount(f"{LIMITS}/plans/free/requests_per_minute", "plan-requests", "SPPS"),
    *_amount(f"{LIMITS}/plans/free/concurrent", "plan-concurrent", "SPPS"),
    *_amount(f"{LIMITS}/plans/free/text_characters", "plan-text-length", "SBPS"),
    *_amount(f"{SPEAK}/x-limits/plans/pro/concurrent", "plan-concurrent", "SPPS"),
    *_names(f"{LIMITS}/uploads/sample", "upload-limit", "PS", {"max_bytes": 9}),
    *_amount(f"{LIMITS}/uploads/file/max_bytes", "upload-size", "SBPS"),
    *_amount(f"{LIMITS}/uploads/file/min_s", "upload-length", "BSPS"),
    *_amount(f"{LIMITS}/uploads/file/max_s", "upload-longest", "SBPS"),
    *_amount(f"{LIMITS}/uploads/file/min_sample_rate_hz", "upload-sample-rate", "BSPS"),
    *_listed(f"{LIMITS}/uploads/file/formats", "upload-format", "ogg"),
    *_value(f"{LIMITS}/keyless", "keyless-allowance", "SB-"),
    *_grown(f"{LIMITS}/keyless/characters_per_day", "keyless-characters", "SP"),
    *_names(f"{LIMITS}/headers/remaining", "limit-header", "SP", "X-Left"),
    *_value(f"{LIMITS}/headers/limit", "limit-header", "--P", "X-Most"),
    *_value(JOB, "job", "PB-"),
    *_names(f"{JOB}/states/PAUSED", "job-state", "PS", {"next": ["QUEUED"]}),
    *_names(f"{JOB}/states/QUEUED/next/-", "job-transition", "PS", "FAILED"),
    *_value(f"{JOB}/states/FAILED/end", "job-state-end", "BBB", "success"),
    *_flag(f"{JOB}/states/DONE/charged", "job-charge", "PS", value=False),
    *_names(f"{JOB}/states/DONE/required/-", "job-carries", "SB", "body#/type"),
    *_flag(f"{JOB}/states/QUEUED/partial", "job-partial", "PS"),
    *_amount(f"{JOB}/states/QUEUED/max_s", "job-state-time", "PSPS"),
    *_value(f"{JOB}/submit/id", "job-submit-id-place", "--B"),
    *_value(f"{JOB}/submit/state", "job-submit-state-place", "SPB"),
    *_value(f"{JOB}/submit/url", "job-submit-url-place", "SPB"),
    *_value(f"{JOB}/id", "job-id-place", "SPB"),
    *_value(f"{JOB}/state", "job-state-place", "--B"),
    *_audio(f"{JOB}/audio", "job-audio"),
    *_value(f"{JOB}/result", "job-result-call", "BBB", "fetch"),
    *_value(f"{JOB}/reason", "job-reason-place", "SPP"),
    *_value(f"{JOB}/model", "job-model-place", "SPP"),
    *_value(f"{JOB}/created", "job-created-place", "SPP"),
    *_value(f"{JOB}/updated", "job-updated-place", "SPP"),
    *_value(f"{JOB}/completed", "job-completed-place", "SPP"),
    *_value(f"{JOB}/charged", "job-charged-place", "SPP"),
    *_grown(f"{JOB}/poll/min_s", "job-poll-shortest", "PS"),
    *_grown(f"{JOB}/poll/max_s", "job-poll-longest", "SS"),
    *_grown(f"{JOB}/poll/factor", "job-poll-factor", "SS"),
    *_grown(f"{JOB}/poll/timeout_s", "job-poll-timeout", "PS"),
    *_value(f"{JOB}/cancel", "job-cancel", "SB-"),
    *_value(f"{JOB}/cancel/operation", "job-cancel-call", "--P", "stop"),
    *_value(f"{JOB}/cancel/state", "job-cancel-state", "--P", "STOPPED"),
    *_amount(f"{JOB}/expires_s", "job-expiry", "SPPS"),
    *_value(STREAM, "stream", "BB-"),
    *_value(f"{STREAM}/event_type", "stream-kind-place", "--B", "event"),
    *_names(f"{STREAM}/events/error", "stream-event", "PP", {"end": "failure"}),
    *_names(f"{STREAM}/events/audio/next/-", "stream-order", "PS", "error"),
    *_value(f"{STREAM}/events/done/end", "stream-end", "BBB", "failure"),
    *_value(f"{STREAM}/events/audio/schema", "stream-data", "SP-"),
    KeyEdit(
        {"response-property-max-set": S},
        {"response-property-max-unset": B},
        put(f"{STREAM}/events/audio/schema/properties/index/maximum", 9),
    ),
    *_value(f"{STREAM}/audio/event", "stream-audio-event", "--B", "done"),
    *_value(f"{STREAM}/audio/at", "stream-audio-place", "--B", "data"),
    *_value(f"{STREAM}/audio/encoding", "stream-audio-encoding", "--B", "base64"),
    *_value(f"{STREAM}/audio/index", "stream-index-place", "SPP", "data#/number"),
    *_value(f"{STREAM}/end_marker", "stream-marker", "PBB", "[END]"),
    *_value(f"{STREAM}/reason", "stream-reason-place", "SPP", "data#/why"),
    *_amount(f"{STREAM}/max_gap_s", "stream-gap", "PSPS"),
    *_value(WEBHOOK, "webhook-naming", "SB-"),
    *_names(f"{WEBHOOK}/url/-", "webhook-url", "SB", {"at": "header.X-Hook"}),
    *_value(f"{WEBHOOK}/callback", "webhook-callback", "--P", "finished"),
    *_flag(f"{WEBHOOK}/https_only_only", "webhook-https", "BS"),
    *_flag(f"{WEBHOOK}/may_repeat", "webhook-repeats", "PS"),
    *_amount(f"{WEBHOOK}/progress_max_s", "webhook-progress", "PSSP"),
    *_value(f"{WEBHOOK}/body", "webhook-body", "BB-"),
    *_value(f"{WEBHOOK}/body/id", "webhook-id-place", "--B"),
    *_value(f"{WEBHOOK}/body/state", "webhook-state-place", "--B"),
    *_names(f"{WEBHOOK}/body/states/bad", "webhook-state", "PP", "failure"),
    *_value(KEEP, "resource", "SB-"),
    *_value(f"{KEEP}/id", "resource-id-place", "--B"),
    *_value(f"{KEEP}/state", "resource-state-place", "SPB"),
    *_names(f"{KEEP}/states/-", "resource-state", "PS", "archived"),
    *_value(f"{KEEP}/list", "resource-list", "SB-"),
    *_value(f"{KEEP}/list/operation", "resource-list-call", "--P", "voices"),
    *_value(f"{KEEP}/list/count", "resource-count-place", "SPP"),
    *_value(f"{KEEP}/list/limit", "resource-limit-place", "SPP"),
    *_value(f"{KEEP}/delete", "resource-deletion", "SB-"),
    *_value(f"{KEEP}/delete/operation", "resource-deletion-call", "--P", "dropVoice"),
    *_value(f"{KEEP}/delete/id", "resource-deletion-place", "--B", "query.id"),
    *_names(f"{KEEP}/constants", "resource-setting", "SB", [{"operation": "put", "id": "path.id", "state": "active"}]),
    *_names(f"{KEEP}/uses", "resource-use", "SB", [{"operation": "speak", "id": "body#/voice"}]),
    *_value(BATCH, "batch", "SB-"),
    *_value(f"{BATCH}/items", "batch-items-place", "--B"),
    *_value(f"{BATCH}/item_operation", "batch-call", "--P", "say"),
    *_value(f"{BATCH}/results", "batch-results-place", "--B"),
    *_value(f"{BATCH}/job_id", "batch-job-key", "--B", "job"),
    *_value(f"{BATCH}/index", "batch-index-key", "SPP", "number"),
    *_value(f"{BATCH}/state", "batch-state-key", "SPB", "status"),
    *_value(f"{BATCH}/charged", "batch-charged-key", "SPP", "charged"),
    *_value(f"{BATCH}/url", "batch-url-key", "SPB", "audio"),
    *_value(f"{BATCH}/total", "batch-total-place", "SPP"),
    *_value(f"{BATCH}/completed", "batch-completed-place", "SPP"),
    *_value(CHAT, "chat", "SB-"),
    *_value(f"{CHAT}/text", "chat-text-place", "--B"),
    *_value(f"{CHAT}/audio", "chat-recording-place", "SBB"),
    *_value(f"{CHAT}/transcript", "chat-heard-place", "SPP"),
    *_value(f"{CHAT}/reply", "chat-reply-place", "--B"),
    *_audio(f"{CHAT}/reply_audio", "chat-audio"),
    *_value(f"{CHAT}/voice", "chat-voice-place", "SBB"),
    *_value(f"{CHAT}/charged", "chat-charged-place", "SPP"),
    *_value(HEAR, "transcription", "SB-"),
    *_names(f"{HEAR}/request/diarize", "intake-word", "SB", "body#/diarize"),
    *_value(f"{HEAR}/request/audio", "intake-word-place", "--B"),
    *_names(f"{HEAR}/request/language/map/de", "intake-word-value", "SP", "de-DE"),
    *_value(f"{HEAR}/request/language/map/en", "intake-word-value", "--P", "en-GB"),
    *_value(f"{HEAR}/response/charged", "intake-charged-place", "SPP"),
    *_value(f"{HEAR}/response/text", "transcript-place", "--B"),
    *_value(f"{HEAR}/response/language", "transcript-language-place", "SPP"),
    *_value(f"{HEAR}/response/audio_s", "transcript-length-place", "SPP"),
    *_value(f"{HEAR}/response/segments", "transcript-segments-place", "SBB"),
    *_value(f"{HEAR}/response/segment/start", "transcript-segment-key", "--B", "from"),
    *_value(f"{HEAR}/response/segment/end", "transcript-segment-key", "--B", "to"),
    *_value(f"{HEAR}/response/segment/text", "transcript-segment-key", "--B", "said"),
    *_value(f"{HEAR}/response/segment/speaker", "transcript-speaker", "SPB", "speaker"),
    *_value(f"{HEAR}/response/segment/words", "transcript-words", "SPB", "tokens"),
    *_names(f"{HEAR}/targets/two", "target", "SB", {"title": "Two"}),
    *_names(f"{HEAR}/targets/ear/constants/body#~1fast", "target-constant", "BB", True),
    *_value(f"{HEAR}/targets/ear/constants/body#~1model", "target-constant", "--B", "two"),
    *_value(f"{HEAR}/targets/ear/language", "target-default-language", "SPP", "de"),
    *_listed(f"{HEAR}/targets/ear/languages", "target-language", "fr"),
    *_price(f"{HEAR}/targets/ear/pricing"),
    *_value(CHANGE, "conversion", "SB-"),
    *_value(f"{CHANGE}/purpose", "conversion-purpose", "--B", "style"),
    *_value(f"{CHANGE}/targets/changer/voice", "target-voice", "SPP", "bea"),
    *_value(f"{CHANGE}/response/audio", "conversion-audio", "SB-"),
    *_audio(f"{CHANGE}/response/audio", "conversion-audio"),
    *_value(f"{CHANGE}/response/stems", "conversion-stems", "SB-"),
    *_value(f"{CHANGE}/response/stems/at", "conversion-stems-place", "--B"),
    *_value(f"{CHANGE}/response/stems/name", "conversion-stem-key", "--B", "part"),
    *_value(f"{CHANGE}/response/stems/url", "conversion-stem-key", "--B", "link"),
    *_value(f"{CHANGE}/response/stems/download", "conversion-stems-download", "SPP", "fetchAudio"),
    *_names(f"{CHANGE}/response/facts/bpm", "conversion-fact", "SB", "body#/bpm"),
    *_value(f"{CHANGE}/response/facts/key", "conversion-fact-place", "--B"),
    *_value(SPEECH, "speech", "SB-"),
    *_names(f"{SPEECH}/request/speed", "speech-word", "SB", "body#/speed"),
    *_value(f"{SPEECH}/request/text", "speech-word-place", "--B"),
    *_value(f"{SPEECH}/request/language/template", "speech-word-template", "--P", "<{}>"),
    *_names(f"{SPEECH}/request/language/map/de", "speech-word-value", "SP", "de-DE"),
    *_value(f"{SPEECH}/request/language/map/en", "speech-word-value", "--P", "en-GB"),
    *_value(f"{SPEECH}/response/job", "speech-job-call", "BBB", "status"),
    *_value(f"{SPEECH}/response/audio", "speech-audio", "SB-"),
    *_audio(f"{SPEECH}/response/audio", "speech-audio"),
    *_value(f"{SPEECH}/response/charged", "speech-charged-place", "SPP"),
    *_value(f"{SPEECH}/response/balance", "speech-balance-place", "SPP"),
    *_names(f"{SPEECH}/targets/two", "target", "SB", {"title": "Two"}),
    *_value(f"{TARGET}/model", "target-model", "SPP", "one-v2"),
    *_names(f"{TARGET}/constants/body#~1fast", "target-constant", "BB", True),
    *_value(f"{TARGET}/constants/body#~1model", "target-constant", "--B", "two"),
    *_value(f"{TARGET}/voice", "target-voice", "SPP", "bea"),
    *_value(f"{TARGET}/voice_description", "target-voice-description", "SPP", "lively"),
    *_value(f"{TARGET}/voice_sample_url", "target-voice-sample", "SPP", "https://acme.test/bea.wav"),
    *_names(f"{TARGET}/required_fields/-", "target-need", "BS", "language"),
    *_value(f"{TARGET}/language", "target-default-language", "SPP", "de"),
    *_listed(f"{TARGET}/languages", "target-language", "fr"),
    *_value(f"{TARGET}/format", "target-default-format", "SPP", "mp3"),
    *_listed(f"{TARGET}/formats", "target-format", "ogg"),
    *_amount(f"{TARGET}/recommended_max_characters", "target-text-length", "SPPS"),
    *_value(f"{TARGET}/media_type", "target-media-type", "PPB", "text/plain"),
    *_flag(f"{TARGET}/keyless", "target-keyless", "SB"),
    *_price(f"{TARGET}/pricing"),
    *_names(f"{TARGET}/pricing/alternatives/-", "price-reading", "PS", {"per": "request", "usd": 3}),
    *_price(f"{SPEAK}/x-pricing"),
    *_amount(f"{SPEAK}/x-pricing/credits", "price-credits", "PSPP"),
]
