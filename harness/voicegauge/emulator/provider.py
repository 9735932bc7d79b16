"""One provider, played after its contract."""

from __future__ import annotations

import asyncio
import functools
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from voicegauge.contract import Contract, Intake, Operation, Target
from voicegauge.contract.extension import Batch, Chat, Conversion, JobSpec, Price
from voicegauge.contract.extension.speech import Pace
from voicegauge.contract.pricing import Quote, quote
from voicegauge.emulator.accounts import Account, Accounts
from voicegauge.emulator.answers import Answers
from voicegauge.emulator.batches import EmulatedBatch, calls_of_items, lay_progress
from voicegauge.emulator.chats import emulated_answer, recording_of, spoken_by, text_of
from voicegauge.emulator.clock import POLL_STEP_S, EmulatedClock
from voicegauge.emulator.drafting import STATUSES, error_reply, plain_draft, put, success_reply
from voicegauge.emulator.files import Files
from voicegauge.emulator.headers import dress
from voicegauge.emulator.hearing import hear
from voicegauge.emulator.incoming import Call, Incoming, Refusal
from voicegauge.emulator.intake import Intakes, check_uploads
from voicegauge.emulator.jobs import EmulatedJob, failures, shortest_path, stays
from voicegauge.emulator.planting import Planted
from voicegauge.emulator.reading import read_call
from voicegauge.emulator.reply import Reply
from voicegauge.emulator.resources import Kept, Shelf
from voicegauge.emulator.settings import SCENARIO_HEADER, EmulatorSettings
from voicegauge.emulator.spoken import Utterance, Voice, field_of, utterance
from voicegauge.emulator.stamps import DEFAULT_ID, fill_hex, seeded
from voicegauge.emulator.streams import STATE_SCENARIO, Pacing, length_s, pace_of, wanted_end
from voicegauge.emulator.targets import audio_place, choose_target, count_characters
from voicegauge.emulator.webhooks import Webhooks
from voicegauge.speech.transcoding import media_type_of

KEPT_JOBS = 20_000
"""Older jobs are forgotten, so that a long run does not grow without end."""


class Role(NamedTuple):
    """What an operation is to a job."""

    name: str
    """"result", "cancel" or "download"."""
    spec: JobSpec | None


class Asked(NamedTuple):
    """What a request asks to be spoken, and how long that takes."""

    target: Target
    wanted: Utterance
    characters: int
    accept_s: float
    queue_s: float
    work_s: float


