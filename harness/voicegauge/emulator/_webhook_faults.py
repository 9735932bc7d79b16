"""Faults of webhooks."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

from voicegauge.contract.callbacks import find_callback_body
from voicegauge.contract.targets import Target
from voicegauge.emulator._body_faults import invalidate_body
from voicegauge.emulator._fault import Fault
from voicegauge.emulator._job_state import VIRTUAL_START_TIME_S
from voicegauge.emulator._request import read_value_at, write_value_at
from voicegauge.emulator._schema_values import format_time_like_example
from voicegauge.emulator._webhook_payloads import EmulatedCallback
from voicegauge.formats.locations import Location

_SECONDS_PER_DAY = 86_400.0


def drop_callback(callback: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Send no callback."""
    yield replace(callback, is_due=False)


def repeat_final_callback(callback: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Send the final callback twice, the second time with another completion time."""
    yield callback
    if callback.is_final:
        location = callback.completion_time_location or Location("body", pointer_tokens=("again",))
        yield replace(
            callback,
            body=write_value_at(
                copy.deepcopy(callback.body),
                location,
                format_time_like_example(VIRTUAL_START_TIME_S, read_value_at(callback.body, location)),
            ),
        )


def send_progress_callback(callback: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Send progress callbacks even to subscribers that asked only for the final callback."""
    yield replace(callback, is_due=True)


def remove_payload_field(callback: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Remove a field from the payload."""
    yield replace(
        callback,
        body=invalidate_body(
            callback.documented_media_type,
            callback.body,
            lambda parent, key: parent.pop(key),
            callback.essential_field_paths,
        ),
    )


def forge_signature(callback: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Sign with a wrong secret."""
    yield replace(callback, has_forged_signature=True)


def replay_callback(callback: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Send the final callback twice, with the same signature."""
    yield replace(callback, send_count=2 if callback.is_final else 1)


def backdate_signature(callback: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Date the signature a day before the callback is sent."""
    yield replace(callback, signature_age_s=_SECONDS_PER_DAY)


def signs_callbacks(target: Target) -> bool:
    """Whether callbacks are signed."""
    return target.operation.webhook is not None and target.operation.webhook.signature is not None


def signs_callback_time(target: Target) -> bool:
    """Whether callbacks are signed together with a time."""
    signature = target.operation.webhook.signature if target.operation.webhook is not None else None
    return signature is not None and "{timestamp}" in signature.signed_text_template


def accepts_webhook_url(target: Target) -> bool:
    """Whether requests to the target may name a webhook URL."""
    return target.operation.webhook is not None


def has_progress_callbacks(target: Target) -> bool:
    """Whether the payloads of callbacks can report a job that has not ended."""
    return target.operation.webhook is not None and target.operation.webhook.body_locations is None


def has_callback_payload_schema(target: Target) -> bool:
    """Whether the payloads of callbacks have a documented schema."""
    return accepts_webhook_url(target) and find_callback_body(target.operation).schema_pointer is not None


def requires_https_webhook_url(target: Target) -> bool:
    """Whether plain http webhook URLs must be rejected."""
    return target.operation.webhook is not None and target.operation.webhook.requires_https


WEBHOOK_FAULTS = (
    Fault(
        id="webhook-never",
        description="Callbacks are never sent.",
        change_callbacks=drop_callback,
        applies_to=accepts_webhook_url,
    ),
    Fault(
        id="webhook-twice",
        description="The final callback is sent twice, with different completion times.",
        change_callbacks=repeat_final_callback,
        applies_to=accepts_webhook_url,
    ),
    Fault(
        id="webhook-early",
        description="Progress callbacks are sent to subscribers of the final one only.",
        change_callbacks=send_progress_callback,
        applies_to=has_progress_callbacks,
    ),
    Fault(
        id="webhook-wrong-shape",
        description="A field is missing from callback payloads.",
        change_callbacks=remove_payload_field,
        applies_to=has_callback_payload_schema,
    ),
    Fault(
        id="webhook-forged",
        description="Callbacks are signed with a wrong secret.",
        change_callbacks=forge_signature,
        applies_to=signs_callbacks,
    ),
    Fault(
        id="webhook-replayed",
        description="The final callback is sent twice with the same signature.",
        change_callbacks=replay_callback,
        applies_to=signs_callback_time,
    ),
    Fault(
        id="webhook-late",
        description="Callbacks are signed a day before they are sent.",
        change_callbacks=backdate_signature,
        applies_to=signs_callback_time,
    ),
    Fault(
        id="webhook-plain-http",
        description="Plain http webhook URLs are accepted although https is required.",
        skipped_check="webhook-https",
        applies_to=requires_https_webhook_url,
    ),
)
