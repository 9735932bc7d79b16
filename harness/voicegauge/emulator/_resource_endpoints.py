"""Answers operations on resources that a provider keeps between calls, and divides lists into pages."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import Parameter
from voicegauge.contract.extension.jobs import PaginationSpec, ResourceSpec, ResourceUse
from voicegauge.contract.operation import Operation
from voicegauge.emulator._output import EmulatedResponse
from voicegauge.emulator._provider_state import BoundedDict, EmulatedAccount
from voicegauge.emulator._request import (
    ParsedRequest,
    Rejection,
    can_have_value_at,
    read_value_at,
    read_value_or_default,
    write_value_at,
)
from voicegauge.emulator._response_bodies import build_success_response, filter_lists_by_query, is_documented_id
from voicegauge.emulator._schema_values import format_time_like_example, generate_id, iterate_body_schemas
from voicegauge.emulator.fault_injection import FaultInjector
from voicegauge.formats.bodies import parse_whole_number
from voicegauge.formats.locations import MISSING, Location

MAX_STORED_RESOURCES = 20_000
"""Maximum number of stored resources; older resources are forgotten, so that memory stays bounded in long runs."""


@dataclass
class StoredResource:
    """Something that an account has created and that stays, such as a cloned voice."""

    resource_spec: ResourceSpec
    """What the contract states about resources of this kind."""
    id: str
    account: EmulatedAccount
    json_body: Any
    """The JSON object that the response to the creation contained. Responses that list resources contain it too."""
    state: str | None
    """Name of the resource's current state; `None` if the contract documents no states."""
    values: dict[str, Any] = field(default_factory=dict)
    """All known values of the resource by field: those of `json_body`, and those that requests had."""
    is_deleted: bool = False
    """Whether the resource was deleted. It is kept for faults that still list or use it."""
    conversation_messages: list[str] = field(default_factory=list)
    """The user's messages if the resource is a conversation, else empty."""


class ResourceOperationRole(NamedTuple):
    """What an operation does with resources."""

    action: Literal["create", "list", "delete", "set"]
    """What is done: create, list or delete resources, or set the state of one."""
    resource_spec: ResourceSpec
    id_location: Location | None = None
    """Location of the resource id in the request; `None` if requests contain no id."""
    new_state: str | None = None
    """State to which the operation changes the resource; `None` if it changes none."""


