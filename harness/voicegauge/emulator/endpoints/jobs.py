"""Responds to operations on existing jobs: status, cancellation, results, and downloads of audio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from voicegauge.contract import Contract, Operation
from voicegauge.contract.extension import ConversionSpec, JobSpec, ResponseAudio, StemList
from voicegauge.emulator.endpoints.batches import BatchEndpoint
from voicegauge.emulator.endpoints.context import EndpointContext
from voicegauge.emulator.http import ParsedRequest, Rejection
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.emulator.state import CLOCK_ADVANCE_PER_POLL_S, EmulatedAccount


class JobOperationRole(NamedTuple):
    """What an operation does with jobs that an earlier request started."""

    action: Literal["status", "result", "cancel", "download"]
    job_spec: JobSpec | None
    """The contract's description of the jobs that the operation refers to; `None` for downloads, which name a file."""


class JobEndpoint:
    """Responds to the operations that follow a submit: status, result, cancellation and download."""

    def __init__(self, context: EndpointContext, batch_endpoint: BatchEndpoint) -> None:
        """Create an endpoint for the contract in `context`; `batch_endpoint` reports the progress of batches."""
        self._context, self._batches = context, batch_endpoint
        self._roles = _find_job_operation_roles(context.contract)

    def responds_to(self, operation: Operation) -> bool:
        """Whether this endpoint responds to `operation`."""
        return operation.id in self._roles

    async def respond(self, request: ParsedRequest, account: EmulatedAccount) -> EmulatedResponse:
        """Return the response to `request`.

        Raises:
            Rejection: the job or file does not exist, or the job has not succeeded yet.
        """
        role = self._roles[request.operation.id]
        if role.action == "download":
            return await self._respond_to_download(request)
        if role.action == "status":
            return self._respond_to_poll(request, account)
        context = self._context
        job = context.job_store.find_job(request, account)
        assert role.job_spec is not None
        if role.action == "cancel":
            context.job_store.cancel_job(job, role.job_spec)
            return context.response_builder.build_cancel_response(request, role.job_spec, job)
        if not context.job_store.has_succeeded(job):
            raise Rejection("not-found", None, "the job has no result yet")
        speech = await context.downloads.synthesize_with_faults(job.target, job.synthesis)
        return context.response_builder.build_result_response(request, job, speech.audio_bytes)

    def _respond_to_poll(self, request: ParsedRequest, account: EmulatedAccount) -> EmulatedResponse:
        context = self._context
        job = context.job_store.find_job(request, account)
        job = context.fault_injector.choose_reported_job(job, context.job_store.jobs.values())
        if context.clock.advances_per_poll:
            context.clock.advance(CLOCK_ADVANCE_PER_POLL_S)
        context.job_store.update_job_state(job, is_poll=True)
        return self._batches.add_batch_progress(context.response_builder.build_status_response(request, job), job)

    async def _respond_to_download(self, request: ParsedRequest) -> EmulatedResponse:
        for value in request.path_parameters.values():
            response = await self._context.downloads.find_download_response(str(value))
            if response is not None:
                self._context.response_builder.convert_to_download_response(response, request)
                return response
        raise Rejection("not-found", None, "no such file")


def _find_job_operation_roles(contract: Contract) -> Mapping[str, JobOperationRole]:
    roles: dict[str, JobOperationRole] = {}
    for operation in contract.operations.values():
        if operation.job is not None:
            if operation.job.result_operation_id is not None:
                roles[operation.job.result_operation_id] = JobOperationRole("result", operation.job)
            if operation.job.cancellation is not None:
                roles[operation.job.cancellation.operation_id] = JobOperationRole("cancel", operation.job)
        roles.update((name, JobOperationRole("download", None)) for name in find_download_operation_ids(operation))
    # Polling is last because it takes precedence if one operation both reports the status and returns the result.
    roles.update((o.id, JobOperationRole("status", o.job)) for o in contract.operations.values() if o.job is not None)
    return roles


def find_download_operation_ids(linking_operation: Operation) -> Iterator[str]:
    """Yield the ids of the operations that serve the audio to which responses of `linking_operation` link."""
    audio: list[ResponseAudio | StemList | None] = []
    if linking_operation.speech is not None:
        audio += linking_operation.response_audio_variants
    if linking_operation.job is not None:
        audio.append(linking_operation.job.audio)
    if isinstance(linking_operation.audio_input, ConversionSpec):
        audio += [linking_operation.audio_input.response.audio, linking_operation.audio_input.response.stems]
    yield from (
        location.download_operation_id for location in audio if location is not None and location.download_operation_id
    )
