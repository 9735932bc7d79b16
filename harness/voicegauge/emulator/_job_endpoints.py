"""Answers submits without audio, status requests, batches and chats.

No model generates the replies: they are fixed phrases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from voicegauge.contract.contract import Contract, JobTarget, Target
from voicegauge.contract.extension.jobs import BatchSpec, ChatSpec, JobSpec
from voicegauge.contract.extension.speech import ConversionSpec, ResponseAudio, StemList
from voicegauge.contract.operation import Operation
from voicegauge.emulator._endpoint_context import EndpointContext, PlannedSpeech
from voicegauge.emulator._output import EmulatedResponse
from voicegauge.emulator._provider_state import CLOCK_ADVANCE_PER_POLL_S, EmulatedAccount, EmulatedBatch, EmulatedJob
from voicegauge.emulator._request import ParsedRequest, Rejection, find_default_value, write_value_at
from voicegauge.emulator._resource_endpoints import StoredResource
from voicegauge.emulator._response_bodies import build_success_response
from voicegauge.emulator._schema_values import DEFAULT_ID_TEMPLATE, fill_random_hex
from voicegauge.emulator._speech_endpoint import SpeechEndpoint, find_response_audio
from voicegauge.emulator._speech_synthesis import SynthesisRequest, read_synthesis_request
from voicegauge.emulator._transcription import transcribe_upload
from voicegauge.formats.locations import MISSING, Location, read_pointer
from voicegauge.model.exchange import UploadedFile

# Responds to batch operations: one request contains a list of speech requests, each of which becomes a job.


class BatchEndpoint:
    """Responds to batch requests, and adds the progress of batches to status responses."""

    def __init__(self, context: EndpointContext, speech_endpoint: SpeechEndpoint) -> None:
        """Create an endpoint that plans each item of a batch with `speech_endpoint`, like a single request."""
        self._context, self._speech = context, speech_endpoint

    async def respond(
        self, request: ParsedRequest, batch_spec: BatchSpec, account: EmulatedAccount
    ) -> EmulatedResponse:
        """Create a job for every item and one for the batch, and return the response that accepts the batch.

        Raises:
            Rejection: an item is invalid, or the account cannot pay for all items. No job is created then.
        """
        job_store = self._context.job_store
        planned = [
            (item, self._speech.plan_speech(item, account)) for item in _split_batch_into_requests(request, batch_spec)
        ]
        charges: list[float | None] = []
        try:
            # A generator, item by item: after a rejection, `charges` has what was charged before and is to be refunded.
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
        # The batch as a whole has no text, which would be rejected.
        whole = self._speech.plan_speech(replace(request, rejects_unsupported_values=False), account)
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
            (batch.ended_count_location, sum(item.has_ended for item in job.items)),
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
    """Yield the documented fields of the result of one item, each with its value."""
    yield batch_spec.job_id_field, item_job.id
    if batch_spec.index_field is not None:
        yield batch_spec.index_field, item_index
    if batch_spec.state_field is not None:
        yield batch_spec.state_field, item_job.state
    if batch_spec.charge_field is not None and item_job.charge is not None:
        yield batch_spec.charge_field, int(item_job.charge) if float(item_job.charge).is_integer() else item_job.charge
    if batch_spec.audio_url_field is not None and item_job.id in audio_urls:
        yield batch_spec.audio_url_field, audio_urls[item_job.id]


# Responds to chat operations, whose input is text or speech, and whose reply is text and speech.


MAX_QUOTED_CHARACTERS = 200
"""Maximum number of characters that a reply quotes from a message, which keeps the reply's audio short."""


