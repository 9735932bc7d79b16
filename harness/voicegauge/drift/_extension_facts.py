"""Facts that are compared for each `x-` extension of two contracts but those about speech, with one row per fact."""

from __future__ import annotations

from voicegauge.drift._extension_fact_kinds import (
    B,
    C,
    ExtensionFact,
    P,
    build_audio_facts,
    build_choices_fact,
    build_flag_fact,
    build_names_fact,
    build_number_fact,
    build_optional_number_fact,
    build_optional_value_fact,
    build_paired_items_fact,
    build_presence_fact,
    build_price_facts,
    build_required_template_fact,
    build_required_value_fact,
    build_template_fact,
)

# Facts about operations that take audio, and about WebSockets.


TARGET_FACTS = (
    build_names_fact("targets", "target", "A target", (C, B)),
    build_names_fact(
        "targets/*/request_constants", "target-constant", "A constant in the requests of a target", (B, B)
    ),
    build_required_value_fact(
        "targets/*/request_constants/*", "target-constant", "A constant in the requests of a target", B
    ),
    build_optional_value_fact("targets/*/default_voice", "target-voice", "The default voice of a target", (C, P, P)),
    build_optional_value_fact(
        "targets/*/default_language", "target-default-language", "The default language of a target", (C, P, P)
    ),
    build_choices_fact("targets/*/supported_languages", "target-language", "A language of a target"),
    *build_price_facts("targets/*/pricing"),
)
"""The facts of targets that several extensions have in common."""

AUDIO_INPUT_FACTS = (
    build_names_fact("request_fields", "audio-input-parameter", "A parameter of requests with audio input", (C, B)),
    build_required_value_fact(
        "request_fields/*/location",
        "audio-input-parameter-location",
        "The location of a parameter in requests with audio input",
        B,
    ),
    build_names_fact(
        "request_fields/*/provider_values",
        "audio-input-parameter-value",
        "The provider's name for a value of a parameter",
        (C, P),
    ),
    build_required_value_fact(
        "request_fields/*/provider_values/*",
        "audio-input-parameter-value",
        "The provider's name for a value of a parameter",
        P,
    ),
    build_optional_value_fact(
        "response/charge_location", "audio-input-charged-location", "The location of the charge", (C, P, P)
    ),
    *TARGET_FACTS,
)
"""The facts of audio input that `x-transcription` and `x-conversion` have in common."""

TRANSCRIPTION_FACTS = (
    build_presence_fact("", "transcription", "The transcription of the operation (x-transcription)", (C, B)),
    build_required_value_fact("response/text_location", "transcript-location", "The location of the transcript", B),
    build_optional_value_fact(
        "response/subtitle_format", "transcript-subtitles", "The format of a transcript as subtitles", (C, B, B)
    ),
    build_required_value_fact(
        "response/segment_field_names/text_unit", "transcript-segment-unit", "Whether segments are phrases or words", B
    ),
    build_presence_fact("targets/*/response", "target-transcript", "The target's own transcript", (C, B)),
    build_required_value_fact(
        "targets/*/response/text_location", "target-transcript", "The target's own transcript", B
    ),
    build_optional_value_fact(
        "response/language_location", "transcript-language-location", "The location of the detected language", (C, P, P)
    ),
    build_optional_value_fact(
        "response/audio_duration_location",
        "transcript-length-location",
        "The location of the audio duration",
        (C, P, P),
    ),
    build_optional_value_fact(
        "response/segments_location", "transcript-segments-location", "The location of the segments", (C, B, B)
    ),
    *(
        build_required_value_fact(
            f"response/segment_field_names/{name}_field",
            "transcript-segment-key",
            "The name of a field of a segment",
            B,
        )
        for name in ("start", "end", "text")
    ),
    *(
        build_optional_value_fact(
            f"response/segment_field_names/{name}_field",
            f"transcript-{name}",
            f"The field {name} of a segment",
            (C, P, B),
        )
        for name in ("speaker", "words")
    ),
    *AUDIO_INPUT_FACTS,
)
"""The facts of `x-transcription` that are compared, with the levels of their changes."""

