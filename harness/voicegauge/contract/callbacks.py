"""Finds the documented callback, the location of its id, and the status operation for operations with `x-webhook`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voicegauge.contract.contract import Operation
from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.schemas import Schemas
from voicegauge.formats import Location, escape_pointer_token, is_json


def find_callback_body(operation: Operation) -> MediaType:
    """Return the documented body of the callbacks of an operation with `x-webhook`.

    Raises:
        ContractError: the named callback is not documented, or has no JSON body.
    """
    webhook = operation.webhook
    assert webhook is not None, "only called for operations with x-webhook"
    found = next((media for name, media in _iterate_callback_bodies(operation) if name == webhook.callback), None)
    if found is None:
        reason = f"{webhook.callback!r} is not a callback of {operation.id} and not a webhook with a JSON body"
        raise operation.contract.document.error(f"{operation.pointer}/x-webhook/callback", reason)
    return found


def _iterate_callback_bodies(operation: Operation) -> Iterator[tuple[str, MediaType]]:
    """Yield each JSON body in `callbacks` and `webhooks`, after the operation id of its callback."""
    for name, node in operation.part_data.get("callbacks", {}).items():
        items, items_pointer = operation.schemas.resolve_reference(
            node, f"{operation.pointer}/callbacks/{escape_pointer_token(name)}"
        )
        yield from _iterate_posted_bodies(operation.schemas, items, items_pointer)
    yield from _iterate_posted_bodies(
        operation.schemas, operation.contract.document.data.get("webhooks", {}), "/webhooks"
    )


def _iterate_posted_bodies(
    schemas: Schemas, items: Mapping[str, Any], items_pointer: str
) -> Iterator[tuple[str, MediaType]]:
    for key, item in items.items():
        node = item.get("post", {})
        body, pointer = schemas.resolve_reference(
            node.get("requestBody", {}), f"{items_pointer}/{escape_pointer_token(key)}/post/requestBody"
        )
        for name, data in body.get("content", {}).items():
            if is_json(name):
                media = MediaType(schemas, f"{pointer}/content/{escape_pointer_token(name)}", data, name.lower())
                yield str(node.get("operationId")), media


def find_callback_id_location(operation: Operation) -> Location:
    """Return the location, in the response to the request, of the id that callbacks repeat."""
    webhook = operation.webhook
    assert webhook is not None, "only called for operations with x-webhook"
    if webhook.body is not None and webhook.body.submit_id is not None:
        return webhook.body.submit_id
    status = find_status_operation(operation)
    assert status is not None, "guaranteed by the consistency checks"
    assert status.job is not None, "guaranteed by the consistency checks"
    return status.job.submit.id


def find_status_operation(operation: Operation) -> Operation | None:
    """Return the operation that reports the status of this operation's jobs; `None` if the operation starts no jobs."""
    name = operation.speech.response.job if operation.speech is not None else None
    return operation.contract.operations.get(name) if name else None
