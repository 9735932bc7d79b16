"""Examples of callbacks and webhooks: what a document prints of what is sent to the user."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from voicegauge.checks import Callback
from voicegauge.contract import Contract, MediaType, Operation
from voicegauge.formats import escape
from voicegauge.model import Exchange, Request, Response


def documented_callbacks(contract: Contract, *, inferred: bool = False) -> Iterator[Callback]:
    """Every printed example of a callback, and of a webhook that stands at the root.

    Args:
        contract: whose examples are read.
        inferred: whether to take examples too that no document prints.
    """
    for operation in contract.operations.values():
        for name, node in operation.data.get("callbacks", {}).items():
            node, at = contract.schemas.resolve(node, f"{operation.pointer}/callbacks/{escape(name)}")
            yield from _examples(operation, node, at, inferred=inferred)
    hooks = contract.document.data.get("webhooks", {})
    yield from _examples(next(iter(contract.operations.values())), hooks, "/webhooks", inferred=inferred)


def _examples(operation: Operation, items: Mapping[str, Any], at: str, *, inferred: bool) -> Iterator[Callback]:
    """The examples of path items by their URL or name."""
    schemas = operation.contract.schemas
    for url, item in items.items():
        for method, node in item.items():
            if not isinstance(node, dict) or "requestBody" not in node:
                continue
            pointer = f"{at}/{escape(url)}/{method}/requestBody"
            body, pointer = schemas.resolve(node["requestBody"], pointer)
            for name, data in body.get("content", {}).items():
                media = MediaType(operation.contract, f"{pointer}/content/{escape(name)}", data, name.lower())
                called = str(node.get("operationId", url))
                yield from _callbacks(operation, media, called, method, inferred=inferred)


def _callbacks(
    operation: Operation, media: MediaType, called: str, method: str, *, inferred: bool
) -> Iterator[Callback]:
    for example in media.examples:
        if example.inferred and not inferred:
            continue
        body = json.dumps(example.value, ensure_ascii=False).encode()
        headers = (("Content-Type", media.name),)
        # The URL is the user's own; a document does not know it.
        request = Request(method=method.upper(), url="https://callback.invalid/", headers=headers, body=body)
        exchange = Exchange(
            provider=operation.contract.id, operation=called, request=request, response=Response(status=200)
        )
        yield Callback(media, exchange, operation)