class ResourceStore:
    """The resources of all accounts of one provider."""

    def __init__(self, contract: Contract, fault_injector: FaultInjector, *, is_quota_enforced: bool) -> None:
        """Create a store without resources; `is_quota_enforced` enforces the documented limit of each account."""
        self._contract, self._fault_injector, self._is_quota_enforced = contract, fault_injector, is_quota_enforced
        self._resource_by_id = BoundedDict[str, StoredResource](MAX_STORED_RESOURCES)
        self._created_count = 0
        """Number of resources that were created so far, also those that were deleted."""
        self._role_by_operation_id = dict(find_resource_operation_roles(contract))

    def __iter__(self) -> Iterator[StoredResource]:
        """Iterate over the resources of all accounts, without deleted resources."""
        return (stored for stored in self._resource_by_id.values() if not stored.is_deleted)

    def responds_to(self, operation: Operation) -> bool:
        """Whether `respond` answers `operation`: it creates, lists, deletes or changes the state of a resource.

        A chat, which may create a resource too, is answered elsewhere.
        """
        return operation.id in self._role_by_operation_id and operation.chat is None

    def find_referenced_resources(self, request: ParsedRequest, account: EmulatedAccount) -> list[StoredResource]:
        """Return the stored resources of the account that the request refers to by id.

        Stock and documented resources are not stored: their ids are accepted, but they are not in the result.

        Raises:
            Rejection: the account has no such resource, or the state of the resource does not allow this use.
        """
        found = []
        for creating_operation in self._contract.operations.values():
            for use in creating_operation.iterate_uses_of_created_resource(request.operation):
                resource_id = request.read_value(use.id_location)
                if resource_id is MISSING or resource_id is None or creating_operation.resource is None:
                    continue
                if str(resource_id) not in self._resource_by_id and _may_unstored_resource_exist(
                    request.operation, use, creating_operation.resource, resource_id
                ):
                    continue
                stored = self._find_stored_resource(
                    creating_operation.resource, resource_id, account, request.operation, use.id_location
                )
                is_allowed = not use.allowed_states or stored.state in use.allowed_states
                if not is_allowed and not self._fault_injector.is_check_skipped("state", request.operation):
                    detail = f"the {stored.resource_spec.display_name} {stored.id} is {stored.state}"
                    raise Rejection("invalid", use.id_location.field_name, detail)
                found.append(stored)
        return found

    def build_access_response(self, request: ParsedRequest, stored: StoredResource) -> EmulatedResponse:
        """Return the response of an operation that reads or changes a resource.

        The values in the body of the request replace those of the resource.
        """
        fixed = _list_id_and_state_fields(stored.resource_spec)
        changed = {name: value for name, value in _read_plain_body_values(request).items() if name not in fixed}
        stored.values.update(changed)
        # A field that the response to the creation did not have is kept in `values` only.
        stored.json_body.update({name: value for name, value in changed.items() if name in stored.json_body})
        return self._build_change_response(request, stored)

    def respond(
        self, request: ParsedRequest, account: EmulatedAccount, now_s: float, rng: random.Random
    ) -> EmulatedResponse:
        """Create, list, change or delete resources, and return the response.

        Raises:
            Rejection: the resource does not exist, or the account has reached its quota.
        """
        role = self._role_by_operation_id[request.operation.id]
        if role.action == "create":
            response = build_success_response(request.operation, "other")
            self.create_resource(request, response, account, now_s, rng)
            return response
        if role.action == "list":
            return self._build_list_response(request, account, role.resource_spec)
        assert role.id_location is not None, "an operation that deletes or sets names its resource"
        stored = self._find_stored_resource(
            role.resource_spec, request.read_value(role.id_location), account, request.operation, role.id_location
        )
        if role.action == "delete":
            stored.is_deleted = True
            return build_success_response(request.operation, "other")
        stored.state = role.new_state
        return self._build_change_response(request, stored)

    def create_resource(
        self,
        request: ParsedRequest,
        response: EmulatedResponse,
        account: EmulatedAccount,
        now_s: float,
        rng: random.Random,
    ) -> StoredResource:
        """Create and return a resource; write its id, its state and the fields of the request into `response`.

        Raises:
            Rejection: the account has reached its quota.
        """
        resource = request.operation.resource
        assert resource is not None
        self._created_count += 1
        state = next(iter(resource.states), None)
        resource_id = generate_id(None, resource.id_format, self._find_deletion_parameter(resource), rng)
        stored = StoredResource(resource, resource_id, account, response.body, state)
        self._check_quota(stored)
        body = _copy_body_with_request_values(request, response)
        body = write_value_at(body, resource.id_location, stored.id)
        if resource.state_location is not None:
            body = write_value_at(body, resource.state_location, state)
        if isinstance(body.get("id"), int):  # a row number in addition to the documented id
            body["id"] = self._created_count
        if isinstance(body.get("created_at"), str):
            body["created_at"] = format_time_like_example(now_s, body["created_at"])
        response.body = body
        # The object that has the id is the resource; it may be the body, or inside of it.
        item = read_value_at(body, Location("body", pointer_tokens=resource.id_location.pointer_tokens[:-1]))
        stored.json_body = dict(item) if isinstance(item, dict) else body
        stored.values = {**_read_plain_body_values(request), **stored.json_body}
        self._resource_by_id[stored.id] = stored
        return stored

    def _find_deletion_parameter(self, resource_spec: ResourceSpec) -> Parameter | None:
        """Return the parameter that takes the id of a resource to delete; `None` if there is none."""
        if resource_spec.deletion is None:
            return None
        operation, location = (
            self._contract.find_operation(resource_spec.deletion.operation_id),
            resource_spec.deletion.id_location,
        )
        return next(
            (
                one
                for one in operation.parameters
                if (one.message_part, one.name) == (location.message_part, location.name)
            ),
            None,
        )

    def _check_quota(self, stored_resource: StoredResource) -> None:
        listing = stored_resource.resource_spec.listing
        if not self._is_quota_enforced or listing is None or listing.max_count_location is None:
            return
        # The limit is a value of the list, whose documented example states it.
        example = build_success_response(self._contract.find_operation(listing.operation_id), "other")
        most, resource_spec = read_value_at(example.body, listing.max_count_location), stored_resource.resource_spec
        existing = list(self._list_resources_of_account(stored_resource.account, resource_spec))
        if isinstance(most, int) and len(existing) >= most:
            detail = f"the account has reached its limit of {most} of: {resource_spec.display_name}"
            raise Rejection("forbidden", None, detail)

    def _list_resources_of_account(
        self, account: EmulatedAccount, resource_spec: ResourceSpec, *, include_deleted: bool = False
    ) -> Iterator[StoredResource]:
        mine = (
            stored
            for stored in self._resource_by_id.values()
            if stored.account is account and _have_common_list_or_delete_operation(stored.resource_spec, resource_spec)
        )
        return (stored for stored in mine if include_deleted or not stored.is_deleted)

    def _find_stored_resource(
        self,
        resource_spec: ResourceSpec,
        resource_id: Any,
        account: EmulatedAccount,
        operation: Operation,
        id_location: Location,
    ) -> StoredResource:
        stored = self._resource_by_id.get(str(resource_id))
        if stored is not None and _have_common_list_or_delete_operation(stored.resource_spec, resource_spec):
            own = stored.account is account or self._fault_injector.is_check_skipped("account", operation)
            there = not stored.is_deleted or self._fault_injector.is_check_skipped("deletion", operation)
            if own and there:
                return stored
        # The same for a resource of somebody else: a client must not find out which ids exist.
        raise Rejection(
            "not-found", id_location.field_name, f"there is no {resource_spec.display_name} {resource_id!r:.80}"
        )

    def _build_list_response(
        self, request: ParsedRequest, account: EmulatedAccount, resource_spec: ResourceSpec
    ) -> EmulatedResponse:
        response = build_success_response(request.operation, "other")
        shows_deleted = self._fault_injector.is_check_skipped("delisting", request.operation)
        shown = list(self._list_resources_of_account(account, resource_spec, include_deleted=shows_deleted))
        name, listing = resource_spec.id_location.pointer_tokens[-1], resource_spec.listing
        assert listing is not None
        # A body that is a list itself is treated as the member of an object without a name.
        body = response.body if isinstance(response.body, dict) else {"": response.body}
        for key, items in body.items():
            if isinstance(items, list) and all(isinstance(item, dict) and name in item for item in items):
                stock = items if listing.includes_stock_resources else []
                pointer_tokens = (key, "0") if key else ("0",)
                schemas = iterate_body_schemas(response.documented_media_type, pointer_tokens)
                required = {field for schema in schemas for field in schema.get("required", ())}
                body[key] = [*stock, *(_build_resource_list_item(stored, items, required) for stored in shown)]
        response.body = body if isinstance(response.body, dict) else body[""]
        if listing.count_location is not None:
            response.body = write_value_at(response.body, listing.count_location, len(shown))
        if isinstance(response.body, dict) and not self._fault_injector.is_check_skipped("filters", request.operation):
            filter_lists_by_query(response.body, request)
        return response

    def _build_change_response(self, request: ParsedRequest, stored_resource: StoredResource) -> EmulatedResponse:
        response = build_success_response(request.operation, "other")
        resource = stored_resource.resource_spec
        for location, value in (
            (resource.id_location, stored_resource.id),
            (resource.state_location, stored_resource.state),
        ):
            if (
                location is not None
                and response.is_body_text_or_json
                and can_have_value_at(response.documented_media_type, response.body, location)
            ):
                response.body = write_value_at(response.body, location, value)
        # The resource may be the body or, as in the response that created it, an object inside of it.
        place = Location("body", pointer_tokens=resource.id_location.pointer_tokens[:-1])
        for members in (response.body, read_value_at(response.body, place)):
            for name, value in stored_resource.values.items() if isinstance(members, dict) else ():
                if name in members and name not in _list_id_and_state_fields(resource):
                    members[name] = value
        _write_resource_into_member(response.body, stored_resource)
        return response


