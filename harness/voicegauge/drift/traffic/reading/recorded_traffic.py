"""Recordings read by their contract: answers as values, jobs as sequences of states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voicegauge.contract import MISSING, Contract, MediaType, Operation, ResponseSpec
from voicegauge.contract.extension import JobSpec
from voicegauge.drift.report import ComparedInput, FilePosition
from voicegauge.errors import DataError
from voicegauge.formats import Location, UnreadableBodyError, is_json, read_json
from voicegauge.model import Exchange
from voicegauge.recording import MASK, Recording, find_recordings, group_exchanges, load_har
from voicegauge.recording.replay import RequestSignature, request_signature


@dataclass(frozen=True, eq=False)
class ObservedExchange:
    """One exchange of a recording."""

    contract: Contract = field(repr=False)
    file: str
    number: int
    """Its place in the file, counted from 0."""
    exchange: Exchange = field(repr=False)
    operation: Operation | None = field(repr=False)
    """`None` for a download, and for an operation that the contract does not have."""
    value: Any = field(repr=False)
    """The answer's JSON; `MISSING` where it has none that can be read."""

    @property
    def status(self) -> int:
        """The answer's status."""
        return self.exchange.response.status

    @property
    def name(self) -> str:
        """The operation's id, or what stands for it."""
        return self.exchange.operation

    @property
    def spec(self) -> ResponseSpec | None:
        """The documented response, where there is one."""
        return self.operation.response(self.status) if self.operation else None

    @property
    def media(self) -> MediaType | None:
        """The documented body of this answer's media type: itself, its family, or any."""
        media_type = self.exchange.response.media_type
        documented = self.spec.media if self.spec else {}
        for name in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
            if name in documented:
                return documented[name]
        return None

    def position(self, part: str = "") -> FilePosition:
        """Where it stands, or a part of it: "/response/headers", "/response/content/text#/output_url".

        What follows the hash is a pointer into the JSON that a body holds as text.
        """
        return FilePosition(file=self.file, pointer=f"/log/entries/{self.number}{part}")

    def body_position(self, path: str) -> FilePosition:
        """Where a part of the answer's JSON stands."""
        return self.position(f"/response/content/text#{path}")

    @property
    def asked(self) -> RequestSignature:
        """What the request asks for."""
        return request_signature(self.contract, self.exchange.request, self.operation)

    def read(self, location: Location | None) -> Any:
        """The value of the answer at a place; `MISSING` where nothing is or it was masked."""
        if location is None:
            return MISSING
        found = location.read_response(self.value, self.exchange.response.headers)
        return MISSING if isinstance(found, str) and MASK in found else found

    @property
    def job(self) -> JobSpec | None:
        """The job that this answer begins or tells of."""
        return self.operation.job or _submitted(self.operation) if self.operation else None

    @property
    def state_place(self) -> Location | None:
        """Where the answer says the job's state."""
        if self.operation is None or self.job is None or self.status >= 300:
            return None
        return self.job.state if self.operation.job else self.job.submit.state

    @property
    def state(self) -> str | None:
        """The job's state, where the answer tells one."""
        found = self.read(self.state_place)
        return found if isinstance(found, str) else None


def _submitted(operation: Operation) -> JobSpec | None:
    status = operation.speech.answer.job if operation.speech else None
    return operation.contract.operation(status).job if status else None


@dataclass(frozen=True, eq=False)
class RecordedTraffic:
    """All recordings of one side."""

    contract: Contract = field(repr=False)
    side: ComparedInput
    seen: tuple[ObservedExchange, ...]
    conversations: tuple[tuple[ObservedExchange, ...], ...] = field(repr=False)


def load_recordings(path: Path) -> list[tuple[str, Recording]]:
    """The recordings of a file or a folder, with their files; at least one.

    Raises:
        DataError: there is none, one is no recording of voicegauge, or they are of several providers.
    """
    loaded = [(str(file), load_har(file)) for file in (find_recordings(path) if path.is_dir() else [path])]
    if not loaded:
        raise DataError(f"{path}: holds no recording (*.har)")
    providers = sorted({recording.provider for _, recording in loaded})
    if len(providers) > 1:
        raise DataError(f"{path}: holds recordings of {', '.join(providers)}: name one provider's folder")
    return loaded


def read_traffic(contract: Contract, path: str, recordings: Sequence[tuple[str, Recording]]) -> RecordedTraffic:
    """`recordings`, given with their files, as traffic with `contract`; `path` is what the report calls them.

    Raises:
        DataError: a recording is of another provider.
    """
    seen: list[ObservedExchange] = []
    together: list[tuple[ObservedExchange, ...]] = []
    for file, recording in recordings:
        if recording.provider != contract.id:
            raise DataError(f"{file}: is a recording of {recording.provider}, not of {contract.id}")
        here = [_seen(contract, file, number, exchange) for number, exchange in enumerate(recording.exchanges)]
        by_exchange = {id(one.exchange): one for one in here}
        found = group_exchanges(contract, recording.exchanges)
        together += [tuple(by_exchange[id(exchange)] for exchange in conversation) for conversation in found]
        seen += here
    times = sorted({recording.recorded_at[:10] for _, recording in recordings})
    version = times[0] if len(times) == 1 else " to ".join((times[0], times[-1])) if times else ""
    kinds = ", ".join(sorted({recording.provenance.value for _, recording in recordings}))
    side = ComparedInput(file=path, title=f"{contract.provider.title}, {kinds}", version=version)
    return RecordedTraffic(contract, side, tuple(seen), tuple(together))


def _seen(contract: Contract, file: str, number: int, exchange: Exchange) -> ObservedExchange:
    response = exchange.response
    value: Any = MISSING
    if is_json(response.media_type):
        try:
            value = read_json(response.body)
        except UnreadableBodyError:
            value = MISSING
    return ObservedExchange(contract, file, number, exchange, contract.operations.get(exchange.operation), value)


def job_states(conversation: Sequence[ObservedExchange]) -> Iterator[tuple[ObservedExchange, str]]:
    """Each state of the job that a conversation shows, with the answer that showed it first; repeats are one."""
    last = None
    for seen in conversation:
        state = seen.state
        if state is not None and state != last:
            last = state
            yield seen, state
