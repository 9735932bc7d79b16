"""Requests for speech: at once, piece by piece, as a job, as a batch of jobs, or as the answer in a chat."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict

from voicegauge.contract import Contract, Target
from voicegauge.contract.extension import AudioPacing, BatchSpec, ChatSpec
from voicegauge.emulator.audio import Utterance, Voice, field_of, hear, utterance
from voicegauge.emulator.endpoints.batches import EmulatedBatch, calls_of_items, lay_progress
from voicegauge.emulator.endpoints.chats import emulated_answer, recording_of, spoken_by, text_of
from voicegauge.emulator.endpoints.job_store import KEPT_JOBS, Asked, Orders, drawn_constants
from voicegauge.emulator.endpoints.resources import Kept, Shelf
from voicegauge.emulator.endpoints.target_selection import audio_place, choose_target, count_characters
from voicegauge.emulator.faults import Planted
from voicegauge.emulator.http import DEFAULT_ID, Call, Refusal, fill_hex, seeded
from voicegauge.emulator.responses import (
    Answers,
    Pacing,
    Reply,
    length_s,
    pace_of,
    plain_draft,
    put,
    success_reply,
    wanted_end,
)
from voicegauge.emulator.settings import SCENARIO_HEADER, EmulatorSettings
from voicegauge.emulator.state import Account, Accounts, EmulatedClock, EmulatedJob


class Speaking:
    """Answers one provider's requests for speech."""

    def __init__(
        self,
        contract: Contract,
        *,
        settings: EmulatorSettings,
        clock: EmulatedClock,
        voice: Voice,
        planted: Planted,
        answers: Answers,
        accounts: Accounts,
        orders: Orders,
        shelf: Shelf,
    ) -> None:
        """It answers by `answers`, takes jobs on in `orders`, and keeps conversations on the `shelf`."""
        self._contract, self._settings, self._clock = contract, settings, clock
        self._voice, self._planted, self._answers = voice, planted, answers
        self._accounts, self._orders, self._shelf = accounts, orders, shelf
        self.media: OrderedDict[str, tuple[Target, Utterance]] = OrderedDict()
        """Audio behind a URL that belongs to no job."""
        self._counts: Counter[str] = Counter()

    async def answer(self, call: Call, account: Account, *, strict: bool) -> Reply:
        """The answer to `call`.

        Raises:
            Refusal: it may not be asked, or the account does not reach.
        """
        if call.operation.batch is not None:
            return await self._batch(call, call.operation.batch, account, strict=strict)
        asked = self._asked(call, account, strict=strict)
        charge = self._orders.charge(account, asked.target, asked.characters)
        if asked.target.answer.job is None:
            work_s = asked.queue_s + asked.work_s
            pace = pace_of(asked.target)
            await self._clock.sleep(asked.accept_s + (work_s if pace is None else 0))
            reply = await self._audio_now(call, asked.target, account, asked.wanted, charge)
            if pace is not None:
                await self._in_pieces(reply, pace, asked.wanted, work_s)
            return reply
        await self._clock.sleep(asked.accept_s)
        job = self._orders.accept(call, asked, account, charge)
        return self._answers.submitted(call, job, balance=self._left(account, call))

    def _asked(self, call: Call, account: Account, *, strict: bool) -> Asked:
        """What a request asks to be spoken, of which target.

        Raises:
            Refusal: it may not be asked.
        """
        target = choose_target(call, strict=strict)
        if account.keyless and target.needs_key and not self._planted.waives("key", call.operation):
            raise Refusal("unauthorized", None, f"{target.name} needs a key")
        place = audio_place(target)
        if strict:
            self._check_limits(call, target)
        wanted = utterance(call, target, place, self._settings.seed, strict=strict)
        characters = count_characters(call, target, wanted)
        self._accounts.take_keyless(account, call.operation, characters, self._clock.now())
        return Asked(target, wanted, characters, *self._times_s(target, wanted, characters))

    async def _batch(self, call: Call, batch: BatchSpec, account: Account, *, strict: bool) -> Reply:
        """Every item taken on as a job of its own, or none of them."""
        asked = [(item, self._asked(item, account, strict=strict)) for item in calls_of_items(call, batch)]
        charges: list[float | None] = []
        try:
            charges += (self._orders.charge(account, one.target, one.characters) for _, one in asked)
        except Refusal:
            account.pay(-sum(charge or 0 for charge in charges))
            raise
        await self._clock.sleep(asked[0][1].accept_s)
        taken = zip(asked, charges, strict=True)
        items = [self._orders.accept(item, one, account, charge) for (item, one), charge in taken]
        whole = self._asked(call, account, strict=False)
        whole = whole._replace(queue_s=0.0, work_s=max(sum(item.stays_s) for item in items))
        job = self._orders.accept(call, whole, account, sum(charge or 0 for charge in charges), items=items)
        reply = self._answers.submitted(call, job, balance=self._left(account, call))
        return self.with_progress(reply, job)

    def with_progress(self, reply: Reply, job: EmulatedJob) -> Reply:
        """`reply`, which tells of `job`, with how far it is where it is a batch."""
        batch = job.target.operation.batch
        if batch is not None and isinstance(job, EmulatedBatch):
            base = reply.call.incoming.base_url if reply.call is not None else ""
            urls = {
                item.id: self._answers.audio_url(base, audio_place(item.target), item.id, item.utterance.format)
                for item in job.items
                if self._orders.succeeded(item)
            }
            lay_progress(reply, batch, job, urls)
        return reply

    async def chat(self, call: Call, chat: ChatSpec, account: Account, things: list[Kept]) -> Reply:
        """The answer to what is said in `call`.

        Args:
            call: the request.
            chat: where everything is.
            account: pays for the turn.
            things: what the request names: the conversation, if it goes on.

        Raises:
            Refusal: nothing is said, or the account does not reach.
        """
        reply = success_reply(call.operation, "other", plain_draft)
        recording = recording_of(call, chat)
        heard = text_of(call, chat) if recording is None else await hear(recording, "audio")
        charge = self._orders.take(account, call.operation.pricing)
        if call.operation.resource is not None:
            now, rng = self._clock.now(), self._orders.rng()
            kept = things[0] if things else self._shelf.make(call, reply, account, now, rng)
            kept.said.append(heard)
            reply.body = put(reply.body, kept.resource.id, kept.id)
        answer = emulated_answer(kept.said if call.operation.resource is not None else [heard])
        target = self._contract.target(chat.speaker)
        wanted = utterance(spoken_by(call, target, answer, chat.voice), target, chat.spoken, self._settings.seed)
        media_id = fill_hex(DEFAULT_ID, self._orders.rng())
        self._remember(media_id, target, wanted)
        url = self._answers.audio_url(call.incoming.base_url, chat.spoken, media_id, wanted.format)
        for place, value in ((chat.heard, heard), (chat.reply, answer), (chat.spoken.at, url), (chat.charged, charge)):
            if place is not None and value is not None:
                reply.body = put(reply.body, place, value)
        return reply

    def _times_s(self, target: Target, wanted: Utterance, characters: int) -> tuple[float, float, float]:
        """How long accepting, waiting and working take: log-normal around the target's made-up times."""
        emulation = target.spec.emulation
        spoken = f"{target.id}:{wanted.text}"
        self._counts[spoken] += 1
        rng = seeded(self._settings.seed, spoken, self._counts[spoken])
        work_ms = emulation.base_ms + emulation.ms_per_character * characters
        accept_s, queue_s, work_s = (
            self._clock.scaled(milliseconds / 1000 * rng.lognormvariate(0, emulation.jitter))
            for milliseconds in (emulation.accept_ms, emulation.queue_ms, work_ms)
        )
        return accept_s, queue_s, work_s

    def _check_limits(self, call: Call, target: Target) -> None:
        limits = call.operation.limits
        text = call.read(target.speech.request["text"].at)
        longest = self._accounts.plan(limits).text_characters
        if isinstance(text, str) and longest is not None and len(text) > longest:
            field = field_of(target.speech.request["text"])
            raise Refusal("invalid", field, f"{field} is longer than {longest} characters")

    async def _audio_now(
        self, call: Call, target: Target, account: Account, wanted: Utterance, charge: float | None
    ) -> Reply:
        place = audio_place(target)
        data = await self.render(target, wanted)
        rng = self._orders.rng()
        media_id = fill_hex(target.spec.emulation.id or DEFAULT_ID, rng)
        if place.delivered == "url":
            self._remember(media_id, target, wanted)
        url = self._answers.audio_url(call.incoming.base_url, place, media_id, wanted.format)
        reply = self._answers.spoken(call, target, wanted, data, url, charge=charge, balance=self._left(account, call))
        self._answers.lay_constants(reply, drawn_constants(target, rng))
        return reply

    async def _in_pieces(self, reply: Reply, pace: AudioPacing, wanted: Utterance, first_s: float) -> None:
        """Have the audio of `reply` sent piece by piece."""
        assert reply.call is not None
        assert reply.target is not None
        operation = reply.call.operation
        reply.pacing = Pacing(
            operation=operation,
            audio_s=await asyncio.to_thread(length_s, reply.body, wanted),
            first_s=first_s,
            pace=pace,
            jitter=reply.target.spec.emulation.jitter,
            rng=self._orders.rng(),
            scaled=self._clock.scaled,
            end=wanted_end(operation, (reply.call.incoming.header(SCENARIO_HEADER) or "").strip()),
        )

    def _left(self, account: Account, call: Call) -> float | None:
        return self._accounts.left(account, call.operation)

    def _remember(self, media_id: str, target: Target, wanted: Utterance) -> None:
        self.media[media_id] = (target, wanted)
        while len(self.media) > KEPT_JOBS:
            self.media.popitem(last=False)

    async def render(self, target: Target, wanted: Utterance) -> bytes:
        """The audio of `wanted`, encoded; planted faults of `target` change what is said."""
        return await self._voice.speak(self._planted.speech(wanted, target))
