"""Requests for speech: at once, piece by piece, as a job, as a batch of jobs, or as the answer in a chat."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict

from voicegauge.contract import Contract, Target
from voicegauge.contract.extension import AudioPacing, BatchSpec, ChatSpec
from voicegauge.emulator.audio import (
    SpeechSynthesizer,
    SynthesisRequest,
    read_synthesis_request,
    slot_field_name,
    transcribe_upload,
)
from voicegauge.emulator.endpoints.batches import EmulatedBatch, calls_of_items, lay_progress
from voicegauge.emulator.endpoints.chats import emulated_answer, recording_of, spoken_by, text_of
from voicegauge.emulator.endpoints.job_store import MAX_STORED_JOBS, JobStore, PlannedSpeech, drawn_constants
from voicegauge.emulator.endpoints.resources import ResourceStore, StoredResource
from voicegauge.emulator.endpoints.target_selection import audio_location, billable_characters, select_target
from voicegauge.emulator.faults import FaultInjector
from voicegauge.emulator.http import DEFAULT_ID, ParsedRequest, Rejection, fill_random_hex, seeded_random, write_at
from voicegauge.emulator.responses import (
    EmulatedResponse,
    ResponseBuilder,
    StreamPacing,
    audio_length_s,
    default_body,
    requested_end_event,
    streaming_pace,
    success_response,
)
from voicegauge.emulator.settings import SCENARIO_HEADER, EmulatorSettings
from voicegauge.emulator.state import AccountRegistry, EmulatedAccount, EmulatedClock, EmulatedJob


class SpeechEndpoint:
    """Answers one provider's requests for speech."""

    def __init__(
        self,
        contract: Contract,
        *,
        settings: EmulatorSettings,
        clock: EmulatedClock,
        voice: SpeechSynthesizer,
        injector: FaultInjector,
        builder: ResponseBuilder,
        accounts: AccountRegistry,
        job_store: JobStore,
        resources: ResourceStore,
    ) -> None:
        """It answers by `builder`, takes jobs on in `job_store`, and keeps conversations on the `resources`."""
        self._contract, self._settings, self._clock = contract, settings, clock
        self._voice, self._injector, self._builder = voice, injector, builder
        self._accounts, self._job_store, self._resources = accounts, job_store, resources
        self.media: OrderedDict[str, tuple[Target, SynthesisRequest]] = OrderedDict()
        """Audio behind a URL that belongs to no job."""
        self._counts: Counter[str] = Counter()

    async def respond(self, request: ParsedRequest, account: EmulatedAccount, *, strict: bool) -> EmulatedResponse:
        """The answer to `request`.

        Raises:
            Refusal: it may not be planned, or the account does not reach.
        """
        if request.operation.batch is not None:
            return await self._batch(request, request.operation.batch, account, strict=strict)
        planned = self._plan(request, account, strict=strict)
        charge = self._job_store.charge_target(account, planned.target, planned.characters)
        if planned.target.answer.job is None:
            work_s = planned.queue_s + planned.work_s
            pace = streaming_pace(planned.target)
            await self._clock.sleep(planned.accept_s + (work_s if pace is None else 0))
            response = await self._audio_now(request, planned.target, account, planned.synthesis, charge)
            if pace is not None:
                await self._in_pieces(response, pace, planned.synthesis, work_s)
            return response
        await self._clock.sleep(planned.accept_s)
        job = self._job_store.create_job(request, planned, account, charge)
        return self._builder.submit_response(request, job, balance=self._remaining_balance(account, request))

    def _plan(self, request: ParsedRequest, account: EmulatedAccount, *, strict: bool) -> PlannedSpeech:
        """What a request asks to be spoken, of which target.

        Raises:
            Refusal: it may not be planned.
        """
        target = select_target(request, strict=strict)
        if account.keyless and target.needs_key and not self._injector.skips_check("key", request.operation):
            raise Rejection("unauthorized", None, f"{target.name} needs a key")
        location = audio_location(target)
        if strict:
            self._check_limits(request, target)
        synthesis = read_synthesis_request(request, target, location, self._settings.seed, strict=strict)
        characters = billable_characters(request, target, synthesis)
        self._accounts.count_keyless_characters(account, request.operation, characters, self._clock.now())
        return PlannedSpeech(target, synthesis, characters, *self._times_s(target, synthesis, characters))

    async def _batch(
        self, request: ParsedRequest, batch: BatchSpec, account: EmulatedAccount, *, strict: bool
    ) -> EmulatedResponse:
        """Every item taken on as a job of its own, or none of them."""
        planned = [(item, self._plan(item, account, strict=strict)) for item in calls_of_items(request, batch)]
        charges: list[float | None] = []
        try:
            charges += (self._job_store.charge_target(account, one.target, one.characters) for _, one in planned)
        except Rejection:
            account.debit(-sum(charge or 0 for charge in charges))
            raise
        await self._clock.sleep(planned[0][1].accept_s)
        taken = zip(planned, charges, strict=True)
        items = [self._job_store.create_job(item, one, account, charge) for (item, one), charge in taken]
        whole = self._plan(request, account, strict=False)
        whole = whole._replace(queue_s=0.0, work_s=max(sum(item.state_durations_s) for item in items))
        job = self._job_store.create_job(request, whole, account, sum(charge or 0 for charge in charges), items=items)
        response = self._builder.submit_response(request, job, balance=self._remaining_balance(account, request))
        return self.with_progress(response, job)

    def with_progress(self, response: EmulatedResponse, job: EmulatedJob) -> EmulatedResponse:
        """`response`, which tells of `job`, with how far it is where it is a batch."""
        batch = job.target.operation.batch
        if batch is not None and isinstance(job, EmulatedBatch):
            base = response.request.incoming.base_url if response.request is not None else ""
            urls = {
                item.id: self._builder.audio_url(base, audio_location(item.target), item.id, item.synthesis.format)
                for item in job.items
                if self._job_store.has_succeeded(item)
            }
            lay_progress(response, batch, job, urls)
        return response

    async def chat(
        self, request: ParsedRequest, chat: ChatSpec, account: EmulatedAccount, used: list[StoredResource]
    ) -> EmulatedResponse:
        """The answer to what is said in `request`.

        Args:
            request: the request.
            chat: where everything is.
            account: pays for the turn.
            used: what the request names: the conversation, if it goes on.

        Raises:
            Refusal: nothing is said, or the account does not reach.
        """
        response = success_response(request.operation, "other", default_body)
        recording = recording_of(request, chat)
        heard = text_of(request, chat) if recording is None else await transcribe_upload(recording, "audio")
        charge = self._job_store.charge_price(account, request.operation.pricing)
        if request.operation.resource is not None:
            now, rng = self._clock.now(), self._job_store.next_rng()
            stored = used[0] if used else self._resources.create(request, response, account, now, rng)
            stored.turns.append(heard)
            response.body = write_at(response.body, stored.resource.id, stored.id)
        answer = emulated_answer(stored.turns if request.operation.resource is not None else [heard])
        target = self._contract.target(chat.speaker)
        synthesis = read_synthesis_request(
            spoken_by(request, target, answer, chat.voice), target, chat.spoken, self._settings.seed
        )
        media_id = fill_random_hex(DEFAULT_ID, self._job_store.next_rng())
        self._remember(media_id, target, synthesis)
        url = self._builder.audio_url(request.incoming.base_url, chat.spoken, media_id, synthesis.format)
        for location, value in (
            (chat.heard, heard),
            (chat.reply, answer),
            (chat.spoken.at, url),
            (chat.charged, charge),
        ):
            if location is not None and value is not None:
                response.body = write_at(response.body, location, value)
        return response

    def _times_s(self, target: Target, synthesis: SynthesisRequest, characters: int) -> tuple[float, float, float]:
        """How long accepting, waiting and working take: log-normal around the target's made-up times."""
        emulation = target.spec.emulation
        spoken = f"{target.id}:{synthesis.text}"
        self._counts[spoken] += 1
        rng = seeded_random(self._settings.seed, spoken, self._counts[spoken])
        work_ms = emulation.base_ms + emulation.ms_per_character * characters
        accept_s, queue_s, work_s = (
            self._clock.scale(milliseconds / 1000 * rng.lognormvariate(0, emulation.jitter))
            for milliseconds in (emulation.accept_ms, emulation.queue_ms, work_ms)
        )
        return accept_s, queue_s, work_s

    def _check_limits(self, request: ParsedRequest, target: Target) -> None:
        limits = request.operation.limits
        text = request.read(target.speech.request["text"].at)
        longest = self._accounts.plan_for(limits).text_characters
        if isinstance(text, str) and longest is not None and len(text) > longest:
            field = slot_field_name(target.speech.request["text"])
            raise Rejection("invalid", field, f"{field} is longer than {longest} characters")

    async def _audio_now(
        self,
        request: ParsedRequest,
        target: Target,
        account: EmulatedAccount,
        synthesis: SynthesisRequest,
        charge: float | None,
    ) -> EmulatedResponse:
        location = audio_location(target)
        data = await self.render(target, synthesis)
        rng = self._job_store.next_rng()
        media_id = fill_random_hex(target.spec.emulation.id or DEFAULT_ID, rng)
        if location.delivered == "url":
            self._remember(media_id, target, synthesis)
        url = self._builder.audio_url(request.incoming.base_url, location, media_id, synthesis.format)
        response = self._builder.speech_response(
            request, target, synthesis, data, url, charge=charge, balance=self._remaining_balance(account, request)
        )
        self._builder.write_constants(response, drawn_constants(target, rng))
        return response

    async def _in_pieces(
        self, response: EmulatedResponse, pace: AudioPacing, synthesis: SynthesisRequest, first_s: float
    ) -> None:
        """Have the audio of `response` sent piece by piece."""
        assert response.request is not None
        assert response.target is not None
        operation = response.request.operation
        pacing = StreamPacing(
            operation=operation,
            audio_s=await asyncio.to_thread(audio_length_s, response.body, synthesis),
            first_s=first_s,
            pace=pace,
            jitter=response.target.spec.emulation.jitter,
            rng=self._job_store.next_rng(),
            scale=self._clock.scale,
            end=requested_end_event(operation, (response.request.incoming.header(SCENARIO_HEADER) or "").strip()),
        )
        response.split_body = pacing.pieces

    def _remaining_balance(self, account: EmulatedAccount, request: ParsedRequest) -> float | None:
        return self._accounts.remaining_balance(account, request.operation)

    def _remember(self, media_id: str, target: Target, synthesis: SynthesisRequest) -> None:
        self.media[media_id] = (target, synthesis)
        while len(self.media) > MAX_STORED_JOBS:
            self.media.popitem(last=False)

    async def render(self, target: Target, synthesis: SynthesisRequest) -> bytes:
        """The audio of `synthesis`, encoded; planted faults of `target` change what is said."""
        return await self._voice.synthesize(self._injector.change_synthesis(synthesis, target))
