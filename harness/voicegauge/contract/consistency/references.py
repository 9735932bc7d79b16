"""Checks references and schemas of a document before a contract is built from it."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import Any

from voicegauge.contract.document_walk import walk_objects
from voicegauge.contract.schemas import Schemas
from voicegauge.formats import Document

_COMPONENT_REFERENCE_PATTERN = re.compile(r"#/components/schemas/[^/]+")
_SCHEMA_POINTER_PATTERN = re.compile(r"/schema(?:/|$)|^/components/schemas/")
_SUBSCHEMA_KEYWORDS = ("if", "then", "else", "not")
_SUBSCHEMA_LIST_KEYWORDS = ("allOf", "anyOf", "oneOf")
_IN_PLACE_APPLICATOR_KEYWORDS = frozenset(("$ref", *_SUBSCHEMA_KEYWORDS, *_SUBSCHEMA_LIST_KEYWORDS))
"""Keywords with subschemas that apply to the same instance as the schema that contains the keyword."""
_COMBINING_KEYWORDS = frozenset(("$ref", *_SUBSCHEMA_LIST_KEYWORDS))
"""If a schema has one of these keywords, its default is not checked against it: in official documents such a default
may be valid under none or two of the alternatives, which does no harm."""
_PARAMETER_POINTER_PATTERN = re.compile(r"/parameters/\d+$")


def check_references(schemas: Schemas, document: Document) -> None:
    """Check that references point to existing parts and form no cycles, and that operation ids are unique.

    Raises:
        ContractError: a reference or an id is wrong; the message has the line of the first wrong one.
    """
    leads_to: dict[str, list[str]] = {}
    operation_ids: set[str] = set()
    for pointer, node in walk_objects(document.data):
        if not _IN_PLACE_APPLICATOR_KEYWORDS.isdisjoint(node):
            leads_to[pointer] = _list_applied_subschemas(pointer, node)
            if isinstance(node.get("$ref"), str):
                leads_to[pointer].append(_check_reference(schemas, document, pointer, node["$ref"]))
        name = node.get("operationId") if "responses" in node else None
        if isinstance(name, str):
            if name in operation_ids:
                raise document.build_error(f"{pointer}/operationId", f"operationId {name!r} is used twice")
            operation_ids.add(name)
    try:
        TopologicalSorter(leads_to).prepare()
    except CycleError as error:
        # A cycle through `properties` or `items` is fine, because every instance ends. The keywords that are followed
        # here apply to one and the same instance.
        raise document.build_error(error.args[1][0], "the schema leads back to itself without an end") from error


def _list_applied_subschemas(pointer: str, schema: dict[str, Any]) -> list[str]:
    """Return the pointers of the subschemas of `schema` that apply to the same instance as `schema` itself."""
    found = [f"{pointer}/{key}" for key in _SUBSCHEMA_KEYWORDS if key in schema]
    for key in _SUBSCHEMA_LIST_KEYWORDS:
        branches = schema.get(key)
        found += [f"{pointer}/{key}/{i}" for i in range(len(branches) if isinstance(branches, list) else 0)]
    return found


def _check_reference(schemas: Schemas, document: Document, pointer: str, reference: str) -> str:
    """Check one reference; return the pointer of the part that it refers to."""
    found, target_pointer = schemas.resolve_reference({"$ref": reference}, f"{pointer}/$ref")
    if _PARAMETER_POINTER_PATTERN.search(pointer) and not (isinstance(found, dict) and {"name", "in"} <= found.keys()):
        raise document.build_error(f"{pointer}/$ref", f"$ref {reference!r} does not lead to a parameter")
    return target_pointer


def check_schemas(schemas: Schemas, document: Document) -> None:
    """Check that every schema can be used, so that none fails in the middle of a run, and that defaults fit.

    Raises:
        ContractError: a schema cannot be used, or its default does not fit it; the message has the line of the first
            such schema.
    """
    for pointer, node in walk_objects(document.data):
        parent, _, key = pointer.rpartition("/")
        is_component = parent == "/components/schemas"
        if is_component or (key == "schema" and not _is_reference_to_component(node)):
            schemas.check_schema(pointer)
        if "default" in node and _SCHEMA_POINTER_PATTERN.search(pointer) and not _COMBINING_KEYWORDS & node.keys():
            schemas.check_default(pointer, node["default"])


def _is_reference_to_component(node: dict[str, Any]) -> bool:
    """Whether a schema is only a reference to a schema under `components`, which is checked there, once."""
    reference = node.get("$ref")
    return (
        len(node) == 1 and isinstance(reference, str) and _COMPONENT_REFERENCE_PATTERN.fullmatch(reference) is not None
    )
