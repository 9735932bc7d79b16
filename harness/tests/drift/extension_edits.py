"""An edit of one contract for each rule of the `x-` extensions."""

from __future__ import annotations

from typing import Any, NamedTuple

from .documents import REMOVED, Edit, put

B, P, C = "breaking", "possibly-breaking", "compatible"
SPEAK = "/paths/~1speak/post"
ROOT = "/x-provider"
LIMITS = "/x-limits"
JOB = "/paths/~1jobs~1{id}/get/x-job"
SPEECH = f"{SPEAK}/x-speech"
TARGET = f"{SPEECH}/targets/one"
STREAM = f"{SPEAK}/x-stream"
WEBHOOK = f"{SPEAK}/x-webhook"
SIGNATURE = f"{WEBHOOK}/signature"
IDEMPOTENCY = f"{SPEAK}/x-idempotency"
TRANSCRIPTION = "/paths/~1transcribe/post/x-transcription"
CONVERSION = "/paths/~1convert/post/x-conversion"
RESOURCE = "/paths/~1voices/post/x-resource"
BATCH = "/paths/~1batch/post/x-batch"
SERVER = f"{ROOT}/self_hosted"
KEY = "/components/securitySchemes/token/x-key"
CHAT = "/paths/~1chat/post/x-chat"


_WORDS = {"texts": "body#/words/*/text", "starts": "body#/words/*/start"}


class ExtensionEdit(NamedTuple):
    """An edit of `extension_base.BASE`, with the expected change of the edit and of its reversal."""

    forth: dict[str, str]
    """Level by id."""
    back: dict[str, str]
    edit: Edit


def _optional_number(pointer: str, stem: str, levels: str) -> list[ExtensionEdit]:
    """Increase and remove a number; `levels` are those of increased, decreased, set and unset."""
    raised, lowered, came, went = (_LEVELS[letter] for letter in levels)
    return [
        ExtensionEdit({f"{stem}-increased": raised}, {f"{stem}-decreased": lowered}, put(pointer, 100_000)),
        ExtensionEdit({f"{stem}-unset": went}, {f"{stem}-set": came}, put(pointer, REMOVED)),
    ]


def _increased_number(pointer: str, stem: str, levels: str) -> list[ExtensionEdit]:
    """Increase a number that always has a value; `levels` are those of increased and decreased."""
    raised, lowered = (_LEVELS[letter] for letter in levels)
    return [ExtensionEdit({f"{stem}-increased": raised}, {f"{stem}-decreased": lowered}, put(pointer, 100_000))]


def _value(pointer: str, stem: str, levels: str, other: Any = "body#/other") -> list[ExtensionEdit]:
    """Remove and replace a value; `levels` are those of added, removed and changed, "-" if impossible."""
    added, removed, changed = levels
    found = []
    if added != "-":
        found.append(
            ExtensionEdit(
                {f"{stem}-removed": _LEVELS[removed]}, {f"{stem}-added": _LEVELS[added]}, put(pointer, REMOVED)
            )
        )
    if changed != "-":
        both = {f"{stem}-changed": _LEVELS[changed]}
        found.append(ExtensionEdit(both, both, put(pointer, other)))
    return found


def _names(pointer: str, stem: str, levels: str, value: Any) -> list[ExtensionEdit]:
    """Add a name; `levels` are those of added and removed."""
    added, removed = (_LEVELS[letter] for letter in levels)
    return [ExtensionEdit({f"{stem}-added": added}, {f"{stem}-removed": removed}, put(pointer, value))]


def _listed(pointer: str, stem: str, value: Any) -> list[ExtensionEdit]:
    """Add a choice to a list, and remove the list."""
    return [
        *_names(f"{pointer}/-", stem, "CB", value),
        ExtensionEdit({f"{stem}-unset": P}, {f"{stem}-set": P}, put(pointer, REMOVED)),
    ]


def _flag(pointer: str, stem: str, levels: str, *, value: bool = True) -> list[ExtensionEdit]:
    began, ended = ({f"{stem}-began": _LEVELS[levels[0]]}, {f"{stem}-ended": _LEVELS[levels[1]]})
    return [ExtensionEdit(*((began, ended) if value else (ended, began)), put(pointer, value))]


