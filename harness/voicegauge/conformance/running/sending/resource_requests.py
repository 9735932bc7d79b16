"""Makes requests that take the id of a resource."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from voicegauge.client import RequestParts, map_speech_request
from voicegauge.conformance.cases import (
    DEFAULT_TEXT,
    build_operation_request,
    build_requests_with_each_value,
    build_valid_speech_request,
    set_body_value,
)
from voicegauge.contract import MISSING, Location, Operation, Target
from voicegauge.contract.extension import ResourceUse


class ResourceUseVariant(NamedTuple):
    """A speech request with the id of a resource.

    Another field has another value than in the plain request, or the request also contains the fields that the id
    replaces.
    """

    description: str
    """What is special about the request, such as "with format mp3"."""
    request: RequestParts
    must_be_accepted: bool
    """Whether the documents say that the request is accepted. If they do not, the service may accept or reject it."""


def set_resource_id(request: RequestParts, location: Location, resource_id: str) -> RequestParts:
    """Return `request` with the id of a resource at `location`."""
    if location.message_part == "body":
        return set_body_value(request, location.pointer_tokens, resource_id)
    if location.message_part == "header":
        return msgspec.structs.replace(request, headers={**request.headers, location.name: resource_id})
    if location.message_part == "path":
        path_parameters = {**request.path_parameters, location.name: resource_id}
        return msgspec.structs.replace(request, path_parameters=path_parameters)
    query_parameters = {**request.query_parameters, location.name: resource_id}
    return msgspec.structs.replace(request, query_parameters=query_parameters)


def build_resource_use_request(
    operation: Operation, resource_use: ResourceUse, resource_id: str
) -> RequestParts | None:
    """Return a request that contains the id of a resource instead of the fields that the id replaces.

    Return `None` if no valid request is known.
    """
    request = _build_request_without_resource(operation)
    if request is None:
        return None
    for location in resource_use.replaced_locations:
        request = set_body_value(request, location.pointer_tokens, MISSING)
    return set_resource_id(request, resource_use.id_location, resource_id)


def build_resource_use_variants(
    operation: Operation, resource_use: ResourceUse, resource_id: str
) -> Iterator[ResourceUseVariant]:
    """Yield speech requests with the id of a resource, in which each value of the other fields occurs once.

    The last request contains the id and also the fields that the id replaces. It is not documented whether that is
    allowed, so this request only tests that there is no server error.
    """
    target, request = _find_first_target(operation), build_resource_use_request(operation, resource_use, resource_id)
    with_replaced_fields = _build_request_without_resource(operation)
    if target is None or request is None or with_replaced_fields is None:
        return
    unchanged = {
        location.pointer_tokens[0] for location in (resource_use.id_location, *resource_use.replaced_locations)
    }
    for description, variant in build_requests_with_each_value((target, request), unchanged):
        yield ResourceUseVariant(f"with {description}", variant, must_be_accepted=True)
    if resource_use.replaced_locations:
        fields = " and ".join("/".join(location.pointer_tokens) for location in resource_use.replaced_locations)
        variant = set_resource_id(with_replaced_fields, resource_use.id_location, resource_id)
        yield ResourceUseVariant(f"next to {fields}", variant, must_be_accepted=False)


def _build_request_without_resource(operation: Operation) -> RequestParts | None:
    target = _find_first_target(operation)
    if target is None:
        return build_operation_request(operation)[0]
    return map_speech_request(target, build_valid_speech_request(target, text=DEFAULT_TEXT))


def _find_first_target(operation: Operation) -> Target | None:
    return next((target for target in operation.contract.targets.values() if target.operation is operation), None)
