"""Compares the parameters of two operations. They are matched by location and name, path parameters by position."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.schemas import compare_schemas
from voicegauge.drift.contracts.scope import ComparisonScope
from voicegauge.drift.report import DriftChange

_IGNORED_HEADERS = ("accept", "content-type", "authorization")
"""Names of header parameters that OpenAPI ignores, because it describes these headers elsewhere (Parameter Object)."""
_DEFAULT_STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}

ParameterOwners = tuple[str, DocumentNode, DocumentNode]
"""The path, the path item and the operation."""


class _Parameter(NamedTuple):
    node: DocumentNode
    is_shared: bool
    """Whether the parameter belongs to the path item and therefore to all operations of the path item."""

    @property
    def is_required(self) -> bool:
        return self.node.get("required") is True or self.node.get("in") == "path"

    @property
    def is_deprecated(self) -> bool:
        return self.node.get("deprecated") is True

    @property
    def location(self) -> str:
        return f"{self.node.get('in')} {self.node.get('name')}"

    @property
    def schema(self) -> DocumentNode:
        media_types = [media_type for _, media_type in self.node.child("content").children()]
        return media_types[0].child("schema") if media_types else self.node.child("schema")

    @property
    def style(self) -> tuple[str, bool]:
        """The values of `style` and `explode`, or their defaults."""
        style = self.node.get("style", _DEFAULT_STYLES.get(str(self.node.get("in")), ""))
        return style, self.node.get("explode", style == "form") is True


def compare_parameters(scope: ComparisonScope, old: ParameterOwners, new: ParameterOwners) -> Iterator[DriftChange]:
    """Yield every change of the parameters, including those of the path item."""
    old_parameters, new_parameters = _parameters(*old), _parameters(*new)
    for key in dict.fromkeys((*old_parameters, *new_parameters)):
        before, after = old_parameters.get(key), new_parameters.get(key)
        if before is not None and after is not None:
            yield from _compare_parameter(scope.nested(after.location), before, after)
        elif before is not None:
            yield scope.nested(before.location).change(_removed_rule(scope, before), before.node, None)
        elif after is not None:
            yield scope.nested(after.location).change(_added_rule(scope, after), None, after.node)


def _parameters(path: str, path_item: DocumentNode, operation: DocumentNode) -> dict[tuple[str, str], _Parameter]:
    """Return the parameters by location and name. Parameters of the operation override those of the path item."""
    positions = {name: str(index) for index, name in enumerate(re.findall(r"\{([^}]*)\}", path))}
    found = {}
    for owner, is_shared in ((path_item, True), (operation, False)):
        for _, node in owner.child("parameters").children():
            node = node.resolve()
            location, name = str(node.get("in")), str(node.get("name"))
            if location == "header" and name.lower() in _IGNORED_HEADERS:
                continue
            key = {"header": name.lower(), "path": positions.get(name, name)}.get(location, name)
            found[location, key] = _Parameter(node, is_shared)
    return found


def _removed_rule(scope: ComparisonScope, parameter: _Parameter) -> str:
    if scope.is_callback:
        return "callback-parameter-removed"
    return "request-parameter-removed-with-deprecation" if parameter.is_deprecated else "request-parameter-removed"


def _added_rule(scope: ComparisonScope, parameter: _Parameter) -> str:
    if scope.is_callback:
        return "callback-parameter-added"
    if parameter.node.get("in") == "path":
        return "new-request-path-parameter"
    need = "required" if parameter.is_required else "optional"
    return f"new-{need}-request-" + ("default-parameter-to-existing-path" if parameter.is_shared else "parameter")


def _compare_parameter(scope: ComparisonScope, old: _Parameter, new: _Parameter) -> Iterator[DriftChange]:
    kind = "callback-parameter" if scope.is_callback else "request-parameter"
    if old.is_required != new.is_required and not scope.is_callback:
        need = "required" if new.is_required else "optional"
        yield scope.change(f"{kind}-became-{need}", old.node.child("required"), new.node.child("required"))
    if old.is_deprecated != new.is_deprecated:
        action = "deprecated" if new.is_deprecated else "reactivated"
        yield scope.change(f"{kind}-{action}", old.node.child("deprecated"), new.node.child("deprecated"))
    if old.style != new.style and not scope.is_callback:
        yield scope.change("request-parameter-style-changed", old.node, new.node, old=old.style, new=new.style)
    yield from compare_schemas(scope, kind, old.schema, new.schema)