def _write_resource_into_member(body: Any, stored_resource: StoredResource) -> None:
    """Write a resource into the member of a body that has its id: {"voice": {"id": ...}} in response to a change."""
    current = {**stored_resource.values, **_write_state_into_body(stored_resource)}
    id_name = stored_resource.resource_spec.id_location.pointer_tokens[-1]
    for member in body.values() if isinstance(body, dict) else ():
        if isinstance(member, dict) and id_name in member:
            member.update({name: current[name] for name in member if name in current})


def _have_common_list_or_delete_operation(first: ResourceSpec, second: ResourceSpec) -> bool:
    """Whether two kinds of resources are the same, or have one operation that lists or deletes both."""
    pairs = ((first.listing, second.listing), (first.deletion, second.deletion))
    return first is second or any(
        one is not None and other is not None and one.operation_id == other.operation_id for one, other in pairs
    )


def _may_unstored_resource_exist(
    operation: Operation, use: ResourceUse, resource_spec: ResourceSpec, resource_id: Any
) -> bool:
    """Whether an id that no account created may belong to a stock resource, which all accounts have, or to an example.

    Ids of documented examples exist for operations that the emulator answers with these examples.
    """
    listing = resource_spec.listing
    if listing is not None and listing.includes_stock_resources:
        # The voice of a conversion that is in the path is always one that is listed.
        is_listed_only = operation.audio_input is not None and use.id_location.message_part == "path"
        return not is_listed_only or is_documented_id(operation, use.id_location.name, str(resource_id))
    has_endpoint = operation.speech is not None or operation.audio_input is not None or operation.chat is not None
    return not has_endpoint and is_documented_id(operation, use.id_location.name, str(resource_id))


