"""Finds misspelled `x-` keys of voicegauge: OpenAPI allows any `x-` key, so that they would be ignored."""

from __future__ import annotations

import difflib

from voicegauge.contract.document_walk import EXTENSION_KEYS, walk_objects
from voicegauge.formats import Document, escape_pointer_token

_KNOWN_EXTENSION_KEYS = sorted(
    EXTENSION_KEYS | {"x-advice", "x-rejection-reason", "x-request", "x-key", "x-name", "x-files"}
)
_SIMILAR_KEYS_OF_OTHER_TOOLS = frozenset(("x-webhooks",))
"""Keys of other tools that are not misspellings of ours, such as Redoc's key for webhooks in OpenAPI 3.0."""
_MIN_MISSPELLING_SIMILARITY = 0.87
"""Similarity, from 0 to 1 as `difflib` measures it, from which a key counts as a misspelling: one or two letters are
missing, added or wrong."""


def reject_misspelled_keys(document: Document) -> None:
    """Check that no `x-` key is almost spelled like one of voicegauge's. Other keys of other vendors are allowed.

    Raises:
        ContractError: a key is misspelled; the message has its line.
    """
    accepted = {*_KNOWN_EXTENSION_KEYS, *_SIMILAR_KEYS_OF_OTHER_TOOLS}
    for pointer, node in walk_objects(document.data):
        for key in node:
            if not isinstance(key, str) or not key.startswith("x-") or key in accepted:
                continue
            near = difflib.get_close_matches(key, _KNOWN_EXTENSION_KEYS, n=1, cutoff=_MIN_MISSPELLING_SIMILARITY)
            if near:
                reason = f"{key} is not a key of voicegauge: did you mean {near[0]}?"
                raise document.build_error(f"{pointer}/{escape_pointer_token(key)}", reason)
            accepted.add(key)