CONVERSION_FACTS = (
    build_presence_fact("", "conversion", "The audio conversion of the operation (x-conversion)", (C, B)),
    build_required_value_fact("purpose", "conversion-purpose", "The purpose of a conversion", B),
    build_presence_fact("response/audio", "conversion-audio", "Audio in the response", (C, B)),
    *build_audio_facts("response/audio", "conversion-audio"),
    build_presence_fact("response/stems", "conversion-stems", "The list of stems in the response", (C, B)),
    build_required_value_fact(
        "response/stems/list_location", "conversion-stems-location", "The location of the stems", B
    ),
    build_required_value_fact("response/stems/name_field", "conversion-stem-key", "The name of a field of a stem", B),
    build_required_value_fact("response/stems/url_field", "conversion-stem-key", "The name of a field of a stem", B),
    build_optional_value_fact(
        "response/stems/download_operation_id",
        "conversion-stems-download",
        "The operation that a stem URL belongs to",
        (C, P, P),
    ),
    build_names_fact("response/fact_locations", "conversion-fact", "An audio property in the response", (C, B)),
    build_required_value_fact(
        "response/fact_locations/*",
        "conversion-fact-location",
        "The location of a property of the audio in the response",
        B,
    ),
    *AUDIO_INPUT_FACTS,
)
"""The facts of `x-conversion` that are compared, with the levels of their changes."""


def _build_socket_limit_facts(fact_path: str, number: str, subject: str) -> tuple[ExtensionFact, ...]:
    """Return the facts about a limit of a connection, whose field `number` has the value."""
    name = f"socket-{fact_path.rpartition('/')[2].replace('_', '-')}"
    window = build_optional_number_fact(
        f"{fact_path}/window_s", "socket-limit-window", "The time window in which a limit counts", (P, P, P, P)
    )
    return (
        build_presence_fact(fact_path, name, subject, (P, C)),
        build_number_fact(f"{fact_path}/{number}", name, subject, (C, B)),
        *((window,) if number == "max_count" else ()),
        build_optional_value_fact(
            f"{fact_path}/close_code", "socket-limit-close-code", "The code with which a limit closes", (C, P, P)
        ),
    )


