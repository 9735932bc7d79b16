"""Facts about operations that create resources, start jobs without speech, or take an idempotency key."""

from __future__ import annotations

from voicegauge.drift.contracts.extension_facts.extension_fact import (
    B,
    C,
    P,
    build_names_fact,
    build_optional_number_fact,
    build_optional_value_fact,
    build_presence_fact,
    build_required_value_fact,
)

RESOURCE_FACTS = (
    build_presence_fact("", "resource", "The resource that the operation creates (x-resource)", (C, B)),
    build_required_value_fact("id", "resource-id-location", "The location of the resource id", B),
    build_optional_value_fact("state", "resource-state-location", "The location of the resource state", (C, P, B)),
    build_names_fact("states", "resource-state", "A resource state", (P, C)),
    build_presence_fact("list", "resource-list", "Listing of resources", (C, B)),
    build_required_value_fact("list/operation", "resource-list-call", "The operation that lists resources", P),
    build_optional_value_fact(
        "list/count", "resource-count-location", "The location of the number of resources", (C, P, P)
    ),
    build_optional_value_fact(
        "list/max_count", "resource-limit-location", "The location of the maximum number of resources", (C, P, P)
    ),
    build_presence_fact("delete", "resource-deletion", "Deletion of resources", (C, B)),
    build_required_value_fact("delete/operation", "resource-deletion-call", "The operation that deletes a resource", P),
    build_required_value_fact(
        "delete/id", "resource-deletion-location", "The location of the id in a deletion request", B
    ),
    build_names_fact("transitions", "resource-setting", "An operation that changes the state of a resource", (C, B)),
    build_names_fact("uses", "resource-use", "An operation that accepts the resource id, or its parameter,", (C, B)),
)

SUBMIT_FACTS = (
    build_presence_fact("", "submit", "The start of a job without audio (x-submit)", (C, B)),
    build_required_value_fact("job", "submit-job-call", "The operation that returns the status of the job", B),
)

IDEMPOTENCY_FACTS = (
    build_presence_fact("", "idempotency", "Idempotency keys in requests (x-idempotency)", (C, B)),
    build_required_value_fact("header", "idempotency-header", "The header of the idempotency key", B),
    build_optional_number_fact("valid_s", "idempotency-time", "The time for which a key is remembered", (C, P, C, P)),
)
