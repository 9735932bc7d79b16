"""One provider, played after its contract."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from voicegauge.contract import Contract, Operation, Target
from voicegauge.contract.extension import ConversionSpec, JobSpec
from voicegauge.emulator.audio import Utterance, Voice
from voicegauge.emulator.endpoints.audio_input import Intakes, check_uploads
from voicegauge.emulator.endpoints.job_store import Orders
from voicegauge.emulator.endpoints.resources import Shelf
from voicegauge.emulator.endpoints.speech import Speaking
from voicegauge.emulator.faults import Planted
from voicegauge.emulator.http import Call, Incoming, Refusal, read_call, uploads
from voicegauge.emulator.responses import STATUSES, Answers, Reply, dress, error_reply
from voicegauge.emulator.settings import SCENARIO_HEADER, EmulatorSettings
from voicegauge.emulator.state import POLL_STEP_S, Account, Accounts, EmulatedClock, EmulatedJob, Files
from voicegauge.emulator.webhooks import Webhooks
from voicegauge.speech.audio import media_type_of


class Role(NamedTuple):
    """What an operation is to a job."""

    name: str
    """"result", "cancel" or "download"."""
    spec: JobSpec | None


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
        self.orders = Orders(contract, settings, clock, planted)
        self.shelf = Shelf(contract, planted, quota=settings.rate_limits)
        self._speaking = Speaking(
            contract,
            settings=settings,
            clock=clock,
            voice=voice,
            planted=planted,
            answers=self._answers,
            accounts=self.accounts,
            orders=self.orders,
            shelf=self.shelf,
        )
        self._counts: Counter[str] = Counter()
        self._roles = _roles(contract)
        self._files = Files()
        self._intakes = Intakes(
            answers=self._answers,
            clock=clock,
            planted=planted,
            voice=voice,
            files=self._files,
            charge=lambda account, intake, audio_s: self.orders.charge(account, intake, 0, audio_s),
            dice=self.orders.rng,
        )
        self.webhooks = Webhooks(
            answers=self._answers, clock=clock, planted=planted, settings=settings, look=self.orders.look
        )

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
            with self._under_way(account, operation):  # counted before anything is waited for
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

    @contextlib.contextmanager
    def _under_way(self, account: Account, operation: Operation) -> Iterator[None]:
        works = operation.speech is not None or operation.intake is not None
        account.in_flight += works
        try:
            yield
        finally:
            account.in_flight -= works

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
        if strict and any(uploads(call.body)):  # a thread takes longer than most whole requests
            await asyncio.to_thread(check_uploads, call, self._planted)
        self.webhooks.check(call)
        things = self.shelf.check_uses(call, account)
        if self.shelf.plays(operation):
            return self.shelf.answer(call, account, self._clock.now(), self.orders.rng())
        if operation.chat is not None:
            return await self._speaking.chat(call, operation.chat, account, things)
        if operation.intake is not None:
            return await self._intakes.answer(call, account, strict=strict)
        if operation.speech is not None:
            return await self._speaking.answer(call, account, strict=strict)
        return await self._later(call, account)

    async def _later(self, call: Call, account: Account) -> Reply:
        """What comes after a request that made something, and everything that is only read."""
        operation = call.operation
        if operation.job is not None:
            return self._status(call, account)
        role = self._roles.get(operation.id)
        if role is not None:
            return await self._follow(call, account, role)
        filters = {} if self._planted.waives("filters", operation) else call.query
        return self._answers.other(operation, query=filters)

    def _status(self, call: Call, account: Account) -> Reply:
        job = self._planted.job(self.orders.find(call, account), self.orders.jobs.values())
        if self._clock.per_poll:
            self._clock.advance(POLL_STEP_S)
        self.orders.look(job, poll=True)
        return self._speaking.with_progress(self._answers.state(call, job), job)

    async def _follow(self, call: Call, account: Account, role: Role) -> Reply:
        if role.name == "download":
            return await self._download(call)
        job = self.orders.find(call, account)
        assert role.spec is not None
        if role.name == "cancel":
            self.orders.cancel(job, role.spec)
            return self._answers.other(call.operation, job=job)
        if not self.orders.succeeded(job):
            raise Refusal("not-found", None, "the job has no result yet")
        data = await self._speaking.render(job.target, job.utterance)
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
            job = self.orders.jobs.get(media_id)
            if job is not None and self.orders.succeeded(job):
                return await self._audio_reply(job.target, job.utterance, job)
            made = self._files.find(media_id)
            if made is not None:
                return Reply("audio", 200, made.data, media_type_of(made.format))
            if media_id in self._speaking.media:
                return await self._audio_reply(*self._speaking.media[media_id], None)
        return None

    async def _audio_reply(self, target: Target, wanted: Utterance, job: EmulatedJob | None) -> Reply:
        data = await self._speaking.render(target, wanted)
        return Reply("audio", 200, data, media_type_of(wanted.format), target=target, job=job)


def _split(situation: str) -> tuple[str, str | None]:
    name, _, about = situation.partition(":")
    return name, about or None


def _roles(contract: Contract) -> Mapping[str, Role]:
    found: dict[str, Role] = {}
    for operation in contract.operations.values():
        places = [operation.speech.answer.audio] if operation.speech else []
        if operation.job is not None:
            places.append(operation.job.audio)
            if operation.job.result is not None:
                found[operation.job.result] = Role("result", operation.job)
            if operation.job.cancel is not None:
                found[operation.job.cancel.operation] = Role("cancel", operation.job)
        downloads = [place.download for place in places if place is not None]
        if isinstance(operation.intake, ConversionSpec):
            made = operation.intake.answer
            downloads += [place.download for place in (made.audio, made.stems) if place is not None]
        found.update((name, Role("download", None)) for name in downloads if name)
    return found
