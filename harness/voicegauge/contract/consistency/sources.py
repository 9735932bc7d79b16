"""Checks `x-source`, `x-advice` and prices."""

from __future__ import annotations

import re

from voicegauge.contract.contract import Contract
from voicegauge.contract.document_walk import walk_objects
from voicegauge.contract.extension import PriceSpec, SourceReference
from voicegauge.contract.record_reader import convert_record

_SOURCE_DOCUMENT_POINTER_PATTERN = re.compile(r"/(x-source|source|disputed/\d+)$")


def check_sources(contract: Contract) -> None:
    """Check that every named source document is listed in `x-provider.sources`.

    Raises:
        ContractError: a document is not listed, or an `x-source` or `x-advice` is malformed.
    """
    document, sources = contract.document, contract.provider.sources
    for pointer, node in walk_objects(document.data):
        if "x-source" in node:
            convert_record(document, node["x-source"], f"{pointer}/x-source", SourceReference)
        if "x-advice" in node and not isinstance(node["x-advice"], dict):
            raise document.error(f"{pointer}/x-advice", "x-advice must be a mapping of JSON Schema keywords")
        named = node.get("document")
        if _SOURCE_DOCUMENT_POINTER_PATTERN.search(pointer) and isinstance(named, str) and named not in sources:
            known = ", ".join(sources)
            raise document.error(f"{pointer}/document", f"{named!r} is not among x-provider.sources: {known}")


def check_price(contract: Contract, pointer: str, price: PriceSpec | None) -> None:
    """Check that a price, or at least one of its disputed alternatives, has an amount.

    Raises:
        ContractError: neither has an amount.
    """
    readings = (price, *price.alternatives) if price else ()
    if readings and all(reading.usd is None and reading.credits is None for reading in readings):
        raise contract.document.error(pointer, "a price needs usd, credits or alternatives that have them")
