"""Faults of statuses, headers, authentication, uploads and webhooks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from voicegauge.contract.document_parts import Parameter
from voicegauge.contract.extension.jobs import WebhookSpec
from voicegauge.contract.extension.provider import UploadLimits
from voicegauge.contract.extension.speech import ConversionSpec, TranscriptionSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.targets import Target
from voicegauge.emulator._body_faults import invalidate_body
from voicegauge.emulator._fault import EmulatedCallback, Fault, FaultCondition
from voicegauge.emulator._job_state import VIRTUAL_START_TIME_S
from voicegauge.emulator._request import ParsedRequest, read_value_at, write_value_at
from voicegauge.emulator._response import EmulatedResponse
from voicegauge.emulator._schema_values import format_time_like_example, iterate_schemas_at
from voicegauge.formats.locations import EVERY_ITEM, Location
from voicegauge.model.exchange import UploadedFile

_SECONDS_PER_DAY = 86_400.0


def _create_callback_changer(**changes: Any) -> Callable[[EmulatedCallback], tuple[EmulatedCallback]]:
    """Return a function that replaces the fields of a callback which `changes` names."""
    return lambda callback: (replace(callback, **changes),)


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


def replay_callback(callback: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Send the final callback twice, with the same signature."""
    yield replace(callback, send_count=2 if callback.is_final else 1)


def _create_webhook_condition(
    description: str, is_met_by: Callable[[WebhookSpec], bool] = lambda _: True
) -> FaultCondition[Target]:
    """Return the condition that requests can name a webhook URL, and `is_met_by` is true of the webhook."""

    def is_met_by_webhook(target: Target) -> bool:
        webhook = target.operation.webhook
        return webhook is not None and is_met_by(webhook)

    return FaultCondition(description, is_met_by_webhook)


_ACCEPTS_WEBHOOK_URL = _create_webhook_condition("requests to the target may name a webhook URL")
_SIGNS_CALLBACK_TIME = _create_webhook_condition(
    "callbacks are signed together with a time",
    lambda webhook: webhook.signature is not None and "{timestamp}" in webhook.signature.signed_text_template,
)

WEBHOOK_FAULTS = (
    Fault(
        id="webhook-never",
        description="Callbacks are never sent.",
        change_callbacks=_create_callback_changer(is_due=False),
        applies_to=_ACCEPTS_WEBHOOK_URL,
    ),
    Fault(
        id="webhook-twice",
        description="The final callback is sent twice, with different completion times.",
        change_callbacks=repeat_final_callback,
        applies_to=_ACCEPTS_WEBHOOK_URL,
    ),
    Fault(
        id="webhook-early",
        description="Progress callbacks are sent to subscribers of the final one only.",
        change_callbacks=_create_callback_changer(is_due=True),
        applies_to=_create_webhook_condition(
            "the payloads of callbacks can report a job that has not ended",
            lambda webhook: webhook.body_locations is None,
        ),
    ),
    Fault(
        id="webhook-wrong-shape",
        description="A field is missing from callback payloads.",
        change_callbacks=remove_payload_field,
        applies_to=FaultCondition(
            "the payloads of callbacks have a documented schema",
            lambda target: _ACCEPTS_WEBHOOK_URL(target) and target.operation.callback_body.schema_pointer is not None,
        ),
    ),
    Fault(
        id="webhook-forged",
        description="Callbacks are signed with a wrong secret.",
        change_callbacks=_create_callback_changer(has_forged_signature=True),
        applies_to=_create_webhook_condition("callbacks are signed", lambda webhook: webhook.signature is not None),
    ),
    Fault(
        id="webhook-replayed",
        description="The final callback is sent twice with the same signature.",
        change_callbacks=replay_callback,
        applies_to=_SIGNS_CALLBACK_TIME,
    ),
    Fault(
        id="webhook-late",
        description="Callbacks are signed a day before they are sent.",
        change_callbacks=_create_callback_changer(signature_age_s=_SECONDS_PER_DAY),
        applies_to=_SIGNS_CALLBACK_TIME,
    ),
    Fault(
        id="webhook-plain-http",
        description="Plain http webhook URLs are accepted although https is required.",
        skipped_check="webhook-https",
        applies_to=_create_webhook_condition(
            "plain http webhook URLs must be rejected", lambda webhook: webhook.requires_https
        ),
    ),
)
"""All injectable faults of webhooks."""