SOCKET_FACTS = (
    build_presence_fact("", "socket-speech", "The speech over a WebSocket (x-socket)", (C, B)),
    build_required_value_fact("id", "socket-id", "The id of a WebSocket", C),
    build_paired_items_fact(
        "handshake_alternatives",
        "handshake-alternatives",
        "A group of locations, one of which each handshake needs,",
        (B, C),
    ),
    build_names_fact(
        "handshake_alternatives/*",
        "handshake-alternative",
        "A location at which a handshake may have its value instead",
        (C, B),
    ),
    *(
        build_presence_fact(f"client_messages/{action}", f"socket-{name}-message", subject, levels)
        for name, subject, levels, actions in (
            ("opening", "A message that opens a connection or a turn", (B, B), ("session", "start")),
            ("ending", "A message that ends or flushes a turn", (P, B), ("flush", "end")),
            (
                "further",
                "A message that sends, cancels, closes or keeps alive",
                (C, B),
                ("text", "audio", "cancel", "close", "keep-alive"),
            ),
        )
        for action in actions
    ),
    build_template_fact(
        "client_messages/*/value", "socket-client-template", "The template of a client's message", (B, B, B)
    ),
    build_required_template_fact(
        "client_messages/*/recognized_by", "socket-client-mark", "The mark of a client's message", P
    ),
    build_required_value_fact("client_messages/*/effect", "socket-cancel-effect", "What a service does on cancel", P),
    build_flag_fact(
        "client_messages/*/is_error_without_turn",
        "socket-cancel-error",
        "Cancelling without a turn is {} an error",
        (P, C),
    ),
    build_paired_items_fact("server_messages", "socket-event", "A message that reports an event", (P, P)),
    build_template_fact(
        "server_messages/*/value", "socket-event-template", "The template of a message of the service", (B, B, P)
    ),
    build_template_fact(
        "server_messages/*/word_item", "socket-word-template", "The template of a transcribed word", (C, B, B)
    ),
    build_required_template_fact(
        "server_messages/*/recognized_by", "socket-event-mark", "The mark of a message of the service", B
    ),
    build_required_value_fact(
        "server_messages/*/time_unit_s", "socket-time-unit", "The unit of times in a message of the service", B
    ),
    build_names_fact("settings_messages", "socket-settings", "A message that has the settings of a target", (B, P)),
    build_optional_value_fact("voice_location", "socket-voice-location", "The location of the voice", (C, B, B)),
    build_optional_value_fact(
        "language_location", "socket-language-location", "The location of the language", (C, B, B)
    ),
    build_required_value_fact("turn/ends_with", "socket-turn-end", "The event after which a turn has no audio", B),
    *(
        build_flag_fact(f"turn/{field}", f"socket-turn-{name}", sentence, levels)
        for field, name, sentence, levels in (
            ("is_only_one", "single", "A connection {} has one turn only", (B, C)),
            ("accepts_pieces", "pieces", "The text of a turn may {} be sent in several messages", (C, B)),
            ("speaks_after_end", "late", "The service {} speaks only after the end of the turn", (P, C)),
            ("flushes_before_end", "flush", "A client {} flushes before it ends a turn", (B, C)),
            (
                "audio_is_between_start_and_end",
                "bounds",
                "All audio of a turn {} arrives between its start and its end",
                (C, P),
            ),
        )
    ),
    build_required_value_fact("transcript/turn_text", "socket-turn-text", "The message that has the text of a turn", B),
    build_flag_fact(
        "transcript/end_repeats_eager_end",
        "socket-eager-end-text",
        "The end of a turn {} repeats the text of its eager end",
        (C, P),
    ),
    build_flag_fact(
        "transcript/resumes_after_eager_end_only",
        "socket-resumption",
        "A turn {} resumes after an eager end only",
        (C, P),
    ),
    *(
        fact
        for field, number, subject in (
            ("contexts", "max_count", "The limit of open contexts"),
            ("flushes", "max_count", "The limit of flushes"),
            ("message_bytes", "max_count", "The maximum size of a client's message"),
            ("inactivity", "max_s", "The maximum time without a message of the client"),
            ("context_expiry", "max_s", "The maximum time of a context that was not ended"),
        )
        for fact in _build_socket_limit_facts(f"limits/{field}", number, subject)
    ),
    build_names_fact("close_codes", "socket-close-code", "A code with which the service closes a connection", (P, C)),
    build_required_value_fact("close_codes/*", "socket-close-code", "The meaning of a close code", C),
    *TARGET_FACTS,
    build_optional_value_fact(
        "targets/*/price_of", "target-price-source", "The target whose price a target has", (P, P, P)
    ),
    build_names_fact("targets/*/formats", "socket-format", "An audio format of a target", (C, B)),
    build_required_value_fact("targets/*/formats/*/codec", "socket-format-codec", "The codec of an audio format", B),
    build_required_value_fact(
        "targets/*/formats/*/sample_rate_hz", "socket-format-sample-rate", "The sample rate of an audio format", B
    ),
    build_names_fact(
        "targets/*/formats/*/request_constants",
        "socket-format-constant",
        "A constant that asks for an audio format",
        (B, B),
    ),
    build_required_value_fact(
        "targets/*/formats/*/request_constants/*",
        "socket-format-constant",
        "A constant that asks for an audio format",
        B,
    ),
)
"""The facts of `x-socket` that are compared, with the levels of their changes."""


# Facts about asynchronous jobs, and about the callbacks that report the state of a job.


