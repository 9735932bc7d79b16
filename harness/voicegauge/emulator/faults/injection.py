"""Which faults are planted, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from voicegauge.contract import BaseTarget, Contract, Operation, Target
from voicegauge.contract.extension import JobSpec
from voicegauge.emulator.audio import Utterance
from voicegauge.emulator.faults.catalogue import FAULTS, Fault, Waived
from voicegauge.emulator.http import Call
from voicegauge.emulator.responses import Beat, Post, Reply
from voicegauge.emulator.state import EmulatedJob
from voicegauge.errors import UnknownNameError


@dataclass(frozen=True)
class _Planting:
    fault: Fault
    provider: str | None = None
    target: Target | None = None
    operation: str | None = None

    def holds(self, target: Target | None, operations: Sequence[Operation | None]) -> bool:
        """Whether the fault is planted here; before a request's target is known, its operation decides."""
        here = [operation for operation in operations if operation is not None]
        if self.provider is not None:
            contracts = [operation.contract for operation in here] + ([target.contract] if target else [])
            if all(contract.id != self.provider for contract in contracts):
                return False
        if self.target is not None:
            own = (self.target.operation, self.target.job_operation)
            return target is self.target if target is not None else any(o is mine for o in here for mine in own)
        return self.operation is None or any(operation.id == self.operation for operation in here)


class Planted:
    """The faults that are planted, and where."""

    def __init__(self, names: Sequence[str], contracts: Iterable[Contract], own: Sequence[Fault] = ()) -> None:
        """`names` as in `EmulatorSettings.faults`; faults of one's `own` are planted everywhere.

        Raises:
            UnknownNameError: no such fault, provider, target or operation.
        """
        self.names = tuple(names)
        by_id = {contract.id: contract for contract in contracts}
        self._plantings = [_read(name, by_id) for name in self.names] + [_Planting(fault) for fault in own]

    def replace(self, other: Planted) -> None:
        """Plant what `other` has planted instead."""
        self.names, self._plantings = other.names, other._plantings

    def _here(self, target: Target | None, *operations: Operation | None) -> Iterator[Fault]:
        for planting in self._plantings:
            if planting.holds(target, operations):
                yield planting.fault

    def spoil(self, reply: Reply) -> None:
        """Change an answer."""
        for fault in self._here(reply.target, reply.operation):
            if fault.reply is not None:
                fault.reply(reply)

    def beats(self, reply: Reply, beats: list[Beat]) -> list[Beat]:
        """The pieces of an answer that goes out as it is made."""
        for fault in self._here(reply.target, reply.operation):
            if fault.beats is not None and reply.operation is not None:
                beats = fault.beats(reply.operation, beats)
        return beats

    def path(self, spec: JobSpec, path: tuple[str, ...], target: Target) -> tuple[str, ...]:
        """The states a job passes through."""
        for fault in self._here(target, target.operation, target.job_operation):
            if fault.path is not None:
                path = fault.path(spec, path)
        return path

    def job(self, job: EmulatedJob, jobs: Iterable[EmulatedJob]) -> EmulatedJob:
        """The job that a status answer tells of."""
        for fault in self._here(job.target, job.target.job_operation):
            if fault.job is not None:
                job = fault.job(job, tuple(jobs))
        return job

    def speech(self, wanted: Utterance, target: Target) -> Utterance:
        """What is spoken."""
        for fault in self._here(target, target.operation):
            if fault.speech is not None:
                wanted = fault.speech(wanted)
        return wanted

    def charge(self, amount: float, target: BaseTarget) -> float:
        """What is charged."""
        for fault in self._here(target if isinstance(target, Target) else None, target.operation):
            if fault.charge is not None:
                amount = fault.charge(amount)
        return amount

    def meets(self, call: Call, number: int) -> str | None:
        """The situation that a request meets."""
        for fault in self._here(None, call.operation):
            situation = fault.meets(call, number) if fault.meets is not None else None
            if situation is not None:
                return situation
        return None

    def posts(self, post: Post, target: Target | None, operation: Operation) -> Iterable[Post]:
        """What a receiver is told instead of `post`."""
        posts: Iterable[Post] = (post,)
        for fault in self._here(target, operation):
            if fault.posts is not None:
                posts = [changed for one in posts for changed in fault.posts(one)]
        return posts

    def waives(self, what: Waived, operation: Operation) -> bool:
        """Whether something is not checked."""
        return any(fault.waives == what for fault in self._here(None, operation))

    def delay_s(self, operation: Operation, target: Target | None) -> float:
        """How much later an answer comes."""
        return sum(fault.delay_s for fault in self._here(target, operation))


def _read(name: str, contracts: Mapping[str, Contract]) -> _Planting:
    fault_id, _, where = name.partition("@")
    if fault_id not in FAULTS:
        raise UnknownNameError("fault", fault_id, FAULTS)
    provider, _, place = where.partition("/")
    if not provider:
        return _Planting(FAULTS[fault_id])
    if provider not in contracts:
        raise UnknownNameError("provider", provider, contracts)
    contract = contracts[provider]
    if not place or place in contract.targets:
        return _Planting(FAULTS[fault_id], provider, target=contract.targets.get(place))
    if place not in contract.operations:
        raise UnknownNameError(f"{provider} target or operation", place, [*contract.targets, *contract.operations])
    return _Planting(FAULTS[fault_id], provider, operation=place)
