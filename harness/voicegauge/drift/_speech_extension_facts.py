"""Facts that are compared for the `x-` extensions about speech: requests, streams of audio, batches and chats."""

from __future__ import annotations

from voicegauge.drift._extension_fact_kinds import (
    B,
    C,
    P,
    build_audio_facts,
    build_choices_fact,
    build_flag_fact,
    build_names_fact,
    build_number_fact,
    build_optional_number_fact,
    build_optional_value_fact,
    build_presence_fact,
    build_price_facts,
    build_required_value_fact,
)

SPEECH_FACTS = (
    build_presence_fact("", "speech", "The speech synthesis of the operation (x-speech)", (C, B)),
    build_names_fact("request_fields", "speech-parameter", "A parameter of speech requests", (C, B)),
    build_required_value_fact(
        "request_fields/*/location", "speech-parameter-location", "The location of a parameter in the request", B
    ),
    build_required_value_fact(
        "request_fields/*/text_template", "speech-parameter-template", "The template of a parameter's value", P
    ),
    build_names_fact(
        "request_fields/*/provider_values",
        "speech-parameter-value",
        "The provider's name for a value of a parameter",
        (C, P),
    ),
    build_required_value_fact(
        "request_fields/*/provider_values/*",
        "speech-parameter-value",
        "The provider's name for a value of a parameter",
        P,
    ),
    build_presence_fact("request_fields/*/markup_language", "speech-markup", "The markup of the text", (B, B)),
    build_flag_fact(
        "request_fields/*/is_seed_reproducible", "speech-seed-kept", "The same seed {} gives the same audio", (C, P)
    ),
    build_optional_value_fact(
        "response/status_operation_id", "speech-job-call", "The operation that returns the status of the job", (B, B, B)
    ),
    build_presence_fact(
        "response/wait_preference", "speech-wait", "The wait for the end of the job in the response", (C, B)
    ),
    build_required_value_fact(
        "response/wait_preference/location", "speech-wait-location", "The location of the wait in the request", B
    ),
    build_required_value_fact(
        "response/wait_preference/preference", "speech-wait-value", "The value that asks to wait", B
    ),
    build_number_fact(
        "response/wait_preference/max_wait_s", "speech-wait-time", "The maximum wait for the end of the job", (C, P)
    ),
    build_presence_fact("response/audio", "speech-audio", "Audio in the response", (C, B)),
    *build_audio_facts("response/audio", "speech-audio"),
    build_optional_value_fact(
        "response/charge_location", "speech-charged-location", "The location of the charge", (C, P, P)
    ),
    build_optional_value_fact(
        "response/balance_location", "speech-balance-location", "The location of the remaining balance", (C, P, P)
    ),
    build_names_fact("formats", "speech-format-meaning", "The meaning of an audio format", (C, P)),
    build_required_value_fact("formats/*/codec", "speech-format-codec", "The codec of an audio format", B),
    build_optional_value_fact(
        "formats/*/sample_rate_hz", "speech-format-sample-rate", "The sample rate of an audio format", (C, P, B)
    ),
    build_optional_value_fact(
        "formats/*/bitrate_kbps", "speech-format-bit-rate", "The bit rate of an audio format", (C, P, P)
    ),
    build_required_value_fact("formats/*/channels", "speech-format-channels", "The channels of an audio format", B),
    build_names_fact(
        "formats/*/codec_by_container", "speech-format-container", "A container of an audio format", (C, B)
    ),
    build_names_fact("targets", "target", "A target", (C, B)),
    build_optional_value_fact(
        "targets/*/response_model_name", "target-model", "The name of a target's model in responses", (C, P, P)
    ),
    build_names_fact(
        "targets/*/request_constants", "target-constant", "A constant in the requests of a target", (B, B)
    ),
    build_required_value_fact(
        "targets/*/request_constants/*", "target-constant", "A constant in the requests of a target", B
    ),
    build_optional_value_fact("targets/*/default_voice", "target-voice", "The default voice of a target", (C, P, P)),
    build_names_fact(
        "targets/*/default_voice_by_language", "target-language-voice", "The default voice of a language", (C, P)
    ),
    build_required_value_fact(
        "targets/*/default_voice_by_language/*", "target-language-voice", "The default voice of a language", P
    ),
    build_optional_value_fact(
        "targets/*/default_voice_description",
        "target-voice-description",
        "The default voice description of a target",
        (C, P, P),
    ),
    build_optional_value_fact(
        "targets/*/default_voice_sample_url", "target-voice-sample", "The default voice sample of a target", (C, P, P)
    ),
    build_names_fact(
        "targets/*/request_fields", "target-parameter", "A parameter that a target describes on its own", (P, P)
    ),
    build_required_value_fact(
        "targets/*/request_fields/*/location", "target-parameter-location", "The location of a parameter of a target", B
    ),
    build_required_value_fact(
        "targets/*/request_fields/*/text_template",
        "target-parameter-template",
        "The template of a target's parameter",
        P,
    ),
    build_names_fact(
        "targets/*/request_fields/*/provider_values",
        "target-parameter-value",
        "A target's name for a value of a parameter",
        (C, P),
    ),
    build_required_value_fact(
        "targets/*/request_fields/*/provider_values/*",
        "target-parameter-value",
        "A target's name for a value of a parameter",
        P,
    ),
    build_presence_fact(
        "targets/*/request_fields/*/markup_language", "target-markup", "The markup of a target's text", (B, B)
    ),
    build_names_fact("targets/*/required_fields", "target-need", "A required parameter of a target", (B, C)),
    build_optional_value_fact(
        "targets/*/default_language", "target-default-language", "The default language of a target", (C, P, P)
    ),
    build_choices_fact("targets/*/supported_languages", "target-language", "A language of a target"),
    build_optional_value_fact(
        "targets/*/default_format", "target-default-format", "The default audio format of a target", (C, P, P)
    ),
    build_choices_fact("targets/*/supported_formats", "target-format", "An audio format of a target"),
    build_optional_number_fact(
        "targets/*/recommended_max_characters",
        "target-text-length",
        "The recommended maximum text length",
        (C, P, P, C),
    ),
    build_optional_value_fact(
        "targets/*/request_media_type", "target-media-type", "The media type of a target's requests", (P, P, B)
    ),
    build_presence_fact(
        "targets/*/response_audio", "target-audio", "The kind of response that a target selects", (B, B)
    ),
    *build_audio_facts("targets/*/response_audio", "target-audio"),
    build_flag_fact("targets/*/works_without_key", "target-keyless", "A target {} works without a key", (C, B)),
    *build_price_facts("targets/*/pricing"),
)

