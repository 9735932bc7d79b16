"""The callbacks and webhooks that a contract documents."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension.provider import WebhookSignature
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import Schemas
from voicegauge.formats.bodies import is_json, parse_whole_number
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import Location


def find_callback_body(operation: Operation) -> MediaType:
    """Return the documented body of the callbacks of an operation with `x-webhook`.

    Raises:
        ContractError: the named callback is not documented, or has no JSON body.
    """
    webhook = operation.webhook
    assert webhook is not None, "only called for operations with x-webhook"
    found = next(
        (media for name, media in _iterate_callback_bodies(operation) if name == webhook.callback_operation_id), None
    )
    if found is None:
        reason = (
            f"{webhook.callback_operation_id!r} is not a callback of {operation.id} and not a webhook with a JSON body"
        )
        raise operation.contract.document.build_error(f"{operation.pointer}/x-webhook/callback_operation_id", reason)
    return found


def _iterate_callback_bodies(operation: Operation) -> Iterator[tuple[str, MediaType]]:
    """Yield the operation id and each JSON body of the documented callbacks, from `callbacks` and `webhooks`."""
    for name, node in operation.part_data.get("callbacks", {}).items():
        items, items_pointer = operation.schemas.resolve_reference(
            node, f"{operation.pointer}/callbacks/{escape_pointer_token(name)}"
        )
        yield from _iterate_posted_bodies(operation.schemas, items, items_pointer)
    yield from _iterate_posted_bodies(
        operation.schemas, operation.contract.document.data.get("webhooks", {}), "/webhooks"
    )


def _iterate_posted_bodies(
    schemas: Schemas, path_items: Mapping[str, Any], path_items_pointer: str
) -> Iterator[tuple[str, MediaType]]:
    """Yield the operation id and each JSON body of the POST operations in `path_items`."""
    for key, item in path_items.items():
        node = item.get("post", {})
        body, pointer = schemas.resolve_reference(
            node.get("requestBody", {}), f"{path_items_pointer}/{escape_pointer_token(key)}/post/requestBody"
        )
        for name, data in body.get("content", {}).items():
            if is_json(name):
                media = MediaType(schemas, f"{pointer}/content/{escape_pointer_token(name)}", data, name.lower())
                yield str(node.get("operationId")), media


def find_callback_id_location(operation: Operation) -> Location:
    """Return the location, in the response to a submit, of the id that the callbacks of this request repeat."""
    webhook = operation.webhook
    assert webhook is not None, "only called for operations with x-webhook"
    if webhook.body_locations is not None and webhook.body_locations.submit_id_location is not None:
        return webhook.body_locations.submit_id_location
    status = find_status_operation(operation)
    assert status is not None, "guaranteed by the consistency checks"
    assert status.job is not None, "guaranteed by the consistency checks"
    return status.job.submit_response.job_id_location


def find_status_operation(operation: Operation) -> Operation | None:
    """Return the operation that reports the status of this operation's jobs; `None` if the operation starts no jobs."""
    name = operation.speech.response.status_operation_id if operation.speech is not None else None
    return operation.contract.operations.get(name) if name else None


class SignatureHeaders(NamedTuple):
    """The values of the headers that sign a callback: its signatures, id and timestamp."""

    signatures: tuple[str, ...]
    callback_id: str
    """The id of the callback; empty if it has none."""
    timestamp: str
    """The text that should be a Unix time in seconds; empty if there is none."""

    @property
    def time_s(self) -> int | None:
        """The Unix time in seconds; `None` if `timestamp`, which any sender can choose, is not one."""
        return parse_whole_number(self.timestamp)


def read_signature_headers(
    signature_spec: WebhookSignature, read_header: Callable[[str], str | None]
) -> SignatureHeaders:
    """Return the signature values in a callback's headers; `read_header` returns a header by its name, or `None`."""
    pattern = re.escape(signature_spec.signature_header_template).replace(
        r"\{signature\}", r"(?P<signature>[A-Za-z0-9+/=_-]+)"
    )
    pattern = pattern.replace(r"\{timestamp\}", r"(?P<timestamp>\d+)")
    found = list(re.finditer(pattern, read_header(signature_spec.signature_header_name) or ""))
    in_format = found[0]["timestamp"] if found and "{timestamp}" in signature_spec.signature_header_template else ""
    return SignatureHeaders(
        signatures=tuple(match["signature"] for match in found),
        callback_id=(read_header(signature_spec.id_header_name) or "") if signature_spec.id_header_name else "",
        timestamp=(read_header(signature_spec.timestamp_header_name) or "")
        if signature_spec.timestamp_header_name
        else in_format,
    )


def compute_signature(
    signature_spec: WebhookSignature, secret: str, body: bytes, *, callback_id: str, timestamp: str
) -> str:
    """Return the signature of a callback.

    Raises:
        ValueError: the secret is not base64, although the contract says so.
    """
    text = secret.removeprefix(signature_spec.secret_prefix)
    is_base64 = signature_spec.secret_encoding == "base64"  # noqa: S105
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True) if is_base64 else text.encode()
    except binascii.Error:
        raise ValueError(
            f"{signature_spec.secret_variable} is not base64: set it to the secret as the provider shows it"
        ) from None
    before, _, after = signature_spec.signed_text_template.partition("{body}")
    start, end = (part.replace("{id}", callback_id).replace("{timestamp}", timestamp) for part in (before, after))
    digest = hmac.digest(key, start.encode() + body + end.encode(), signature_spec.hash_algorithm)
    return digest.hex() if signature_spec.signature_encoding == "hex" else base64.b64encode(digest).decode()


def build_signature_headers(
    signature_spec: WebhookSignature, signature: str, *, callback_id: str, timestamp: str
) -> dict[str, str]:
    """Return the headers of a signed callback."""
    headers = {
        signature_spec.signature_header_name: signature_spec.signature_header_template.replace(
            "{signature}", signature
        ).replace("{timestamp}", timestamp)
    }
    headers |= {signature_spec.id_header_name: callback_id} if signature_spec.id_header_name else {}
    headers |= {signature_spec.timestamp_header_name: timestamp} if signature_spec.timestamp_header_name else {}
    return headers
