"""Reads a file that declares what a client sends and reads.

    operations:
      speak:                          # operationId, or "POST /speak"
        sends: [body#/text, query.model]
        reads: [body#/audio_url, header.X-Cost]

Without `sends` or `reads`, it is not known what the client sends or reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from voicegauge.drift.client_uses.client_uses import ClientUses, SentValues
from voicegauge.drift.client_uses.documented_locations import DocumentedLocations
from voicegauge.drift.client_uses.recorded_uses import OperationMatcher, OperationPattern
from voicegauge.formats import Document, Location, escape_pointer_token, parse_location

_DECLARATION_KEYS = ("sends", "reads")


_MAX_LOCATIONS_LISTED = 8


def add_declared_uses(
    client_uses: ClientUses, declaration: Document, old_matcher: OperationMatcher, new_matcher: OperationMatcher
) -> None:
    """Add the uses that a file declares.

    Args:
        client_uses: receives the uses.
        declaration: the content of the file.
        old_matcher: finds the operations of the older document.
        new_matcher: finds the operations of the newer document.

    Raises:
        ContractError: the declaration has another form, names an operation that the older document does not have, or
            names a location that neither document has.
    """
    unknown = next((key for key in declaration.data if key != "operations"), None)
    if unknown is not None:
        raise declaration.build_error(f"/{escape_pointer_token(unknown)}", f"the key {unknown!r} is not known here")
    operations = declaration.data["operations"]
    if not isinstance(operations, dict):
        raise declaration.build_error(
            "/operations", "must be a mapping from operations to what the client sends and reads"
        )
    if not operations:
        raise declaration.build_error("/operations", "names no operation: list those that the client calls")
    for name, used in operations.items():
        pointer = f"/operations/{escape_pointer_token(name)}"
        operation_pattern = old_matcher.find_by_name(name)
        if operation_pattern is None:
            known = ", ".join(sorted(known.name for known in old_matcher.operation_patterns)[:5])
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
        old_and_new_locations = _list_old_and_new_locations(operation_pattern, old_matcher, new_matcher)
        _add_declared_operation(
            client_uses, operation_pattern.name, old_and_new_locations, used or {}, pointer, declaration
        )


def _list_old_and_new_locations(
    operation_pattern: OperationPattern, old_matcher: OperationMatcher, new_matcher: OperationMatcher
) -> list[DocumentedLocations]:
    """Return the locations that the older document describes for an operation, and those of the newer document.

    The second item is missing if the newer document does not have the operation.
    """
    newer = new_matcher.find_by_name(operation_pattern.name) or new_matcher.find_by_name(
        operation_pattern.method_and_path
    )
    old_and_new_locations = [DocumentedLocations(old_matcher.document, operation_pattern)]
    return (
        old_and_new_locations
        if newer is None
        else [*old_and_new_locations, DocumentedLocations(new_matcher.document, newer)]
    )


def _add_declared_operation(
    client_uses: ClientUses,
    operation_name: str,
    old_and_new_locations: Sequence[DocumentedLocations],
    declared_values: dict[str, Any],
    operation_pointer: str,
    declaration: Document,
) -> None:
    use = client_uses.find_or_add_operation_use(operation_name)
    for key, values in declared_values.items():
        listed = _read_locations(values, f"{operation_pointer}/{key}", declaration)
        for location, item_pointer in listed.items():
            if not any(
                version.has_location(location, is_in_request=key == "sends") for version in old_and_new_locations
            ):
                problem = _describe_unknown_location(
                    location, operation_name, old_and_new_locations, is_in_request=key == "sends"
                )
                raise declaration.build_error(item_pointer, problem)
        if key == "sends":
            source = f"{declaration.path}:{declaration.find_line(f'{operation_pointer}/sends')}"
            use.sent_values.append(SentValues(frozenset(listed), source))
        else:
            use.add_read_locations((), "")
            for location, item_pointer in listed.items():
                use.add_read_locations([location], f"{declaration.path}:{declaration.find_line(item_pointer)}")


def _describe_unknown_location(
    location: Location,
    operation_name: str,
    old_and_new_locations: Sequence[DocumentedLocations],
    *,
    is_in_request: bool,
) -> str:
    listed = [
        version.list_sibling_locations(location, is_in_request=is_in_request) for version in old_and_new_locations
    ]
    known = list(dict.fromkeys(text for texts in listed for text in texts))
    shown = ", ".join(get_close_matches(str(location), known, n=_MAX_LOCATIONS_LISTED, cutoff=0)) or "nothing there"
    more = ", ..." if len(known) > _MAX_LOCATIONS_LISTED else ""
    where = "a request" if is_in_request else "a response"
    return f"'{location}' is not in {where} of {operation_name} in either document, which have {shown}{more}"


def _read_locations(location_list: Any, list_pointer: str, declaration: Document) -> dict[Location, str]:
    """Parse a list of locations. Return each location with the JSON pointer to its item in the list."""
    if not isinstance(location_list, list):
        raise declaration.build_error(list_pointer, "must be a list of locations, such as body#/text or header.X-Cost")
    found = {}
    for index, text in enumerate(location_list):
        try:
            found[parse_location(text if isinstance(text, str) else "")] = f"{list_pointer}/{index}"
        except ValueError as error:
            raise declaration.build_error(f"{list_pointer}/{index}", str(error)) from None
    return found
