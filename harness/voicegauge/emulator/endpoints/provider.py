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
from voicegauge.emulator.audio import SpeechSynthesizer, SynthesisRequest
from voicegauge.emulator.endpoints.audio_input import AudioInputEndpoint, check_audio_uploads
from voicegauge.emulator.endpoints.job_store import JobStore
from voicegauge.emulator.endpoints.resources import ResourceStore
from voicegauge.emulator.endpoints.speech import SpeechEndpoint
from voicegauge.emulator.faults import FaultInjector
from voicegauge.emulator.http import IncomingRequest, ParsedRequest, Rejection, parse_request, uploaded_files
from voicegauge.emulator.responses import (
    STATUS_CODES_BY_REASON,
    EmulatedResponse,
    ResponseBuilder,
    add_documented_headers,
    error_response,
)
from voicegauge.emulator.settings import SCENARIO_HEADER, EmulatorSettings
from voicegauge.emulator.state import (
    POLL_STEP_S,
    AccountRegistry,
    AudioFileStore,
    EmulatedAccount,
    EmulatedClock,
    EmulatedJob,
)
from voicegauge.emulator.webhooks import WebhookNotifier
from voicegauge.speech.audio import media_type_of


class FollowUpRole(NamedTuple):
    """What an operation is to a job."""

    name: str
    """"result", "cancel" or "download"."""
    spec: JobSpec | None