JOB_FACTS = (
    build_presence_fact("", "job", "The job of the operation (x-job)", (P, B)),
    build_names_fact("states", "job-state", "A job state", (P, C)),
    build_names_fact("states/*/successor_names", "job-transition", "A transition between job states", (P, C)),
    build_optional_value_fact(
        "states/*/terminal_outcome", "job-state-end", "The outcome of a terminal job state", (B, B, B)
    ),
    build_flag_fact("states/*/is_charged", "job-charge", "A job that ends in a certain state is {} charged", (P, C)),
    build_names_fact(
        "states/*/required_locations", "job-carries", "A location that always has a value in a job state", (C, B)
    ),
    build_flag_fact(
        "states/*/may_have_partial_audio",
        "job-partial",
        "A job may {} have audio in a state before it has ended",
        (P, C),
    ),
    build_optional_value_fact(
        "states/*/flag_value", "job-state-flag", "The flag that a response has in a job state", (B, B, B)
    ),
    build_optional_value_fact(
        "states/*/identifying_location",
        "job-state-identifying-location",
        "The location of a value that only one job state has",
        (B, B, B),
    ),
    build_optional_number_fact(
        "states/*/max_duration_s", "job-state-time", "The maximum time in a job state", (P, C, P, C)
    ),
    build_required_value_fact(
        "submit_response/job_id_location",
        "job-submit-id-location",
        "The location of the job id in the submit response",
        B,
    ),
    build_optional_value_fact(
        "submit_response/state_location",
        "job-submit-state-location",
        "The location of the job state in the submit response",
        (C, P, B),
    ),
    build_optional_value_fact(
        "submit_response/polling_url_location",
        "job-submit-url-location",
        "The location of the polling URL in the submit response",
        (C, P, B),
    ),
    build_optional_value_fact(
        "job_id_location", "job-id-location", "The location of the job id in the status response", (C, P, B)
    ),
    build_required_value_fact(
        "state_location", "job-state-location", "The location of the job state in the status response", B
    ),
    *build_audio_facts("audio", "job-audio"),
    build_optional_value_fact(
        "result_operation_id", "job-result-call", "The operation that fetches the result of a job", (B, B, B)
    ),
    build_optional_value_fact(
        "failure_reason_location", "job-reason-location", "The location of the failure reason", (C, P, P)
    ),
    build_optional_value_fact("model_name_location", "job-model-location", "The location of the model name", (C, P, P)),
    build_optional_value_fact(
        "creation_time_location", "job-created-location", "The location of the creation time", (C, P, P)
    ),
    build_optional_value_fact(
        "update_time_location", "job-updated-location", "The location of the time of the last update", (C, P, P)
    ),
    build_optional_value_fact(
        "end_time_location", "job-completed-location", "The location of the completion time", (C, P, P)
    ),
    build_optional_value_fact("charge_location", "job-charged-location", "The location of the charge", (C, P, P)),
    build_number_fact("poll_schedule/min_interval_s", "job-poll-shortest", "The minimum polling interval", (P, C)),
    build_number_fact("poll_schedule/max_interval_s", "job-poll-longest", "The maximum polling interval", (C, C)),
    build_number_fact(
        "poll_schedule/interval_factor", "job-poll-factor", "The factor by which the polling interval grows", (C, C)
    ),
    build_number_fact("poll_schedule/job_timeout_s", "job-poll-timeout", "The timeout of a job", (P, C)),
    build_presence_fact("cancellation", "job-cancel", "Cancelling of a job", (C, B)),
    build_required_value_fact("cancellation/operation_id", "job-cancel-call", "The operation that cancels a job", P),
    build_required_value_fact("cancellation/resulting_state", "job-cancel-state", "The state of a cancelled job", P),
    build_optional_number_fact(
        "ended_job_lifetime_s", "job-expiry", "The time for which an ended job can be polled", (C, P, P, C)
    ),
)
"""The facts of `x-job` that are compared, with the levels of their changes."""

