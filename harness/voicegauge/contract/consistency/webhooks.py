"""Checks `x-webhook`: the locations of the URL and of the values in a callback."""

from __future__ import annotations

from voicegauge.contract.callbacks import find_callback_body, find_status_operation
from voicegauge.contract.consistency.locations import check_request_location, check_response_location
from voicegauge.contract.contract import Operation
from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension import CallbackBodyLocations, WebhookSignature, WebhookSpec
from voicegauge.contract.schemas import allows_location
from voicegauge.formats import Location


def check_webhook(operation: Operation, webhook_spec: WebhookSpec) -> None:
    """Check the `x-webhook` of an operation.

    Raises:
        ContractError: a location is not documented, or callbacks cannot be matched to their request.
    """
    document, pointer = operation.contract.document, f"{operation.pointer}/x-webhook"
    if not webhook_spec.url_fields:
        raise document.build_error(pointer, "x-webhook.url must have at least one location in the request")
    for index, url in enumerate(webhook_spec.url_fields):
        field_pointer = f"{pointer}/url/{index}"
        check_request_location(operation, f"{field_pointer}/at", url.location)
        if url.mode_field is not None:
            check_request_location(operation, f"{field_pointer}/mode/at", url.mode_field.location)
            if url.mode_field.default_value not in url.mode_field.timing_by_value:
                known = ", ".join(url.mode_field.timing_by_value)
                raise document.build_error(
                    f"{field_pointer}/mode/default", f"{url.mode_field.default_value!r} is not among values: {known}"
                )
    if webhook_spec.signature is not None:
        _check_signature(operation, webhook_spec.signature)
    media = find_callback_body(operation)
    status = find_status_operation(operation)
    if webhook_spec.body_locations is not None:
        _check_callback_body(operation, media, webhook_spec.body_locations, webhook_spec.callback_operation_id)
    elif status is None or status.job is None or status.job.job_id_location is None:
        raise document.build_error(pointer, "x-webhook needs a body: no status response has an id")
    if status is None and (
        webhook_spec.body_locations is None or webhook_spec.body_locations.submit_id_location is None
    ):
        raise document.build_error(
            f"{pointer}/body", "x-webhook.body needs submit_id: the location of the id in the response"
        )


def _check_signature(operation: Operation, signature: WebhookSignature) -> None:
    has_timestamp = signature.timestamp_header_name is not None or "{timestamp}" in signature.signature_header_template
    has_parts = {"{id}": signature.id_header_name is not None, "{timestamp}": has_timestamp, "{body}": True}
    problems = {
        "format": None if "{signature}" in signature.signature_header_template else "has no {signature}",
        "signed": None if signature.signed_text_template.count("{body}") == 1 else "must have {body} once",
    }
    for part, is_sent in has_parts.items():
        if part in signature.signed_text_template and not is_sent:
            problems["signed"] = f"has {part}, but no header of the callback has it"
    for key, problem in problems.items():
        if problem is not None:
            pointer = f"{operation.pointer}/x-webhook/signature"
            raise operation.contract.document.build_error(f"{pointer}/{key}", f"x-webhook.signature.{key} {problem}")


def _check_callback_body(
    operation: Operation, documented_body: MediaType, body_locations: CallbackBodyLocations, callback_name: str
) -> None:
    document, pointer = operation.contract.document, f"{operation.pointer}/x-webhook/body"
    for key in ("id", "state", "result", "charged", "created", "completed"):
        location: Location | None = body_locations.get_by_key(key)
        if location is None:
            continue
        if not location.pointer_tokens or not allows_location(
            documented_body.schemas, documented_body.schema, location.pointer_tokens
        ):
            reason = f"{str(location)!r} is not in the documented body of {callback_name}"
            raise document.build_error(f"{pointer}/{key}", reason)
    check_response_location(operation, f"{pointer}/submit_id", body_locations.submit_id_location)
    if "success" not in body_locations.outcome_by_state.values():
        raise document.build_error(f"{pointer}/states", "no state means success")
