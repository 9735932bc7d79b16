"""Faults of job states, charges and audio."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from mutation.mutant import Mutant, response_fault
from voicegauge.cases.delivery_cases import plan_related_deliveries
from voicegauge.cases.valid_requests import build_valid_speech_request
from voicegauge.contract.contract import Target
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.operation import Operation
from voicegauge.emulator._output import EmulatedResponse, Fault
from voicegauge.emulator._provider_state import find_shortest_state_sequence
from voicegauge.emulator._speech_faults import change_audio_bytes, is_body_audio
from voicegauge.emulator._speech_synthesis import SynthesisRequest
from voicegauge.emulator.fault_injection import FAULTS
from voicegauge.formats.locations import Location, read_pointer, write_value_at_pointer

UNKNOWN = "paused-by-mutation"
TRANSITION_RULES = frozenset({"job-transition-illegal", "job-terminal-changed"})
TERMINAL_RULES = frozenset({"job-terminal-changed"})
AUDIO_RULES = frozenset(
    {"audio-truncated", "audio-length", "audio-undecodable", "audio-not-audio", "audio-missing", "empty-body"}
)
FORMAT_RULES = frozenset({"audio-format", "audio-media-type"})

PARAMETER_FAULTS = {
    "speed-ignored": frozenset({"speed-ignored"}),
    "voice-ignored": frozenset({"voice-ignored"}),
    "language-ignored": frozenset({"language-ignored"}),
    "seed-ignored": frozenset({"seed-ignored"}),
    "format-changes-text": frozenset({"format-changes-speech"}),
    "default-format-changed": frozenset({"audio-format"}),
    "long-text-cut": frozenset({"long-text-cut"}),
}
"""Suitable rules by the built-in fault."""


def job_mutants(operation: Operation) -> Iterator[Mutant]:
    """Iterate over the faults of the job states of a status operation."""
    job = operation.job
    if job is None:
        return
    path = find_shortest_state_sequence(job)
    for kind, description, rules, states in _paths(job, path):
        yield Mutant(
            kind=kind,
            id=f"{operation.contract.id}/{operation.id}: {description} ({' > '.join(states)})",
            operation=operation.id,
            rules=rules,
            contract=operation.contract,
            faults=(Fault(id="mutant", description=description, change_job_states=_follow(operation, states)),),
        )


def _follow(operation: Operation, states: tuple[str, ...]) -> Callable[[JobSpec, tuple[str, ...]], tuple[str, ...]]:
    def path(spec: JobSpec, planned: tuple[str, ...]) -> tuple[str, ...]:
        return states if spec is operation.job else planned

    return path


FaultyPath = tuple[str, str, frozenset[str], tuple[str, ...]]
"""Class of fault, description, suitable rules, and the states that a job passes through."""


def _paths(job: JobSpec, path: tuple[str, ...]) -> Iterator[FaultyPath]:
    ends = [name for name, state in job.states.items() if state.terminal_outcome is not None]
    for index in range(1, len(path)):
        stuck = path[:index]
        yield "transition removed", f"{path[index - 1]} leads nowhere", frozenset({"job-stuck"}), stuck
        unknown = (*path[:index], UNKNOWN, *path[index:])
        yield "transition added", f"an unknown state after {path[index - 1]}", frozenset({"job-state-unknown"}), unknown
    for index in range(1, len(path) - 1):
        before, after = path[index - 1], path[index]
        if before not in _reached(job, after):
            back = (*path[: index + 1], before, *path[index:])
            yield "transition reversed", f"{after} leads back to {before}", TRANSITION_RULES, back
            again = (*path[: index + 1], *path[: index + 1], *path[index:])
            yield "transition repeated", f"everything up to {after} twice", TRANSITION_RULES, again
    for end in ends:
        way = find_shortest_state_sequence(job, end)
        for other in job.states:
            if other != end:
                kind = "terminal flip" if other in ends else "transition added"
                yield kind, f"{end} leads to {other}", TERMINAL_RULES, (*way, other)


def _reached(job: JobSpec, start: str) -> set[str]:
    found, left = set(), [start]
    while left:
        for name in job.states[left.pop()].successor_names:
            if name not in found:
                found.add(name)
                left.append(name)
    return found


# Charges


def charge_mutants(target: Target) -> Iterator[Mutant]:
    """Iterate over wrong charges, for targets whose responses report the charge."""
    job = target.job_operation.job if target.job_operation else None
    charged = target.response.charge_location or (job.charge_location if job is not None else None)
    if charged is None or target.pricing is None:
        return
    changes: dict[str, Callable[[float], float]] = {
        "twice the price": lambda amount: amount * 2,
        "one more": lambda amount: amount + 1,
        "a tenth less": lambda amount: amount * 0.9,
        "nothing": lambda _amount: 0.0,
        "ten times the price": lambda amount: amount * 10,
    }
    for description, change in changes.items():
        yield _of_target(target, "charge changed", f"charges {description}", {"charge-wrong"}, charge=change)
    if job is not None and job.charge_location is not None and target.job_operation is not None:
        place, operation = job.charge_location, target.job_operation.id
        yield _of_target(
            target,
            "charge changed",
            "charges more when polled again",
            {"charge-wrong"},
            reply=_charge_more_per_poll(place, operation),
        )


def _charge_more_per_poll(place: Location, operation: str) -> Callable[[EmulatedResponse], None]:
    pointer_tokens = place.pointer_tokens

    def apply(reply: EmulatedResponse) -> None:
        if (
            reply.operation is not None
            and reply.operation.id == operation
            and reply.is_body_text_or_json
            and reply.status < 300
        ):
            amount = read_pointer(reply.body, pointer_tokens)
            if isinstance(amount, int | float):
                reply.body = write_value_at_pointer(reply.body, pointer_tokens, amount + 7)

    return apply


# Audio


def audio_mutants(target: Target) -> Iterator[Mutant]:
    """Iterate over audio faults: truncated, silent, in another format, or not audio."""
    for share in (0.1, 0.5, 0.8):
        yield _of_target(target, "audio truncated", f"{share:.0%} of the file", AUDIO_RULES, reply=_cut(share))
    yield _of_target(target, "audio silenced", "digital silence", {"audio-silent"}, speech=_changed(is_silent=True))
    for name in ("wav", "flac", "ogg", "mp3"):
        description = f"always {name}"
        place = target.job_operation.job.audio if target.job_operation and target.job_operation.job else None
        place = place or target.response.audio
        if place is not None and name != (place.format or target.target_spec.emulation.default_format or "wav"):
            yield _of_target(target, "audio re-encoded", description, FORMAT_RULES, speech=_changed(audio_format=name))
    is_stream = target.operation.stream is not None
    unread = {"stream-unreadable", "stream-event-unknown", "stream-audio-missing"} if is_stream else set()
    for description, data, rules in (
        ("an HTML page", b"<!doctype html><html>Bad Gateway</html>", {"audio-not-audio"}),
        ("JSON", b'{"error": "not found"}', {"audio-not-audio"}),
        ("nothing", b"", {"audio-missing", "empty-body"}),
        ("noise", bytes(range(256)) * 40, {"audio-undecodable", "audio-length", "audio-silent", "audio-format"}),
    ):
        yield _of_target(target, "audio replaced", f"{description} for audio", rules | unread, reply=_replaced(data))
    words = "A much longer text than the requested one. " * 20
    yield _of_target(target, "audio replaced", "another text", {"audio-length"}, speech=_changed(text=words))


def parameter_mutants(target: Target) -> Iterator[Mutant]:
    """Iterate over faults that only two requests show: parameters without effect, and long texts cut off."""
    if target.operation.batch is not None:
        return  # the emulator speaks the items of a batch as those of their own target, whose faults are derived above
    compared = {
        related.compared_parameter for related in plan_related_deliveries(target, build_valid_speech_request(target))
    }
    for fault, rules in PARAMETER_FAULTS.items():
        # Without a second documented voice, or a range of speeds, nobody who reads the contract alone can tell that
        # they are ignored.
        parameter = fault.removesuffix("-ignored")
        if FAULTS[fault].applies_to(target) and (parameter not in ("voice", "speed") or parameter in compared):
            yield Mutant(
                kind="parameter ignored",
                id=f"{target.id}: {fault}",
                operation=target.operation.id,
                target=target.name,
                rules=rules,
                contract=target.contract,
                emulator_faults=(f"{fault}@{target.id}",),
            )


def _changed(**changes: object) -> Callable[[SynthesisRequest], SynthesisRequest]:
    return lambda wanted: msgspec.structs.replace(wanted, **changes)


def _cut(share: float) -> Callable[[EmulatedResponse], None]:
    return lambda reply: change_audio_bytes(reply, lambda data: data[: int(len(data) * share)])


def _replaced(data: bytes) -> Callable[[EmulatedResponse], None]:
    def apply(reply: EmulatedResponse) -> None:
        if is_body_audio(reply):
            reply.replacement_body_bytes = data
        else:
            change_audio_bytes(reply, lambda _data: data)

    return apply


def _of_target(
    target: Target,
    kind: str,
    description: str,
    rules: set[str] | frozenset[str],
    *,
    reply: Callable[[EmulatedResponse], None] | None = None,
    speech: Callable[[SynthesisRequest], SynthesisRequest] | None = None,
    charge: Callable[[float], float] | None = None,
) -> Mutant:
    fault = (
        response_fault(description, reply)
        if reply
        else Fault(id="mutant", description=description, change_synthesis=speech, change_charge=charge)
    )
    return Mutant(
        kind=kind,
        id=f"{target.id}: {description}",
        operation=target.operation.id,
        target=target.name,
        rules=frozenset(rules),
        contract=target.contract,
        faults=(fault,),
    )
