"""Parameters of two operations, by place and name; a path parameter by its position."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.schemas import compare_schemas
from voicegauge.drift.contracts.scope import ComparisonScope
from voicegauge.drift.report import DriftChange

_IGNORED = ("accept", "content-type", "authorization")
"""Headers that OpenAPI describes elsewhere, so that a parameter of that name says nothing."""
_STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}

ParameterOwners = tuple[str, DocumentNode, DocumentNode]
"""Path, path item and operation."""


class _Parameter(NamedTuple):
    part: DocumentNode
    shared: bool
    """Stands at the path and counts for all its operations."""

    @property
    def required(self) -> bool:
        return self.part.get("required") is True or self.part.get("in") == "path"

    @property
    def location(self) -> str:
        return f"{self.part.get('in')} {self.part.get('name')}"

    @property
    def schema(self) -> DocumentNode:
        content = [media for _, media in self.part.child("content").children()]
        return content[0].child("schema") if content else self.part.child("schema")

    @property
    def style(self) -> tuple[str, bool]:
        style = self.part.get("style", _STYLES.get(str(self.part.get("in")), ""))
        return style, self.part.get("explode", style == "form") is True


def compare_parameters(scope: ComparisonScope, old: ParameterOwners, new: ParameterOwners) -> Iterator[DriftChange]:
    """Every change of the parameters, those of the path item among them."""
    was, now = _parameters(*old), _parameters(*new)
    for key in dict.fromkeys((*was, *now)):
        if key not in now:
            inside = scope.inside(was[key].location)
            yield inside.change(_removed(scope, was[key]), was[key].part, None)
        elif key not in was:
            inside = scope.inside(now[key].location)
            yield inside.change(_added(scope, now[key]), None, now[key].part)
        else:
            yield from _compare(scope.inside(now[key].location), was[key], now[key])


def _parameters(path: str, item: DocumentNode, operation: DocumentNode) -> dict[tuple[str, str], _Parameter]:
    positions = {name: str(index) for index, name in enumerate(re.findall(r"\{([^}]*)\}", path))}
    found = {}
    for holder, shared in ((item, True), (operation, False)):
        for _, part in holder.child("parameters").children():
            part = part.resolve()
            place, name = str(part.get("in")), str(part.get("name"))
            if place == "header" and name.lower() in _IGNORED:
                continue
            key = {"header": name.lower(), "path": positions.get(name, name)}.get(place, name)
            found[place, key] = _Parameter(part, shared)
    return found


def _removed(scope: ComparisonScope, parameter: _Parameter) -> str:
    if scope.callback:
        return "callback-parameter-removed"
    deprecated = parameter.part.get("deprecated") is True
    return "request-parameter-removed-with-deprecation" if deprecated else "request-parameter-removed"


def _added(scope: ComparisonScope, parameter: _Parameter) -> str:
    if scope.callback:
        return "callback-parameter-added"
    if parameter.part.get("in") == "path":
        return "new-request-path-parameter"
    need = "required" if parameter.required else "optional"
    return f"new-{need}-request-" + ("default-parameter-to-existing-path" if parameter.shared else "parameter")


def _compare(scope: ComparisonScope, old: _Parameter, new: _Parameter) -> Iterator[DriftChange]:
    stem = "callback-parameter" if scope.callback else "request-parameter"
    if old.required != new.required and not scope.callback:
        need = "required" if new.required else "optional"
        yield scope.change(f"{stem}-became-{need}", old.part.child("required"), new.part.child("required"))
    was, now = (parameter.part.get("deprecated") is True for parameter in (old, new))
    if was != now:
        action = "deprecated" if now else "reactivated"
        yield scope.change(f"{stem}-{action}", old.part.child("deprecated"), new.part.child("deprecated"))
    if old.style != new.style and not scope.callback:
        yield scope.change("request-parameter-style-changed", old.part, new.part, old=old.style, new=new.style)
    yield from compare_schemas(scope, stem, old.schema, new.schema)