def _list_id_and_state_fields(resource_spec: ResourceSpec) -> set[str]:
    return {
        location.pointer_tokens[-1]
        for location in (resource_spec.id_location, resource_spec.state_location)
        if location is not None
    }


def _read_plain_body_values(request: ParsedRequest) -> dict[str, Any]:
    """Return the top-level values of a request body that are copied into a resource, by name.

    These are texts, numbers, booleans and lists of texts. There are none if the body is not an object or a form.
    """
    body = request.body if isinstance(request.body, dict) else {}
    return {name: value for name, value in body.items() if _is_plain_value(value)}


def _is_plain_value(value: Any) -> bool:
    """Whether a value is a text, a number, a boolean or a list of texts."""
    is_list_of_texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return is_list_of_texts or isinstance(value, str | int | float)


def _build_resource_list_item(
    stored_resource: StoredResource, example_items: list[Any], required_fields: set[str]
) -> Any:
    """Return a resource as a list shows it. Required fields without a known value are as in the first example."""
    item = _write_state_into_body(stored_resource)
    if not isinstance(item, dict):
        return item
    template = example_items[0] if example_items else {}
    missing = [name for name in template if name in required_fields and name not in item]
    return {**item, **{name: stored_resource.values.get(name, template[name]) for name in missing}}


def _write_state_into_body(stored_resource: StoredResource) -> Any:
    body, location = dict(stored_resource.json_body), stored_resource.resource_spec.state_location
    return body if location is None else write_value_at(body, location, stored_resource.state)


def _copy_body_with_request_values(request: ParsedRequest, response: EmulatedResponse) -> dict[str, Any]:
    """Return the example body, with the request's values (or defaults) in the fields that have the same names."""
    body = dict(response.body)
    for name in body:
        value = read_value_or_default(request, Location("body", pointer_tokens=(name,)))
        if _is_plain_value(value):
            body[name] = value
    return body


