"""Facts about asynchronous jobs, and about the callbacks that report the state of a job."""

from __future__ import annotations

from voicegauge.drift.contracts.extension_facts.audio_and_price_facts import build_audio_facts
from voicegauge.drift.contracts.extension_facts.extension_fact import (
    B,
    C,
    P,
    build_flag_fact,
    build_names_fact,
    build_number_fact,
    build_optional_number_fact,
    build_optional_value_fact,
    build_presence_fact,
    build_required_value_fact,
)

JOB_FACTS = (
    build_presence_fact("", "job", "The job of the operation (x-job)", (P, B)),
    build_names_fact("states", "job-state", "A job state", (P, C)),
    build_names_fact("states/*/next", "job-transition", "A transition between job states", (P, C)),
    build_optional_value_fact("states/*/end", "job-state-end", "The outcome of a terminal job state", (B, B, B)),
    build_flag_fact("states/*/charged", "job-charge", "A job that ends in a certain state is {} charged", (P, C)),
    build_names_fact("states/*/required", "job-carries", "A location that always has a value in a job state", (C, B)),
    build_flag_fact(
        "states/*/partial", "job-partial", "A job may {} have audio in a state before it has ended", (P, C)
    ),
    build_optional_number_fact("states/*/max_s", "job-state-time", "The maximum time in a job state", (P, C, P, C)),
    build_required_value_fact(
        "submit/id", "job-submit-id-location", "The location of the job id in the submit response", B
    ),
    build_optional_value_fact(
        "submit/state", "job-submit-state-location", "The location of the job state in the submit response", (C, P, B)
    ),
    build_optional_value_fact(
        "submit/url", "job-submit-url-location", "The location of the polling URL in the submit response", (C, P, B)
    ),
    build_optional_value_fact("id", "job-id-location", "The location of the job id in the status response", (C, P, B)),
    build_required_value_fact("state", "job-state-location", "The location of the job state in the status response", B),
    *build_audio_facts("audio", "job-audio"),
    build_optional_value_fact("result", "job-result-call", "The operation that fetches the result of a job", (B, B, B)),
    build_optional_value_fact("reason", "job-reason-location", "The location of the failure reason", (C, P, P)),
    build_optional_value_fact("model", "job-model-location", "The location of the model name", (C, P, P)),
    build_optional_value_fact("created", "job-created-location", "The location of the creation time", (C, P, P)),
    build_optional_value_fact(
        "updated", "job-updated-location", "The location of the time of the last update", (C, P, P)
    ),
    build_optional_value_fact("completed", "job-completed-location", "The location of the completion time", (C, P, P)),
    build_optional_value_fact("charged", "job-charged-location", "The location of the charge", (C, P, P)),
    build_number_fact("poll/min_s", "job-poll-shortest", "The minimum polling interval", (P, C)),
    build_number_fact("poll/max_s", "job-poll-longest", "The maximum polling interval", (C, C)),
    build_number_fact("poll/factor", "job-poll-factor", "The factor by which the polling interval grows", (C, C)),
    build_number_fact("poll/timeout_s", "job-poll-timeout", "The timeout of a job", (P, C)),
    build_presence_fact("cancel", "job-cancel", "Cancelling of a job", (C, B)),
    build_required_value_fact("cancel/operation", "job-cancel-call", "The operation that cancels a job", P),
    build_required_value_fact("cancel/state", "job-cancel-state", "The state of a cancelled job", P),
    build_optional_number_fact(
        "expires_s", "job-expiry", "The time for which an ended job can be polled", (C, P, P, C)
    ),
)

SIGNATURE_FACTS = (
    build_presence_fact("signature", "webhook-signature", "The signature of callbacks", (C, B)),
    *(
        build_required_value_fact(f"signature/{key}", f"webhook-signature-{name}", subject, B)
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
    build_optional_value_fact(
        "signature/id", "webhook-signature-id", "The header with the id of a callback", (C, B, B)
    ),
    build_optional_value_fact(
        "signature/timestamp", "webhook-signature-time", "The header with the time of a callback", (C, B, B)
    ),
    build_required_value_fact(
        "signature/secret_env", "webhook-secret-variable", "The environment variable of the secret", P
    ),
    build_number_fact(
        "signature/tolerance_s", "webhook-tolerance", "The maximum age of a callback when it arrives", (C, P)
    ),
)

WEBHOOK_FACTS = (
    build_presence_fact("", "webhook-naming", "The webhook URL in requests (x-webhook)", (C, B)),
    build_names_fact("url", "webhook-url", "A location of the webhook URL in the request, or its modes,", (C, B)),
    build_required_value_fact("callback", "webhook-callback", "The documented callback that is sent to the webhook", P),
    build_flag_fact("https_only", "webhook-https", "Webhook URLs {} have to use HTTPS", (B, C)),
    build_flag_fact("may_repeat", "webhook-repeats", "A callback may {} be repeated", (P, C)),
    build_optional_number_fact(
        "progress_max_s", "webhook-progress", "The maximum time between two progress callbacks", (P, C, C, P)
    ),
    build_presence_fact("body", "webhook-body", "A callback body that differs from the status response", (B, B)),
    build_required_value_fact("body/id", "webhook-id-location", "The location of the job id in a callback", B),
    build_required_value_fact("body/state", "webhook-state-location", "The location of the job state in a callback", B),
    build_names_fact("body/states", "webhook-state", "A job state that is reported by callbacks", (P, P)),
    build_optional_value_fact(
        "body/submit_id", "webhook-submit-id-location", "The location of the callback's id in the submit", (C, P, P)
    ),
    build_optional_value_fact(
        "body/result", "webhook-result-location", "The location of the result in a callback", (C, P, B)
    ),
    build_optional_value_fact(
        "body/charged", "webhook-charged-location", "The location of the charge in a callback", (C, P, P)
    ),
    build_optional_value_fact(
        "body/created", "webhook-created-location", "The location of the creation time in a callback", (C, P, P)
    ),
    build_optional_value_fact(
        "body/completed", "webhook-completed-location", "The location of the completion time in a callback", (C, P, P)
    ),
    *SIGNATURE_FACTS,
)
