"""Responds to batch operations: one request contains a list of speech requests, each of which becomes a job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from voicegauge.contract import Operation, read_pointer
from voicegauge.contract.extension import BatchSpec
from voicegauge.emulator.endpoints.context import EndpointContext
from voicegauge.emulator.endpoints.speech import SpeechEndpoint
from voicegauge.emulator.endpoints.target_selection import find_response_audio
from voicegauge.emulator.http import ParsedRequest, Rejection, write_value_at
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.emulator.state import EmulatedAccount, EmulatedBatch, EmulatedJob


class BatchEndpoint:
    """Responds to batch requests, and adds the progress of batches to status responses."""

    def __init__(self, context: EndpointContext, speech_endpoint: SpeechEndpoint) -> None:
        """Create an endpoint that plans each item of a batch with `speech_endpoint`, like a single request."""
        self._context, self._speech = context, speech_endpoint

    async def respond(
        self,
        request: ParsedRequest,
        batch_spec: BatchSpec,
        account: EmulatedAccount,
        *,
        rejects_unsupported_values: bool,
    ) -> EmulatedResponse:
        """Create a job for every item and one for the batch.

        Raises:
            Rejection: an item is invalid, or the account cannot pay for all items. No job is created then.
        """
        job_store = self._context.job_store
        planned = [
            (item, self._speech.plan_speech(item, account, rejects_unsupported_values=rejects_unsupported_values))
            for item in _split_batch_into_requests(request, batch_spec)
        ]
        charges: list[float | None] = []
        try:
            charges += (
                job_store.charge_target_price(account, speech.target, speech.billable_character_count)
                for _, speech in planned
            )
        except Rejection:
            account.subtract_from_balance(-sum(charge or 0 for charge in charges))
            raise
        await self._context.clock.sleep(planned[0][1].submit_latency_s)
        charged = zip(planned, charges, strict=True)
        items = [job_store.create_job(item, speech, account, charge) for (item, speech), charge in charged]
        whole = self._speech.plan_speech(request, account, rejects_unsupported_values=False)
        whole = whole._replace(queue_time_s=0.0, processing_time_s=max(sum(item.state_durations_s) for item in items))
        job = job_store.create_job(request, whole, account, sum(charge or 0 for charge in charges), batch_items=items)
        balance = self._context.accounts.get_remaining_balance(account, request.operation)
        return self.add_batch_progress(
            self._context.response_builder.build_submit_response(request, job, balance=balance), job
        )

    def add_batch_progress(self, response: EmulatedResponse, job: EmulatedJob) -> EmulatedResponse:
        """Add the counts and results of the items to `response` if `job` is a batch."""
        batch = job.target.operation.batch
        if batch is None or not isinstance(job, EmulatedBatch):
            return response
        for location, count in (
            (batch.total_count_location, len(job.items)),
            (batch.ended_count_location, job.ended_item_count),
        ):
            if location is not None:
                response.body = write_value_at(response.body, location, count)
        if response.kind == "status":
            audio_urls = self._build_audio_urls(response, job)
            results = [
                dict(_iterate_item_result_fields(batch, index, item, audio_urls))
                for index, item in enumerate(job.items)
            ]
            response.body = write_value_at(response.body, batch.jobs_location, results)
        return response

    def _build_audio_urls(self, response: EmulatedResponse, job: EmulatedBatch) -> dict[str, str]:
        response_builder = self._context.response_builder
        base_url = response.request.incoming_request.base_url if response.request is not None else ""
        return {
            item.id: response_builder.build_audio_url(
                base_url, find_response_audio(item.target), item.id, item.synthesis.audio_format
            )
            for item in job.items
            if self._context.job_store.has_succeeded(item)
        }


def _split_batch_into_requests(request: ParsedRequest, batch_spec: BatchSpec) -> Iterator[ParsedRequest]:
    """Yield each item of a batch as a request of its own.

    Raises:
        Rejection: the items are not a list, or there are none.
    """
    pointer_tokens = batch_spec.requests_location.pointer_tokens
    items = read_pointer(request.body, pointer_tokens)
    if not isinstance(items, list) or not items:
        raise Rejection("invalid", pointer_tokens[0], f"{pointer_tokens[0]} must be a list of requests")
    each: Operation = request.operation.contract.find_operation(batch_spec.item_operation_id)
    media = next(iter(each.request_media.values()))
    for item in items:
        yield replace(request, operation=each, body=item if isinstance(item, dict) else {}, documented_media_type=media)


def _iterate_item_result_fields(
    batch_spec: BatchSpec, item_index: int, item_job: EmulatedJob, audio_urls: dict[str, str]
) -> Iterator[tuple[str, Any]]:
    yield batch_spec.job_id_field, item_job.id
    if batch_spec.index_field is not None:
        yield batch_spec.index_field, item_index
    if batch_spec.state_field is not None:
        yield batch_spec.state_field, item_job.state
    if batch_spec.charge_field is not None and item_job.charge is not None:
        yield batch_spec.charge_field, int(item_job.charge) if float(item_job.charge).is_integer() else item_job.charge
    if batch_spec.audio_url_field is not None and item_job.id in audio_urls:
        yield batch_spec.audio_url_field, audio_urls[item_job.id]
