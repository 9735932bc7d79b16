"""Adds values to a document that an overlay extends, by appending actions to the overlay.

The official document stays unchanged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voicegauge.drift.patches.yaml_patch import AdditionNotPossibleError, YamlEditor
from voicegauge.formats import MISSING, Document, read_pointer, unescape_pointer_token


class OverlayEditor:
    """Collects additions to a document, and writes them as actions at the end of its overlay.

    It has the methods of `YamlEditor`. Pointers refer to the document that results from the overlay.
    """

    def __init__(self, overlay_text: str, document: Document, base_file: Path, *, writes_json: bool = False) -> None:
        """Parse an overlay.

        Args:
            overlay_text: the text of the overlay, in YAML or JSON.
            document: the document that results from the overlay.
            base_file: the file that the overlay extends.
            writes_json: whether to write additions as JSON, with quotes and braces.

        Raises:
            yaml.YAMLError: the overlay is not valid YAML.
        """
        self._editor = YamlEditor(overlay_text, writes_json=writes_json)
        self._document = document
        self._patchable_files = (document.path, base_file)
        self._keys_by_pointer: dict[str, dict[str, Any]] = {}
        self._items_by_pointer: dict[str, list[Any]] = {}
        self._are_written = False

    def has_value(self, pointer: str) -> bool:
        """Whether the document has a value at `pointer`. References are not followed."""
        return self._read_value_at(pointer) is not MISSING

    def add_key(self, pointer: str, key: str, value: Any) -> None:
        """Add `key: value` to the mapping at `pointer`. Do nothing if the mapping already has the key.

        Raises:
            AdditionNotPossibleError: there is no mapping at `pointer`, or the mapping is in a file to which the
                overlay does not apply.
        """
        found = self._find_container(pointer, dict, "a mapping")
        if key not in found:
            self._keys_by_pointer.setdefault(pointer, {}).setdefault(key, value)

    def add_item(self, pointer: str, value: Any) -> None:
        """Add `value` to the end of the list at `pointer`. Do nothing if the same value was already added.

        Raises:
            AdditionNotPossibleError: there is no list at `pointer`, or the list is in a file to which the overlay
                does not apply.
        """
        self._find_container(pointer, list, "a list")
        items = self._items_by_pointer.setdefault(pointer, [])
        if value not in items:
            items.append(value)

    def build_text(self) -> str:
        """Return the text of the overlay with all additions. After this call, nothing can be added."""
        if not self._are_written:
            for pointer, update in (*self._keys_by_pointer.items(), *self._items_by_pointer.items()):
                self._editor.add_item("/actions", {"target": _build_json_path(pointer), "update": update})
            self._are_written = True
        return self._editor.build_text()

    def _find_container(self, pointer: str, container_type: type, type_name: str) -> Any:
        found = self._read_value_at(pointer)
        if not isinstance(found, container_type):
            raise AdditionNotPossibleError(f"{pointer} is not {type_name}")
        if self._document.find_containing_document(pointer)[0].path not in self._patchable_files:
            raise AdditionNotPossibleError(f"{pointer} is in a file to which overlays do not apply")
        return found

    def _read_value_at(self, pointer: str) -> Any:
        return read_pointer(self._document.data, _split_json_pointer(pointer))


def _split_json_pointer(pointer: str) -> list[str]:
    return [unescape_pointer_token(token) for token in pointer.split("/")[1:]]


def _build_json_path(pointer: str) -> str:
    """Return the normalized path (RFC 9535, section 2.7) of the value at a JSON pointer."""
    parts = []
    for token in _split_json_pointer(pointer):
        quoted = token.replace("\\", "\\\\").replace("'", "\\'")
        parts.append(f"['{quoted}']")
    return "".join(("$", *parts))
