"""Checks `x-resource`, `x-batch` and `x-chat`."""

from __future__ import annotations

from voicegauge.contract.consistency.locations import (
    check_operation_id,
    check_request_location,
    check_response_location,
)
from voicegauge.contract.contract import Operation
from voicegauge.contract.extension import BatchSpec, ChatSpec, ResourceListing, ResourceSpec, ResourceUse


def check_resource(operation: Operation, resource_spec: ResourceSpec) -> None:
    """Check the `x-resource` of the operation that creates the resource.

    Raises:
        ContractError: `resource_spec` names an operation, location or state that is not documented.
    """
    contract, pointer = operation.contract, f"{operation.pointer}/x-resource"
    check_response_location(operation, f"{pointer}/id", resource_spec.id_location)
    check_response_location(operation, f"{pointer}/state", resource_spec.state_location)
    if (resource_spec.state_location is None) != (not resource_spec.states):
        raise contract.document.build_error(pointer, "x-resource needs both state and states, or neither")
    if resource_spec.listing is not None:
        _check_listing(operation, f"{pointer}/list", resource_spec.listing)
    if resource_spec.deletion is not None:
        check_operation_id(operation, f"{pointer}/delete/operation", resource_spec.deletion.operation_id)
        check_request_location(
            contract.find_operation(resource_spec.deletion.operation_id),
            f"{pointer}/delete/id",
            resource_spec.deletion.id_location,
        )
    for index, transition in enumerate(resource_spec.transitions):
        transition_pointer = f"{pointer}/transitions/{index}"
        check_operation_id(operation, f"{transition_pointer}/operation", transition.operation_id)
        check_request_location(
            contract.find_operation(transition.operation_id), f"{transition_pointer}/id", transition.id_location
        )
        _check_state(operation, f"{transition_pointer}/state", transition.resulting_state, resource_spec)
    for index, use in enumerate(resource_spec.uses):
        _check_resource_use(operation, f"{pointer}/uses/{index}", use, resource_spec)


def _check_listing(operation: Operation, pointer: str, listing: ResourceListing) -> None:
    check_operation_id(operation, f"{pointer}/operation", listing.operation_id)
    lister = operation.contract.find_operation(listing.operation_id)
    check_response_location(lister, f"{pointer}/count", listing.count_location)
    check_response_location(lister, f"{pointer}/max_count", listing.max_count_location)


def _check_resource_use(
    operation: Operation, pointer: str, resource_use: ResourceUse, resource_spec: ResourceSpec
) -> None:
    contract = operation.contract
    check_operation_id(operation, f"{pointer}/operation", resource_use.operation_id)
    for location in (resource_use.id_location, *resource_use.replaced_locations):
        check_request_location(contract.find_operation(resource_use.operation_id), f"{pointer}/id", location)
    for state in resource_use.allowed_states:
        _check_state(operation, f"{pointer}/states", state, resource_spec)
    if resource_use.server_name is not None and resource_use.server_name not in contract.servers:
        known = ", ".join(contract.servers)
        raise contract.document.build_error(
            f"{pointer}/server", f"{resource_use.server_name!r} is not a server of this document: {known}"
        )


def _check_state(operation: Operation, pointer: str, state: str, resource_spec: ResourceSpec) -> None:
    if state not in resource_spec.states:
        known = ", ".join(resource_spec.states) or "none"
        raise operation.contract.document.build_error(pointer, f"{state!r} is not among x-resource.states: {known}")


def check_batch(operation: Operation, batch_spec: BatchSpec) -> None:
    """Check the `x-batch` of an operation.

    Raises:
        ContractError: a location is not inside an item of the batch, or a single item would not start a job.
    """
    contract, pointer = operation.contract, f"{operation.pointer}/x-batch"
    job = operation.speech.response.status_operation_id if operation.speech else None
    if operation.speech is None or job is None:
        raise contract.document.build_error(
            pointer, "x-batch needs an x-speech whose response is a job on the same operation"
        )
    check_request_location(operation, f"{pointer}/items", batch_spec.requests_location)
    # `x-speech.request` of a batch has the locations in its first item.
    first_item = (*batch_spec.requests_location.pointer_tokens, "0")
    locations = [mapping.location for mapping in operation.speech.request_fields.values()]
    outside = [location for location in locations if location.pointer_tokens[: len(first_item)] != first_item]
    if outside:
        raise contract.document.build_error(
            pointer, f"{str(outside[0])!r} is not inside the first item of {batch_spec.requests_location}"
        )
    check_operation_id(operation, f"{pointer}/item_operation", batch_spec.item_operation_id)
    item_operation = contract.find_operation(batch_spec.item_operation_id)
    if item_operation.speech is None or item_operation.speech.response.status_operation_id is None:
        reason = f"{batch_spec.item_operation_id!r} must respond with a job, as each item of the batch becomes one"
        raise contract.document.build_error(f"{pointer}/item_operation", reason)
    check_response_location(contract.find_operation(job), f"{pointer}/results", batch_spec.jobs_location)
    for location in (batch_spec.total_count_location, batch_spec.ended_count_location):
        check_response_location(operation, pointer, location)
        check_response_location(contract.find_operation(job), pointer, location)


def check_chat(operation: Operation, chat_spec: ChatSpec) -> None:
    """Check the `x-chat` of an operation.

    Raises:
        ContractError: `chat_spec` names a location, operation or target that is not documented.
    """
    pointer = f"{operation.pointer}/x-chat"
    for key in ("text", "audio", "voice"):
        if (location := chat_spec.get_by_key(key)) is not None:
            check_request_location(operation, f"{pointer}/{key}", location)
    for key in ("transcript", "reply", "charged"):
        check_response_location(operation, f"{pointer}/{key}", chat_spec.get_by_key(key))
    check_response_location(operation, f"{pointer}/reply_audio/at", chat_spec.reply_audio.location)
    check_operation_id(operation, f"{pointer}/reply_audio/download", chat_spec.reply_audio.download_operation_id)
    if chat_spec.emulated_target_name not in operation.contract.targets:
        reason = f"{chat_spec.emulated_target_name!r} is not a target of this document"
        raise operation.contract.document.build_error(f"{pointer}/emulation_target", reason)
