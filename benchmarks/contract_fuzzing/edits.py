"""Random edits of documents, as a person makes them by mistake."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from contract_fuzzing.sources import ContractSource

_EDIT_COUNTS = (1, 1, 1, 2, 3)
"""Numbers of edits. With many, most documents would be rejected for the first one."""
_OTHER_VALUES: Sequence[Any] = (None, True, False, 0, -1, 7, 1.5, 1e300, "", "x", "no name", [], {}, [{}], {"a": 1})
_REFERENCES = (
    *("#", "#/", "#/paths", "#/components", "#/components/schemas/Nowhere", "#/x-provider", "#/info", "#/servers/0"),
    *("other.yaml", "other.yaml#/a", "openapi.yaml", "openapi.yaml#/paths", "overlay.yaml", "schemas.yaml#/Speech"),
    *("https://acme.example/openapi.yaml#/a", "../openapi.yaml", "%", "#/%zz", "body#/none", "header.None", "query."),
)
_Path = tuple[str | int, ...]
_Edit = Callable[["_Place", random.Random], str]


class _Place:
    """A value in a document, and where it is."""

    def __init__(self, root: Any, path: _Path) -> None:
        self.root, self.path = root, path
        self.parent: Any = _value_at(root, path[:-1])
        self.key: Any = path[-1]

    @property
    def value(self) -> Any:
        return self.parent[self.key]


def edit_contract(source: ContractSource, random_source: random.Random) -> tuple[dict[str, Any], list[str]]:
    """Return the files of a contract after one or more edits, and a description of each edit."""
    files = copy.deepcopy(dict(source.files))
    described = []
    for _ in range(random_source.choice(_EDIT_COUNTS)):
        name = random_source.choice(sorted(files))
        path = _choose_path(files[name], random_source)
        if path:
            edit = random_source.choice(_EDITS)
            did = edit(_Place(files[name], path), random_source)
            described.append(f"{name}{''.join(f'/{token}' for token in path)}: {did}")
    return files, described


def _choose_path(root: Any, random_source: random.Random) -> _Path:
    """Choose any value, or one on the way down from the root, so that most of the choices are not in long examples."""
    if random_source.random() < 0.5:
        paths = list(_paths(root))
        return random_source.choice(paths) if paths else ()
    path: _Path = ()
    value = root
    while isinstance(value, (dict, list)) and value and (not path or random_source.random() < 0.8):
        key = random_source.choice(list(value) if isinstance(value, dict) else range(len(value)))
        path, value = (*path, key), value[key]
    return path


def _paths(value: Any, path: _Path = ()) -> Iterator[_Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _paths(item, (*path, key))


def _value_at(root: Any, path: Sequence[str | int]) -> Any:
    for token in path:
        root = root[token]
    return root


def _delete(place: _Place, _random_source: random.Random) -> str:
    del place.parent[place.key]
    return "deleted"


def _retype(place: _Place, random_source: random.Random) -> str:
    value = place.value
    place.parent[place.key] = random_source.choice((*_OTHER_VALUES, [value], {"x": value}, str(value)[:200]))
    return f"retyped to {place.value!r:.80}"


def _duplicate(place: _Place, random_source: random.Random) -> str:
    if isinstance(place.parent, list):
        place.parent.insert(place.key, copy.deepcopy(place.value))
        return "item repeated"
    name = f"{place.key}{random_source.choice(('2', '-copy', ' '))}"
    place.parent[name] = copy.deepcopy(place.value)
    return f"copied to {name!r}"


def _rename(place: _Place, random_source: random.Random) -> str:
    """Rename a key to another key of the document, or misspell it; of a list item, nothing is renamed."""
    if isinstance(place.parent, list):
        return _delete(place, random_source)
    others = [str(path[-1]) for path in _paths(place.root) if isinstance(path[-1], str)]
    key = str(place.key)
    name = random_source.choice((random_source.choice(others), key[:-1], key.swapcase(), f"{key}x", f"x-{key}"))
    renamed = {name if known == place.key else known: value for known, value in place.parent.items()}
    place.parent.clear()
    place.parent.update(renamed)
    return f"renamed to {name!r}"


def _swap(place: _Place, random_source: random.Random) -> str:
    paths = [path for path in _paths(place.root) if not _is_inside(path, place.path)]
    if not paths:
        return _delete(place, random_source)
    other = _Place(place.root, random_source.choice(paths))
    mine, theirs = copy.deepcopy(place.value), copy.deepcopy(other.value)
    place.parent[place.key], other.parent[other.key] = theirs, mine
    return f"swapped with {''.join(f'/{token}' for token in other.path)}"


def _is_inside(path: _Path, other: _Path) -> bool:
    """Whether one of two paths leads through the other."""
    shorter = min(len(path), len(other))
    return path[:shorter] == other[:shorter]


def _break_reference(place: _Place, random_source: random.Random) -> str:
    """Change a reference anywhere in the document; if it has none, make the value one."""
    found = [path for path in _paths(place.root) if path[-1] in ("$ref", "operationId", "operation", "at", "target")]
    reference = random_source.choice(_REFERENCES)
    if found and random_source.random() < 0.8:
        one = _Place(place.root, random_source.choice(found))
        one.parent[one.key] = reference
        return f"changed {''.join(f'/{token}' for token in one.path)} to {reference!r}"
    place.parent[place.key] = {"$ref": reference}
    return f"replaced by a reference to {reference!r}"


_EDITS: Sequence[_Edit] = (_delete, _retype, _retype, _duplicate, _rename, _swap, _break_reference)