SIGNATURE_FACTS = (
    build_presence_fact("signature", "webhook-signature", "The signature of callbacks", (C, B)),
    *(
        build_required_value_fact(f"signature/{key}", f"webhook-signature-{name}", subject, B)
        for key, name, subject in (
            ("signature_header_name", "header", "The header of the signature"),
            ("signature_header_template", "format", "The format of the signature's header"),
            ("signed_text_template", "content", "The content that is signed"),
            ("hash_algorithm", "digest", "The digest of the signature"),
            ("signature_encoding", "encoding", "The encoding of the signature"),
            ("secret_prefix", "secret-prefix", "The text before the secret"),
            ("secret_encoding", "secret-encoding", "The encoding of the secret"),
        )
    ),
    build_optional_value_fact(
        "signature/id_header_name", "webhook-signature-id", "The header with the id of a callback", (C, B, B)
    ),
    build_optional_value_fact(
        "signature/timestamp_header_name", "webhook-signature-time", "The header with the time of a callback", (C, B, B)
    ),
    build_required_value_fact(
        "signature/secret_variable", "webhook-secret-variable", "The environment variable of the secret", P
    ),
    build_number_fact(
        "signature/timestamp_tolerance_s", "webhook-tolerance", "The maximum age of a callback when it arrives", (C, P)
    ),
)
"""The facts of the signature of callbacks, a part of `x-webhook`, with the levels of their changes."""

WEBHOOK_FACTS = (
    build_presence_fact("", "webhook-naming", "The webhook URL in requests (x-webhook)", (C, B)),
    build_names_fact(
        "url_fields", "webhook-url", "A location of the webhook URL in the request, or its modes,", (C, B)
    ),
    build_required_value_fact(
        "callback_operation_id", "webhook-callback", "The documented callback that is sent to the webhook", P
    ),
    build_flag_fact("requires_https", "webhook-https", "Webhook URLs {} have to use HTTPS", (B, C)),
    build_flag_fact("may_be_repeated", "webhook-repeats", "A callback may {} be repeated", (P, C)),
    build_optional_number_fact(
        "max_progress_interval_s", "webhook-progress", "The maximum time between two progress callbacks", (P, C, C, P)
    ),
    build_presence_fact(
        "body_locations", "webhook-body", "A callback body that differs from the status response", (B, B)
    ),
    build_required_value_fact(
        "body_locations/id_location", "webhook-id-location", "The location of the job id in a callback", B
    ),
    build_required_value_fact(
        "body_locations/state_location", "webhook-state-location", "The location of the job state in a callback", B
    ),
    build_names_fact(
        "body_locations/outcome_by_state", "webhook-state", "A job state that is reported by callbacks", (P, P)
    ),
    build_optional_value_fact(
        "body_locations/submit_id_location",
        "webhook-submit-id-location",
        "The location of the callback's id in the submit",
        (C, P, P),
    ),
    build_optional_value_fact(
        "body_locations/result_url_location",
        "webhook-result-location",
        "The location of the result in a callback",
        (C, P, B),
    ),
    build_optional_value_fact(
        "body_locations/charge_location",
        "webhook-charged-location",
        "The location of the charge in a callback",
        (C, P, P),
    ),
    build_optional_value_fact(
        "body_locations/creation_time_location",
        "webhook-created-location",
        "The location of the creation time in a callback",
        (C, P, P),
    ),
    build_optional_value_fact(
        "body_locations/end_time_location",
        "webhook-completed-location",
        "The location of the completion time in a callback",
        (C, P, P),
    ),
    *SIGNATURE_FACTS,
)
"""The facts of `x-webhook` that are compared, with the levels of their changes."""


# Facts about operations that create resources, start jobs without speech, or take an idempotency key.


