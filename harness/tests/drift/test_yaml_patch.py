from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from voicegauge.drift.contract_patch import AdditionNotPossibleError, YamlEditor
from voicegauge.files import find_bundled_folder
from voicegauge.formats.located_yaml import escape_pointer_token, read_document

CONTRACTS = sorted(find_bundled_folder("contracts").glob("*/openapi.yaml"))
VALUE = {
    "type": ["string", "null"],
    "says": "yes: #no",
    "on": {"deep": [1, 2.5, True, None, "käse", "a\tb"]},
    "empty": {},
}
ITEM = "a, new: item"


def _places(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        yield pointer, value
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            yield from _places(part, f"{pointer}/{escape_pointer_token(str(key))}")


def _expected(value: Any) -> Any:
    if isinstance(value, dict):
        return {**{key: _expected(part) for key, part in value.items()}, "added key": VALUE}
    if isinstance(value, list):
        return [*map(_expected, value), ITEM]
    return value


@pytest.mark.parametrize(
    ("path", "form"),
    [
        pytest.param(
            path,
            form,
            marks=[] if path.parent.name == "pixazo" else pytest.mark.slow,
            id=f"{path.parent.name}-{form}",
        )
        for path in CONTRACTS
        for form in ("yaml", "json", "json on one line")
    ],
)
def test_additions_to_every_mapping_and_list(path: Path, form: str, tmp_path: Path) -> None:
    data = read_document(path).data
    text = path.read_text("utf-8")
    if form != "yaml":
        text = json.dumps(data, indent=2 if form == "json" else None, ensure_ascii=False) + "\n"
    editor = YamlEditor(text, writes_json=form != "yaml")
    for pointer, value in _places(data):
        if isinstance(value, dict):
            editor.add_key(pointer, "added key", VALUE)
        else:
            editor.add_item(pointer, ITEM)
    changed = tmp_path / f"changed.{form[:4]}"
    changed.write_text(editor.build_text(), "utf-8")
    assert read_document(changed).data == _expected(data)
    if form != "yaml":
        json.loads(editor.build_text())


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.parent.name)
def test_existing_text_is_unchanged(path: Path) -> None:
    text = path.read_text("utf-8")
    editor = YamlEditor(text)
    editor.add_key("/x-provider/sources", "new.txt", {"title": "New", "date": "2026-01-01"})
    editor.add_key("/info", "title", "existing keys are unchanged")
    before, after = set(text.splitlines()), editor.build_text().splitlines()
    added = [line for line in after if line not in before]
    assert len(added) == 1
    assert [line for line in after if line not in added] == text.splitlines()


def test_pointers_that_do_not_exist_are_rejected() -> None:
    editor = YamlEditor("a: [1]\nb: {}\nc: text\n")
    for pointer, add in (("/x", editor.add_key), ("/c", editor.add_key), ("/a", editor.add_key)):
        with pytest.raises(AdditionNotPossibleError):
            add(pointer, "k", 1)
    with pytest.raises(AdditionNotPossibleError):
        editor.add_item("/b", 1)
    editor.add_key("/b", "k", 1)
    editor.add_key("/b", "l", 2)
    editor.add_item("/a", 2)
    editor.add_item("/a", 2)
    assert yaml.safe_load(editor.build_text()) == {"a": [1, 2], "b": {"k": 1, "l": 2}, "c": "text"}


def test_merged_mappings_are_edited_at_their_anchor() -> None:
    text = "a: &base\n  x: {y: 1}\n  z: 1\nb:\n  <<: *base\n  w: 1\nc: {<<: [*base], w: 1}\n"
    editor = YamlEditor(text)
    editor.add_key("/b/x", "new", 2)
    editor.add_key("/c", "z", 3)  # the merged mapping has the key
    editor.add_key("/c", "v", 4)
    assert editor.has_value("/c/x/y")
    assert editor.build_text() == text.replace("{y: 1}", "{y: 1, new: 2}").replace("w: 1}", "w: 1, v: 4}")