# Implements the faults of status codes, headers and connections.


_UNUSUAL_STATUS_CODES = (203, 206, 226)
"""Success status codes that speech APIs do not document."""
_NEGATIVE_RETRY_AFTER = "-30"
"""Value of Retry-After that no client can follow."""
_BOUND_KEYWORDS = ("minimum", "maximum")
"""Keywords of JSON Schema that state a bound of a number."""

SLOW_RESPONSE_DELAY_S = 3.0
"""Delay of the fault of slow responses, in seconds. It exceeds every emulated duration, but tests can wait for it."""


def change_success_status(response: EmulatedResponse) -> None:
    """Replace a success status code by an undocumented one."""
    code = _find_undocumented_unusual_status(response.operation) if response.operation is not None else None
    if code is not None and 200 <= response.status < 300:
        response.status = code


def _find_undocumented_unusual_status(operation: Operation) -> int | None:
    return next((code for code in _UNUSUAL_STATUS_CODES if operation.find_response(code) is None), None)


def make_retry_after_negative(response: EmulatedResponse) -> None:
    """Replace the value of the header Retry-After by a negative number of seconds."""
    response.headers = {
        name: _NEGATIVE_RETRY_AFTER if name.lower() == "retry-after" else value
        for name, value in response.headers.items()
    }


def exceed_rate_limit(response: EmulatedResponse) -> None:
    """Make the remaining requests one more than the rate limit."""
    names = response.operation.limits.rate_limit_header_names if response.operation is not None else {}
    by_name = {name.lower(): value for name, value in response.headers.items()}
    limit = by_name.get(names.get("limit", "").lower())
    wrong = {names.get("remaining", "").lower(): str(int(limit) + 1) if limit is not None else None}
    response.headers = {name: wrong.get(name.lower()) or value for name, value in response.headers.items()}


def remove_documented_headers(response: EmulatedResponse) -> None:
    """Remove all documented headers except Retry-After, which has a fault of its own."""
    documented = (
        {name.lower() for name in response.response_spec.headers} if response.response_spec is not None else set()
    )
    _remove_headers(response, lambda name: name != "retry-after" and name in documented)


def _iterate_headers(target: Target) -> Iterator[tuple[str, Parameter]]:
    """Yield the name and the documentation of each header of the operation's responses."""
    for response in target.operation.responses.values():
        yield from response.headers.items()


def _remove_headers(response: EmulatedResponse, must_remove: Callable[[str], bool]) -> None:
    response.headers = {name: value for name, value in response.headers.items() if not must_remove(name.lower())}


def cut_connection(response: EmulatedResponse) -> None:
    """Close the connection after half of the body."""
    response.is_connection_cut = True


def cut_unauthorized_response(response: EmulatedResponse) -> None:
    """Close the connection after half of the body if the request had no valid key."""
    response.is_connection_cut = response.is_connection_cut or response.status == HTTPStatus.UNAUTHORIZED


def reject_every_second_request(request: ParsedRequest, request_count: int) -> str | None:
    """Return the rejection reason "busy" for every second speech request."""
    return "busy" if request.operation.speech is not None and request_count % 2 == 1 else None


def fail_at_documented_bound(request: ParsedRequest, _request_count: int) -> str | None:
    """Return the rejection reason "internal" if a number or the length of a text equals a documented bound."""
    if not isinstance(request.body, dict) or request.documented_media_type is None:
        return None
    for name, value in request.body.items():
        for schema in iterate_schemas_at(
            request.operation.contract.schemas, request.documented_media_type.schema, [name]
        ):
            if _is_value_at_bound(schema, value):
                return "internal"
    return None


def _is_value_at_bound(schema: dict[str, Any], value: Any) -> bool:
    if isinstance(value, bool | UploadedFile):
        return False
    if isinstance(value, int | float):
        return any(schema.get(bound) == value for bound in _BOUND_KEYWORDS)
    return isinstance(value, str) and schema.get("maxLength") == len(value)


