"""Recorded answers, given again to whoever asks the same: `Replay` holds no socket and no clock.

A poll moves on: each time the same job is asked for, the next state is shown, and the
last one stays. A job is over after half as many polls as were recorded, at the latest,
so a client may ask less often than the recorder did: repeated states are shown once,
and if more states than that are left, those in the middle are dropped evenly. An answered
submit starts its job anew. Nothing depends on the time of day.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from voicegauge.contract import MISSING, Contract, Operation
from voicegauge.errors import DataError
from voicegauge.formats import UnreadableBodyError, read_json
from voicegauge.model import Exchange, Request
from voicegauge.recording.har_file import Recording
from voicegauge.recording.redaction import Redactor, relative_path
from voicegauge.recording.replay.request_matching import RequestSignature, request_signature

_DIFFERENCES = 6
"""Shown of an unmatched request."""


@dataclass
class RecordedRequest:
    """A recorded request with the answers it gets, one after the other."""

    signature: RequestSignature
    group: str | None
    is_poll: bool
    answers: list[Exchange] = field(default_factory=list)
    given: int = 0
    """How often it was asked for since its job was submitted."""
    used: bool = False

    def next_exchange(self) -> Exchange:
        """The next answer; the last one stays."""
        self.used = True
        self.given += 1
        return self.answers[min(self.given, len(self.answers)) - 1]

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.signature.provider} {self.signature.operation}{f' ({self.group})' if self.group else ''}"


class Replay:
    """Answers requests from recordings."""

    def __init__(self, recordings: Iterable[Recording], contracts: Iterable[Contract]) -> None:
        """Take everything that is recorded.

        Args:
            recordings: of any provenance, imported ones too.
            contracts: of their providers.

        Raises:
            DataError: a recording is of a provider without a contract, or none was given.
        """
        self.contracts = {contract.id: contract for contract in contracts}
        self._interactions: dict[str, list[RecordedRequest]] = {}
        self._redactors = {name: Redactor(contract) for name, contract in self.contracts.items()}
        self._turns: dict[str | None, int] = {}
        self._order = itertools.count(1)
        self.unmatched: list[str] = []
        """What was asked for and is not recorded, in words, with the nearest that is."""
        for recording in recordings:
            self._take(recording)
        if not self._interactions:
            raise DataError("there is nothing to replay: no recording holds an exchange")
        for interaction in self.recorded_requests:
            operation = self._operation(interaction.signature)
            if interaction.is_poll and operation is not None:
                interaction.answers = select_poll_states(operation, interaction.answers)

    def _take(self, recording: Recording) -> None:
        contract = self.contracts.get(recording.provider)
        if contract is None:
            known = ", ".join(self.contracts) or "none"
            raise DataError(f"a recording is of {recording.provider!r}, which has no contract; known: {known}")
        for exchange in recording.exchanges:
            operation = contract.operations.get(exchange.operation)
            signature = request_signature(contract, self._redactors[contract.id].request(exchange.request), operation)
            self._file(signature, operation, exchange)

    def _file(self, signature: RequestSignature, operation: Operation | None, exchange: Exchange) -> None:
        """Polls of each job are of their own; any other request that is asked again gets its next answer."""
        known = self._interactions.setdefault(signature.provider, [])
        is_poll = operation is not None and operation.job is not None
        for interaction in known:
            if interaction.signature == signature and (not is_poll or interaction.group == exchange.group):
                interaction.answers.append(exchange)
                return
        known.append(RecordedRequest(signature, exchange.group, is_poll, [exchange]))

    @property
    def recorded_requests(self) -> list[RecordedRequest]:
        """All of them, in the order of the recordings."""
        return list(itertools.chain.from_iterable(self._interactions.values()))

    @property
    def unused(self) -> list[str]:
        """Recorded requests that nobody has asked for."""
        return [interaction.name for interaction in self.recorded_requests if not interaction.used]

    def next_exchange(self, provider: str, request: Request, path: str | None = None) -> Exchange | None:
        """The recorded exchange that answers `request`; `None` where none does, and `unmatched` says why.

        Args:
            provider: whose request it is.
            request: its keys and signatures are not looked at.
            path: below the provider's base URL, where that is not one of the contract's servers.
        """
        contract = self.contracts[provider]
        signature = self._ask(contract, request, path)
        fitting = self._fitting(signature)
        if not fitting:  # a body that is no JSON and no form fits only as it was recorded: masked
            signature = self._ask(contract, self._redactors[provider].request(request), path)
            fitting = self._fitting(signature)
        if not fitting:
            self.unmatched.append(self._nearest(signature, request))
            return None
        # Two jobs may bear one id, if they were recorded on different days: the one submitted last is meant.
        interaction = max(fitting, key=lambda one: self._turns.get(one.group, 0))
        exchange = interaction.next_exchange()
        operation = self._operation(signature)
        if operation is not None and operation.speech is not None:
            self._begin(exchange.group)
        return exchange

    @staticmethod
    def _ask(contract: Contract, request: Request, path: str | None) -> RequestSignature:
        path = path if path is not None else relative_path(contract, request.url)
        match = contract.match(request.method, path) if path is not None else None
        return request_signature(contract, request, match[0] if match else None, path)

    def _fitting(self, signature: RequestSignature) -> list[RecordedRequest]:
        return [one for one in self._interactions.get(signature.provider, []) if signature.matches(one.signature)]

    def _operation(self, signature: RequestSignature) -> Operation | None:
        return self.contracts[signature.provider].operations.get(signature.operation)

    def _begin(self, group: str | None) -> None:
        """A job was submitted: its polls begin with its first state."""
        if group is None:
            return
        self._turns[group] = next(self._order)
        for interaction in self.recorded_requests:
            if interaction.group == group and interaction.is_poll:
                interaction.given = 0

    def _nearest(self, signature: RequestSignature, request: Request) -> str:
        """Why nothing fits: the recorded request that differs least, and in what."""
        sent = f"{signature.operation}: {request.method} {_shown(request)}"
        head = f"no recorded request of {signature.provider} is this {sent}"
        others = self._interactions.get(signature.provider, [])
        if not others:
            return f"{head}; nothing is recorded of {signature.provider}"
        near = min(others, key=lambda one: _distance(signature, one.signature))
        differences = signature.differences(near.signature)
        more = [f"... and {len(differences) - _DIFFERENCES} more"] if len(differences) > _DIFFERENCES else []
        lines = [*differences[:_DIFFERENCES], *more]
        return "\n  ".join([head, f"the nearest recorded is {near.name}, which differs:", *lines])


def _shown(request: Request) -> str:
    """The path alone: a query may hold what nobody should read in a log."""
    return urlsplit(request.url).path


def _distance(signature: RequestSignature, recorded: RequestSignature) -> tuple[bool, int]:
    return signature.operation != recorded.operation, len(signature.differences(recorded))


def select_poll_states(operation: Operation, polls: Sequence[Exchange]) -> list[Exchange]:
    """The polls of one job as they are shown again: each state once, the end after half of the polls.

    Returns:
        At most `ceil(len(polls) / 2)` of `polls` in their order, the last state always among them.
    """
    states = [next(run) for _, run in itertools.groupby(polls, key=lambda poll: _state(operation, poll))]
    most = max(1, math.ceil(len(polls) / 2))
    if len(states) <= most:
        return states
    return [states[math.ceil(turn * len(states) / most) - 1] for turn in range(1, most + 1)]


def _state(operation: Operation, poll: Exchange) -> tuple[int, str]:
    """The status code with the state that the answer tells; the whole body where it tells none."""
    assert operation.job is not None
    place = operation.job.state
    told: object = poll.response.header(place.name) if place.kind == "header" else MISSING
    if place.kind == "body":
        try:
            told = place.read_body(read_json(poll.response.body))
        except UnreadableBodyError:
            told = MISSING
    body = poll.response.body.decode("latin-1")
    return poll.response.status, told if isinstance(told, str) else body