class ChatEndpoint:
    """Responds to chat requests."""

    def __init__(self, context: EndpointContext) -> None:
        """Create an endpoint that stores conversations in the resources of `context`."""
        self._context = context

    async def respond(
        self,
        request: ParsedRequest,
        chat_spec: ChatSpec,
        account: EmulatedAccount,
        continued_conversations: list[StoredResource],
    ) -> EmulatedResponse:
        """Return the reply to one turn.

        Args:
            request: the chat request.
            chat_spec: the documented locations of the message, the reply and the audio.
            account: the account that is charged.
            continued_conversations: the stored conversation that the request continues; empty if it starts a new one.

        Raises:
            Rejection: there is no message, or the balance is too low.
        """
        context = self._context
        response = build_success_response(request.operation, "other")
        recording = request.read_value(chat_spec.audio_location) if chat_spec.audio_location is not None else None
        if isinstance(recording, UploadedFile):
            message = await transcribe_upload(recording, "audio")
        else:
            message = _read_text_message(request, chat_spec)
        charge = context.job_store.charge_price(account, request.operation.pricing)
        messages = [message]
        if request.operation.resource is not None:
            now, rng = context.clock.now(), context.job_store.create_next_rng()
            conversation = continued_conversations[0] if continued_conversations else None
            if conversation is None:
                conversation = context.resources.create_resource(request, response, account, now, rng)
            conversation.conversation_messages.append(message)
            messages = conversation.conversation_messages
            response.body = write_value_at(response.body, conversation.resource_spec.id_location, conversation.id)
        reply = _compose_reply(messages)
        url = self._add_spoken_reply(request, chat_spec, reply)
        values = (
            (chat_spec.transcript_location, message),
            (chat_spec.reply_text_location, reply),
            (chat_spec.reply_audio.location, url),
            (chat_spec.charge_location, charge),
        )
        for location, value in values:
            if location is not None and value is not None:
                response.body = write_value_at(response.body, location, value)
        return response

    def _add_spoken_reply(self, request: ParsedRequest, chat_spec: ChatSpec, reply_text: str) -> str:
        """Make the spoken reply available for download, and return its URL."""
        context = self._context
        target = context.contract.find_target_by_name(chat_spec.emulated_target_name)
        speech_request = _build_speech_request(request, target, reply_text, chat_spec.voice_location)
        synthesis = read_synthesis_request(speech_request, target, chat_spec.reply_audio, context.settings.seed)
        media_id = fill_random_hex(DEFAULT_ID_TEMPLATE, context.job_store.create_next_rng())
        context.downloads.add_speech(media_id, target, synthesis)
        return context.response_builder.build_audio_url(
            request.incoming_request.base_url, chat_spec.reply_audio, media_id, synthesis.audio_format
        )


def _read_text_message(request: ParsedRequest, chat_spec: ChatSpec) -> str:
    text = request.read_value(chat_spec.text_location)
    if not isinstance(text, str) or not text.strip():
        raise Rejection("invalid", chat_spec.text_location.pointer_tokens[-1], "the message is empty")
    return text


def _compose_reply(messages: Sequence[str]) -> str:
    """Return a reply that states the number of turns and quotes the previous turn, so that tests can check memory."""
    reply = f"This is an emulated answer, turn {len(messages)}. You said: {messages[-1][:MAX_QUOTED_CHARACTERS]}"
    return reply if len(messages) < 2 else f"{reply} Before that, you said: {messages[-2][:MAX_QUOTED_CHARACTERS]}"


def _build_speech_request(
    request: ParsedRequest, target: Target, text: str, voice_location: Location | None
) -> ParsedRequest:
    """Return a request to `target` that speaks `text`, with the voice that `request` has at `voice_location`.

    `None` as `voice_location` requests no voice.
    """
    fields: dict[str, Any] = {"text": text}
    if voice_location is not None:
        requested = request.read_value(voice_location)
        fields["voice"] = find_default_value(request, voice_location) if requested is MISSING else requested
    body: Any = None
    for field, value in fields.items():
        slot = target.speech.request_fields.get(field)  # type: ignore[call-overload]  # both are speech fields
        if slot is not None and isinstance(value, str):
            body = slot.location.write_body(body, value)
    media = next(iter(target.operation.request_media.values()))
    return replace(request, operation=target.operation, body=body, documented_media_type=media)