def _has_bounded_request_field(target: Target) -> bool:
    field_schemas = _iterate_request_field_schemas(target)
    return any(keyword in schema for schema in field_schemas for keyword in (*_BOUND_KEYWORDS, "maxLength"))


def _iterate_request_field_schemas(target: Target) -> Iterator[dict[str, Any]]:
    schemas = target.contract.schemas
    for media in target.operation.request_media.values():
        for part in iterate_schemas_at(schemas, media.schema, []):
            for name in part.get("properties", {}):
                yield from iterate_schemas_at(schemas, media.schema, [name])


_NEEDS_KEY = FaultCondition[Target]("requests need a key", lambda target: target.needs_key)
_DOCUMENTS_RETRY_AFTER = FaultCondition[Target](
    "some response of the operation documents Retry-After",
    lambda target: any(name.lower() == "retry-after" for name, _ in _iterate_headers(target)),
)

HTTP_FAULTS = (
    Fault(
        id="server-error-at-boundary",
        description="A value at the limit of its documented range causes status 500.",
        find_rejection_reason=fail_at_documented_bound,
        applies_to=FaultCondition("some field of the request has a documented bound", _has_bounded_request_field),
    ),
    Fault(
        id="flaky-503",
        description="Every second speech request gets status 503.",
        find_rejection_reason=reject_every_second_request,
    ),
    Fault(
        id="unauthorized-cut-off",
        description="The connection is closed in the middle of every response with status 401.",
        change_response=cut_unauthorized_response,
        applies_to=_NEEDS_KEY,
    ),
    Fault(
        id="drops-connection",
        description="The connection is closed in the middle of every response.",
        change_response=cut_connection,
    ),
    Fault(
        id="wrong-rate-limit",
        description="More requests remain than the rate limit allows.",
        change_response=exceed_rate_limit,
        applies_to=FaultCondition(
            "responses to the target have both the limit and the number of remaining requests",
            lambda target: {"limit", "remaining"} <= target.operation.limits.rate_limit_header_names.keys(),
        ),
    ),
    Fault(
        id="slow",
        description=f"Every response is {SLOW_RESPONSE_DELAY_S:g} s late.",
        response_delay_s=SLOW_RESPONSE_DELAY_S,
        why_checks_miss_it="No document states how fast a response must be.",
    ),
    Fault(
        id="ignored-key",
        description="Requests with a missing or invalid key are accepted.",
        skipped_check="key",
        applies_to=_NEEDS_KEY,
    ),
    Fault(
        id="missing-retry-after",
        description="A documented Retry-After header is missing.",
        change_response=lambda response: _remove_headers(response, lambda name: name == "retry-after"),
        applies_to=_DOCUMENTS_RETRY_AFTER,
    ),
    Fault(
        id="negative-retry-after",
        description="A documented Retry-After header states a negative delay.",
        change_response=make_retry_after_negative,
        applies_to=_DOCUMENTS_RETRY_AFTER,
    ),
    Fault(
        id="missing-header",
        description="Documented headers are missing.",
        change_response=remove_documented_headers,
        applies_to=FaultCondition(
            "the operation documents a required header other than Retry-After",
            lambda target: any(
                header.is_required and name.lower() != "retry-after" for name, header in _iterate_headers(target)
            ),
        ),
    ),
    Fault(
        id="undocumented-status",
        description="Successful responses have an undocumented status code.",
        change_response=change_success_status,
        applies_to=FaultCondition(
            "the operation leaves one of the unusual status codes undocumented",
            lambda target: _find_undocumented_unusual_status(target.operation) is not None,
        ),
    ),
)
"""All injectable faults of statuses, headers and authentication."""


# Implements the faults of uploads: results that do not belong to the upload, and limits that are not enforced.


UNRELATED_TRANSCRIPT = "Nobody expected seven purple elephants underneath that telescope."
"""Transcript that a fault reports whatever is said."""
_REPLACEMENT_SAMPLE_RATES_HZ = (44_100, 22_050)
"""Sample rates that a fault delivers: the first one that differs from the correct rate."""