def _audio(pointer: str, stem: str) -> list[ExtensionEdit]:
    return [
        *_value(f"{pointer}/at", f"{stem}-place", "--B"),
        *_value(f"{pointer}/delivered", f"{stem}-delivery", "--B", "url"),
        *_value(f"{pointer}/format", f"{stem}-format", "CPB", "wav"),
        *_value(f"{pointer}/media_type", f"{stem}-media-type-place", "CPB"),
        *_value(f"{pointer}/sample_rate_hz", f"{stem}-sample-rate", "CBB", 16000),
        *_value(f"{pointer}/channels", f"{stem}-channels", "--B", 2),
        *_names(f"{pointer}/timestamps/-", f"{stem}-timestamps", "CB", {"unit": "word", **_WORDS}),
        *_value(f"{pointer}/download", f"{stem}-download", "CPP", "fetchAudio"),
    ]


def _price(pointer: str) -> list[ExtensionEdit]:
    return [
        *_value(pointer, "price", "PP-"),
        *_optional_number(f"{pointer}/usd", "price-usd", "PCPP"),
        *_value(f"{pointer}/per", "price-unit", "--P", "minute"),
    ]


_LEVELS = {"B": B, "P": P, "C": C}

EXTENSION_EDITS = [
    *_value(f"{ROOT}/id", "provider-id", "--B", "apex"),
    *_value(f"{ROOT}/key_env", "provider-key-variable", "--P", "ACME_TOKEN"),
    *_flag(f"{ROOT}/key_optional", "provider-key-optional", "CB"),
    *_names(f"{ROOT}/headers/X-App", "provider-header", "PC", "two"),
    *_value(f"{ROOT}/headers/X-Client", "provider-header", "--P", "two"),
    *_optional_number(f"{ROOT}/credits/usd", "credit-price", "PCCP"),
    *_optional_number(f"{ROOT}/credits/free", "free-credits", "CPCP"),
    *_value(f"{ROOT}/credits/name", "credit-name", "--C", "stars"),
    *_names(f"{ROOT}/retry/statuses/-", "retry-status", "CP", 500),
    *_increased_number(f"{ROOT}/retry/initial_delay_s", "retry-first-wait", "PC"),
    *_increased_number(f"{ROOT}/retry/max_delay_s", "retry-longest-wait", "PC"),
    *_increased_number(f"{ROOT}/retry/factor", "retry-factor", "PC"),
    *_increased_number(f"{ROOT}/retry/max_attempts", "retry-attempts", "CP"),
    *_value(SERVER, "server-lists", "CB-"),
    *_value(f"{SERVER}/models", "server-models", "CP-"),
    *_value(f"{SERVER}/models/operation", "server-models-call", "--P", "listModels"),
    *_names(f"{SERVER}/models/items/-", "server-models-location", "CP", "body#/models"),
    *_value(f"{SERVER}/models/sets", "server-models-parameter", "--B"),
    *_names(f"{SERVER}/voices/-", "server-voices", "CP", {"operation": "v", "items": ["body"], "sets": "body#/v"}),
    *_value(f"{KEY}/env", "key-variable", "PPP", "ACME_SECRET"),
    *_value(f"{KEY}/prefix", "key-prefix", "--B", "Token "),
    *_value(f"{KEY}/id_env", "key-id-variable", "PPP", "ACME_USER"),
    *_value(f"{KEY}/aws", "key-aws-signature", "BB-"),
    *_value(f"{KEY}/aws/region", "key-aws-region", "--B", "us-1"),
    *_value(f"{KEY}/aws/service", "key-aws-service", "--B", "other"),
    *_names(f"{LIMITS}/plans/pro", "plan", "CP", {"concurrent": 9}),
    *_optional_number(f"{LIMITS}/plans/free/requests_per_minute", "plan-requests", "CPPC"),
    *_optional_number(f"{LIMITS}/plans/free/concurrent", "plan-concurrent", "CPPC"),
    *_optional_number(f"{LIMITS}/plans/free/text_characters", "plan-text-length", "CBPC"),
    *_optional_number(f"{SPEAK}/x-limits/plans/pro/concurrent", "plan-concurrent", "CPPC"),
    *_names(f"{LIMITS}/uploads/sample", "upload-limit", "PC", {"max_bytes": 9}),
    *_optional_number(f"{LIMITS}/uploads/file/max_bytes", "upload-size", "CBPC"),
    *_optional_number(f"{LIMITS}/uploads/file/min_s", "upload-length", "BCPC"),
    *_optional_number(f"{LIMITS}/uploads/file/max_s", "upload-longest", "CBPC"),
    *_optional_number(f"{LIMITS}/uploads/file/min_sample_rate_hz", "upload-sample-rate", "BCPC"),
    *_listed(f"{LIMITS}/uploads/file/formats", "upload-format", "ogg"),
    *_value(f"{LIMITS}/keyless", "keyless-allowance", "CB-"),
    *_increased_number(f"{LIMITS}/keyless/characters_per_day", "keyless-characters", "CP"),
    *_names(f"{LIMITS}/headers/remaining", "limit-header", "CP", "X-Left"),
    *_value(f"{LIMITS}/headers/limit", "limit-header", "--P", "X-Most"),
    *_value(JOB, "job", "PB-"),
    *_names(f"{JOB}/states/PAUSED", "job-state", "PC", {"next": ["QUEUED"]}),
    *_names(f"{JOB}/states/QUEUED/next/-", "job-transition", "PC", "FAILED"),
    *_value(f"{JOB}/states/FAILED/end", "job-state-end", "BBB", "success"),
    *_flag(f"{JOB}/states/DONE/charged", "job-charge", "PC", value=False),
    *_names(f"{JOB}/states/DONE/required/-", "job-carries", "CB", "body#/type"),
    *_flag(f"{JOB}/states/QUEUED/partial", "job-partial", "PC"),
    *_optional_number(f"{JOB}/states/QUEUED/max_s", "job-state-time", "PCPC"),
    *_value(f"{JOB}/submit/id", "job-submit-id-location", "--B"),
    *_value(f"{JOB}/submit/state", "job-submit-state-location", "CPB"),
    *_value(f"{JOB}/submit/url", "job-submit-url-location", "CPB"),
    *_value(f"{JOB}/id", "job-id-location", "CPB"),
    *_value(f"{JOB}/state", "job-state-location", "--B"),
    *_audio(f"{JOB}/audio", "job-audio"),
    *_value(f"{JOB}/result", "job-result-call", "BBB", "fetch"),
    *_value(f"{JOB}/reason", "job-reason-location", "CPP"),
    *_value(f"{JOB}/model", "job-model-location", "CPP"),
    *_value(f"{JOB}/created", "job-created-location", "CPP"),
    *_value(f"{JOB}/updated", "job-updated-location", "CPP"),
    *_value(f"{JOB}/completed", "job-completed-location", "CPP"),
    *_value(f"{JOB}/charged", "job-charged-location", "CPP"),
    *_increased_number(f"{JOB}/poll/min_s", "job-poll-shortest", "PC"),
    *_increased_number(f"{JOB}/poll/max_s", "job-poll-longest", "CC"),
    *_increased_number(f"{JOB}/poll/factor", "job-poll-factor", "CC"),
    *_increased_number(f"{JOB}/poll/timeout_s", "job-poll-timeout", "PC"),
    *_value(f"{JOB}/cancel", "job-cancel", "CB-"),
    *_value(f"{JOB}/cancel/operation", "job-cancel-call", "--P", "stop"),
    *_value(f"{JOB}/cancel/state", "job-cancel-state", "--P", "STOPPED"),
    *_optional_number(f"{JOB}/expires_s", "job-expiry", "CPPC"),
    *_value(STREAM, "stream", "BB-"),
    *_value(f"{STREAM}/media_type", "stream-media-type", "PPB", "text/plain"),
    *_value(f"{STREAM}/framing", "stream-framing", "--B", "json-lines"),
    *_value(f"{STREAM}/event_type", "stream-kind-location", "--B", "event"),
    *_value(f"{STREAM}/events/audio/has", "stream-event-mark", "CPB", "data#/index"),
    *_flag(f"{STREAM}/ends_with_response", "stream-end-unmarked", "BP"),
    *_names(f"{STREAM}/events/error", "stream-event", "PP", {"end": "failure"}),
    *_names(f"{STREAM}/events/audio/next/-", "stream-order", "PC", "error"),
    *_value(f"{STREAM}/events/done/end", "stream-end", "BBB", "failure"),
    *_value(f"{STREAM}/events/audio/schema", "stream-data", "CP-"),
    ExtensionEdit(
        {"response-property-max-set": C},
        {"response-property-max-unset": B},
        put(f"{STREAM}/events/audio/schema/properties/index/maximum", 9),
    ),
    *_value(f"{STREAM}/audio/event", "stream-audio-event", "--B", "done"),
    *_value(f"{STREAM}/audio/at", "stream-audio-location", "--B", "data"),
    *_value(f"{STREAM}/audio/encoding", "stream-audio-encoding", "--B", "base64"),
    *_value(f"{STREAM}/audio/index", "stream-index-location", "CPP", "data#/number"),
    *_names(
        f"{STREAM}/audio/timestamps/-",
        "stream-timestamps",
        "CB",
        {"unit": "word", "texts": "data#/words/*/text", "starts": "data#/words/*/start"},
    ),
    *_value(f"{STREAM}/end_marker", "stream-marker", "PBB", "[END]"),
    *_value(f"{STREAM}/reason", "stream-reason-location", "CPP", "data#/why"),
    *_optional_number(f"{STREAM}/max_gap_s", "stream-gap", "PCPC"),
    *_value(WEBHOOK, "webhook-naming", "CB-"),
    *_names(f"{WEBHOOK}/url/-", "webhook-url", "CB", {"at": "header.X-Hook"}),
    *_value(f"{WEBHOOK}/callback", "webhook-callback", "--P", "finished"),
    *_flag(f"{WEBHOOK}/https_only", "webhook-https", "BC"),
    *_flag(f"{WEBHOOK}/may_repeat", "webhook-repeats", "PC"),
    *_optional_number(f"{WEBHOOK}/progress_max_s", "webhook-progress", "PCCP"),
    *_value(f"{WEBHOOK}/body", "webhook-body", "BB-"),
    *_value(f"{WEBHOOK}/body/id", "webhook-id-location", "--B"),
    *_value(f"{WEBHOOK}/body/state", "webhook-state-location", "--B"),
    *_names(f"{WEBHOOK}/body/states/bad", "webhook-state", "PP", "failure"),
    *_value(f"{WEBHOOK}/body/submit_id", "webhook-submit-id-location", "CPP"),
    *_value(f"{WEBHOOK}/body/result", "webhook-result-location", "CPB"),
    *_value(f"{WEBHOOK}/body/charged", "webhook-charged-location", "CPP"),
    *_value(f"{WEBHOOK}/body/created", "webhook-created-location", "CPP"),
    *_value(f"{WEBHOOK}/body/completed", "webhook-completed-location", "CPP"),
    *_value(SIGNATURE, "webhook-signature", "CB-"),
    *_value(f"{SIGNATURE}/header", "webhook-signature-header", "--B", "X-Other"),
    *_value(f"{SIGNATURE}/format", "webhook-signature-format", "--B", "v1={signature}"),
    *_value(f"{SIGNATURE}/signed", "webhook-signature-content", "--B", "{timestamp}.{body}"),
    *_value(f"{SIGNATURE}/digest", "webhook-signature-digest", "--B", "sha512"),
    *_value(f"{SIGNATURE}/encoding", "webhook-signature-encoding", "--B", "base64"),
    *_value(f"{SIGNATURE}/secret_prefix", "webhook-signature-secret-prefix", "--B", "whsec_"),
    *_value(f"{SIGNATURE}/secret_encoding", "webhook-signature-secret-encoding", "--B", "base64"),
    *_value(f"{SIGNATURE}/id", "webhook-signature-id", "CBB", "X-Other"),
    *_value(f"{SIGNATURE}/timestamp", "webhook-signature-time", "CBB", "X-Other"),
    *_value(f"{SIGNATURE}/secret_env", "webhook-secret-variable", "--P", "ACME_OTHER"),
    *_increased_number(f"{SIGNATURE}/tolerance_s", "webhook-tolerance", "CP"),
    *_value(f"{SPEAK}/x-submit", "submit", "CB-"),
    *_value(f"{SPEAK}/x-submit/job", "submit-job-call", "--B", "status"),
    *_value(IDEMPOTENCY, "idempotency", "CB-"),
    *_value(f"{IDEMPOTENCY}/header", "idempotency-header", "--B", "X-Request-Key"),
    *_optional_number(f"{IDEMPOTENCY}/valid_s", "idempotency-time", "CPCP"),
    *_value(RESOURCE, "resource", "CB-"),
    *_value(f"{RESOURCE}/id", "resource-id-location", "--B"),
    *_value(f"{RESOURCE}/state", "resource-state-location", "CPB"),
    *_names(f"{RESOURCE}/states/-", "resource-state", "PC", "archived"),
    *_value(f"{RESOURCE}/list", "resource-list", "CB-"),
    *_value(f"{RESOURCE}/list/operation", "resource-list-call", "--P", "voices"),
    *_value(f"{RESOURCE}/list/count", "resource-count-location", "CPP"),
    *_value(f"{RESOURCE}/list/max_count", "resource-limit-location", "CPP"),
    *_value(f"{RESOURCE}/delete", "resource-deletion", "CB-"),
    *_value(f"{RESOURCE}/delete/operation", "resource-deletion-call", "--P", "dropVoice"),
    *_value(f"{RESOURCE}/delete/id", "resource-deletion-location", "--B", "query.id"),
    *_names(
        f"{RESOURCE}/transitions", "resource-setting", "CB", [{"operation": "put", "id": "path.id", "state": "active"}]
    ),
    *_names(f"{RESOURCE}/uses", "resource-use", "CB", [{"operation": "speak", "id": "body#/voice"}]),
    *_value(BATCH, "batch", "CB-"),
    *_value(f"{BATCH}/items", "batch-items-location", "--B"),
    *_value(f"{BATCH}/item_operation", "batch-call", "--P", "say"),
    *_value(f"{BATCH}/results", "batch-results-location", "--B"),
    *_value(f"{BATCH}/job_id", "batch-job-key", "--B", "job"),
    *_value(f"{BATCH}/index", "batch-index-key", "CPP", "number"),
    *_value(f"{BATCH}/state", "batch-state-key", "CPB", "status"),
    *_value(f"{BATCH}/charged", "batch-charged-key", "CPP", "charged"),
    *_value(f"{BATCH}/url", "batch-url-key", "CPB", "audio"),
    *_value(f"{BATCH}/total", "batch-total-location", "CPP"),
    *_value(f"{BATCH}/completed", "batch-completed-location", "CPP"),
    *_value(CHAT, "chat", "CB-"),
    *_value(f"{CHAT}/text", "chat-text-location", "--B"),
    *_value(f"{CHAT}/audio", "chat-recording-location", "CBB"),
    *_value(f"{CHAT}/transcript", "chat-transcript-location", "CPP"),
    *_value(f"{CHAT}/reply", "chat-reply-location", "--B"),
    *_audio(f"{CHAT}/reply_audio", "chat-audio"),
    *_value(f"{CHAT}/voice", "chat-voice-location", "CBB"),
    *_value(f"{CHAT}/charged", "chat-charged-location", "CPP"),
    *_value(TRANSCRIPTION, "transcription", "CB-"),
    *_names(f"{TRANSCRIPTION}/request/diarize", "audio-input-parameter", "CB", "body#/diarize"),
    *_value(f"{TRANSCRIPTION}/request/audio", "audio-input-parameter-location", "--B"),
    *_names(f"{TRANSCRIPTION}/request/language/map/de", "audio-input-parameter-value", "CP", "de-DE"),
    *_value(f"{TRANSCRIPTION}/request/language/map/en", "audio-input-parameter-value", "--P", "en-GB"),
    *_value(f"{TRANSCRIPTION}/response/charged", "audio-input-charged-location", "CPP"),
    *_value(f"{TRANSCRIPTION}/response/text", "transcript-location", "--B"),
    *_value(f"{TRANSCRIPTION}/response/language", "transcript-language-location", "CPP"),
    *_value(f"{TRANSCRIPTION}/response/audio_s", "transcript-length-location", "CPP"),
    *_value(f"{TRANSCRIPTION}/response/segments", "transcript-segments-location", "CBB"),
    *_value(f"{TRANSCRIPTION}/response/segment/start", "transcript-segment-key", "--B", "from"),
    *_value(f"{TRANSCRIPTION}/response/segment/end", "transcript-segment-key", "--B", "to"),
    *_value(f"{TRANSCRIPTION}/response/segment/text", "transcript-segment-key", "--B", "said"),
    *_value(f"{TRANSCRIPTION}/response/segment/speaker", "transcript-speaker", "CPB", "speaker"),
    *_value(f"{TRANSCRIPTION}/response/segment/words", "transcript-words", "CPB", "tokens"),
    *_names(f"{TRANSCRIPTION}/targets/two", "target", "CB", {"title": "Two"}),
    *_names(f"{TRANSCRIPTION}/targets/ear/constants/body#~1fast", "target-constant", "BB", True),
    *_value(f"{TRANSCRIPTION}/targets/ear/constants/body#~1model", "target-constant", "--B", "two"),
    *_value(f"{TRANSCRIPTION}/targets/ear/language", "target-default-language", "CPP", "de"),
    *_listed(f"{TRANSCRIPTION}/targets/ear/languages", "target-language", "fr"),
    *_price(f"{TRANSCRIPTION}/targets/ear/pricing"),
    *_value(CONVERSION, "conversion", "CB-"),
    *_value(f"{CONVERSION}/purpose", "conversion-purpose", "--B", "style"),
    *_value(f"{CONVERSION}/targets/changer/voice", "target-voice", "CPP", "bea"),
    *_value(f"{CONVERSION}/response/audio", "conversion-audio", "CB-"),
    *_audio(f"{CONVERSION}/response/audio", "conversion-audio"),
    *_value(f"{CONVERSION}/response/stems", "conversion-stems", "CB-"),
    *_value(f"{CONVERSION}/response/stems/at", "conversion-stems-location", "--B"),
    *_value(f"{CONVERSION}/response/stems/name", "conversion-stem-key", "--B", "part"),
    *_value(f"{CONVERSION}/response/stems/url", "conversion-stem-key", "--B", "link"),
    *_value(f"{CONVERSION}/response/stems/download", "conversion-stems-download", "CPP", "fetchAudio"),
    *_names(f"{CONVERSION}/response/facts/bpm", "conversion-fact", "CB", "body#/bpm"),
    *_value(f"{CONVERSION}/response/facts/key", "conversion-fact-location", "--B"),
    *_value(SPEECH, "speech", "CB-"),
    *_names(f"{SPEECH}/request/speed", "speech-parameter", "CB", "body#/speed"),
    *_value(f"{SPEECH}/request/text/at", "speech-parameter-location", "--B"),
    *_value(f"{SPEECH}/request/language/template", "speech-parameter-template", "--P", "<{}>"),
    *_names(f"{SPEECH}/request/language/map/de", "speech-parameter-value", "CP", "de-DE"),
    *_value(f"{SPEECH}/request/language/map/en", "speech-parameter-value", "--P", "en-GB"),
    *_value(f"{SPEECH}/request/text/markup", "speech-markup", "BB-"),
    *_flag(f"{SPEECH}/request/language/reproducible", "speech-seed-kept", "CP"),
    *_value(f"{SPEECH}/response/job", "speech-job-call", "BBB", "status"),
    *_value(f"{SPEECH}/response/wait", "speech-wait", "CB-"),
    *_value(f"{SPEECH}/response/wait/at", "speech-wait-location", "--B", "header.X-Wait"),
    *_value(f"{SPEECH}/response/wait/value", "speech-wait-value", "--B", "wait-for-it"),
    *_increased_number(f"{SPEECH}/response/wait/max_s", "speech-wait-time", "CP"),
    *_value(f"{SPEECH}/response/audio", "speech-audio", "CB-"),
    *_audio(f"{SPEECH}/response/audio", "speech-audio"),
    *_value(f"{SPEECH}/response/charged", "speech-charged-location", "CPP"),
    *_value(f"{SPEECH}/response/balance", "speech-balance-location", "CPP"),
    *_names(f"{SPEECH}/formats/large", "speech-format-meaning", "CP", {"codec": "wav"}),
    *_value(f"{SPEECH}/formats/small/codec", "speech-format-codec", "--B", "wav"),
    *_value(f"{SPEECH}/formats/small/sample_rate_hz", "speech-format-sample-rate", "CPB", 16000),
    *_value(f"{SPEECH}/formats/small/bitrate_kbps", "speech-format-bit-rate", "CPP", 64),
    *_value(f"{SPEECH}/formats/small/channels", "speech-format-channels", "--B", 2),
    *_names(f"{SPEECH}/targets/two", "target", "CB", {"title": "Two"}),
    *_value(f"{TARGET}/model", "target-model", "CPP", "one-v2"),
    *_names(f"{TARGET}/constants/body#~1fast", "target-constant", "BB", True),
    *_value(f"{TARGET}/constants/body#~1model", "target-constant", "--B", "two"),
    *_value(f"{TARGET}/voice", "target-voice", "CPP", "bea"),
    *_names(f"{TARGET}/voices/fr", "target-language-voice", "CP", "bea"),
    *_value(f"{TARGET}/voices/de", "target-language-voice", "--P", "bea"),
    *_value(f"{TARGET}/request/voice/template", "target-parameter-template", "--P", "my-{}"),
    *_names(f"{TARGET}/request/voice/map/x", "target-parameter-value", "CP", "y"),
    *_value(f"{TARGET}/request/voice/map/a", "target-parameter-value", "--P", "y"),
    *_value(f"{TARGET}/request/voice/markup", "target-markup", "BB-"),
    *_value(f"{TARGET}/voice_description", "target-voice-description", "CPP", "lively"),
    *_value(f"{TARGET}/voice_sample_url", "target-voice-sample", "CPP", "https://acme.test/bea.wav"),
    *_names(f"{TARGET}/required_fields/-", "target-need", "BC", "language"),
    *_value(f"{TARGET}/language", "target-default-language", "CPP", "de"),
    *_listed(f"{TARGET}/languages", "target-language", "fr"),
    *_value(f"{TARGET}/format", "target-default-format", "CPP", "mp3"),
    *_listed(f"{TARGET}/formats", "target-format", "ogg"),
    *_optional_number(f"{TARGET}/recommended_max_characters", "target-text-length", "CPPC"),
    *_value(f"{TARGET}/media_type", "target-media-type", "PPB", "text/plain"),
    *_value(f"{TARGET}/audio", "target-audio", "BB-"),
    *_audio(f"{TARGET}/audio", "target-audio"),
    *_flag(f"{TARGET}/keyless", "target-keyless", "CB"),
    *_names(f"{TARGET}/request/speed", "target-parameter", "PP", {"at": "body#/own_speed"}),
    *_value(f"{TARGET}/request/voice/at", "target-parameter-location", "--B"),
    *_price(f"{TARGET}/pricing"),
    *_names(f"{TARGET}/pricing/alternatives/-", "price-reading", "PC", {"per": "request", "usd": 3}),
    *_price(f"{SPEAK}/x-pricing"),
    *_names(
        f"{SPEAK}/x-pricing/plus",
        "price-part",
        "PC",
        [{"per": "1m_tokens", "usd": 3, "credits": 1, "usage": {"max_per_character": 2}}],
    ),
    *_increased_number(f"{SPEAK}/x-pricing/usage/max_per_request", "price-usage", "PC"),
    *_increased_number(f"{SPEAK}/x-pricing/usage/max_per_character", "price-usage-per-character", "PC"),
    *_value(f"{TARGET}/pricing/usage", "price-usage", "PP-"),
    *_value(f"{SPEAK}/x-pricing/usage/reported", "price-usage-location", "CPP", "body#/tokens"),
    *_names(f"{SPEAK}/x-pricing/plans/big", "price-plan", "CP", {"usd": 1}),
    *_optional_number(f"{SPEAK}/x-pricing/plans/small/usd", "price-usd", "PCPP"),
    *_optional_number(f"{SPEAK}/x-pricing/plans/small/credits", "price-credits", "PCPP"),
    *_optional_number(f"{SPEAK}/x-pricing/plans/small/included", "price-included", "CPCP"),
    *_optional_number(f"{SPEAK}/x-pricing/plans/small/monthly_fee_usd", "price-fee", "PCPC"),
    *_flag(f"{SPEAK}/x-pricing/plans/small/overage", "price-overage", "CP", value=False),
    *_value(f"{SPEAK}/x-pricing/count/unit", "price-count", "--P", "utf8_byte"),
    *_value(f"{SPEAK}/x-pricing/count/doubled", "price-doubled-characters", "PCP", "wide"),
    *_flag(f"{SPEAK}/x-pricing/count/whitespace", "price-white-space", "PC", value=False),
    *_flag(f"{SPEAK}/x-pricing/count/tags", "price-tags", "PC", value=False),
    *_names(f"{SPEAK}/x-pricing/count/free_tags/-", "price-free-tag", "CP", "mark"),
    *_optional_number(f"{SPEAK}/x-pricing/step", "price-rounding", "PCPC"),
    *_increased_number(f"{SPEAK}/x-pricing/minimum", "price-rounding", "PC"),
    *_optional_number(f"{SPEAK}/x-pricing/credits", "price-credits", "PCPP"),
]
