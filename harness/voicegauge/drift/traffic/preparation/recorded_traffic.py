"""Interprets recordings with the help of a contract: finds the operations, conversations and job states."""

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
from voicegauge.recording import MASK, Recording, find_recordings, group_exchanges_by_conversation, load_har
from voicegauge.recording.replay import ComparableRequest, build_comparable_request


@dataclass(frozen=True, eq=False)
class RecordedExchange:
    """An exchange of a recording, with the operation of the contract that it belongs to."""

    contract: Contract = field(repr=False)
    file: str
    entry_index: int
    """Index of the exchange in the file, counted from 0."""
    exchange: Exchange = field(repr=False)
    operation: Operation | None = field(repr=False)
    """The operation of the exchange; `None` if the exchange is a download or the contract has no such operation."""
    json_body: Any = field(repr=False)
    """The parsed JSON body of the response; `MISSING` if the body is not JSON or cannot be parsed."""

    @property
    def status(self) -> int:
        """The HTTP status of the response."""
        return self.exchange.response.status

    @property
    def operation_id(self) -> str:
        """The id of the operation, even if the contract has no such operation; "(download)" for a download."""
        return self.exchange.operation

    @property
    def response_spec(self) -> ResponseSpec | None:
        """The documented response for the status; `None` if the contract documents none."""
        return self.operation.find_response(self.status) if self.operation else None

    @property
    def media_type(self) -> MediaType | None:
        """The most specific documented media type that matches the response (as in OpenAPI); `None` if none matches."""
        media_type = self.exchange.response.media_type
        documented = self.response_spec.media_types if self.response_spec else {}
        for name in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
            if name in documented:
                return documented[name]
        return None

    def find_position(self, exchange_part: str = "") -> FilePosition:
        """Return the position of the exchange, or of one part of it, in the HAR file: the file and a JSON pointer.

        Args:
            exchange_part: a JSON pointer that starts at the HAR entry of the exchange: "/response/headers" or
                "/response/content/text#/output_url". The text after "#" is a JSON pointer into the body. Empty for the
                exchange as a whole.
        """
        return FilePosition(file=self.file, pointer=f"/log/entries/{self.entry_index}{exchange_part}")

    def find_body_position(self, field_path: str) -> FilePosition:
        """Return the position in the HAR file of a value in the JSON body of the response.

        The pointer of the position leads from the top of the HAR file to the body and, after "#", into the body.

        Args:
            field_path: JSON pointer that starts at the top of the body, such as "/output_url".
        """
        return self.find_position(f"/response/content/text#{field_path}")

    @property
    def comparable_request(self) -> ComparableRequest:
        """The values by which the request is compared with others. They do not depend on how its body is encoded."""
        return build_comparable_request(self.contract, self.exchange.request, self.operation)

    def read_response_value(self, location: Location | None) -> Any:
        """Return the value at a location of the response; `MISSING` if there is no value or if it was redacted."""
        if location is None:
            return MISSING
        value = location.read_response(self.json_body, self.exchange.response.headers)
        return MISSING if isinstance(value, str) and MASK in value else value

    @property
    def job_spec(self) -> JobSpec | None:
        """The documented job that the exchange submits or polls; `None` if it does neither."""
        return self.operation.job or _find_submitted_job(self.operation) if self.operation else None

    @property
    def state_location(self) -> Location | None:
        """The location of the job state in the response; `None` if the response is an error or there is no job."""
        if self.operation is None or self.job_spec is None or self.status >= 300:
            return None
        return self.job_spec.state_location if self.operation.job else self.job_spec.submit_response.state_location

    @property
    def job_state(self) -> str | None:
        """The job state that the response reports; `None` if it reports no job state."""
        state = self.read_response_value(self.state_location)
        return state if isinstance(state, str) else None


def _find_submitted_job(operation: Operation) -> JobSpec | None:
    status_operation = operation.speech.response.status_operation_id if operation.speech else None
    return operation.contract.find_operation(status_operation).job if status_operation else None


@dataclass(frozen=True, eq=False)
class RecordedTraffic:
    """One or more recordings of one provider."""

    contract: Contract = field(repr=False)
    compared_input: ComparedInput
    exchanges: tuple[RecordedExchange, ...]
    conversations: tuple[tuple[RecordedExchange, ...], ...] = field(repr=False)
    """The exchanges of each conversation: a submit with its polls and its download, or any other exchange alone."""


def load_recordings(path: Path) -> list[tuple[str, Recording]]:
    """Load a recording, or all recordings in a folder, each with its path. The result has at least one recording.

    Raises:
        DataError: there is no recording, a file is not a recording of voicegauge, or providers differ between files.
    """
    loaded = [(str(file), load_har(file)) for file in find_recordings(path)]
    if not loaded:
        raise DataError(f"{path}: contains no recording (*.har)")
    providers = sorted({recording.provider for _, recording in loaded})
    if len(providers) > 1:
        raise DataError(f"{path}: contains recordings of {', '.join(providers)}: name the folder of one provider")
    return loaded


def interpret_recordings(
    contract: Contract, shown_path: str, recordings: Sequence[tuple[str, Recording]]
) -> RecordedTraffic:
    """Interpret recordings with the help of the contract of their provider.

    Args:
        contract: the contract of the provider.
        shown_path: the path that reports show.
        recordings: the recordings, each with its path.

    Raises:
        DataError: a recording was made with another provider.
    """
    exchanges: list[RecordedExchange] = []
    conversations: list[tuple[RecordedExchange, ...]] = []
    for file, recording in recordings:
        if recording.provider != contract.id:
            raise DataError(f"{file}: is a recording of {recording.provider}, not of {contract.id}")
        recorded_exchange = [
            _build_recorded_exchange(contract, file, entry_index, exchange)
            for entry_index, exchange in enumerate(recording.exchanges)
        ]
        by_exchange = {id(one.exchange): one for one in recorded_exchange}
        groups = group_exchanges_by_conversation(contract, recording.exchanges)
        conversations += [tuple(by_exchange[id(exchange)] for exchange in group) for group in groups]
        exchanges += recorded_exchange
    provenances = ", ".join(sorted({recording.provenance.value for _, recording in recordings}))
    title = f"{contract.provider.title}, {provenances}"
    compared_input = ComparedInput(
        file=shown_path, title=title, version=_format_recording_dates(recordings), provider=contract.id
    )
    return RecordedTraffic(contract, compared_input, tuple(exchanges), tuple(conversations))


def _format_recording_dates(recordings: Sequence[tuple[str, Recording]]) -> str:
    dates = sorted({recording.recorded_at[:10] for _, recording in recordings})
    return dates[0] if len(dates) == 1 else " to ".join((dates[0], dates[-1])) if dates else ""


def _build_recorded_exchange(contract: Contract, file: str, entry_index: int, exchange: Exchange) -> RecordedExchange:
    response = exchange.response
    body: Any = MISSING
    if is_json(response.media_type):
        try:
            body = read_json(response.body)
        except UnreadableBodyError:
            body = MISSING
    return RecordedExchange(contract, file, entry_index, exchange, contract.operations.get(exchange.operation), body)


def iterate_job_states(conversation: Sequence[RecordedExchange]) -> Iterator[tuple[RecordedExchange, str]]:
    """Yield the states of the job in a conversation, each with the first exchange that reports the state.

    Polls that report the same state as the exchange before are skipped.
    """
    last = None
    for recorded_exchange in conversation:
        state = recorded_exchange.job_state
        if state is not None and state != last:
            last = state
            yield recorded_exchange, state
