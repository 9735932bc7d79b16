"""Finds what the author of a contract still has to complete: the values that `voicegauge init` marks TODO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.contract.document_walk import EXTENSION_KEYS
from voicegauge.formats import Document, escape_pointer_token

TODO = "TODO"
"""The mark in a proposed contract for what its author has to complete. It is part of the output, not a task in this
module."""
TODO_URL = f"https://{TODO}.example"
"""Placeholder for the URL of a server that no document states."""
_KEYS_WITH_TODO_MARKS = EXTENSION_KEYS | {"servers"}


def reject_unfinished_values(document: Document) -> None:
    """Check that no value of an overlay, of our `x-` keys or of the servers is marked TODO.

    Raises:
        ContractError: a value is marked TODO; the message has its line.
    """
    if not _has_todo_mark(document.data):
        return
    is_overlay = "overlay" in document.data
    for pointer, value in _iterate_checked_texts(document.data, "", is_below_checked_key=is_overlay):
        if value in (TODO, TODO_URL):
            raise document.build_error(
                pointer, f"is marked {TODO}: replace it by the provider's value, or delete the key"
            )


def _has_todo_mark(value: Any) -> bool:
    """Whether `value`, or any value in it, is marked TODO.

    This is faster than building JSON pointers to the marks, which most documents do not have.
    """
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, (dict, list)):
            pending.extend(item.values() if isinstance(item, dict) else item)
        elif item in (TODO, TODO_URL):
            return True
    return False


def _iterate_checked_texts(value: Any, pointer: str, *, is_below_checked_key: bool) -> Iterator[tuple[str, str]]:
    """Yield the texts in an overlay, or those below our keys, with their JSON pointers."""
    if isinstance(value, str):
        if is_below_checked_key:
            yield pointer, value
        return
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        inner = f"{pointer}/{escape_pointer_token(str(key))}"
        yield from _iterate_checked_texts(
            item, inner, is_below_checked_key=is_below_checked_key or key in _KEYS_WITH_TODO_MARKS
        )
