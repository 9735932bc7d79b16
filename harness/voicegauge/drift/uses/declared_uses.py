"""Reads a file that declares what a client sends and reads.

    operations:
      speak:                          # operationId, or "POST /speak"
        sends: [body#/text, query.model]
        reads: [body#/audio_url, header.X-Cost]

Without `sends` or `reads`, it is not known what the client sends or reads.
"""

from __future__ import annotations

from typing import Any

from voicegauge.drift.uses.client_uses import ClientUses, SentValues
from voicegauge.drift.uses.recorded_uses import OperationMatcher
from voicegauge.formats import Document, Location, escape_pointer_token, parse_location

_DECLARATION_KEYS = ("sends", "reads")


def add_declared_uses(uses: ClientUses, declaration: Document, matcher: OperationMatcher) -> None:
    """Add the uses that a document declares.

    Raises:
        ContractError: the declaration has another form, or names an operation that the API does not have.
    """
    unknown = next((key for key in declaration.data if key != "operations"), None)
    if unknown is not None:
        raise declaration.build_error(f"/{escape_pointer_token(unknown)}", f"the key {unknown!r} is not known here")
    operations = declaration.data["operations"]
    if not isinstance(operations, dict):
        raise declaration.build_error(
            "/operations", "must be a mapping from operations to what the client sends and reads"
        )
    for name, used in operations.items():
        pointer = f"/operations/{escape_pointer_token(name)}"
        operation = matcher.find_by_name(name)
        if operation is None:
            known = ", ".join(sorted(template.operation for template in matcher.templates)[:5])
            raise declaration.build_error(
                pointer, f"{name!r} is not an operation of the older document, which has {known}"
            )
        if used is not None and not isinstance(used, dict):
            raise declaration.build_error(pointer, "must be a mapping with the keys sends and reads")
        for key in used or {}:
            if key not in _DECLARATION_KEYS:
                raise declaration.build_error(
                    f"{pointer}/{escape_pointer_token(key)}", f"the key {key!r} is not known here"
                )
        _add_operation(uses, operation, used or {}, pointer, declaration)


def _add_operation(uses: ClientUses, operation: str, used: dict[str, Any], pointer: str, declaration: Document) -> None:
    use = uses.get_or_add(operation)
    for key, values in used.items():
        listed = _read_locations(values, f"{pointer}/{key}", declaration)
        if key == "sends":
            source = f"{declaration.path}:{declaration.find_line(f'{pointer}/sends')}"
            use.requests.append(SentValues(frozenset(listed), source))
        else:
            use.add_reads((), "")
            for location, item_pointer in listed.items():
                use.add_reads([location], f"{declaration.path}:{declaration.find_line(item_pointer)}")


def _read_locations(values: Any, pointer: str, declaration: Document) -> dict[Location, str]:
    """Return the pointers at which a list states locations, by location."""
    if not isinstance(values, list):
        raise declaration.build_error(pointer, "must be a list of locations, such as body#/text or header.X-Cost")
    found = {}
    for index, text in enumerate(values):
        try:
            found[parse_location(text if isinstance(text, str) else "")] = f"{pointer}/{index}"
        except ValueError as error:
            raise declaration.build_error(f"{pointer}/{index}", str(error)) from None
    return found