class EmulatedProvider:
    """Answers the requests to one provider."""

    def __init__(
        self, contract: Contract, settings: EmulatorSettings, clock: EmulatedClock, voice: Voice, planted: Planted
    ) -> None:
        """State begins empty; make a new one to forget."""
        self.contract = contract
        self._settings, self._clock, self._voice, self._planted = settings, clock, voice, planted
        self._answers = Answers(contract)
        self.accounts = Accounts(contract, settings)
        self.jobs: OrderedDict[str, EmulatedJob] = OrderedDict()
        self._media: OrderedDict[str, tuple[Target, Utterance]] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._ids = 0
        self._refundable: list[EmulatedJob] = []
        self._roles = _roles(contract)
        self._files = Files()
        self._intakes = Intakes(
            answers=self._answers,
            clock=clock,
            planted=planted,
            voice=voice,
            files=self._files,
            charge=lambda account, intake, audio_s: self._charge(account, intake, 0, audio_s),
            dice=self._rng,
        )
        self.webhooks = Webhooks(
            answers=self._answers, clock=clock, planted=planted, settings=settings, look=self._look
        )
        self.shelf = Shelf(contract, planted, quota=settings.rate_limits)

    async def handle(self, incoming: Incoming) -> Reply:
        """The answer to `incoming`, faults and all."""
        try:
            operation, path = self._route(incoming)
        except Refusal as refusal:
            return self._answers.unrouted(incoming, refusal)
        account: Account | None = None
        try:
            account = self._account(incoming, operation)
            if operation.job is None and operation.id not in self._roles:
                self.accounts.admit(account, operation, self._clock.now())
            reply = await self._answer(incoming, operation, path, account)
        except Refusal as refusal:
            reply = error_reply(operation, refusal)
        reply.body = self._answers.localised(reply.body, incoming.base_url) if reply.is_json else reply.body
        dress(reply, self.accounts.rate_facts(account, operation, self._clock.now()))
        await self._clock.sleep(self._planted.delay_s(operation, reply.target))
        await self.webhooks.follow(reply)
        self._planted.spoil(reply)
        if reply.pacing is not None:
            reply.beats = self._planted.beats(reply, reply.pacing.beats(reply.body))
        return reply

    def _route(self, incoming: Incoming) -> tuple[Operation, dict[str, str]]:
        for path in self._answers.paths(incoming.path):
            found = self.contract.match(incoming.method, path)
            if found is not None:
                return found[0], {name: unquote(value) for name, value in found[1].items()}
        raise Refusal("not-found", None, f"no such path: {incoming.path}")

    def _account(self, incoming: Incoming, operation: Operation) -> Account:
        situation = (incoming.header(SCENARIO_HEADER) or "").strip()
        if situation.partition(":")[0] in STATUSES:
            raise Refusal(*_split(situation), "the scenario that was asked for")
        enforced = not self._planted.waives("key", operation)
        return self.accounts.of(incoming, operation, enforced=enforced)

    async def _answer(
        self, incoming: Incoming, operation: Operation, path: Mapping[str, str], account: Account
    ) -> Reply:
        strict = not self._planted.waives("request", operation)
        ignored = ("maxItems",) if self._planted.waives("items", operation) else ()
        call = read_call(incoming, operation, path, strict=strict, ignored=ignored)
        self._counts[operation.id] += 1
        met = self._planted.meets(call, self._counts[operation.id])
        if met is not None:
            raise Refusal(met, None, "a planted fault")
        if strict:
            await asyncio.to_thread(check_uploads, call, self._planted)
        self.webhooks.check(call)
        things = self.shelf.check_uses(call, account)
        if self.shelf.plays(operation):
            return self.shelf.answer(call, account, self._clock.now(), self._rng())
        if operation.chat is not None:
            return await self._chat(call, operation.chat, account, things)
        if operation.speech is not None or operation.intake is not None:
            account.in_flight += 1
            try:
                if operation.intake is not None:
                    return await self._intakes.answer(call, account, strict=strict)
                return await self._speech(call, account, strict=strict)
            finally:
                account.in_flight -= 1
        if operation.job is not None:
            return self._status(call, account)
        role = self._roles.get(operation.id)
        return await self._follow(call, account, role) if role else self._answers.other(operation, query=call.query)

    async def _speech(self, call: Call, account: Account, *, strict: bool) -> Reply:
        if call.operation.batch is not None:
            return await self._batch(call, call.operation.batch, account, strict=strict)
        asked = self._asked(call, account, strict=strict)
        charge = self._charge(account, asked.target, asked.characters)
        if asked.target.answer.job is None:
            work_s = asked.queue_s + asked.work_s
            pace = pace_of(asked.target)
            await self._clock.sleep(asked.accept_s + (work_s if pace is None else 0))
            reply = await self._audio_now(call, asked.target, account, asked.wanted, charge)
            if pace is not None:
                await self._in_pieces(reply, pace, asked.wanted, work_s)
            return reply
        await self._clock.sleep(asked.accept_s)
        job = self._accept(call, asked, account, charge)
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
        self.accounts.take_keyless(account, call.operation, characters, self._clock.now())
        return Asked(target, wanted, characters, *self._times_s(target, wanted, characters))

    async def _batch(self, call: Call, batch: Batch, account: Account, *, strict: bool) -> Reply:
        """Every item taken on as a job of its own, or none of them."""
        asked = [(item, self._asked(item, account, strict=strict)) for item in calls_of_items(call, batch)]
        charges: list[float | None] = []
        try:
            charges += (self._charge(account, one.target, one.characters) for _, one in asked)
        except Refusal:
            account.pay(-sum(charge or 0 for charge in charges))
            raise
        await self._clock.sleep(asked[0][1].accept_s)
        items = [self._accept(item, one, account, paid) for (item, one), paid in zip(asked, charges, strict=True)]
        whole = self._asked(call, account, strict=False)
        whole = whole._replace(queue_s=0.0, work_s=max(sum(item.stays_s) for item in items))
        job = self._accept(call, whole, account, sum(charge or 0 for charge in charges), items=items)
        reply = self._answers.submitted(call, job, balance=self._left(account, call))
        return self._with_progress(reply, job)

    def _with_progress(self, reply: Reply, job: EmulatedJob) -> Reply:
        batch = job.target.operation.batch
        if batch is not None and isinstance(job, EmulatedBatch):
            base = reply.call.incoming.base_url if reply.call is not None else ""
            urls = {
                item.id: self._answers.audio_url(base, audio_place(item.target), item.id, item.utterance.format)
                for item in job.items
                if self._succeeded(item)
            }
            lay_progress(reply, batch, job, urls)
        return reply

    async def _chat(self, call: Call, chat: Chat, account: Account, things: list[Kept]) -> Reply:
        reply = success_reply(call.operation, "other", plain_draft)
        recording = recording_of(call, chat)
        heard = text_of(call, chat) if recording is None else await hear(recording, "audio")
        charge = self._take(account, call.operation.pricing)
        if call.operation.resource is not None:
            kept = things[0] if things else self.shelf.make(call, reply, account, self._clock.now(), self._rng())
            kept.said.append(heard)
            reply.body = put(reply.body, kept.resource.id, kept.id)
        answer = emulated_answer(kept.said if call.operation.resource is not None else [heard])
        target = self.contract.target(chat.speaker)
        wanted = utterance(spoken_by(call, target, answer, chat.voice), target, chat.spoken, self._settings.seed)
        media_id = fill_hex(DEFAULT_ID, self._rng())
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
        longest = self.accounts.plan(limits).text_characters
        if isinstance(text, str) and longest is not None and len(text) > longest:
            field = field_of(target.speech.request["text"])
            raise Refusal("invalid", field, f"{field} is longer than {longest} characters")

    def _charge(
        self, account: Account, target: Target | Intake, characters: int, audio_s: float | None = None
    ) -> float | None:
        """Take the price, in credits where the provider has them, else in dollars.

        Raises:
            Refusal: the account does not reach.
        """
        price = quote(target, characters, audio_s=audio_s)
        return self._take(account, price, lambda amount: self._planted.charge(amount, target))

    def _take(
        self, account: Account, price: Quote | Price | None, change: Callable[[float], float] = lambda amount: amount
    ) -> float | None:
        amount = (price.credits if self.contract.provider.credits is not None else price.usd) if price else None
        if amount is None:
            return None
        if account.keyless:
            return 0.0
        self._settle_refunds()
        if account.credits is not None and account.credits < amount:
            raise Refusal("no-credit", None, f"{amount:g} needed, {account.credits:g} left")
        amount = change(amount)
        account.pay(amount)
        return amount

    async def _audio_now(
        self, call: Call, target: Target, account: Account, wanted: Utterance, charge: float | None
    ) -> Reply:
        place = audio_place(target)
        data = await self._render(target, wanted)
        rng = self._rng()
        media_id = fill_hex(target.spec.emulation.id or DEFAULT_ID, rng)
        if place.delivered == "url":
            self._remember(media_id, target, wanted)
        url = self._answers.audio_url(call.incoming.base_url, place, media_id, wanted.format)
        reply = self._answers.spoken(call, target, wanted, data, url, charge=charge, balance=self._left(account, call))
        self._answers.lay_constants(reply, _constants(target, rng))
        return reply

    async def _in_pieces(self, reply: Reply, pace: Pace, wanted: Utterance, first_s: float) -> None:
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
            rng=self._rng(),
            scaled=self._clock.scaled,
            end=wanted_end(operation, (reply.call.incoming.header(SCENARIO_HEADER) or "").strip()),
        )

    def _left(self, account: Account, call: Call) -> float | None:
        return self.accounts.left(account, call.operation)

    def _accept(
        self, call: Call, asked: Asked, account: Account, charge: float | None, items: list[EmulatedJob] | None = None
    ) -> EmulatedJob:
        target = asked.target
        assert target.job_operation is not None
        spec = target.job_operation.job
        assert spec is not None
        scenario = (call.incoming.header(SCENARIO_HEADER) or "").strip()
        end = scenario.removeprefix(STATE_SCENARIO) if scenario.startswith(STATE_SCENARIO) else None
        if end is not None and end not in spec.states:
            raise Refusal("invalid", None, f"{SCENARIO_HEADER}: this job has no state {end!r}")
        path = self._planted.path(spec, shortest_path(spec, end), target)
        rng = self._rng()
        job = (EmulatedJob if items is None else functools.partial(EmulatedBatch, items=items))(
            id=fill_hex(target.spec.emulation.id or DEFAULT_ID, rng),
            target=target,
            account=account,
            utterance=asked.wanted,
            path=path,
            stays_s=stays(spec, path, asked.queue_s, asked.work_s),
            created=self._clock.now(),
            charge=charge,
            constants=_constants(target, rng),
        )
        self.jobs[job.id] = job
        last = spec.states.get(path[-1])
        if last is not None and last.charged is False:
            self._refundable.append(job)
        while len(self.jobs) > KEPT_JOBS:
            self.jobs.popitem(last=False)
        return job

    def _rng(self) -> random.Random:
        self._ids += 1
        return seeded(self._settings.seed, self.contract.id, self._ids)

    def _find_job(self, call: Call, account: Account) -> EmulatedJob:
        """The job that one of the request's parameters names.

        Raises:
            Refusal: none does, or it is another account's.
        """
        for value in (*call.path.values(), *call.query.values()):
            job = self.jobs.get(str(value))
            anyones = not call.operation.needs_key or self._planted.waives("key", call.operation)
            if job is not None and (anyones or job.account is account):
                return job
        raise Refusal("not-found", None, "no such job")

    def _status(self, call: Call, account: Account) -> Reply:
        job = self._planted.job(self._find_job(call, account), self.jobs.values())
        if self._clock.per_poll:
            self._clock.advance(POLL_STEP_S)
        self._look(job, poll=True)
        return self._with_progress(self._answers.state(call, job), job)

    def _look(self, job: EmulatedJob, *, poll: bool = False) -> str:
        state = job.look(self._clock, poll=poll)
        operation = job.target.job_operation
        spec = operation.job.states.get(state) if operation and operation.job else None
        if spec is not None and spec.end == "failure" and spec.charged is False and not job.refunded:
            job.refunded = True
            job.account.pay(-job.charge if job.charge else None)
        return state

    def _settle_refunds(self) -> None:
        """Look at the jobs that will be refunded, so that whoever never asks has the money back as well."""
        for job in self._refundable:
            self._look(job)
        self._refundable = [job for job in self._refundable if not job.refunded]

    def settle(self) -> None:
        """Bring every job up to now, so that refunds are made."""
        for job in self.jobs.values():
            self._look(job)

    async def _follow(self, call: Call, account: Account, role: Role) -> Reply:
        if role.name == "download":
            return await self._download(call)
        job = self._find_job(call, account)
        assert role.spec is not None
        if role.name == "cancel":
            self._look(job)
            job.cancel(_cancelled_state(role.spec), role.spec, self._clock.now())
            self._look(job)
            return self._answers.other(call.operation, job=job)
        if not self._succeeded(job):
            raise Refusal("not-found", None, "the job has no result yet")
        data = await self._render(job.target, job.utterance)
        return self._answers.result(call, job, data)

    async def _download(self, call: Call) -> Reply:
        for value in call.path.values():
            reply = await self.media(str(value))
            if reply is not None:
                self._answers.as_download(reply, call)
                return reply
        raise Refusal("not-found", None, "no such file")

    async def media(self, name: str) -> Reply | None:
        """The audio known as `name`, which may have an ending; `None` where there is none (yet)."""
        for media_id in (name, name.rpartition(".")[0]):
            job = self.jobs.get(media_id)
            if job is not None and self._succeeded(job):
                return await self._audio_reply(job.target, job.utterance, job)
            made = self._files.find(media_id)
            if made is not None:
                return Reply("audio", 200, made.data, media_type_of(made.format))
            if media_id in self._media:
                return await self._audio_reply(*self._media[media_id], None)
        return None

    async def _audio_reply(self, target: Target, wanted: Utterance, job: EmulatedJob | None) -> Reply:
        data = await self._render(target, wanted)
        return Reply("audio", 200, data, media_type_of(wanted.format), target=target, job=job)

    def _succeeded(self, job: EmulatedJob) -> bool:
        operation = job.target.job_operation
        state = self._look(job)
        known = operation.job.states.get(state) if operation and operation.job else None
        return known is not None and known.end == "success"

    def _remember(self, media_id: str, target: Target, wanted: Utterance) -> None:
        self._media[media_id] = (target, wanted)
        while len(self._media) > KEPT_JOBS:
            self._media.popitem(last=False)

    async def _render(self, target: Target, wanted: Utterance) -> bytes:
        return await self._voice.speak(self._planted.speech(wanted, target))


