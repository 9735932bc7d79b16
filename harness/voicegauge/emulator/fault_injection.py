"""Lists the faults of the emulator, and injects those that the settings name."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from voicegauge.contract.contract import BaseSocketTarget, BaseTarget, Contract, SocketTarget, Target
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.extension.speech import SpeechField
from voicegauge.contract.loading import load_catalogue
from voicegauge.contract.operation import Operation
from voicegauge.emulator import (  # noqa: F401 - they declare the faults
    _job_faults,
    _response_faults,
    _socket_faults,
    _speech_faults,
)
from voicegauge.emulator._output import FAULTS as DECLARED_FAULTS
from voicegauge.emulator._output import (
    EmulatedCallback,
    EmulatedResponse,
    Fault,
    SkippableCheck,
    SocketFault,
    StreamPiece,
)
from voicegauge.emulator._provider_state import EmulatedJob
from voicegauge.emulator._request import ParsedRequest
from voicegauge.emulator._speech_synthesis import SpeechTiming, SynthesisRequest, read_speech_field
from voicegauge.errors import UnknownNameError

FAULTS: Mapping[str, Fault] = DECLARED_FAULTS
"""All faults, with their ids as keys."""


ChangeT = TypeVar("ChangeT")
"""A function of a fault that changes something, such as a response."""


# Injects the faults that the settings name.


@dataclass(frozen=True)
class _InjectedFault:
    """A fault, and where it applies."""

    fault: Fault
    provider_id: str | None = None
    """Id of the only provider with this fault; `None` if it applies to all providers."""
    target: Target | BaseSocketTarget | None = None
    """The only target with this fault; `None` if the fault is not limited to a target."""
    operation_id: str | None = None
    """Id of the only operation with this fault; `None` if the fault is not limited to an operation."""

    def applies_to(
        self, target: Target | BaseSocketTarget | None, request_operations: Sequence[Operation | None]
    ) -> bool:
        """Whether the fault applies to a request.

        A fault of one target applies to every request to the target's operations while `target` is `None`.

        Args:
            target: the target that the request addresses; `None` if it is not known yet.
            request_operations: the operation of the request and, if it is about a job, the operation that reports the
                job's status. `None` items are ignored.
        """
        here = [operation for operation in request_operations if operation is not None]
        if self.provider_id is not None:
            contracts = [operation.contract for operation in here] + ([target.contract] if target else [])
            if all(contract.id != self.provider_id for contract in contracts):
                return False
        if self.target is not None:
            own = (self.target.operation, self.target.job_operation)
            # Until the body is read, the target of a request is not known; some faults, such as a missing check of the
            # key, must apply before.
            return target is self.target if target is not None else any(o is mine for o in here for mine in own)
        return self.operation_id is None or any(operation.id == self.operation_id for operation in here)


class FaultInjector:
    """Applies the configured faults to requests, jobs and responses."""

    def __init__(
        self, fault_names: Sequence[str], contracts: Iterable[Contract], extra_faults: Sequence[Fault] = ()
    ) -> None:
        """Inject the named faults.

        Args:
            fault_names: names of faults, in the form that `EmulatorSettings.faults` documents.
            contracts: contracts of the emulated providers.
            extra_faults: faults that apply everywhere, in addition to the named ones.

        Raises:
            UnknownNameError: a name contains an unknown fault, provider, target or operation.
        """
        self.names = tuple(fault_names)
        by_id = {contract.id: contract for contract in contracts}
        self._injected = [_parse_fault_name(name, by_id) for name in self.names] + [
            _InjectedFault(fault) for fault in extra_faults
        ]

    def replace_faults(self, other_injector: FaultInjector) -> None:
        """Replace all faults by those of `other_injector`."""
        self.names, self._injected = other_injector.names, other_injector._injected

    def _find_applicable_faults(
        self, target: Target | BaseSocketTarget | None, *request_operations: Operation | None
    ) -> Iterator[Fault]:
        for injected in self._injected:
            if injected.applies_to(target, request_operations):
                yield injected.fault

    def _find_changes(
        self,
        get_change: Callable[[Fault], ChangeT | None],
        target: Target | BaseSocketTarget | None,
        *request_operations: Operation | None,
    ) -> Iterator[ChangeT]:
        """Yield what `get_change` returns for each fault that applies to a request, without `None`.

        See `_InjectedFault.applies_to` for `target` and `request_operations`, also for what `None` means.
        """
        for fault in self._find_applicable_faults(target, *request_operations):
            change = get_change(fault)
            if change is not None:
                yield change

    def list_socket_faults(self, target: BaseSocketTarget) -> list[SocketFault]:
        """Return the changes that faults make to the WebSockets of `target`, one for each fault that applies."""
        found = self._find_applicable_faults(target, target.operation)
        return [fault.socket for fault in found if fault.socket is not None and fault.applies_to_socket(target)]

    def change_response(self, response: EmulatedResponse) -> None:
        """Change `response`, which is not sent yet, by each fault that applies to its target and operation."""
        for change in self._find_changes(lambda fault: fault.change_response, response.target, response.operation):
            change(response)

    def change_stream_pieces(self, response: EmulatedResponse, pieces: list[StreamPiece]) -> list[StreamPiece]:
        """Return the pieces to stream instead of `pieces`. Chunks of plain audio are not changed."""
        target, operation = response.target, response.operation
        if response.stream_spec is None or operation is None:
            return pieces
        for change in self._find_changes(lambda fault: fault.change_stream_pieces, target, operation):
            pieces = change(operation, pieces)
        return pieces

    def change_job_states(self, job_spec: JobSpec, state_sequence: tuple[str, ...], target: Target) -> tuple[str, ...]:
        """Return the states that a job passes through instead of `state_sequence`."""
        operations = (target.operation, target.job_operation)
        for change in self._find_changes(lambda fault: fault.change_job_states, target, *operations):
            state_sequence = change(job_spec, state_sequence)
        return state_sequence

    def choose_reported_job(self, job: EmulatedJob, jobs: Iterable[EmulatedJob]) -> EmulatedJob:
        """Return the job that a poll of `job` reports: `job`, unless a fault chooses one of `jobs`, oldest first."""
        target = job.target
        for choose in self._find_changes(lambda fault: fault.choose_reported_job, target, target.job_operation):
            job = choose(job, tuple(jobs))
        return job

    def read_speech_field(self, request: ParsedRequest, target: Target, field: SpeechField) -> Any:
        """Return the value of a speech field, as `read_speech_field` does, unless a fault changes it."""
        value = read_speech_field(request, target, field)
        for change in self._find_changes(lambda fault: fault.change_speech_field, target, target.operation):
            value = change(request, target, field, value)
        return value

    def change_synthesis(self, synthesis: SynthesisRequest, target: Target) -> SynthesisRequest:
        """Return the synthesis to perform instead of `synthesis`, as the faults of `target` change it."""
        for change in self._find_changes(lambda fault: fault.change_synthesis, target, target.operation):
            synthesis = change(synthesis)
        return synthesis

    def change_speech_timings(self, timings: list[SpeechTiming], target: Target) -> list[SpeechTiming]:
        """Return the times of characters or words to send instead of `timings`."""
        for change in self._find_changes(lambda fault: fault.change_speech_timings, target, target.operation):
            timings = change(timings)
        return timings

    def change_charge(self, original_charge: float, target: BaseTarget) -> float:
        """Return the amount to charge instead of `original_charge`, in the same unit, as the faults of `target` say."""
        # A fault is limited to targets for speech; for any other target, its operation decides.
        speaking_target = target if isinstance(target, Target) else None
        for change in self._find_changes(lambda fault: fault.change_charge, speaking_target, target.operation):
            original_charge = change(original_charge)
        return original_charge

    def find_rejection_reason(self, request: ParsedRequest, request_count: int) -> str | None:
        """Return the reason why a fault rejects a request; `None` if no fault rejects it.

        `request_count` is the number of requests to the operation so far, including this one.
        """
        finders = self._find_changes(lambda fault: fault.find_rejection_reason, None, request.operation)
        return next(filter(None, (find(request, request_count) for find in finders)), None)

    def change_callbacks(
        self, callback: EmulatedCallback, target: Target | None, operation: Operation
    ) -> Iterable[EmulatedCallback]:
        """Return the callbacks to send instead of `callback`, as faults change it.

        `target` is that of the job, and `None` if the callback is about no job; `operation` sends the callback.
        """
        callbacks: Iterable[EmulatedCallback] = (callback,)
        for change in self._find_changes(lambda fault: fault.change_callbacks, target, operation):
            callbacks = list(itertools.chain.from_iterable(map(change, callbacks)))
        return callbacks

    def is_check_skipped(self, skippable_check: SkippableCheck, operation: Operation) -> bool:
        """Whether a fault makes the emulator leave out a check for requests to `operation`."""
        # Checks come before the target is known, so a fault of one target counts for its whole operation.
        return any(fault.skipped_check == skippable_check for fault in self._find_applicable_faults(None, operation))

    def sum_fault_delays_s(self, operation: Operation, target: Target | None) -> float:
        """Return the delay, in seconds, that faults add to a response; `target` is `None` if it is not known."""
        return sum(fault.response_delay_s for fault in self._find_applicable_faults(target, operation))


def validate_fault_names(fault_names: Iterable[str], contracts: Iterable[Contract]) -> None:
    """Reject names of faults that cannot be injected into the providers of `contracts`.

    Raises:
        UnknownNameError: a name contains an unknown fault, provider, target or operation.
    """
    by_id = {contract.id: contract for contract in contracts}
    for name in fault_names:
        _parse_fault_name(name, by_id)


def _parse_fault_name(fault_name: str, contracts: Mapping[str, Contract]) -> _InjectedFault:
    fault_id, _, where = fault_name.partition("@")
    if fault_id not in FAULTS:
        raise UnknownNameError("fault", fault_id, FAULTS, listing_command="voicegauge serve --fault list")
    provider, _, location = where.partition("/")
    if not provider:
        return _InjectedFault(FAULTS[fault_id])
    if provider not in contracts:
        raise UnknownNameError("provider", provider, contracts)
    contract = contracts[provider]
    targets: dict[str, Target | BaseSocketTarget] = {
        **contract.targets,
        **contract.socket_targets,
        **contract.transcription_socket_targets,
    }
    if not location or location in targets:
        return _InjectedFault(FAULTS[fault_id], provider, target=targets.get(location))
    operations = [*contract.operations, *contract.socket_operations]
    if location not in operations:
        raise UnknownNameError(f"{provider} target or operation", location, [*targets, *operations])
    return _InjectedFault(FAULTS[fault_id], provider, operation_id=location)


def explain_ineffective_faults(
    fault_names: Iterable[str], targets: Sequence[BaseTarget], *, is_check: bool = False
) -> Iterator[str]:
    """Yield a sentence about each fault that has no effect on `targets`, with the reason.

    If `is_check`, there is a sentence about each fault whose effect no rule finds, too.
    """
    for name in fault_names:
        fault, reached = _find_fault_and_its_targets(name, targets)
        if fault is None:
            continue
        if not any(_has_effect(fault, target) for target in reached):
            reason = _explain_missing_effect(fault, reached)
            yield f"the fault {fault.id} has no effect here: {fault.description} {reason}"
        elif is_check and fault.why_checks_miss_it is not None:
            yield f"no check finds the fault {fault.id}: {fault.description} {fault.why_checks_miss_it}"


def list_ineffective_faults(fault_names: Iterable[str], targets: Sequence[BaseTarget]) -> tuple[str, ...]:
    """Return the names of the faults that have no effect on `targets`, as far as their effect is known."""
    found = []
    for name in fault_names:
        fault, reached = _find_fault_and_its_targets(name, targets)
        if fault is not None and not any(_has_effect(fault, target) for target in reached):
            found.append(name)
    return tuple(found)


def _find_fault_and_its_targets(
    fault_name: str, targets: Sequence[BaseTarget]
) -> tuple[Fault | None, list[BaseTarget]]:
    """Return a fault and those of `targets` that its name includes; no fault if its effect on them is not known."""
    fault_id, _, place = fault_name.partition("@")
    reached = [target for target in targets if place in ("", target.contract.id, target.id)]
    is_known = bool(reached) and all(isinstance(target, Target | BaseSocketTarget) for target in reached)
    return FAULTS.get(fault_id) if is_known else None, reached


def _explain_missing_effect(fault: Fault, targets: Sequence[BaseTarget]) -> str:
    """Return why a fault has no effect on any of `targets`, and a bundled target on which it has one."""
    sockets = [one for one in targets if isinstance(one, BaseSocketTarget)]
    if fault.socket is not None and not sockets:
        reason = "It changes WebSockets, and no chosen target has one."
    elif fault.socket is None and len(sockets) == len(targets):
        reason = "It changes responses over HTTP, and every chosen target has a WebSocket."
    elif fault.socket is not None and not any(fault.socket.has_effect(one) for one in sockets):
        spoken = any(isinstance(one, SocketTarget) for one in sockets)
        changed, own = ("transcripts", "speaks") if spoken else ("speech", "transcribes")
        reason = f"It changes {changed} of WebSockets, and every chosen one {own}."
    else:
        reason = f"It is visible only where {fault.describe_condition()}."
    known = load_catalogue().select_targets((), with_sockets=True)
    example = next((one.id for one in known if _has_effect(fault, one)), None)
    return reason if example is None else f"{reason} It has one at {example}."


def _has_effect(fault: Fault, target: BaseTarget) -> bool:
    if isinstance(target, BaseSocketTarget):
        return fault.socket is not None and fault.socket.has_effect(target) and fault.applies_to_socket(target)
    return fault.socket is None and isinstance(target, Target) and fault.applies_to(target)
