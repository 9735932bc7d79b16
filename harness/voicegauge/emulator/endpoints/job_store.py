"""The jobs of one provider, from their acceptance on, and what they cost."""

from __future__ import annotations

import functools
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from voicegauge.contract import BaseTarget, Contract, PriceQuote, Target, quote
from voicegauge.contract.extension import JobSpec, PriceSpec
from voicegauge.emulator.audio import SynthesisRequest
from voicegauge.emulator.endpoints.batches import EmulatedBatch
from voicegauge.emulator.faults import FaultInjector
from voicegauge.emulator.http import DEFAULT_ID, ParsedRequest, Rejection, fill_random_hex, seeded_random
from voicegauge.emulator.responses import STATE_SCENARIO_PREFIX
from voicegauge.emulator.settings import SCENARIO_HEADER, EmulatorSettings
from voicegauge.emulator.state import EmulatedAccount, EmulatedClock, EmulatedJob, shortest_path, state_durations
from voicegauge.formats import Location

MAX_STORED_JOBS = 20_000
"""Older jobs are forgotten, so that a long run does not grow without end."""


class PlannedSpeech(NamedTuple):
    """What a request asks to be spoken, and how long that takes."""

    target: Target
    synthesis: SynthesisRequest
    characters: int
    accept_s: float
    queue_s: float
    work_s: float


class JobStore:
    """Takes jobs on, moves them along, and takes and gives back money."""

    def __init__(
        self, contract: Contract, settings: EmulatorSettings, clock: EmulatedClock, injector: FaultInjector
    ) -> None:
        """No job yet."""
        self._contract, self._settings, self._clock, self._injector = contract, settings, clock, injector
        self.jobs: OrderedDict[str, EmulatedJob] = OrderedDict()
        self._ids = 0
        self._refundable: list[EmulatedJob] = []

    def charge_target(
        self, account: EmulatedAccount, target: BaseTarget, characters: int, audio_s: float | None = None
    ) -> float | None:
        """Take the price, in credits where the provider has them, else in dollars.

        Raises:
            Refusal: the account does not reach.
        """
        price = quote(target, characters, audio_s=audio_s)
        return self.charge_price(account, price, lambda amount: self._injector.change_charge(amount, target))

    def charge_price(
        self,
        account: EmulatedAccount,
        price: PriceQuote | PriceSpec | None,
        change: Callable[[float], float] = lambda amount: amount,
    ) -> float | None:
        """Take a price from an account; `change` may make it another one.

        Returns:
            What was taken, in the provider's own money; `None` where there is no price.

        Raises:
            Refusal: the account does not reach.
        """
        amount = (price.credits if self._contract.provider.credits is not None else price.usd) if price else None
        if amount is None:
            return None
        if account.keyless:
            return 0.0
        self._update_refundable_jobs()
        if account.credits is not None and account.credits < amount:
            raise Rejection("no-credit", None, f"{amount:g} needed, {account.credits:g} left")
        amount = change(amount)
        account.debit(amount)
        return amount

    def create_job(
        self,
        request: ParsedRequest,
        planned: PlannedSpeech,
        account: EmulatedAccount,
        charge: float | None,
        items: list[EmulatedJob] | None = None,
    ) -> EmulatedJob:
        """Take on a job, or with `items` a batch of them.

        Raises:
            Refusal: the scenario that was planned for names no state of such a job.
        """
        target = planned.target
        assert target.job_operation is not None
        spec = target.job_operation.job
        assert spec is not None
        scenario = (request.incoming.header(SCENARIO_HEADER) or "").strip()
        end = scenario.removeprefix(STATE_SCENARIO_PREFIX) if scenario.startswith(STATE_SCENARIO_PREFIX) else None
        if end is not None and end not in spec.states:
            raise Rejection("invalid", None, f"{SCENARIO_HEADER}: this job has no state {end!r}")
        path = self._injector.change_states(spec, shortest_path(spec, end), target)
        rng = self.next_rng()
        job = (EmulatedJob if items is None else functools.partial(EmulatedBatch, items=items))(
            id=fill_random_hex(target.spec.emulation.id or DEFAULT_ID, rng),
            target=target,
            account=account,
            synthesis=planned.synthesis,
            state_path=path,
            state_durations_s=state_durations(spec, path, planned.queue_s, planned.work_s),
            created=self._clock.now(),
            charge=charge,
            constants=drawn_constants(target, rng),
        )
        self.jobs[job.id] = job
        last = spec.states.get(path[-1])
        if last is not None and last.charged is False:
            self._refundable.append(job)
        while len(self.jobs) > MAX_STORED_JOBS:
            self.jobs.popitem(last=False)
        return job

    def next_rng(self) -> random.Random:
        """The next source of numbers: equal requests in equal order get equal ids."""
        self._ids += 1
        return seeded_random(self._settings.seed, self._contract.id, self._ids)

    def find(self, request: ParsedRequest, account: EmulatedAccount) -> EmulatedJob:
        """The job that one of the request's parameters names.

        Raises:
            Refusal: none does, it is another account's, or ended too long ago.
        """
        for value in (*request.path.values(), *request.query.values()):
            job = self.jobs.get(str(value))
            anyones = not request.operation.needs_key or self._injector.skips_check("key", request.operation)
            if job is not None and (anyones or job.account is account):
                self._check_age(job)
                return job
        raise Rejection("not-found", None, "no such job")

    def _check_age(self, job: EmulatedJob) -> None:
        status = job.target.job_operation
        spec = status.job if status is not None else None
        if status is None or spec is None or spec.expires_s is None or self._injector.skips_check("expiry", status):
            return
        self.update_state(job)
        ended = job.ended_at(spec)
        if ended is not None and self._clock.now() - ended > spec.expires_s:
            raise Rejection("expired", None, f"the job ended more than {spec.expires_s:g} s ago")

    def cancel(self, job: EmulatedJob, spec: JobSpec) -> None:
        """End a job as cancelled, unless it has ended."""
        self.update_state(job)
        if spec.cancel is not None and not self._injector.skips_check("cancelling", job.target.operation):
            job.cancel(spec.cancel.state, spec, self._clock.now())
        self.update_state(job)

    def update_state(self, job: EmulatedJob, *, poll: bool = False) -> str:
        """The state of a job now; one that is documented as free gives its money back."""
        state = job.update_state(self._clock, poll=poll)
        operation = job.target.job_operation
        spec = operation.job.states.get(state) if operation and operation.job else None
        if spec is not None and spec.end == "failure" and spec.charged is False and not job.refunded:
            job.refunded = True
            job.account.debit(-job.charge if job.charge else None)
        return state

    def _update_refundable_jobs(self) -> None:
        """Look at the jobs that will be refunded, so that whoever never asks has the money back as well."""
        for job in self._refundable:
            self.update_state(job)
        self._refundable = [job for job in self._refundable if not job.refunded]

    def update_all(self) -> None:
        """Bring every job up to now, so that refunds are made."""
        for job in self.jobs.values():
            self.update_state(job)

    def has_succeeded(self, job: EmulatedJob) -> bool:
        """Whether a job has ended in success."""
        operation = job.target.job_operation
        state = self.update_state(job)
        known = operation.job.states.get(state) if operation and operation.job else None
        return known is not None and known.end == "success"


def drawn_constants(target: Target, rng: random.Random) -> dict[Location, object]:
    """The target's constants with their random digits drawn."""
    return {
        location: fill_random_hex(value, rng) if isinstance(value, str) else value
        for location, value in target.spec.emulation.constants.items()
    }