def _constants(target: Target, rng: random.Random) -> dict[str, object]:
    """The target's constants with their random digits drawn."""
    return {
        place: fill_hex(value, rng) if isinstance(value, str) else value
        for place, value in target.spec.emulation.constants.items()
    }


def _split(situation: str) -> tuple[str, str | None]:
    name, _, about = situation.partition(":")
    return name, about or None


def _roles(contract: Contract) -> Mapping[str, Role]:
    found: dict[str, Role] = {}
    for operation in contract.operations.values():
        places = [operation.speech.answer.audio] if operation.speech else []
        if operation.job is not None:
            places.append(operation.job.audio)
            for name in ("result", "cancel"):
                named = getattr(operation.job, name)
                if named:
                    found[named] = Role(name, operation.job)
        downloads = [place.download for place in places if place is not None]
        if isinstance(operation.intake, Conversion):
            made = operation.intake.answer
            downloads += [place.download for place in (made.audio, made.stems) if place is not None]
        found.update((name, Role("download", None)) for name in downloads if name)
    return found


def _cancelled_state(spec: JobSpec) -> str:
    failed = failures(spec)
    named = [state for state in failed if state.lower().startswith("cancel")]
    unpaid = [state for state, value in failed.items() if value.charged is False]
    return (named or unpaid or list(failed) or [next(iter(spec.states))])[0]
