"""An edit of one contract for each rule of the `x-` extensions."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..builders.documents import REMOVED, Edit, put

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
PAGINATION = "/paths/~1voices/get/x-pagination"
RESOURCE = "/paths/~1voices/post/x-resource"
BATCH = "/paths/~1batch/post/x-batch"
SERVER = f"{ROOT}/self_hosted"
KEY = "/components/securitySchemes/token/x-key"
CHAT = "/paths/~1chat/post/x-chat"
SOCKET = "/x-asyncapi/channels/~1live/x-socket"
SOCKET_TARGET = f"{SOCKET}/targets/live"


_WORDS = {"texts_location": "body#/words/*/text", "starts_location": "body#/words/*/start"}


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
        *_value(f"{pointer}/location", f"{stem}-place", "--B"),
        *_value(f"{pointer}/delivery_method", f"{stem}-delivery", "--B", "url"),
        *_value(f"{pointer}/format", f"{stem}-format", "CPB", "wav"),
        *_value(f"{pointer}/media_type_location", f"{stem}-media-type-place", "CPB"),
        *_value(f"{pointer}/sample_rate_hz", f"{stem}-sample-rate", "CBB", 16000),
        *_value(f"{pointer}/channels", f"{stem}-channels", "--B", 2),
        *_names(f"{pointer}/timestamps/-", f"{stem}-timestamps", "CB", {"text_unit": "word", **_WORDS}),
        *_value(f"{pointer}/download_operation_id", f"{stem}-download", "CPP", "fetchAudio"),
    ]


def _price(pointer: str) -> list[ExtensionEdit]:
    return [
        *_value(pointer, "price", "PP-"),
        *_optional_number(f"{pointer}/usd_per_unit", "price-usd", "PCPP"),
        *_value(f"{pointer}/unit", "price-unit", "--P", "minute"),
    ]


_LEVELS = {"B": B, "P": P, "C": C}

EXTENSION_EDITS = [
    *_value(f"{ROOT}/id", "provider-id", "--B", "apex"),
    *_value(f"{ROOT}/key_variable", "provider-key-variable", "--P", "ACME_TOKEN"),
    *_flag(f"{ROOT}/is_key_optional", "provider-key-optional", "CB"),
    *_names(f"{ROOT}/request_headers/X-App", "provider-header", "PC", "two"),
    *_value(f"{ROOT}/request_headers/X-Client", "provider-header", "--P", "two"),
    *_optional_number(f"{ROOT}/credits/usd_per_credit", "credit-price", "PCCP"),
    *_optional_number(f"{ROOT}/credits/free_credits", "free-credits", "CPCP"),
    *_value(f"{ROOT}/credits/name", "credit-name", "--C", "stars"),
    *_names(f"{ROOT}/retry_policy/retried_statuses/-", "retry-status", "CP", 500),
    *_increased_number(f"{ROOT}/retry_policy/initial_delay_s", "retry-first-wait", "PC"),
    *_increased_number(f"{ROOT}/retry_policy/max_delay_s", "retry-longest-wait", "PC"),
    *_increased_number(f"{ROOT}/retry_policy/delay_factor", "retry-factor", "PC"),
    *_increased_number(f"{ROOT}/retry_policy/max_attempts", "retry-attempts", "CP"),
    *_value(SERVER, "server-lists", "CB-"),
    *_value(f"{SERVER}/model_list", "server-models", "CP-"),
    *_value(f"{SERVER}/model_list/operation_id", "server-models-call", "--P", "listModels"),
    *_names(f"{SERVER}/model_list/list_locations/-", "server-models-location", "CP", "body#/models"),
    *_value(f"{SERVER}/model_list/request_field_location", "server-models-parameter", "--B"),
    *_names(
        f"{SERVER}/voice_lists/-",
        "server-voices",
        "CP",
        {"operation_id": "v", "list_locations": ["body"], "request_field_location": "body#/v"},
    ),
    *_value(f"{KEY}/key_variable", "key-variable", "PPP", "ACME_SECRET"),
    *_value(f"{KEY}/key_prefix", "key-prefix", "--B", "Token "),
    *_value(f"{KEY}/id_variable", "key-id-variable", "PPP", "ACME_USER"),
    *_value(f"{KEY}/aws_signature", "key-aws-signature", "BB-"),
    *_value(f"{KEY}/aws_signature/region", "key-aws-region", "--B", "us-1"),
    *_value(f"{KEY}/aws_signature/service", "key-aws-service", "--B", "other"),
    *_names(f"{LIMITS}/plan_limits/pro", "plan", "CP", {"max_concurrent_requests": 9}),
    *_optional_number(f"{LIMITS}/plan_limits/free/max_requests_per_minute", "plan-requests", "CPPC"),
    *_optional_number(f"{LIMITS}/plan_limits/free/max_concurrent_requests", "plan-concurrent", "CPPC"),
    *_optional_number(f"{LIMITS}/plan_limits/free/max_text_characters", "plan-text-length", "CBPC"),
    *_optional_number(f"{SPEAK}/x-limits/plan_limits/pro/max_concurrent_requests", "plan-concurrent", "CPPC"),
    *_names(f"{LIMITS}/upload_limits/sample", "upload-limit", "PC", {"max_bytes": 9}),
    *_optional_number(f"{LIMITS}/upload_limits/file/max_bytes", "upload-size", "CBPC"),
    *_optional_number(f"{LIMITS}/upload_limits/file/min_duration_s", "upload-length", "BCPC"),
    *_optional_number(f"{LIMITS}/upload_limits/file/max_duration_s", "upload-longest", "CBPC"),
    *_optional_number(f"{LIMITS}/upload_limits/file/min_sample_rate_hz", "upload-sample-rate", "BCPC"),
    *_listed(f"{LIMITS}/upload_limits/file/accepted_formats", "upload-format", "ogg"),
    *_value(f"{LIMITS}/keyless_limits", "keyless-allowance", "CB-"),
    *_increased_number(f"{LIMITS}/keyless_limits/max_characters_per_day", "keyless-characters", "CP"),
    *_names(f"{LIMITS}/rate_limit_header_names/remaining", "limit-header", "CP", "X-Left"),
    *_value(f"{LIMITS}/rate_limit_header_names/limit", "limit-header", "--P", "X-Most"),
    *_value(JOB, "job", "PB-"),
    *_names(f"{JOB}/states/PAUSED", "job-state", "PC", {"successor_names": ["QUEUED"]}),
    *_names(f"{JOB}/states/QUEUED/successor_names/-", "job-transition", "PC", "FAILED"),
    *_value(f"{JOB}/states/FAILED/terminal_outcome", "job-state-end", "BBB", "success"),
    *_value(f"{JOB}/states/DONE/flag_value", "job-state-flag", "BBB", other=False),
    *_value(f"{JOB}/states/DONE/identifying_location", "job-state-identifying-location", "BBB"),
    *_flag(f"{JOB}/states/DONE/is_charged", "job-charge", "PC", value=False),
    *_names(f"{JOB}/states/DONE/required_locations/-", "job-carries", "CB", "body#/type"),
    *_flag(f"{JOB}/states/QUEUED/may_have_partial_audio", "job-partial", "PC"),
    *_optional_number(f"{JOB}/states/QUEUED/max_duration_s", "job-state-time", "PCPC"),
    *_value(f"{JOB}/submit_response/job_id_location", "job-submit-id-location", "--B"),
    *_value(f"{JOB}/submit_response/state_location", "job-submit-state-location", "CPB"),
    *_value(f"{JOB}/submit_response/polling_url_location", "job-submit-url-location", "CPB"),
    *_value(f"{JOB}/job_id_location", "job-id-location", "CPB"),
    *_value(f"{JOB}/state_location", "job-state-location", "--B"),
    *_audio(f"{JOB}/audio", "job-audio"),
    *_value(f"{JOB}/result_operation_id", "job-result-call", "BBB", "fetch"),
    *_value(f"{JOB}/failure_reason_location", "job-reason-location", "CPP"),
    *_value(f"{JOB}/model_name_location", "job-model-location", "CPP"),
    *_value(f"{JOB}/creation_time_location", "job-created-location", "CPP"),
    *_value(f"{JOB}/update_time_location", "job-updated-location", "CPP"),
    *_value(f"{JOB}/end_time_location", "job-completed-location", "CPP"),
    *_value(f"{JOB}/charge_location", "job-charged-location", "CPP"),
    *_increased_number(f"{JOB}/poll_schedule/min_interval_s", "job-poll-shortest", "PC"),
    *_increased_number(f"{JOB}/poll_schedule/max_interval_s", "job-poll-longest", "CC"),
    *_increased_number(f"{JOB}/poll_schedule/interval_factor", "job-poll-factor", "CC"),
    *_increased_number(f"{JOB}/poll_schedule/job_timeout_s", "job-poll-timeout", "PC"),
    *_value(f"{JOB}/cancellation", "job-cancel", "CB-"),
    *_value(f"{JOB}/cancellation/operation_id", "job-cancel-call", "--P", "stop"),
    *_value(f"{JOB}/cancellation/resulting_state", "job-cancel-state", "--P", "STOPPED"),
    *_optional_number(f"{JOB}/ended_job_lifetime_s", "job-expiry", "CPPC"),
    *_value(STREAM, "stream", "BB-"),
    *_value(f"{STREAM}/media_type", "stream-media-type", "PPB", "text/plain"),
    *_value(f"{STREAM}/framing", "stream-framing", "--B", "json-lines"),
    *_value(f"{STREAM}/event_type_location", "stream-kind-location", "--B", "event"),
    *_value(f"{STREAM}/events/audio/identifying_location", "stream-event-mark", "CPB", "data#/index"),
    *_flag(f"{STREAM}/ends_with_response", "stream-end-unmarked", "BP"),
    *_names(f"{STREAM}/events/error", "stream-event", "PP", {"terminal_outcome": "failure"}),
    *_names(f"{STREAM}/events/audio/successor_names/-", "stream-order", "PC", "error"),
    *_value(f"{STREAM}/events/done/terminal_outcome", "stream-end", "BBB", "failure"),
    *_value(f"{STREAM}/events/audio/data_schema", "stream-data", "CP-"),
    ExtensionEdit(
        {"response-property-max-set": C},
        {"response-property-max-unset": B},
        put(f"{STREAM}/events/audio/data_schema/properties/index/maximum", 9),
    ),
    *_value(f"{STREAM}/audio/event_type", "stream-audio-event", "--B", "done"),
    *_value(f"{STREAM}/audio/location", "stream-audio-location", "--B", "data"),
    *_value(f"{STREAM}/audio/encoding", "stream-audio-encoding", "--B", "base64"),
    *_value(f"{STREAM}/audio/sequence_number_location", "stream-index-location", "CPP", "data#/number"),
    *_names(
        f"{STREAM}/audio/timestamps/-",
        "stream-timestamps",
        "CB",
        {"text_unit": "word", "texts_location": "data#/words/*/text", "starts_location": "data#/words/*/start"},
    ),
    *_value(f"{STREAM}/end_marker", "stream-marker", "PBB", "[END]"),
    *_value(f"{STREAM}/failure_reason_location", "stream-reason-location", "CPP", "data#/why"),
    *_optional_number(f"{STREAM}/max_gap_s", "stream-gap", "PCPC"),
    *_value(WEBHOOK, "webhook-naming", "CB-"),
    *_names(f"{WEBHOOK}/url_fields/-", "webhook-url", "CB", {"location": "header.X-Hook"}),
    *_value(f"{WEBHOOK}/callback_operation_id", "webhook-callback", "--P", "finished"),
    *_flag(f"{WEBHOOK}/requires_https", "webhook-https", "BC"),
    *_flag(f"{WEBHOOK}/may_be_repeated", "webhook-repeats", "PC"),
    *_optional_number(f"{WEBHOOK}/max_progress_interval_s", "webhook-progress", "PCCP"),
    *_value(f"{WEBHOOK}/body_locations", "webhook-body", "BB-"),
    *_value(f"{WEBHOOK}/body_locations/id_location", "webhook-id-location", "--B"),
    *_value(f"{WEBHOOK}/body_locations/state_location", "webhook-state-location", "--B"),
    *_names(f"{WEBHOOK}/body_locations/outcome_by_state/bad", "webhook-state", "PP", "failure"),
    *_value(f"{WEBHOOK}/body_locations/submit_id_location", "webhook-submit-id-location", "CPP"),
    *_value(f"{WEBHOOK}/body_locations/result_url_location", "webhook-result-location", "CPB"),
    *_value(f"{WEBHOOK}/body_locations/charge_location", "webhook-charged-location", "CPP"),
    *_value(f"{WEBHOOK}/body_locations/creation_time_location", "webhook-created-location", "CPP"),
    *_value(f"{WEBHOOK}/body_locations/end_time_location", "webhook-completed-location", "CPP"),
    *_value(SIGNATURE, "webhook-signature", "CB-"),
    *_value(f"{SIGNATURE}/signature_header_name", "webhook-signature-header", "--B", "X-Other"),
    *_value(f"{SIGNATURE}/signature_header_template", "webhook-signature-format", "--B", "v1={signature}"),
    *_value(f"{SIGNATURE}/signed_text_template", "webhook-signature-content", "--B", "{timestamp}.{body}"),
    *_value(f"{SIGNATURE}/hash_algorithm", "webhook-signature-digest", "--B", "sha512"),
    *_value(f"{SIGNATURE}/signature_encoding", "webhook-signature-encoding", "--B", "base64"),
    *_value(f"{SIGNATURE}/secret_prefix", "webhook-signature-secret-prefix", "--B", "whsec_"),
    *_value(f"{SIGNATURE}/secret_encoding", "webhook-signature-secret-encoding", "--B", "base64"),
    *_value(f"{SIGNATURE}/id_header_name", "webhook-signature-id", "CBB", "X-Other"),
    *_value(f"{SIGNATURE}/timestamp_header_name", "webhook-signature-time", "CBB", "X-Other"),
    *_value(f"{SIGNATURE}/secret_variable", "webhook-secret-variable", "--P", "ACME_OTHER"),
    *_increased_number(f"{SIGNATURE}/timestamp_tolerance_s", "webhook-tolerance", "CP"),
    *_value(f"{SPEAK}/x-submit", "submit", "CB-"),
    *_value(f"{SPEAK}/x-submit/status_operation_id", "submit-job-call", "--B", "status"),
    *_value(IDEMPOTENCY, "idempotency", "CB-"),
    *_value(f"{IDEMPOTENCY}/header_name", "idempotency-header", "--B", "X-Request-Key"),
    *_optional_number(f"{IDEMPOTENCY}/key_lifetime_s", "idempotency-time", "CPCP"),
    *_value(PAGINATION, "pagination", "CP-"),
    *_value(f"{PAGINATION}/items_location", "pagination-items", "--B"),
    *_value(f"{PAGINATION}/page_size_location", "pagination-size", "CPP", "query.other"),
    *_value(f"{PAGINATION}/cursor_location", "pagination-cursor", "CBB", "query.other"),
    *_value(f"{PAGINATION}/cursor_kind", "pagination-kind", "--B", "offset"),
    *_value(f"{PAGINATION}/item_id_field", "pagination-item-id", "CBB", "name"),
    *_value(f"{PAGINATION}/first_page_number", "pagination-first-page", "--B", 0),
    *_value(f"{PAGINATION}/next_cursor_location", "pagination-next", "CBB"),
    *_value(f"{PAGINATION}/more_pages_location", "pagination-more", "CBB"),
    *_value(f"{PAGINATION}/total_count_location", "pagination-count", "CPP"),
    *_value(f"{PAGINATION}/page_count_location", "pagination-pages", "CPP"),
    *_value(RESOURCE, "resource", "CB-"),
    *_value(f"{RESOURCE}/id_location", "resource-id-location", "--B"),
    *_value(f"{RESOURCE}/state_location", "resource-state-location", "CPB"),
    *_names(f"{RESOURCE}/states/-", "resource-state", "PC", "archived"),
    *_value(f"{RESOURCE}/listing", "resource-list", "CB-"),
    *_value(f"{RESOURCE}/listing/operation_id", "resource-list-call", "--P", "voices"),
    *_value(f"{RESOURCE}/listing/count_location", "resource-count-location", "CPP"),
    *_value(f"{RESOURCE}/listing/max_count_location", "resource-limit-location", "CPP"),
    *_value(f"{RESOURCE}/deletion", "resource-deletion", "CB-"),
    *_value(f"{RESOURCE}/deletion/operation_id", "resource-deletion-call", "--P", "dropVoice"),
    *_value(f"{RESOURCE}/deletion/id_location", "resource-deletion-location", "--B", "query.id"),
    *_names(
        f"{RESOURCE}/transitions",
        "resource-setting",
        "CB",
        [{"operation_id": "put", "id_location": "path.id", "resulting_state": "active"}],
    ),
    *_names(f"{RESOURCE}/uses", "resource-use", "CB", [{"operation_id": "speak", "id_location": "body#/voice"}]),
    *_value(BATCH, "batch", "CB-"),
    *_value(f"{BATCH}/requests_location", "batch-items-location", "--B"),
    *_value(f"{BATCH}/item_operation_id", "batch-call", "--P", "say"),
    *_value(f"{BATCH}/jobs_location", "batch-results-location", "--B"),
    *_value(f"{BATCH}/job_id_field", "batch-job-key", "--B", "job"),
    *_value(f"{BATCH}/index_field", "batch-index-key", "CPP", "number"),
    *_value(f"{BATCH}/state_field", "batch-state-key", "CPB", "status"),
    *_value(f"{BATCH}/charge_field", "batch-charged-key", "CPP", "charged"),
    *_value(f"{BATCH}/audio_url_field", "batch-url-key", "CPB", "audio"),
    *_value(f"{BATCH}/total_count_location", "batch-total-location", "CPP"),
    *_value(f"{BATCH}/ended_count_location", "batch-completed-location", "CPP"),
    *_value(CHAT, "chat", "CB-"),
    *_value(f"{CHAT}/text_location", "chat-text-location", "--B"),
    *_value(f"{CHAT}/audio_location", "chat-recording-location", "CBB"),
    *_value(f"{CHAT}/transcript_location", "chat-transcript-location", "CPP"),
    *_value(f"{CHAT}/reply_text_location", "chat-reply-location", "--B"),
    *_audio(f"{CHAT}/reply_audio", "chat-audio"),
    *_value(f"{CHAT}/voice_location", "chat-voice-location", "CBB"),
    *_value(f"{CHAT}/charge_location", "chat-charged-location", "CPP"),
    *_value(TRANSCRIPTION, "transcription", "CB-"),
    *_names(f"{TRANSCRIPTION}/request_fields/diarize", "audio-input-parameter", "CB", "body#/diarize"),
    *_value(f"{TRANSCRIPTION}/request_fields/audio", "audio-input-parameter-location", "--B"),
    *_names(
        f"{TRANSCRIPTION}/request_fields/language/provider_values/de", "audio-input-parameter-value", "CP", "de-DE"
    ),
    *_value(
        f"{TRANSCRIPTION}/request_fields/language/provider_values/en", "audio-input-parameter-value", "--P", "en-GB"
    ),
    *_value(f"{TRANSCRIPTION}/response/charge_location", "audio-input-charged-location", "CPP"),
    *_value(f"{TRANSCRIPTION}/response/text_location", "transcript-location", "--B"),
    *_value(f"{TRANSCRIPTION}/response/language_location", "transcript-language-location", "CPP"),
    *_value(f"{TRANSCRIPTION}/response/audio_duration_location", "transcript-length-location", "CPP"),
    *_value(f"{TRANSCRIPTION}/response/segments_location", "transcript-segments-location", "CBB"),
    *_value(f"{TRANSCRIPTION}/response/subtitle_format", "transcript-subtitles", "CBB", "vtt"),
    *_value(f"{TRANSCRIPTION}/targets/ear/response", "target-transcript", "CB-"),
    *_value(f"{TRANSCRIPTION}/targets/ear/response/text_location", "target-transcript", "--B"),
    *_value(f"{TRANSCRIPTION}/response/segment_field_names/text_unit", "transcript-segment-unit", "--B", "word"),
    *_value(f"{TRANSCRIPTION}/response/segment_field_names/start_field", "transcript-segment-key", "--B", "from"),
    *_value(f"{TRANSCRIPTION}/response/segment_field_names/end_field", "transcript-segment-key", "--B", "to"),
    *_value(f"{TRANSCRIPTION}/response/segment_field_names/text_field", "transcript-segment-key", "--B", "said"),
    *_value(f"{TRANSCRIPTION}/response/segment_field_names/speaker_field", "transcript-speaker", "CPB", "speaker"),
    *_value(f"{TRANSCRIPTION}/response/segment_field_names/words_field", "transcript-words", "CPB", "tokens"),
    *_names(f"{TRANSCRIPTION}/targets/two", "target", "CB", {"title": "Two"}),
    *_names(f"{TRANSCRIPTION}/targets/ear/request_constants/body#~1fast", "target-constant", "BB", True),
    *_value(f"{TRANSCRIPTION}/targets/ear/request_constants/body#~1model", "target-constant", "--B", "two"),
    *_value(f"{TRANSCRIPTION}/targets/ear/default_language", "target-default-language", "CPP", "de"),
    *_listed(f"{TRANSCRIPTION}/targets/ear/supported_languages", "target-language", "fr"),
    *_price(f"{TRANSCRIPTION}/targets/ear/pricing"),
    *_value(CONVERSION, "conversion", "CB-"),
    *_value(f"{CONVERSION}/purpose", "conversion-purpose", "--B", "style"),
    *_value(f"{CONVERSION}/targets/changer/default_voice", "target-voice", "CPP", "bea"),
    *_value(f"{CONVERSION}/response/audio", "conversion-audio", "CB-"),
    *_audio(f"{CONVERSION}/response/audio", "conversion-audio"),
    *_value(f"{CONVERSION}/response/stems", "conversion-stems", "CB-"),
    *_value(f"{CONVERSION}/response/stems/list_location", "conversion-stems-location", "--B"),
    *_value(f"{CONVERSION}/response/stems/name_field", "conversion-stem-key", "--B", "part"),
    *_value(f"{CONVERSION}/response/stems/url_field", "conversion-stem-key", "--B", "link"),
    *_value(f"{CONVERSION}/response/stems/download_operation_id", "conversion-stems-download", "CPP", "fetchAudio"),
    *_names(f"{CONVERSION}/response/fact_locations/bpm", "conversion-fact", "CB", "body#/bpm"),
    *_value(f"{CONVERSION}/response/fact_locations/key", "conversion-fact-location", "--B"),
    *_value(SPEECH, "speech", "CB-"),
    *_names(f"{SPEECH}/request_fields/speed", "speech-parameter", "CB", "body#/speed"),
    *_value(f"{SPEECH}/request_fields/text/location", "speech-parameter-location", "--B"),
    *_value(f"{SPEECH}/request_fields/language/text_template", "speech-parameter-template", "--P", "<{}>"),
    *_names(f"{SPEECH}/request_fields/language/provider_values/de", "speech-parameter-value", "CP", "de-DE"),
    *_value(f"{SPEECH}/request_fields/language/provider_values/en", "speech-parameter-value", "--P", "en-GB"),
    *_value(f"{SPEECH}/request_fields/text/markup_language", "speech-markup", "BB-"),
    *_flag(f"{SPEECH}/request_fields/language/is_seed_reproducible", "speech-seed-kept", "CP"),
    *_value(f"{SPEECH}/response/status_operation_id", "speech-job-call", "BBB", "status"),
    *_value(f"{SPEECH}/response/wait_preference", "speech-wait", "CB-"),
    *_value(f"{SPEECH}/response/wait_preference/location", "speech-wait-location", "--B", "header.X-Wait"),
    *_value(f"{SPEECH}/response/wait_preference/preference", "speech-wait-value", "--B", "wait-for-it"),
    *_increased_number(f"{SPEECH}/response/wait_preference/max_wait_s", "speech-wait-time", "CP"),
    *_value(f"{SPEECH}/response/audio", "speech-audio", "CB-"),
    *_audio(f"{SPEECH}/response/audio", "speech-audio"),
    *_value(f"{SPEECH}/response/charge_location", "speech-charged-location", "CPP"),
    *_value(f"{SPEECH}/response/balance_location", "speech-balance-location", "CPP"),
    *_names(f"{SPEECH}/formats/large", "speech-format-meaning", "CP", {"codec": "wav"}),
    *_value(f"{SPEECH}/formats/small/codec", "speech-format-codec", "--B", "wav"),
    *_value(f"{SPEECH}/formats/small/sample_rate_hz", "speech-format-sample-rate", "CPB", 16000),
    *_value(f"{SPEECH}/formats/small/bitrate_kbps", "speech-format-bit-rate", "CPP", 64),
    *_value(f"{SPEECH}/formats/small/channels", "speech-format-channels", "--B", 2),
    *_names(f"{SPEECH}/formats/small/codec_by_container", "speech-format-container", "CB", {"none": "pcm_s16le"}),
    *_names(f"{SPEECH}/targets/two", "target", "CB", {"title": "Two"}),
    *_value(f"{TARGET}/response_model_name", "target-model", "CPP", "one-v2"),
    *_names(f"{TARGET}/request_constants/body#~1fast", "target-constant", "BB", True),
    *_value(f"{TARGET}/request_constants/body#~1model", "target-constant", "--B", "two"),
    *_value(f"{TARGET}/default_voice", "target-voice", "CPP", "bea"),
    *_names(f"{TARGET}/default_voice_by_language/fr", "target-language-voice", "CP", "bea"),
    *_value(f"{TARGET}/default_voice_by_language/de", "target-language-voice", "--P", "bea"),
    *_value(f"{TARGET}/request_fields/voice/text_template", "target-parameter-template", "--P", "my-{}"),
    *_names(f"{TARGET}/request_fields/voice/provider_values/x", "target-parameter-value", "CP", "y"),
    *_value(f"{TARGET}/request_fields/voice/provider_values/a", "target-parameter-value", "--P", "y"),
    *_value(f"{TARGET}/request_fields/voice/markup_language", "target-markup", "BB-"),
    *_value(f"{TARGET}/default_voice_description", "target-voice-description", "CPP", "lively"),
    *_value(f"{TARGET}/default_voice_sample_url", "target-voice-sample", "CPP", "https://acme.test/bea.wav"),
    *_names(f"{TARGET}/required_fields/-", "target-need", "BC", "language"),
    *_value(f"{TARGET}/default_language", "target-default-language", "CPP", "de"),
    *_listed(f"{TARGET}/supported_languages", "target-language", "fr"),
    *_value(f"{TARGET}/default_format", "target-default-format", "CPP", "mp3"),
    *_listed(f"{TARGET}/supported_formats", "target-format", "ogg"),
    *_optional_number(f"{TARGET}/recommended_max_characters", "target-text-length", "CPPC"),
    *_value(f"{TARGET}/request_media_type", "target-media-type", "PPB", "text/plain"),
    *_value(f"{TARGET}/response_audio", "target-audio", "BB-"),
    *_audio(f"{TARGET}/response_audio", "target-audio"),
    *_flag(f"{TARGET}/works_without_key", "target-keyless", "CB"),
    *_names(f"{TARGET}/request_fields/speed", "target-parameter", "PP", {"location": "body#/own_speed"}),
    *_value(f"{TARGET}/request_fields/voice/location", "target-parameter-location", "--B"),
    *_price(f"{TARGET}/pricing"),
    *_names(f"{TARGET}/pricing/alternatives/-", "price-reading", "PC", {"unit": "request", "usd_per_unit": 3}),
    *_optional_number(f"{TARGET}/pricing/alternatives/0/usd_per_unit", "price-usd", "PCPP"),
    *_value(f"{TARGET}/pricing/alternatives/0/unit", "price-unit", "--P", "second"),
    *_names(f"{TARGET}/pricing/alternatives/0/plan_prices/big", "price-plan", "CP", {"usd_per_unit": 1}),
    *_price(f"{SPEAK}/x-pricing"),
    *_names(
        f"{SPEAK}/x-pricing/added_parts",
        "price-part",
        "PC",
        [{"unit": "1m_tokens", "usd_per_unit": 3, "credits_per_unit": 1, "usage": {"max_per_character": 2}}],
    ),
    *_increased_number(f"{SPEAK}/x-pricing/usage/max_per_request", "price-usage", "PC"),
    *_increased_number(f"{SPEAK}/x-pricing/usage/max_per_character", "price-usage-per-character", "PC"),
    *_value(f"{TARGET}/pricing/usage", "price-usage", "PP-"),
    *_value(f"{SPEAK}/x-pricing/usage/reported_usage_location", "price-usage-location", "CPP", "body#/tokens"),
    *_names(f"{SPEAK}/x-pricing/plan_prices/big", "price-plan", "CP", {"usd_per_unit": 1}),
    *_optional_number(f"{SPEAK}/x-pricing/plan_prices/small/usd_per_unit", "price-usd", "PCPP"),
    *_optional_number(f"{SPEAK}/x-pricing/plan_prices/small/credits_per_unit", "price-credits", "PCPP"),
    *_optional_number(f"{SPEAK}/x-pricing/plan_prices/small/included_units_per_month", "price-included", "CPCP"),
    *_optional_number(f"{SPEAK}/x-pricing/plan_prices/small/monthly_fee_usd", "price-fee", "PCPC"),
    *_flag(f"{SPEAK}/x-pricing/plan_prices/small/allows_extra_units", "price-overage", "CP", value=False),
    *_value(f"{SPEAK}/x-pricing/character_counting/counted_unit", "price-count", "--P", "utf8_byte"),
    *_value(
        f"{SPEAK}/x-pricing/character_counting/characters_counted_twice", "price-doubled-characters", "PCP", "wide"
    ),
    *_flag(f"{SPEAK}/x-pricing/character_counting/counts_whitespace", "price-white-space", "PC", value=False),
    *_flag(f"{SPEAK}/x-pricing/character_counting/counts_tags", "price-tags", "PC", value=False),
    *_names(f"{SPEAK}/x-pricing/character_counting/uncounted_tag_names/-", "price-free-tag", "CP", "mark"),
    *_optional_number(f"{SPEAK}/x-pricing/rounding_step", "price-rounding", "PCPC"),
    *_increased_number(f"{SPEAK}/x-pricing/min_charged_quantity", "price-rounding", "PC"),
    *_optional_number(f"{SPEAK}/x-pricing/credits_per_unit", "price-credits", "PCPP"),
    *_value(SOCKET, "socket-speech", "CB-"),
    *_value(f"{SOCKET}/id", "socket-id", "--C", "sayLive"),
    *_names(f"{SOCKET}/handshake_alternatives/-", "handshake-alternatives", "BC", ["query.day", "header.X-Day"]),
    *_names(f"{SOCKET}/handshake_alternatives/0/-", "handshake-alternative", "CB", "query.v"),
    *_value(f"{SOCKET}/client_messages/session", "socket-opening-message", "BB-"),
    *_value(f"{SOCKET}/client_messages/end", "socket-ending-message", "PB-"),
    *_value(f"{SOCKET}/client_messages/cancel", "socket-further-message", "CB-"),
    *_value(f"{SOCKET}/client_messages/text/value", "socket-client-template", "BBB", {"say": "{text}"}),
    *_value(f"{SOCKET}/client_messages/text/recognized_by", "socket-client-mark", "--P", {"/text": ["two"]}),
    *_value(f"{SOCKET}/client_messages/cancel/effect", "socket-cancel-effect", "--P", "finishes-turn"),
    *_flag(f"{SOCKET}/client_messages/cancel/is_error_without_turn", "socket-cancel-error", "PC"),
    *_names(f"{SOCKET}/server_messages/-", "socket-event", "PP", {"message": "Done", "event": "turn-end"}),
    *_value(f"{SOCKET}/server_messages/0/value", "socket-event-template", "BBP", {"sound": "{audio}"}),
    *_value(f"{SOCKET}/server_messages/1/word_item", "socket-word-template", "CBB", {"text": "{word}"}),
    *_value(f"{SOCKET}/server_messages/1/recognized_by", "socket-event-mark", "--B", {"/words": ["two"]}),
    *_value(f"{SOCKET}/server_messages/1/time_unit_s", "socket-time-unit", "--B", 0.001),
    *_names(f"{SOCKET}/settings_messages/-", "socket-settings", "BP", "text"),
    *_value(f"{SOCKET}/voice_location", "socket-voice-location", "CBB"),
    *_value(f"{SOCKET}/language_location", "socket-language-location", "CBB", "query.lang"),
    *_value(f"{SOCKET}/turn/ends_with", "socket-turn-end", "--B", "close"),
    *_flag(f"{SOCKET}/turn/is_only_one", "socket-turn-single", "BC"),
    *_flag(f"{SOCKET}/turn/accepts_pieces", "socket-turn-pieces", "CB", value=False),
    *_flag(f"{SOCKET}/turn/speaks_after_end", "socket-turn-late", "PC"),
    *_flag(f"{SOCKET}/turn/flushes_before_end", "socket-turn-flush", "BC"),
    *_flag(f"{SOCKET}/turn/audio_is_between_start_and_end", "socket-turn-bounds", "CP"),
    *_value(f"{SOCKET}/transcript/turn_text", "socket-turn-text", "--B", "finals"),
    *_flag(f"{SOCKET}/transcript/end_repeats_eager_end", "socket-eager-end-text", "CP"),
    *_flag(f"{SOCKET}/transcript/resumes_after_eager_end_only", "socket-resumption", "CP"),
    *(
        edit
        for name, number in (
            *(("contexts", "max_count"), ("flushes", "max_count"), ("message_bytes", "max_count")),
            *(("inactivity", "max_s"), ("context_expiry", "max_s")),
        )
        for rule in [f"socket-{name.replace('_', '-')}"]
        for edit in (
            *_value(f"{SOCKET}/limits/{name}", rule, "PC-"),
            *_increased_number(f"{SOCKET}/limits/{name}/{number}", rule, "CB"),
        )
    ),
    *_optional_number(f"{SOCKET}/limits/contexts/window_s", "socket-limit-window", "PPPP"),
    *_value(f"{SOCKET}/limits/contexts/close_code", "socket-limit-close-code", "CPP", 4002),
    *_value(f"{SOCKET}/limits/inactivity/close_code", "socket-limit-close-code", "CPP", 4002),
    *_names(f"{SOCKET}/close_codes/4001", "socket-close-code", "PC", "no message for too long"),
    *_value(f"{SOCKET}/close_codes/4000", "socket-close-code", "--C", "too many turns"),
    *_names(f"{SOCKET}/targets/fast", "target", "CB", {"title": "Fast", "formats": {}}),
    *_value(f"{SOCKET_TARGET}/price_of", "target-price-source", "PPP", "two"),
    *_value(f"{SOCKET_TARGET}/default_voice", "target-voice", "CPP", "bea"),
    *_names(f"{SOCKET_TARGET}/formats/mp3", "socket-format", "CB", {"codec": "mp3", "sample_rate_hz": 24000}),
    *_value(f"{SOCKET_TARGET}/formats/raw/codec", "socket-format-codec", "--B", "mulaw"),
    *_value(f"{SOCKET_TARGET}/formats/raw/sample_rate_hz", "socket-format-sample-rate", "--B", 16000),
    *_names(f"{SOCKET_TARGET}/formats/raw/request_constants/query.rate", "socket-format-constant", "BB", 24000),
    *_value(f"{SOCKET_TARGET}/formats/raw/request_constants/query.format", "socket-format-constant", "--B", "pcm"),
]
