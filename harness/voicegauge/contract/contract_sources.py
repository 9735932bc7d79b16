"""Finds the source of a part of a contract, and the disputes that are recorded about that part."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from voicegauge.contract.document_walk import walk_objects
from voicegauge.contract.extension import Dispute, SourceDocument
from voicegauge.formats import read_pointer, unescape_pointer_token

OPERATION_POINTER_DEPTH = 3
"""Number of tokens in the JSON pointer to an operation: /paths/<path>/<method>."""


@dataclass(frozen=True, eq=False)
class ContractSources:
    """The sources and disputes that a document records."""

    document_data: Any
    """The whole document as plain data."""
    sources: Mapping[str, SourceDocument]
    """The documents that facts come from, by name: `x-provider.sources`."""

    def has_normative_source(self, pointer: str) -> bool:
        """Whether a normative document states the part of a request at `pointer`.

        The result is `True` also if no source is given. The source is the `x-source` of that part, or of the closest
        part around it. The `x-source` of an operation does not count: a user who calls an operation that only a client
        library documents expects it to work.
        """
        pointer_tokens = [unescape_pointer_token(token) for token in pointer.split("/")[1:]]
        first = OPERATION_POINTER_DEPTH + 1 if pointer_tokens[:1] == ["paths"] else 0
        for end in range(len(pointer_tokens), first - 1, -1):
            part = read_pointer(self.document_data, pointer_tokens[:end])
            source = part.get("x-source") if isinstance(part, dict) else None
            if source is not None:
                document = self.sources.get(source.get("document", ""))
                return document is None or document.is_normative
        return True

    def iterate_disputes(self, pointer: str) -> Iterator[tuple[Dispute, str]]:
        """Yield the recorded disputes about the part at `pointer` or a part around it, innermost first.

        Each dispute is followed by the JSON pointer to the part that the dispute is about.
        """
        pointer_tokens = pointer.split("/")
        for end in range(len(pointer_tokens), 0, -1):
            ancestor = "/".join(pointer_tokens[:end])
            for dispute in self._disputes_by_pointer.get(ancestor, ()):
                yield dispute, ancestor

    @functools.cached_property
    def _disputes_by_pointer(self) -> Mapping[str, tuple[Dispute, ...]]:
        found: dict[str, tuple[Dispute, ...]] = {}
        for pointer, node in walk_objects(self.document_data):
            for key in ("x-source", "source"):
                source = node.get(key)
                if isinstance(source, dict) and source.get("disputed"):
                    found[pointer] = msgspec.convert(source["disputed"], tuple[Dispute, ...])
        return found
