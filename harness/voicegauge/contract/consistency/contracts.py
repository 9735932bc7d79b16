"""Runs all consistency checks of a contract in one call."""

from __future__ import annotations

from voicegauge.contract.consistency.audio_input import check_audio_input
from voicegauge.contract.consistency.jobs import check_job, check_submit
from voicegauge.contract.consistency.operations import (
    check_list_operations,
    check_request_examples,
    check_responses,
    check_security,
)
from voicegauge.contract.consistency.resources import check_batch, check_chat, check_resource
from voicegauge.contract.consistency.sources import check_price, check_sources, check_usage_locations
from voicegauge.contract.consistency.speech import check_speech, check_target
from voicegauge.contract.consistency.streams import check_stream
from voicegauge.contract.consistency.target_names import check_target_names
from voicegauge.contract.consistency.webhooks import check_webhook
from voicegauge.contract.contract import Contract, Operation


def check_consistency(contract: Contract) -> None:
    """Check that what each part of a contract states about other parts is true.

    Raises:
        ContractError: a part does not fit; the message has the line of the first such part.
    """
    check_target_names(contract)
    check_list_operations(contract)
    check_sources(contract)
    # Operations are checked before targets, because later checks rely on locations that earlier ones have checked.
    for operation in contract.operations.values():
        _check_operation(operation)
    for target in contract.targets.values():
        check_target(target)
        check_price(contract, f"{target.pointer}/pricing", target.target_spec.pricing)
        check_usage_locations(target)
    for audio_input_target in contract.audio_input_targets.values():
        check_price(contract, f"{audio_input_target.pointer}/pricing", audio_input_target.target_spec.pricing)
    for operation in contract.operations.values():
        _check_operation_extensions(operation)


def _check_operation(operation: Operation) -> None:
    check_security(operation)
    check_request_examples(operation)
    check_responses(operation)
    if operation.speech is not None:
        check_speech(operation, operation.speech)
    if operation.audio_input is not None:
        check_audio_input(operation, operation.audio_input)
    if operation.submit is not None:
        check_submit(operation, f"{operation.pointer}/x-submit/job", operation.submit.status_operation_id)
    if operation.job is not None:
        check_job(operation, operation.job)
    check_price(operation.contract, f"{operation.pointer}/x-pricing", operation.pricing)


def _check_operation_extensions(operation: Operation) -> None:
    if operation.resource is not None:
        check_resource(operation, operation.resource)
    if operation.batch is not None:
        check_batch(operation, operation.batch)
    if operation.chat is not None:
        check_chat(operation, operation.chat)
    if operation.webhook is not None:
        check_webhook(operation, operation.webhook)
    check_stream(operation)