def find_resource_operation_roles(contract: Contract) -> Iterator[tuple[str, ResourceOperationRole]]:
    """Yield the ids of the operations on resources, each with what it does."""
    for operation in contract.operations.values():
        resource = operation.resource
        if resource is None:
            continue
        yield operation.id, ResourceOperationRole("create", resource)
        if resource.listing is not None:
            yield resource.listing.operation_id, ResourceOperationRole("list", resource)
        if resource.deletion is not None:
            role = ResourceOperationRole("delete", resource, resource.deletion.id_location)
            yield resource.deletion.operation_id, role
        for setting in resource.transitions:
            role = ResourceOperationRole("set", resource, setting.id_location, setting.resulting_state)
            yield setting.operation_id, role


_CURSOR_PREFIX = "after-"
"""Prefix of the emulator's cursors of the kind `token`. The number of items before the page follows it."""


def select_page(response: EmulatedResponse, request: ParsedRequest, pagination_spec: PaginationSpec) -> None:
    """Keep the items of the requested page, and write the fields that lead to the next page. `response` is changed.

    Raises:
        Rejection: the cursor in the request is not a page number, an offset or a token, as the contract documents it.
    """
    items = read_value_at(response.body, pagination_spec.items_location)
    if not isinstance(items, list):
        return
    size = _read_page_size(request, pagination_spec.page_size_location) or max(len(items), 1)
    start = _find_first_index(items, size, request, pagination_spec)
    page, end = items[start : start + size], start + size
    has_more = end < len(items)
    response.body = write_value_at(response.body, pagination_spec.items_location, page)
    for location, value in (
        (pagination_spec.more_pages_location, has_more),
        (pagination_spec.total_count_location, len(items)),
        (pagination_spec.page_count_location, -(-len(items) // size)),  # rounded up
    ):
        if location is not None and can_have_value_at(response.documented_media_type, response.body, location):
            response.body = write_value_at(response.body, location, value)
    if pagination_spec.next_cursor_location is not None:
        location = pagination_spec.next_cursor_location
        cursor = _build_next_cursor(page, end, start // size, pagination_spec) if has_more else None
        if cursor is None:
            # Null says that this page is the last one, and an empty text where the schema allows no null.
            schemas = iterate_body_schemas(response.documented_media_type, location.pointer_tokens)
            cursor = "" if any(schema.get("type") == "string" for schema in schemas) else None
        response.body = write_value_at(response.body, location, cursor)


def _find_first_index(items: list[Any], page_size: int, request: ParsedRequest, pagination_spec: PaginationSpec) -> int:
    location, kind = pagination_spec.cursor_location, pagination_spec.cursor_kind
    cursor = request.read_value(location) if location is not None else MISSING
    if location is None or cursor in (MISSING, None, ""):
        return 0
    if kind == "item-id":
        ids = [item.get(pagination_spec.item_id_field) if isinstance(item, dict) else None for item in items]
        return ids.index(cursor) + 1 if cursor in ids else len(items)  # nothing follows an unknown item
    text = str(cursor).removeprefix(_CURSOR_PREFIX) if kind == "token" else str(cursor)
    number = parse_whole_number(text)
    if number is None or (kind == "token" and text == str(cursor)):
        raise Rejection("invalid", location.field_name, f"{location.field_name}: no list has the page {cursor!r:.80}")
    return max(number - pagination_spec.first_page_number, 0) * page_size if kind == "page" else number


def _read_page_size(request: ParsedRequest, location: Location | None) -> int | None:
    value = read_value_or_default(request, location) if location is not None else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _build_next_cursor(page: list[Any], end_index: int, page_index: int, pagination_spec: PaginationSpec) -> Any:
    kind = pagination_spec.cursor_kind
    if kind == "item-id":
        return page[-1].get(pagination_spec.item_id_field)
    if kind == "page":
        return page_index + 1 + pagination_spec.first_page_number
    return f"{_CURSOR_PREFIX}{end_index}" if kind == "token" else end_index
