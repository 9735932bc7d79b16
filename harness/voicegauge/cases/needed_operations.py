"""Finds the operations that a check of single targets needs, so that nothing is sent to the other operations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.contract.targets import AudioInputTarget, BaseTarget, Target
from voicegauge.formats.locations import Location


def find_partially_checked_contracts(
    targets: Iterable[BaseTarget], fully_checked_providers: Collection[str] | None = None
) -> dict[Contract, list[BaseTarget]]:
    """Return the contracts of which only some targets are checked, each with these targets.

    Args:
        targets: the targets to check.
        fully_checked_providers: ids of the providers of which every operation is checked; by default those whose speech
            targets are all among `targets`.
    """
    by_contract: dict[Contract, list[BaseTarget]] = {}
    for target in targets:
        by_contract.setdefault(target.contract, []).append(target)
    return {
        contract: chosen
        for contract, chosen in by_contract.items()
        if (
            not contract.targets.keys() <= {target.name for target in chosen}
            if fully_checked_providers is None
            else contract.id not in fully_checked_providers
        )
    }


def find_excluded_operations(
    targets: Iterable[BaseTarget], fully_checked_providers: Collection[str] | None = None
) -> list[str]:
    """Return the operations that a check of `targets` does not call: <provider>/<operation id>, in document order.

    Args:
        targets: the targets to check.
        fully_checked_providers: see `find_partially_checked_contracts`.
    """
    excluded_operation_names: list[str] = []
    for contract, chosen in find_partially_checked_contracts(targets, fully_checked_providers).items():
        needed = {operation.id for target in chosen for operation in iterate_needed_operations(target)}
        excluded_operation_names += [f"{contract.id}/{name}" for name in contract.operations if name not in needed]
    return excluded_operation_names


def iterate_needed_operations(target: BaseTarget) -> Iterator[Operation]:
    """Yield the operations that a check of `target` needs; some may be repeated.

    These are the operations that submit, poll, download and cancel. If no request to the target is valid without the
    id of a resource, such as a saved voice, they are also the operations of the resource.
    """
    contract, operation = target.contract, target.operation
    yield operation
    if target.response.audio is not None and target.response.audio.download_operation_id is not None:
        yield contract.find_operation(target.response.audio.download_operation_id)
    if isinstance(target, AudioInputTarget) and target.conversion is not None:
        stems = target.conversion.response.stems
        if stems is not None and stems.download_operation_id is not None:
            yield contract.find_operation(stems.download_operation_id)
    if target.job_operation is not None:
        yield from _iterate_job_operations(target.job_operation)
    if operation.batch is not None:
        single = contract.find_operation(operation.batch.item_operation_id)
        if single.speech is not None and single.speech.response.status_operation_id is not None:
            yield from _iterate_job_operations(contract.find_operation(single.speech.response.status_operation_id))
    for creating_operation in contract.operations.values():
        if any(
            _is_location_required(target, use.id_location)
            for use in creating_operation.iterate_uses_of_created_resource(operation)
        ):
            yield from _iterate_resource_operations(creating_operation)


def _iterate_job_operations(status_operation: Operation) -> Iterator[Operation]:
    yield status_operation
    job = status_operation.job
    if job is None:
        return
    names = [job.result_operation_id, job.cancellation.operation_id if job.cancellation is not None else None]
    names += [job.audio.download_operation_id] if job.audio is not None else []
    yield from (status_operation.contract.find_operation(name) for name in names if name is not None)


def _iterate_resource_operations(creating_operation: Operation) -> Iterator[Operation]:
    yield creating_operation
    resource = creating_operation.resource
    if resource is None:
        return
    names = [transition.operation_id for transition in resource.transitions]
    names += [one.operation_id for one in (resource.listing, resource.deletion) if one is not None]
    yield from (creating_operation.contract.find_operation(name) for name in names)


def _is_location_required(target: BaseTarget, location: Location) -> bool:
    """Whether no request to `target` is valid without a value at `location`."""
    if isinstance(target, Target) and location in {
        target.speech.request_fields[name].location for name in target.target_spec.required_fields
    }:
        return True
    if location.message_part != "body":
        parameters = target.operation.parameters
        return any(
            (p.message_part, p.name, p.is_required) == (location.message_part, location.name, True) for p in parameters
        )
    media = target.operation.request_media.values()
    schemas = [one.schema for one in media if isinstance(one.schema, dict)]
    return bool(schemas) and all(location.pointer_tokens[0] in schema.get("required", ()) for schema in schemas)
