"""What is sent to a URL of the user's: its documented body, and whether `x-webhook` holds together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voicegauge.contract.consistency import check_request_location, check_response_location
from voicegauge.contract.contract import Contract, MediaType, Operation
from voicegauge.contract.extension import WebhookSpec
from voicegauge.contract.schema import allows_location
from voicegauge.formats import Location, escape, is_json


def callback_media(operation: Operation) -> MediaType:
    """The documented body of what an operation with `x-webhook` leads to.

    Raises:
        ContractError: the named callback is not there, or has no JSON body.
    """
    webhook = operation.webhook
    assert webhook is not None, "asked of operations with x-webhook alone"
    found = next((media for name, media in _bodies(operation) if name == webhook.callback), None)
    if found is None:
        reason = f"{webhook.callback!r} is no callback of {operation.id} and no webhook that is sent JSON"
        raise operation.contract.document.error(f"{operation.pointer}/x-webhook/callback", reason)
    return found


def _bodies(operation: Operation) -> Iterator[tuple[str, MediaType]]:
    """JSON bodies by the operation id of the call that sends them."""
    contract = operation.contract
    for name, node in operation.data.get("callbacks", {}).items():
        items, at = contract.schemas.resolve(node, f"{operation.pointer}/callbacks/{escape(name)}")
        yield from _sent(contract, items, at)
    yield from _sent(contract, contract.document.data.get("webhooks", {}), "/webhooks")


def _sent(contract: Contract, items: Mapping[str, Any], at: str) -> Iterator[tuple[str, MediaType]]:
    for key, item in items.items():
        node = item.get("post", {})
        body, pointer = contract.schemas.resolve(node.get("requestBody", {}), f"{at}/{escape(key)}/post/requestBody")
        for name, data in body.get("content", {}).items():
            if is_json(name):
                yield (
                    str(node.get("operationId")),
                    MediaType(contract, f"{pointer}/content/{escape(name)}", data, name.lower()),
                )


def callback_id_location(operation: Operation) -> Location:
    """The place, in the answer to the request, of the id that what is sent carries too."""
    webhook = operation.webhook
    assert webhook is not None
    if webhook.body is not None and webhook.body.submit_id is not None:
        return webhook.body.submit_id
    status = status_operation(operation)
    assert status is not None, "the consistency check has made sure"
    assert status.job is not None
    return status.job.submit.id


def status_operation(operation: Operation) -> Operation | None:
    """The operation that tells of an operation's jobs; `None` where the answer is the end."""
    name = operation.speech.response.job if operation.speech is not None else None
    return operation.contract.operations.get(name) if name else None


def check_webhooks(contract: Contract) -> None:
    """Refuse what does not hold together.

    Raises:
        ContractError: names the line of the first part that leads nowhere.
    """
    for operation in contract.operations.values():
        if operation.webhook is not None:
            _check(operation, operation.webhook)


def _check(operation: Operation, webhook: WebhookSpec) -> None:
    document, at = operation.contract.document, f"{operation.pointer}/x-webhook"
    if not webhook.url:
        raise document.error(at, "x-webhook.url must name at least one place of the request")
    for index, url in enumerate(webhook.url):
        here = f"{at}/url/{index}"
        check_request_location(operation, f"{here}/at", url.at)
        if url.mode is not None:
            check_request_location(operation, f"{here}/mode/at", url.mode.at)
            if url.mode.default not in url.mode.values:
                known = ", ".join(url.mode.values)
                raise document.error(f"{here}/mode/default", f"{url.mode.default!r} is not among values: {known}")
    media = callback_media(operation)
    status = status_operation(operation)
    if webhook.body is not None:
        _check_body(operation, media, webhook)
    elif status is None or status.job is None or status.job.id is None:
        raise document.error(at, "x-webhook needs a body: there is no status answer that carries an id")
    if status is None and (webhook.body is None or webhook.body.submit_id is None):
        raise document.error(f"{at}/body", "x-webhook.body.submit_id must say where the answer carries the id")


def _check_body(operation: Operation, media: MediaType, webhook: WebhookSpec) -> None:
    document, at, body = operation.contract.document, f"{operation.pointer}/x-webhook/body", webhook.body
    assert body is not None
    for key in ("id", "state", "result", "charged", "created", "completed"):
        place = getattr(body, key)
        if place is None:
            continue
        if not place.tokens or not allows_location(media.contract.schemas, media.schema, place.tokens):
            raise document.error(f"{at}/{key}", f"{str(place)!r} is not in the documented body of {webhook.callback}")
    check_response_location(operation, f"{at}/submit_id", body.submit_id)
    if "success" not in body.states.values():
        raise document.error(f"{at}/states", "no state means success")
