"""Facts about a provider as a whole: its API key and its limits."""

from __future__ import annotations

from voicegauge.drift.contracts.extension_facts.extension_fact import (
    B,
    C,
    P,
    build_choices_fact,
    build_flag_fact,
    build_names_fact,
    build_number_fact,
    build_optional_number_fact,
    build_optional_value_fact,
    build_presence_fact,
    build_required_value_fact,
)

PROVIDER_FACTS = (
    build_required_value_fact("id", "provider-id", "The id of the provider, with which target ids begin,", B),
    build_required_value_fact("key_env", "provider-key-variable", "The environment variable of the key", P),
    build_flag_fact("key_optional", "provider-key-optional", "Some operations {} work without a key", (C, B)),
    build_names_fact("headers", "provider-header", "A header to send with every request", (P, C)),
    build_required_value_fact("headers/*", "provider-header", "A header to send with every request", P),
    build_optional_number_fact("credits/usd", "credit-price", "The price of one credit", (P, C, C, P)),
    build_optional_number_fact(
        "credits/free", "free-credits", "The number of free credits of a new account", (C, P, C, P)
    ),
    build_required_value_fact("credits/name", "credit-name", "The name of the provider's credits", C),
    build_names_fact("retry/statuses", "retry-status", "A status after which to retry", (C, P)),
    build_number_fact("retry/initial_delay_s", "retry-first-wait", "The wait before the first retry", (P, C)),
    build_number_fact("retry/max_delay_s", "retry-longest-wait", "The maximum wait before a retry", (P, C)),
    build_number_fact("retry/factor", "retry-factor", "The factor by which waits before retries grow", (P, C)),
    build_number_fact("retry/max_attempts", "retry-attempts", "The maximum number of attempts", (C, P)),
    build_presence_fact("self_hosted", "server-lists", "What servers of users are asked for (self_hosted)", (C, B)),
    build_presence_fact("self_hosted/models", "server-models", "The list of a server's models", (C, P)),
    build_required_value_fact(
        "self_hosted/models/operation", "server-models-call", "The operation that lists a server's models", P
    ),
    build_names_fact(
        "self_hosted/models/items", "server-models-location", "A location of the list of a server's models", (C, P)
    ),
    build_required_value_fact(
        "self_hosted/models/sets", "server-models-parameter", "The location of a listed model in speech requests", B
    ),
    build_names_fact("self_hosted/voices", "server-voices", "A list of a server's voices", (C, P)),
)

API_KEY_FACTS = (
    build_optional_value_fact("env", "key-variable", "The environment variable of a security scheme", (P, P, P)),
    build_required_value_fact("prefix", "key-prefix", "The text before the key", B),
    build_optional_value_fact(
        "id_env", "key-id-variable", "The environment variable of the id that belongs to the key", (P, P, P)
    ),
    build_presence_fact("aws", "key-aws-signature", "Signing of requests with AWS Signature Version 4", (B, B)),
    build_required_value_fact("aws/region", "key-aws-region", "The region in AWS signatures", B),
    build_required_value_fact("aws/service", "key-aws-service", "The service in AWS signatures", B),
)

LIMITS_FACTS = (
    build_names_fact("plans", "plan", "An account plan", (C, P)),
    build_optional_number_fact(
        "plans/*/requests_per_minute", "plan-requests", "The rate limit of a plan", (C, P, P, C)
    ),
    build_optional_number_fact(
        "plans/*/concurrent", "plan-concurrent", "The concurrency limit of a plan", (C, P, P, C)
    ),
    build_optional_number_fact(
        "plans/*/text_characters", "plan-text-length", "The maximum text length of a plan", (C, B, P, C)
    ),
    build_names_fact("uploads", "upload-limit", "A limit for an upload", (P, C)),
    build_optional_number_fact("uploads/*/max_bytes", "upload-size", "The maximum size of an upload", (C, B, P, C)),
    build_optional_number_fact("uploads/*/min_s", "upload-length", "The minimum duration of an upload", (B, C, P, C)),
    build_optional_number_fact("uploads/*/max_s", "upload-longest", "The maximum duration of an upload", (C, B, P, C)),
    build_optional_number_fact(
        "uploads/*/min_sample_rate_hz", "upload-sample-rate", "The minimum sample rate of an upload", (B, C, P, C)
    ),
    build_choices_fact("uploads/*/formats", "upload-format", "An allowed upload format"),
    build_presence_fact("keyless", "keyless-allowance", "The allowance for requests without a key", (C, B)),
    build_number_fact(
        "keyless/characters_per_day", "keyless-characters", "The number of free characters per day", (C, P)
    ),
    build_names_fact("headers", "limit-header", "A header that reports the rate limit", (C, P)),
    build_required_value_fact("headers/*", "limit-header", "A header that reports the rate limit", P),
)