STREAM_FACTS = (
    build_presence_fact("", "stream", "The event stream of the response (x-stream)", (B, B)),
    build_required_value_fact("framing", "stream-framing", "The way in which events are separated", B),
    build_optional_value_fact("media_type", "stream-media-type", "The media type of a stream", (P, P, B)),
    build_required_value_fact("event_type_location", "stream-kind-location", "The location of an event's type", B),
    build_optional_value_fact(
        "events/*/identifying_location", "stream-event-mark", "The value that tells the type of an event", (C, P, B)
    ),
    build_flag_fact("ends_with_response", "stream-end-unmarked", "A stream {} ends without a final event", (B, P)),
    build_names_fact("events", "stream-event", "An event type", (P, P)),
    build_names_fact("events/*/successor_names", "stream-order", "An event type that may follow another", (P, C)),
    build_optional_value_fact(
        "events/*/terminal_outcome", "stream-end", "The outcome of a stream that an event ends", (B, B, B)
    ),
    build_presence_fact("events/*/data_schema", "stream-data", "The schema of an event's data", (C, P)),
    build_required_value_fact("audio/event_type", "stream-audio-event", "The event that has the audio", B),
    build_required_value_fact("audio/location", "stream-audio-location", "The location of the audio in its event", B),
    build_required_value_fact("audio/encoding", "stream-audio-encoding", "The encoding of the audio", B),
    build_optional_value_fact(
        "audio/sequence_number_location",
        "stream-index-location",
        "The location of the sequence number of an event",
        (C, P, P),
    ),
    build_names_fact("audio/timestamps", "stream-timestamps", "The timestamps of characters or words", (C, B)),
    build_optional_value_fact("end_marker", "stream-marker", "The marker at the end of a stream", (P, B, B)),
    build_optional_value_fact(
        "failure_reason_location", "stream-reason-location", "The location of the failure reason", (C, P, P)
    ),
    build_optional_number_fact("max_gap_s", "stream-gap", "The maximum gap between events", (P, C, P, C)),
)

BATCH_FACTS = (
    build_presence_fact("", "batch", "The batch of requests of the operation (x-batch)", (C, B)),
    build_required_value_fact("requests_location", "batch-items-location", "The location of the list of requests", B),
    build_required_value_fact(
        "item_operation_id", "batch-call", "The operation that each request of a batch is for", P
    ),
    build_required_value_fact("jobs_location", "batch-results-location", "The location of the list of jobs", B),
    build_required_value_fact("job_id_field", "batch-job-key", "The name of the job id in the list of jobs", B),
    build_optional_value_fact("index_field", "batch-index-key", "The name of the index in the list of jobs", (C, P, P)),
    build_optional_value_fact(
        "state_field", "batch-state-key", "The name of the job state in the list of jobs", (C, P, B)
    ),
    build_optional_value_fact(
        "charge_field", "batch-charged-key", "The name of the charge in the list of jobs", (C, P, P)
    ),
    build_optional_value_fact(
        "audio_url_field", "batch-url-key", "The name of the audio URL in the list of jobs", (C, P, B)
    ),
    build_optional_value_fact(
        "total_count_location", "batch-total-location", "The location of the number of jobs", (C, P, P)
    ),
    build_optional_value_fact(
        "ended_count_location", "batch-completed-location", "The location of the number of ended jobs", (C, P, P)
    ),
)

CHAT_FACTS = (
    build_presence_fact("", "chat", "The spoken chat of the operation (x-chat)", (C, B)),
    build_required_value_fact("text_location", "chat-text-location", "The location of the user's message as text", B),
    build_optional_value_fact(
        "audio_location", "chat-recording-location", "The location of the user's message as audio", (C, B, B)
    ),
    build_optional_value_fact(
        "transcript_location",
        "chat-transcript-location",
        "The location of the transcript of the user's message",
        (C, P, P),
    ),
    build_required_value_fact("reply_text_location", "chat-reply-location", "The location of the reply text", B),
    *build_audio_facts("reply_audio", "chat-audio"),
    build_optional_value_fact(
        "voice_location", "chat-voice-location", "The location of the voice of the reply", (C, B, B)
    ),
    build_optional_value_fact("charge_location", "chat-charged-location", "The location of the charge", (C, P, P)),
)
