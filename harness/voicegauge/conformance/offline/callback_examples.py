"""Reads the documented examples of callbacks and webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from voicegauge.checks import Callback
from voicegauge.contract import Contract, MediaType, Operation
from voicegauge.formats import escape_pointer_token
from voicegauge.model import Exchange, Request, Response


def documented_callbacks(contract: Contract, *, inferred: bool = False) -> Iterator[Callback]:
    """Yield every example of a callback of an operation, and of a webhook at the root of the document.

    Args:
        contract: the contract.
        inferred: whether to include examples that no document contains.
    """
    for operation in contract.operations.values():
        for name, node in operation.data.get("callbacks", {}).items():
            node, pointer = contract.schemas.resolve(
                node, f"{operation.pointer}/callbacks/{escape_pointer_token(name)}"
            )
            yield from _examples(operation, node, pointer, inferred=inferred)
    webhooks = contract.document.data.get("webhooks", {})
    # A webhook belongs to no operation. `Callback` needs one to find the contract, so any operation is used.
    yield from _examples(next(iter(contract.operations.values())), webhooks, "/webhooks", inferred=inferred)


def _examples(operation: Operation, items: Mapping[str, Any], parent: str, *, inferred: bool) -> Iterator[Callback]:
    """Yield the examples of callbacks in `items`, which are path items by their URL or name."""
    schemas = operation.contract.schemas
    for url, item in items.items():
        for method, node in item.items():
            if not isinstance(node, dict) or "requestBody" not in node:
                continue
            pointer = f"{parent}/{escape_pointer_token(url)}/{method}/requestBody"
            body, pointer = schemas.resolve(node["requestBody"], pointer)
            for name, data in body.get("content", {}).items():
                media = MediaType(
                    operation.schemas, f"{pointer}/content/{escape_pointer_token(name)}", data, name.lower()
                )
                name_of_callback = str(node.get("operationId", url))
                yield from _callbacks(operation, media, name_of_callback, method, inferred=inferred)


def _callbacks(operation: Operation, media: MediaType, name: str, method: str, *, inferred: bool) -> Iterator[Callback]:
    for example in media.examples:
        if example.inferred and not inferred:
            continue
        body = json.dumps(example.value, ensure_ascii=False).encode()
        headers = (("Content-Type", media.name),)
        # The URL belongs to the user, so no document contains it.
        request = Request(method=method.upper(), url="https://callback.invalid/", headers=headers, body=body)
        exchange = Exchange(
            provider=operation.contract.id, operation=name, request=request, response=Response(status=200)
        )
        yield Callback(media, exchange, operation)