RESOURCE_FACTS = (
    build_presence_fact("", "resource", "The resource that the operation creates (x-resource)", (C, B)),
    build_required_value_fact("id_location", "resource-id-location", "The location of the resource id", B),
    build_optional_value_fact(
        "state_location", "resource-state-location", "The location of the resource state", (C, P, B)
    ),
    build_names_fact("states", "resource-state", "A resource state", (P, C)),
    build_presence_fact("listing", "resource-list", "Listing of resources", (C, B)),
    build_required_value_fact("listing/operation_id", "resource-list-call", "The operation that lists resources", P),
    build_optional_value_fact(
        "listing/count_location", "resource-count-location", "The location of the number of resources", (C, P, P)
    ),
    build_optional_value_fact(
        "listing/max_count_location",
        "resource-limit-location",
        "The location of the maximum number of resources",
        (C, P, P),
    ),
    build_presence_fact("deletion", "resource-deletion", "Deletion of resources", (C, B)),
    build_required_value_fact(
        "deletion/operation_id", "resource-deletion-call", "The operation that deletes a resource", P
    ),
    build_required_value_fact(
        "deletion/id_location", "resource-deletion-location", "The location of the id in a deletion request", B
    ),
    build_names_fact("transitions", "resource-setting", "An operation that changes the state of a resource", (C, B)),
    build_names_fact("uses", "resource-use", "An operation that accepts the resource id, or its parameter,", (C, B)),
)
"""The facts of `x-resource` that are compared, with the levels of their changes."""

PAGINATION_FACTS = (
    build_presence_fact("", "pagination", "Pages of a list (x-pagination)", (C, P)),
    build_required_value_fact("items_location", "pagination-items", "The location of the items of a page", B),
    build_required_value_fact("cursor_kind", "pagination-kind", "What names a page", B),
    build_optional_value_fact("cursor_location", "pagination-cursor", "The location of what names a page", (C, B, B)),
    build_optional_value_fact(
        "page_size_location", "pagination-size", "The location of the requested number of items", (C, P, P)
    ),
    build_optional_value_fact(
        "next_cursor_location", "pagination-next", "The location of what names the next page", (C, B, B)
    ),
    build_optional_value_fact(
        "has_more_location", "pagination-more", "The location of whether more pages follow", (C, B, B)
    ),
    build_optional_value_fact(
        "item_id_field", "pagination-item-id", "The field of an item that names a page", (C, B, B)
    ),
    build_required_value_fact("first_page_number", "pagination-first-page", "The number of the first page", B),
    build_optional_value_fact(
        "total_count_location", "pagination-count", "The location of the number of items of all pages", (C, P, P)
    ),
    build_optional_value_fact(
        "page_count_location", "pagination-pages", "The location of the number of pages", (C, P, P)
    ),
)
"""The facts of `x-pagination` that are compared, with the levels of their changes."""

SUBMIT_FACTS = (
    build_presence_fact("", "submit", "The start of a job without audio (x-submit)", (C, B)),
    build_required_value_fact(
        "status_operation_id", "submit-job-call", "The operation that returns the status of the job", B
    ),
)
"""The facts of `x-submit` that are compared, with the levels of their changes."""

IDEMPOTENCY_FACTS = (
    build_presence_fact("", "idempotency", "Idempotency keys in requests (x-idempotency)", (C, B)),
    build_required_value_fact("header_name", "idempotency-header", "The header of the idempotency key", B),
    build_optional_number_fact(
        "key_lifetime_s", "idempotency-time", "The time for which a key is remembered", (C, P, C, P)
    ),
)
"""The facts of `x-idempotency` that are compared, with the levels of their changes."""


# Facts about a provider as a whole: its API key and its limits.


