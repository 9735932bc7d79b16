"""Reads the documented examples of callbacks and webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from voicegauge.checks import Callback
from voicegauge.contract import Contract, MediaType, Operation
from voicegauge.formats import escape_pointer_token
from voicegauge.model import Exchange, Request, Response


def iterate_documented_callbacks(contract: Contract, *, include_inferred_examples: bool = False) -> Iterator[Callback]:
    """Yield every example of a callback of an operation, and of a webhook at the root of the document.

    Args:
        contract: the contract.
        include_inferred_examples: whether to include examples that no document contains.
    """
    for operation in contract.operations.values():
        for name, node in operation.part_data.get("callbacks", {}).items():
            node, pointer = contract.schemas.resolve_reference(
                node, f"{operation.pointer}/callbacks/{escape_pointer_token(name)}"
            )
            yield from _iterate_example_callbacks(
                operation, node, pointer, include_inferred_examples=include_inferred_examples
            )
    webhooks = contract.document.data.get("webhooks", {})
    # A webhook belongs to no operation. `Callback` needs one to find the contract, so any operation is used.
    yield from _iterate_example_callbacks(
        next(iter(contract.operations.values())),
        webhooks,
        "/webhooks",
        include_inferred_examples=include_inferred_examples,
    )


def _iterate_example_callbacks(
    operation: Operation, path_items: Mapping[str, Any], parent_pointer: str, *, include_inferred_examples: bool
) -> Iterator[Callback]:
    """Yield the documented examples in `path_items`: path items by the URL of a callback or the name of a webhook."""
    schemas = operation.contract.schemas
    for url, item in path_items.items():
        for method, node in item.items():
            if not isinstance(node, dict) or "requestBody" not in node:
                continue
            pointer = f"{parent_pointer}/{escape_pointer_token(url)}/{method}/requestBody"
            body, pointer = schemas.resolve_reference(node["requestBody"], pointer)
            for name, data in body.get("content", {}).items():
                media = MediaType(
                    operation.schemas, f"{pointer}/content/{escape_pointer_token(name)}", data, name.lower()
                )
                name_of_callback = str(node.get("operationId", url))
                yield from _build_example_callbacks(
                    operation, media, name_of_callback, method, include_inferred_examples=include_inferred_examples
                )


def _build_example_callbacks(
    operation: Operation,
    media_type: MediaType,
    callback_name: str,
    http_method: str,
    *,
    include_inferred_examples: bool,
) -> Iterator[Callback]:
    for example in media_type.examples:
        if example.is_inferred and not include_inferred_examples:
            continue
        body = json.dumps(example.value, ensure_ascii=False).encode()
        headers = (("Content-Type", media_type.name),)
        # The URL belongs to the user, so no document contains it.
        request = Request(method=http_method.upper(), url="https://callback.invalid/", headers=headers, body=body)
        exchange = Exchange(
            provider=operation.contract.id, operation=callback_name, request=request, response=Response(status=200)
        )
        yield Callback(media_type, exchange, operation)