def replace_transcript(response: EmulatedResponse) -> None:
    """Replace the transcript and its segments by unrelated text."""
    audio_input = response.operation.audio_input if response.operation else None
    if response.kind != "audio-input" or not isinstance(audio_input, TranscriptionSpec):
        return
    if isinstance(response.body, bytes):  # a text, or subtitles, whose times stay
        lines = response.body.decode().split("\n")
        is_text = [bool(line) and "-->" not in line and not line.isdecimal() and line != "WEBVTT" for line in lines]
        changed = (UNRELATED_TRANSCRIPT if spoken else line for line, spoken in zip(lines, is_text, strict=True))
        response.body = "\n".join(changed).encode()
        return
    tokens = ["0" if token == EVERY_ITEM else token for token in audio_input.response.text_location.pointer_tokens]
    response.body = write_value_at(response.body, Location("body", pointer_tokens=tokens), UNRELATED_TRANSCRIPT)
    segments = read_value_at(response.body, audio_input.response.segments_location)
    words = UNRELATED_TRANSCRIPT.split()
    for index, segment in enumerate(segments if isinstance(segments, list) else ()):
        segment[audio_input.response.segment_field_names.text_field] = words[index % len(words)]


def change_sample_rate(response: EmulatedResponse) -> None:
    """Convert audio to a sample rate other than the requested one."""
    from voicegauge.speech.containers import find_container_of_media_type
    from voicegauge.speech.encoding import TranscodingSettings, decode_without_mixing, transcode

    audio_input = response.operation.audio_input if response.operation else None
    is_conversion = (
        response.kind == "audio-input"
        and isinstance(audio_input, ConversionSpec)
        and "sample_rate" in audio_input.request_fields
    )
    name = find_container_of_media_type(response.media_type)
    if is_conversion and name is not None and isinstance(response.body, bytes):
        rate = decode_without_mixing(response.body)[1]
        response.body = transcode(
            response.body,
            TranscodingSettings(name, next(other for other in _REPLACEMENT_SAMPLE_RATES_HZ if other != rate)),
        )


def _create_upload_limit_condition(
    description: str, is_met_by: Callable[[UploadLimits], bool]
) -> FaultCondition[Target]:
    """Return the condition that the voice sample has limits, and `is_met_by` is true of the limits of some upload.

    That upload may be the voice sample, or another one of the same operation.
    """

    def is_met_by_upload(target: Target) -> bool:
        slot, limits = target.speech.request_fields.get("voice_sample_upload"), target.operation.limits.upload_limits
        return slot is not None and slot.location.pointer_tokens[0] in limits and any(map(is_met_by, limits.values()))

    return FaultCondition(
        f"`x-limits.upload_limits` states limits for the target's voice sample, and {description}", is_met_by_upload
    )


UPLOAD_FAULTS = (
    Fault(
        id="upload-limit-ignored",
        description="Uploads larger than the documented limit are accepted.",
        skipped_check="upload-size",
        applies_to=_create_upload_limit_condition(
            "a maximum size for some upload", lambda limits: limits.max_bytes is not None
        ),
    ),
    Fault(
        id="upload-format-ignored",
        description="Uploads of undocumented formats, even files that are not audio, are accepted.",
        skipped_check="upload-format",
        applies_to=_create_upload_limit_condition(
            "the formats of some upload", lambda limits: bool(limits.accepted_formats)
        ),
    ),
    Fault(
        id="other-transcript",
        description="The transcript belongs to another recording.",
        change_response=replace_transcript,
        applies_to=FaultCondition(
            "the provider of the target transcribes audio",
            lambda target: any(one.transcription for one in target.contract.audio_input_targets.values()),
        ),
    ),
    Fault(
        id="other-rate",
        description="Audio is converted to another sample rate than requested.",
        change_response=change_sample_rate,
        applies_to=FaultCondition(
            "the provider of the target converts audio to a requested sample rate",
            lambda target: any(
                one.conversion and "sample_rate" in one.audio_input.request_fields
                for one in target.contract.audio_input_targets.values()
            ),
        ),
    ),
)
"""All injectable faults of uploads and what is made of them."""
