"""Finds voices that a provider stores: operations that create one, delete it by its id, and list all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from voicegauge.contract.documents.proposals.job_proposal import list_response_fields
from voicegauge.contract.documents.selection import read_operations, select_operations
from voicegauge.contract.schemas import Schemas
from voicegauge.errors import ContractError
from voicegauge.formats import Document

_VOICE_PATTERN = re.compile(r"voice|speaker", re.IGNORECASE)
_RESOURCE_PATH_PATTERN = re.compile(r"(?P<collection>.+)/\{(?P<parameter>[^{}]+)\}/?")


class ResourceProposal(NamedTuple):
    """An operation that creates a voice, and the value of its `x-resource`."""

    path: str
    resource_yaml: str
    """The value in YAML."""


def find_resources(document: Document) -> Iterator[ResourceProposal]:
    """Yield the operations that create a voice which another operation deletes by the id in their response."""
    operations = dict(read_operations(document.data))
    for (path, method), delete in operations.items():
        item = _RESOURCE_PATH_PATTERN.fullmatch(path)
        if method != "delete" or item is None or not _VOICE_PATTERN.search(path) or not delete.get("operationId"):
            continue
        collection, parameter = item["collection"], item["parameter"]
        for create_path in (one for one, other in operations if other == "post" and one.startswith(collection)):
            location = _find_id_location(document, create_path, parameter) if "{" not in create_path else None
            if location is not None:
                value = f"name: voice, id: {location}, "
                listed = operations.get((collection, "get"), {}).get("operationId")
                value += f"list: {{operation: {listed}}}, " if listed else ""
                value += f"delete: {{operation: {delete['operationId']}, id: path.{parameter}}}"
                yield ResourceProposal(create_path, f"{{{value}}}")


def _find_id_location(document: Document, path: str, parameter: str) -> str | None:
    """Return the location of the id in the response to POST `path`; `None` if it has none."""
    data: dict[str, Any] = select_operations(document, [(path, "post")])
    part = Document(document.path, data, {}, document.sha256, {"": (document, "")})
    try:
        fields = list_response_fields(Schemas(part), data["paths"][path]["post"])
    except ContractError:
        return None
    return next((at for at in (f"body#/{parameter}", "body#/id") if at in fields), None)
