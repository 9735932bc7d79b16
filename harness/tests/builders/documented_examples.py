"""The examples of contracts and of client libraries in docs/."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

_DOCS = Path(__file__).resolve().parents[3] / "docs"


def read_example(file: str, name: str, *, kind: str = "example", language: str = "yaml") -> str:
    """Return the text of the example `name` in a file of docs/; `kind` is the first word of its mark."""
    text = (_DOCS / file).read_text(encoding="utf-8")
    mark = rf"<!-- {kind}: {re.escape(name)} -->\n```{language}\n(.*?)```\n<!-- /{kind} -->"
    found = re.search(mark, text, re.DOTALL)
    assert found, f"docs/{file} has no {kind} {name!r}"
    return found[1]


def build_acme(file: str, addition: str) -> dict[str, Any]:
    """Return the complete example of docs/contract.md with the addition that an example in another file makes."""
    document = yaml.safe_load(read_example("contract.md", "acme"))
    return _merge(document, yaml.safe_load(read_example(file, addition)))


def _merge(value: Any, addition: Any) -> Any:
    if isinstance(value, dict) and isinstance(addition, dict):
        return {**value, **{key: _merge(value.get(key), item) for key, item in addition.items()}}
    return addition