class EmulatedProvider:
    """Answers the requests to one provider."""

    def __init__(
        self,
        contract: Contract,
        settings: EmulatorSettings,
        clock: EmulatedClock,
        voice: SpeechSynthesizer,
        injector: FaultInjector,
    ) -> None:
        """State begins empty; make a new one to forget."""
        self.contract = contract
        self._settings, self._clock, self._voice, self._injector = settings, clock, voice, injector
        self._builder = ResponseBuilder(contract)
        self.accounts = AccountRegistry(contract, settings)
        self.job_store = JobStore(contract, settings, clock, injector)
        self.resources = ResourceStore(contract, injector, quota=settings.rate_limits)
        self._speech = SpeechEndpoint(
            contract,
            settings=settings,
            clock=clock,
            voice=voice,
            injector=injector,
            builder=self._builder,
            accounts=self.accounts,
            job_store=self.job_store,
            resources=self.resources,
        )
        self._counts: Counter[str] = Counter()
        self._roles = _roles(contract)
        self._files = AudioFileStore()
        self._audio_inputs = AudioInputEndpoint(
            builder=self._builder,
            clock=clock,
            injector=injector,
            voice=voice,
            files=self._files,
            charge=lambda account, intake, audio_s: self.job_store.charge_target(account, intake, 0, audio_s),
            next_rng=self.job_store.next_rng,
        )
        self.webhooks = WebhookNotifier(
            builder=self._builder,
            clock=clock,
            injector=injector,
            settings=settings,
            update_state=self.job_store.update_state,
        )

    async def handle(self, incoming: IncomingRequest) -> EmulatedResponse:
        """The answer to `incoming`, faults and all."""
        try:
            operation, path = self._route(incoming)
        except Rejection as rejection:
            return self._builder.unrouted_response(incoming, rejection)
        account: EmulatedAccount | None = None
        try:
            account = self._account(incoming, operation)
            if operation.job is None and operation.id not in self._roles:
                self.accounts.count_request(account, operation, self._clock.now())
            with self._count_in_flight(account, operation):  # counted before anything is waited for
                response = await self._dispatch(incoming, operation, path, account)
        except Rejection as rejection:
            response = error_response(operation, rejection)
        response.body = (
            self._builder.with_local_urls(response.body, incoming.base_url) if response.is_json else response.body
        )
        add_documented_headers(response, self.accounts.rate_limit_facts(account, operation, self._clock.now()))
        await self._clock.sleep(self._injector.delay_s(operation, response.target))
        await self.webhooks.follow(response)
        self._injector.change_response(response)
        if response.split_body is not None:
            response.pieces = self._injector.change_stream(response, response.split_body(response.body))
        return response

    @contextlib.contextmanager
    def _count_in_flight(self, account: EmulatedAccount, operation: Operation) -> Iterator[None]:
        works = operation.speech is not None or operation.intake is not None
        account.in_flight += works
        try:
            yield
        finally:
            account.in_flight -= works

    def _route(self, incoming: IncomingRequest) -> tuple[Operation, dict[str, str]]:
        for path in self._builder.path_candidates(incoming.path):
            found = self.contract.match(incoming.method, path)
            if found is not None:
                return found[0], {name: unquote(value) for name, value in found[1].items()}
        raise Rejection("not-found", None, f"no such path: {incoming.path}")

    def _account(self, incoming: IncomingRequest, operation: Operation) -> EmulatedAccount:
        rejection_reason = (incoming.header(SCENARIO_HEADER) or "").strip()
        if rejection_reason.partition(":")[0] in STATUS_CODES_BY_REASON:
            raise Rejection(*_split_scenario(rejection_reason), "the scenario that was asked for")
        enforced = not self._injector.skips_check("key", operation)
        return self.accounts.identify(incoming, operation, enforced=enforced)

    async def _dispatch(
        self, incoming: IncomingRequest, operation: Operation, path: Mapping[str, str], account: EmulatedAccount
    ) -> EmulatedResponse:
        strict = not self._injector.skips_check("request", operation)
        ignored = ("maxItems",) if self._injector.skips_check("items", operation) else ()
        request = parse_request(incoming, operation, path, strict=strict, ignored=ignored)
        self._counts[operation.id] += 1
        met = self._injector.rejection_reason(request, self._counts[operation.id])
        if met is not None:
            raise Rejection(met, None, "a planted fault")
        if strict and any(uploaded_files(request.body)):  # a thread takes longer than most whole requests
            await asyncio.to_thread(check_audio_uploads, request, self._injector)
        self.webhooks.check(request)
        used = self.resources.find_used(request, account)
        if self.resources.handles(operation):
            return self.resources.respond(request, account, self._clock.now(), self.job_store.next_rng())
        if operation.chat is not None:
            return await self._speech.chat(request, operation.chat, account, used)
        if operation.intake is not None:
            return await self._audio_inputs.respond(request, account, strict=strict)
        if operation.speech is not None:
            return await self._speech.respond(request, account, strict=strict)
        return await self._follow_up(request, account)

    async def _follow_up(self, request: ParsedRequest, account: EmulatedAccount) -> EmulatedResponse:
        """What comes after a request that made something, and everything that is only read."""
        operation = request.operation
        if operation.job is not None:
            return self._status(request, account)
        role = self._roles.get(operation.id)
        if role is not None:
            return await self._respond_about_job(request, account, role)
        filters = {} if self._injector.skips_check("filters", operation) else request.query
        return self._builder.documented_response(operation, query=filters)

    def _status(self, request: ParsedRequest, account: EmulatedAccount) -> EmulatedResponse:
        job = self._injector.choose_job(self.job_store.find(request, account), self.job_store.jobs.values())
        if self._clock.is_per_poll:
            self._clock.advance(POLL_STEP_S)
        self.job_store.update_state(job, poll=True)
        return self._speech.with_progress(self._builder.status_response(request, job), job)

    async def _respond_about_job(
        self, request: ParsedRequest, account: EmulatedAccount, role: FollowUpRole
    ) -> EmulatedResponse:
        if role.name == "download":
            return await self._download(request)
        job = self.job_store.find(request, account)
        assert role.spec is not None
        if role.name == "cancel":
            self.job_store.cancel(job, role.spec)
            return self._builder.documented_response(request.operation, job=job)
        if not self.job_store.has_succeeded(job):
            raise Rejection("not-found", None, "the job has no result yet")
        data = await self._speech.render(job.target, job.synthesis)
        return self._builder.result_response(request, job, data)

    async def _download(self, request: ParsedRequest) -> EmulatedResponse:
        for value in request.path.values():
            response = await self.media(str(value))
            if response is not None:
                self._builder.mark_as_download(response, request)
                return response
        raise Rejection("not-found", None, "no such file")

    async def media(self, name: str) -> EmulatedResponse | None:
        """The audio known as `name`, which may have an ending; `None` where there is none (yet)."""
        for media_id in (name, name.rpartition(".")[0]):
            job = self.job_store.jobs.get(media_id)
            if job is not None and self.job_store.has_succeeded(job):
                return await self._audio_reply(job.target, job.synthesis, job)
            made = self._files.find(media_id)
            if made is not None:
                return EmulatedResponse("audio", 200, made.data, media_type_of(made.format))
            if media_id in self._speech.media:
                return await self._audio_reply(*self._speech.media[media_id], None)
        return None

    async def _audio_reply(
        self, target: Target, synthesis: SynthesisRequest, job: EmulatedJob | None
    ) -> EmulatedResponse:
        data = await self._speech.render(target, synthesis)
        return EmulatedResponse("audio", 200, data, media_type_of(synthesis.format), target=target, job=job)


def _split_scenario(rejection_reason: str) -> tuple[str, str | None]:
    name, _, field = rejection_reason.partition(":")
    return name, field or None


def _roles(contract: Contract) -> Mapping[str, FollowUpRole]:
    found: dict[str, FollowUpRole] = {}
    for operation in contract.operations.values():
        locations = [operation.speech.answer.audio] if operation.speech else []
        if operation.job is not None:
            locations.append(operation.job.audio)
            if operation.job.result is not None:
                found[operation.job.result] = FollowUpRole("result", operation.job)
            if operation.job.cancel is not None:
                found[operation.job.cancel.operation] = FollowUpRole("cancel", operation.job)
        downloads = [location.download for location in locations if location is not None]
        if isinstance(operation.intake, ConversionSpec):
            made = operation.intake.answer
            downloads += [location.download for location in (made.audio, made.stems) if location is not None]
        found.update((name, FollowUpRole("download", None)) for name in downloads if name)
    return found