# Responds to operations that start a job whose result is not audio, such as the training of a voice (`x-submit`).


_EMPTY_SYNTHESIS_REQUEST = SynthesisRequest(
    text="",
    language="en",
    espeak_variant="",
    words_per_minute=0,
    pitch=0,
    sample_rate_hz=0,
    leading_silence_s=0.0,
    audio_format="wav",
    seed=0,
)
"""Placeholder for the synthesis request of a job without audio. It is never synthesized."""


class JobSubmissionEndpoint:
    """Responds to requests that start a job whose result is not audio."""

    def __init__(self, context: EndpointContext) -> None:
        """Create an endpoint that stores jobs in the job store of `context`."""
        self._context = context

    async def respond(self, request: ParsedRequest, account: EmulatedAccount, target: JobTarget) -> EmulatedResponse:
        """Create a job, and return the response that accepts it.

        Raises:
            Rejection: the balance is too low.
        """
        context, emulation = self._context, target.target_spec.emulation
        charge = context.job_store.charge_target_price(account, target, 0)
        rng = context.job_store.create_next_rng()
        submit_s, queue_s, processing_s = (
            context.clock.scale_duration(milliseconds / 1000 * rng.lognormvariate(0, emulation.log_duration_deviation))
            for milliseconds in (emulation.submit_response_ms, emulation.queue_ms, emulation.base_processing_ms)
        )
        await context.clock.sleep(submit_s)
        planned = PlannedSpeech(target, _EMPTY_SYNTHESIS_REQUEST, 0, submit_s, queue_s, processing_s)
        job = context.job_store.create_job(request, planned, account, charge)
        balance = context.accounts.get_remaining_balance(account, request.operation)
        return context.response_builder.build_submit_response(request, job, balance=balance)


# Responds to operations on existing jobs: status, cancellation, results, and downloads of audio.


class JobOperationRole(NamedTuple):
    """What an operation does with jobs that an earlier request started."""

    action: Literal["status", "result", "cancel", "download"]
    """What is done: report the state of a job, return its result, cancel it, or serve its audio."""
    job_spec: JobSpec | None
    """The contract's description of the jobs that the operation refers to; `None` for downloads, which name a file."""


class JobEndpoint:
    """Responds to the operations that follow a submit: status, result, cancellation and download."""

    def __init__(self, context: EndpointContext, batch_endpoint: BatchEndpoint) -> None:
        """Create an endpoint for the contract in `context`; `batch_endpoint` reports the progress of batches."""
        self._context, self._batches = context, batch_endpoint
        self._roles = find_job_operation_roles(context.contract)

    def responds_to(self, operation: Operation) -> bool:
        """Whether `operation` asks for the state, the result, the cancellation or the audio of a job."""
        return operation.id in self._roles

    async def respond(self, request: ParsedRequest, account: EmulatedAccount) -> EmulatedResponse:
        """Return the state, the result or the audio of a job, or cancel the job.

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


def find_job_operation_roles(contract: Contract) -> Mapping[str, JobOperationRole]:
    """Return what operations do with jobs, by their ids; an operation without jobs is left out."""
    roles: dict[str, JobOperationRole] = {}
    for operation in contract.operations.values():
        if operation.job is not None:
            if operation.job.result_operation_id is not None:
                roles[operation.job.result_operation_id] = JobOperationRole("result", operation.job)
            if operation.job.cancellation is not None:
                roles[operation.job.cancellation.operation_id] = JobOperationRole("cancel", operation.job)
        roles.update((name, JobOperationRole("download", None)) for name in _find_download_operation_ids(operation))
    # Polling is last because it takes precedence if one operation both reports the status and returns the result.
    roles.update((o.id, JobOperationRole("status", o.job)) for o in contract.operations.values() if o.job is not None)
    return roles


def _find_download_operation_ids(linking_operation: Operation) -> Iterator[str]:
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