PROVIDER_FACTS = (
    build_required_value_fact("id", "provider-id", "The id of the provider, with which target ids begin,", B),
    build_required_value_fact("key_variable", "provider-key-variable", "The environment variable of the key", P),
    build_flag_fact("is_key_optional", "provider-key-optional", "Some operations {} work without a key", (C, B)),
    build_names_fact("request_headers", "provider-header", "A header to send with every request", (P, C)),
    build_required_value_fact("request_headers/*", "provider-header", "A header to send with every request", P),
    build_optional_number_fact("credits/usd_per_credit", "credit-price", "The price of one credit", (P, C, C, P)),
    build_optional_number_fact(
        "credits/free_credits", "free-credits", "The number of free credits of a new account", (C, P, C, P)
    ),
    build_required_value_fact("credits/name", "credit-name", "The name of the provider's credits", C),
    build_names_fact("retry_policy/retried_statuses", "retry-status", "A status after which to retry", (C, P)),
    build_number_fact("retry_policy/initial_delay_s", "retry-first-wait", "The wait before the first retry", (P, C)),
    build_number_fact("retry_policy/max_delay_s", "retry-longest-wait", "The maximum wait before a retry", (P, C)),
    build_number_fact(
        "retry_policy/delay_factor", "retry-factor", "The factor by which waits before retries grow", (P, C)
    ),
    build_number_fact("retry_policy/max_attempts", "retry-attempts", "The maximum number of attempts", (C, P)),
    build_presence_fact("self_hosted", "server-lists", "What servers of users are asked for (self_hosted)", (C, B)),
    build_presence_fact("self_hosted/model_list", "server-models", "The list of a server's models", (C, P)),
    build_required_value_fact(
        "self_hosted/model_list/operation_id", "server-models-call", "The operation that lists a server's models", P
    ),
    build_names_fact(
        "self_hosted/model_list/list_locations",
        "server-models-location",
        "A location of the list of a server's models",
        (C, P),
    ),
    build_required_value_fact(
        "self_hosted/model_list/request_field_location",
        "server-models-parameter",
        "The location of a listed model in speech requests",
        B,
    ),
    build_names_fact("self_hosted/voice_lists", "server-voices", "A list of a server's voices", (C, P)),
)
"""The facts of `x-provider` that are compared, with the levels of their changes."""

API_KEY_FACTS = (
    build_optional_value_fact(
        "key_variable", "key-variable", "The environment variable of a security scheme", (P, P, P)
    ),
    build_required_value_fact("key_prefix", "key-prefix", "The text before the key", B),
    build_optional_value_fact(
        "id_variable", "key-id-variable", "The environment variable of the id that belongs to the key", (P, P, P)
    ),
    build_presence_fact(
        "aws_signature", "key-aws-signature", "Signing of requests with AWS Signature Version 4", (B, B)
    ),
    build_required_value_fact("aws_signature/region", "key-aws-region", "The region in AWS signatures", B),
    build_required_value_fact("aws_signature/service", "key-aws-service", "The service in AWS signatures", B),
)
"""The facts of `x-key` that are compared, with the levels of their changes."""

LIMITS_FACTS = (
    build_names_fact("plan_limits", "plan", "An account plan", (C, P)),
    build_optional_number_fact(
        "plan_limits/*/max_requests_per_minute", "plan-requests", "The rate limit of a plan", (C, P, P, C)
    ),
    build_optional_number_fact(
        "plan_limits/*/max_concurrent_requests", "plan-concurrent", "The concurrency limit of a plan", (C, P, P, C)
    ),
    build_optional_number_fact(
        "plan_limits/*/max_text_characters", "plan-text-length", "The maximum text length of a plan", (C, B, P, C)
    ),
    build_names_fact("upload_limits", "upload-limit", "A limit for an upload", (P, C)),
    build_optional_number_fact(
        "upload_limits/*/max_bytes", "upload-size", "The maximum size of an upload", (C, B, P, C)
    ),
    build_optional_number_fact(
        "upload_limits/*/min_duration_s", "upload-length", "The minimum duration of an upload", (B, C, P, C)
    ),
    build_optional_number_fact(
        "upload_limits/*/max_duration_s", "upload-longest", "The maximum duration of an upload", (C, B, P, C)
    ),
    build_optional_number_fact(
        "upload_limits/*/min_sample_rate_hz", "upload-sample-rate", "The minimum sample rate of an upload", (B, C, P, C)
    ),
    build_choices_fact("upload_limits/*/accepted_formats", "upload-format", "An allowed upload format"),
    build_presence_fact("keyless_limits", "keyless-allowance", "The allowance for requests without a key", (C, B)),
    build_number_fact(
        "keyless_limits/max_characters_per_day", "keyless-characters", "The number of free characters per day", (C, P)
    ),
    build_names_fact("rate_limit_header_names", "limit-header", "A header that reports the rate limit", (C, P)),
    build_required_value_fact("rate_limit_header_names/*", "limit-header", "A header that reports the rate limit", P),
)
"""The facts of `x-limits` that are compared, with the levels of their changes."""
