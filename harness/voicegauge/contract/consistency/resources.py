"""What a document says of things that are kept must hold together: `x-resource`, `x-batch`, `x-chat`."""

from __future__ import annotations

from voicegauge.contract.consistency.references import check_operation, check_request_location, check_response_location
from voicegauge.contract.contract import Contract, Operation
from voicegauge.contract.extension import BatchSpec, ChatSpec, ResourceSpec, ResourceUse


def check_resources(contract: Contract) -> None:
    """Refuse what does not hold together.

    Raises:
        ContractError: names the line of the first part that leads nowhere.
    """
    for operation in contract.operations.values():
        if operation.resource is not None:
            _check_resource(operation, operation.resource)
        if operation.batch is not None:
            _check_batch(operation, operation.batch)
        if operation.chat is not None:
            _check_chat(operation, operation.chat)


def _check_resource(operation: Operation, resource: ResourceSpec) -> None:
    contract, at = operation.contract, f"{operation.pointer}/x-resource"
    check_response_location(operation, f"{at}/id", resource.id)
    check_response_location(operation, f"{at}/state", resource.state)
    if (resource.state is None) != (not resource.states):
        raise contract.document.error(at, "x-resource needs both state and states, or neither")
    if resource.list is not None:
        check_operation(operation, f"{at}/list/operation", resource.list.operation)
        for key in ("count", "limit"):
            check_response_location(
                contract.operation(resource.list.operation), f"{at}/list/{key}", getattr(resource.list, key)
            )
    if resource.delete is not None:
        check_operation(operation, f"{at}/delete/operation", resource.delete.operation)
        check_request_location(contract.operation(resource.delete.operation), f"{at}/delete/id", resource.delete.id)
    for index, setting in enumerate(resource.transitions):
        here = f"{at}/transitions/{index}"
        check_operation(operation, f"{here}/operation", setting.operation)
        check_request_location(contract.operation(setting.operation), f"{here}/id", setting.id)
        _check_state(operation, f"{here}/state", setting.state, resource)
    for index, use in enumerate(resource.uses):
        _check_use(operation, f"{at}/uses/{index}", use, resource)


def _check_use(operation: Operation, at: str, use: ResourceUse, resource: ResourceSpec) -> None:
    contract = operation.contract
    check_operation(operation, f"{at}/operation", use.operation)
    for place in (use.id, *use.replaces):
        check_request_location(contract.operation(use.operation), f"{at}/id", place)
    for state in use.states:
        _check_state(operation, f"{at}/states", state, resource)
    if use.server is not None and use.server not in contract.servers:
        known = ", ".join(contract.servers)
        raise contract.document.error(f"{at}/server", f"{use.server!r} is no server of this document: {known}")


def _check_state(operation: Operation, at: str, state: str, resource: ResourceSpec) -> None:
    if state not in resource.states:
        known = ", ".join(resource.states) or "none"
        raise operation.contract.document.error(at, f"{state!r} is not among x-resource.states: {known}")


def _check_batch(operation: Operation, batch: BatchSpec) -> None:
    contract, at = operation.contract, f"{operation.pointer}/x-batch"
    job = operation.speech.response.job if operation.speech else None
    if operation.speech is None or job is None:
        raise contract.document.error(at, "x-batch stands beside an x-speech whose answer is a job")
    check_request_location(operation, f"{at}/items", batch.items)
    first_item = (*batch.items.tokens, "0")
    slots = operation.speech.request.values()
    outside = [slot.at for slot in slots if slot.at.tokens[: len(first_item)] != first_item]
    if outside:
        raise contract.document.error(at, f"{str(outside[0])!r} does not lie in the first of {batch.items}")
    check_operation(operation, f"{at}/item_operation", batch.item_operation)
    each = contract.operation(batch.item_operation)
    if each.speech is None or each.speech.response.job is None:
        raise contract.document.error(
            f"{at}/item_operation", f"{batch.item_operation!r} must be answered with a job, as each item is one"
        )
    check_response_location(contract.operation(job), f"{at}/results", batch.results)
    for place in filter(None, (batch.total, batch.completed)):
        check_response_location(operation, at, place)
        check_response_location(contract.operation(job), at, place)


def _check_chat(operation: Operation, chat: ChatSpec) -> None:
    at = f"{operation.pointer}/x-chat"
    for key in ("text", "audio", "voice"):
        if (place := getattr(chat, key)) is not None:
            check_request_location(operation, f"{at}/{key}", place)
    for key in ("transcript", "reply", "charged"):
        check_response_location(operation, f"{at}/{key}", getattr(chat, key))
    check_response_location(operation, f"{at}/reply_audio/at", chat.reply_audio.at)
    check_operation(operation, f"{at}/reply_audio/download", chat.reply_audio.download)
    if chat.emulation_target not in operation.contract.targets:
        raise operation.contract.document.error(
            f"{at}/emulation_target", f"{chat.emulation_target!r} is no target of this document"
        )
