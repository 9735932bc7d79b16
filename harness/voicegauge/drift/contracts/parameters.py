"""Compares the parameters of two operations. They are matched by location and name, path parameters by position."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from voicegauge.drift.contracts.api_part import ApiPart
from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.schemas import compare_schemas
from voicegauge.drift.report import DriftChange
from voicegauge.drift.rule_registry import DriftLevel

_IGNORED_HEADER_PARAMETERS = ("accept", "content-type", "authorization")
"""Names that OpenAPI ignores for header parameters, because it describes these headers elsewhere (section "Parameter
Object")."""
_DEFAULT_STYLE_BY_LOCATION = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
_DEFAULT_VALUE_RULE_IDS = tuple(
    f"request-parameter-default-value-{action}" for action in ("added", "removed", "changed")
)
"""Ids of the rules about default values, which do not matter for required parameters, because these are always sent."""
_TYPE_RULE_IDS = {"request-parameter-type-changed", "request-parameter-list-of-types-narrowed"}
"""Ids of the rules that report a new type of a parameter to which older values do not belong."""

PathAndOperation = tuple[str, DocumentNode, DocumentNode]
"""A path, the node of its path item, and the node of one of its operations. Both nodes may define parameters of the
operation. The path contains the names of its path parameters in braces."""


class _ParameterVersion(NamedTuple):
    """A parameter in the older or the newer document."""

    node: DocumentNode
    is_from_path_item: bool
    """Whether the parameter belongs to the path item and therefore to all operations of the path item."""

    @property
    def is_required(self) -> bool:
        return self.node.get_value("required") is True or self.node.get_value("in") == "path"

    @property
    def is_deprecated(self) -> bool:
        return self.node.get_value("deprecated") is True

    @property
    def location(self) -> str:
        return f"{self.node.get_value('in')} {self.node.get_value('name')}"

    @property
    def schema(self) -> DocumentNode:
        media_types = [media_type for _, media_type in self.node.get_child("content").iterate_children()]
        return media_types[0].get_child("schema") if media_types else self.node.get_child("schema")

    @property
    def style_and_explode(self) -> tuple[str, bool]:
        """The values of `style` and `explode`, or their defaults."""
        style = self.node.get_value("style", _DEFAULT_STYLE_BY_LOCATION.get(str(self.node.get_value("in")), ""))
        return style, self.node.get_value("explode", style == "form") is True


def compare_parameters(
    api_part: ApiPart, old_path_and_operation: PathAndOperation, new_path_and_operation: PathAndOperation
) -> Iterator[DriftChange]:
    """Yield every change of the parameters, including those of the path item."""
    old_parameters, new_parameters = (
        _list_parameters(*old_path_and_operation),
        _list_parameters(*new_path_and_operation),
    )
    for key in dict.fromkeys((*old_parameters, *new_parameters)):
        before, after = old_parameters.get(key), new_parameters.get(key)
        if before is not None and after is not None:
            yield from _compare_parameter(api_part.create_nested_part(after.location), before, after)
        elif before is not None:
            yield api_part.create_nested_part(before.location).build_change(
                _choose_rule_of_removal(api_part, before), before.node, None
            )
        elif after is not None:
            yield api_part.create_nested_part(after.location).build_change(
                _choose_rule_of_addition(api_part, after), None, after.node
            )


def _list_parameters(
    path: str, path_item: DocumentNode, operation: DocumentNode
) -> dict[tuple[str, str], _ParameterVersion]:
    """Return the parameters by location and name. Parameters of the operation override those of the path item."""
    positions = {name: str(index) for index, name in enumerate(re.findall(r"\{([^}]*)\}", path))}
    found = {}
    for owner, is_shared in ((path_item, True), (operation, False)):
        for _, node in owner.get_child("parameters").iterate_children():
            node = node.resolve_references()
            location, name = str(node.get_value("in")), str(node.get_value("name"))
            if location == "header" and name.lower() in _IGNORED_HEADER_PARAMETERS:
                continue
            key = {"header": name.lower(), "path": positions.get(name, name)}.get(location, name)
            found[location, key] = _ParameterVersion(node, is_shared)
    return found


def _choose_rule_of_removal(api_part: ApiPart, parameter: _ParameterVersion) -> str:
    if api_part.is_callback:
        return "callback-parameter-removed"
    return "request-parameter-removed-with-deprecation" if parameter.is_deprecated else "request-parameter-removed"


def _choose_rule_of_addition(api_part: ApiPart, parameter: _ParameterVersion) -> str:
    if api_part.is_callback:
        return "callback-parameter-added"
    if parameter.node.get_value("in") == "path":
        return "new-request-path-parameter"
    need = "required" if parameter.is_required else "optional"
    return f"new-{need}-request-" + (
        "default-parameter-to-existing-path" if parameter.is_from_path_item else "parameter"
    )


def _compare_parameter(
    api_part: ApiPart, old_parameter: _ParameterVersion, new_parameter: _ParameterVersion
) -> Iterator[DriftChange]:
    kind = "callback-parameter" if api_part.is_callback else "request-parameter"
    if old_parameter.is_required != new_parameter.is_required and not api_part.is_callback:
        need = "required" if new_parameter.is_required else "optional"
        yield api_part.build_change(
            f"{kind}-became-{need}", old_parameter.node.get_child("required"), new_parameter.node.get_child("required")
        )
    if old_parameter.is_deprecated != new_parameter.is_deprecated:
        action = "deprecated" if new_parameter.is_deprecated else "reactivated"
        yield api_part.build_change(
            f"{kind}-{action}", old_parameter.node.get_child("deprecated"), new_parameter.node.get_child("deprecated")
        )
    if old_parameter.style_and_explode != new_parameter.style_and_explode and not api_part.is_callback:
        yield api_part.build_change(
            "request-parameter-style-changed",
            old_parameter.node,
            new_parameter.node,
            old=old_parameter.style_and_explode,
            new=new_parameter.style_and_explode,
        )
    api_part = replace(api_part, is_sent_as_text=not new_parameter.node.get_child("content").exists)
    changes = [
        change
        for change in compare_schemas(api_part, kind, old_parameter.schema, new_parameter.schema)
        if not (change.rule in _DEFAULT_VALUE_RULE_IDS and old_parameter.is_required and new_parameter.is_required)
    ]
    narrowing = _TYPE_RULE_IDS & {change.rule for change in changes}
    still_accepts_single_value = bool(narrowing) and _still_accepts_single_value(api_part, old_parameter, new_parameter)
    for change in changes:
        if still_accepts_single_value and change.rule in _TYPE_RULE_IDS:
            yield api_part.build_change(
                "request-parameter-type-generalized", old_parameter.schema, new_parameter.schema
            )
        else:
            yield change


def _still_accepts_single_value(
    api_part: ApiPart, old_parameter: _ParameterVersion, new_parameter: _ParameterVersion
) -> bool:
    """Whether a parameter changed from a single value to a list, but requests with `name=value` are still accepted."""
    schema = new_parameter.schema.resolve_references()
    types = schema.get_value("type")
    is_list = types == "array" or (isinstance(types, list) and all(one in ("array", "null") for one in types))
    if not is_list or new_parameter.style_and_explode != ("form", True):
        return False
    item_changes = compare_schemas(api_part, "request-parameter", old_parameter.schema, schema.get_child("items"))
    return all(
        change.level is DriftLevel.COMPATIBLE or change.rule == "request-parameter-became-not-nullable"
        for change in item_changes
    )
