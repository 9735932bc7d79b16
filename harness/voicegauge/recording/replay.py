"""Selects the recorded response for a request, without sockets and clocks.

Each poll of a job returns the next recorded state of the job; the last state repeats. A client may poll less often than
the client that was recorded. Therefore a job ends after at most half as many polls as were recorded: consecutive equal
states are merged, and if still more than half are left, some are dropped at even intervals. A replayed submit restarts
its job.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from voicegauge.contract.contract import Contract, Operation
from voicegauge.errors import DataError
from voicegauge.formats.bodies import UnreadableBodyError, read_json
from voicegauge.formats.locations import MISSING
from voicegauge.model.exchange import Exchange, Request
from voicegauge.recording.conversations import Recording
from voicegauge.recording.redaction import Redactor
from voicegauge.recording.request_matching import (
    ComparableRequest,
    RecordedRequest,
    RequestIndex,
    build_comparable_request,
)
from voicegauge.recording.url_rewriting import find_relative_path

_MAX_DIFFERENCES_SHOWN = 6


class Replay:
    """Responds to requests with recorded exchanges."""

    def __init__(self, recordings: Iterable[Recording], contracts: Iterable[Contract]) -> None:
        """Index all recorded requests.

        Args:
            recordings: the recordings to replay, of any provenance.
            contracts: the contracts of the providers in `recordings`.

        Raises:
            DataError: a provider has no contract, or no recording contains an exchange.
        """
        self.contracts = {contract.id: contract for contract in contracts}
        self._indexes: dict[str, RequestIndex] = {}
        self._redactors = {name: Redactor(contract) for name, contract in self.contracts.items()}
        self._lenient_redactors = {
            name: Redactor(contract, keeps_undocumented=True) for name, contract in self.contracts.items()
        }
        self._submit_numbers: dict[str | None, int] = {}
        self._counter = itertools.count(1)
        self.unmatched_request_descriptions: list[str] = []
        """A description of each request that was not recorded, with the nearest recorded one."""
        for recording in recordings:
            self._add_recording(recording)
        if not self._indexes:
            raise DataError("there is nothing to replay: the recordings contain no exchange")
        for recorded in self.recorded_requests:
            operation = self._find_operation(recorded.comparable_request)
            if recorded.is_poll and operation is not None:
                recorded.exchanges = select_polls_to_replay(operation, recorded.exchanges)

    def _add_recording(self, recording: Recording) -> None:
        contract = self.contracts.get(recording.provider)
        if contract is None:
            known = ", ".join(self.contracts) or "none"
            raise DataError(f"a recording is of {recording.provider!r}, which has no contract; known: {known}")
        for exchange in recording.exchanges:
            operation = contract.operations.get(exchange.operation)
            request = self._lenient_redactors[contract.id].mask_request(exchange.request, operation)
            comparable_request = build_comparable_request(contract, request, operation)
            is_poll = operation is not None and operation.job is not None
            self._indexes.setdefault(contract.id, RequestIndex()).add_exchange(
                comparable_request, exchange, is_poll=is_poll
            )

    @property
    def recorded_requests(self) -> list[RecordedRequest]:
        """All recorded requests, in the order of the recordings."""
        return list(itertools.chain.from_iterable(self._indexes.values()))

    @property
    def unused_request_names(self) -> list[str]:
        """Names of the recorded requests that were never replayed."""
        return [recorded.name for recorded in self.recorded_requests if not recorded.was_replayed]

    def replay_next_exchange(
        self, provider_id: str, request: Request, relative_path: str | None = None
    ) -> Exchange | None:
        """Return the next recorded exchange for `request`; `None` if none matches.

        If none matches, a description of `request` and of its differences from the recorded requests is added to
        `unmatched_request_descriptions`.

        Args:
            provider_id: id of the provider's contract.
            request: the request to match. Keys and signatures in it are ignored.
            relative_path: path of the request relative to the base URL. If `None`, it is derived from the URL of
                `request` and the contract's servers.
        """
        contract = self.contracts[provider_id]
        path = relative_path if relative_path is not None else find_relative_path(contract, request.url)
        match = contract.match_operation(request.method, path) if path is not None else None
        operation = match[0] if match else None
        comparable_request = build_comparable_request(contract, request, operation, path)
        matching = self._find_matching_requests(comparable_request)
        if not matching:
            # What a recording masks as a whole, such as a number that is not documented, must be masked here too.
            masked = self._redactors[provider_id].mask_request(request, operation)
            matching = self._find_matching_requests(build_comparable_request(contract, masked, operation, path))
        if not matching:
            shown = self._lenient_redactors[provider_id].mask_request(request, operation)
            comparable_request = build_comparable_request(contract, shown, operation, path)
            self.unmatched_request_descriptions.append(self._describe_nearest_request(comparable_request, request))
            return None
        # Jobs that were recorded on different days may have the same id, so the job that was submitted last is chosen.
        recorded = max(matching, key=lambda one: self._submit_numbers.get(one.conversation_id, 0))
        exchange = recorded.replay_next_exchange()
        if operation is not None and operation.speech is not None:
            self._restart_job(comparable_request, exchange.conversation_id)
        return exchange

    def _find_matching_requests(self, comparable_request: ComparableRequest) -> list[RecordedRequest]:
        return self._get_request_index(comparable_request).find_requests(comparable_request)

    def _get_request_index(self, comparable_request: ComparableRequest) -> RequestIndex:
        return self._indexes.get(comparable_request.provider, RequestIndex())

    def _find_operation(self, comparable_request: ComparableRequest) -> Operation | None:
        return self.contracts[comparable_request.provider].operations.get(comparable_request.operation_id)

    def _restart_job(self, comparable_request: ComparableRequest, conversation_id: str | None) -> None:
        """Make the polls in a conversation start with the first state again, because its job was submitted again.

        Args:
            comparable_request: the request that submitted the job.
            conversation_id: the conversation of the job; `None` if the request is alone in its conversation.
        """
        if conversation_id is None:
            return
        self._submit_numbers[conversation_id] = next(self._counter)
        for recorded in self._get_request_index(comparable_request).list_polls(conversation_id):
            recorded.replay_count = 0

    def _describe_nearest_request(self, comparable_request: ComparableRequest, request: Request) -> str:
        """Describe an unmatched request and its differences from the most similar recorded request."""
        # Without the query, because it may contain a key.
        sent = f"{comparable_request.operation_id}: {request.method} {urlsplit(request.url).path}"
        headline = f"no recorded request of {comparable_request.provider} matches {sent}"
        others = list(self._get_request_index(comparable_request))
        if not others:
            return f"{headline}; nothing is recorded of {comparable_request.provider}"
        nearest = min(others, key=lambda one: _build_difference_sort_key(comparable_request, one.comparable_request))
        differences = comparable_request.describe_differences(nearest.comparable_request)
        omitted = len(differences) - _MAX_DIFFERENCES_SHOWN
        more = [f"... and {omitted} more"] if omitted > 0 else []
        lines = [*differences[:_MAX_DIFFERENCES_SHOWN], *more]
        return "\n  ".join([headline, f"the nearest recorded one is {nearest.name}, which differs in:", *lines])


def _build_difference_sort_key(
    comparable_request: ComparableRequest, recorded_request: ComparableRequest
) -> tuple[bool, int]:
    return comparable_request.operation_id != recorded_request.operation_id, len(
        comparable_request.describe_differences(recorded_request)
    )


def select_polls_to_replay(status_operation: Operation, polls: Sequence[Exchange]) -> list[Exchange]:
    """Select the polls of a job that are replayed: one for each series of equal states, and at most half of all.

    Returns:
        At most `ceil(len(polls) / 2)` of `polls`, in their order. The last state is always included.
    """
    states = [
        next(run) for _, run in itertools.groupby(polls, key=lambda poll: _read_poll_state(status_operation, poll))
    ]
    limit = max(1, math.ceil(len(polls) / 2))
    if len(states) <= limit:
        return states
    return [states[math.ceil(number * len(states) / limit) - 1] for number in range(1, limit + 1)]


def _read_poll_state(status_operation: Operation, poll: Exchange) -> tuple[int, str]:
    """Return the status code and the job state of a response. If it contains no state, its body counts as the state."""
    assert status_operation.job is not None
    location = status_operation.job.state_location
    state: object = poll.response.find_header(location.name) if location.message_part == "header" else MISSING
    if location.message_part == "body":
        try:
            state = location.read_body(read_json(poll.response.body))
        except UnreadableBodyError:
            state = MISSING
    body = poll.response.body.decode("latin-1")
    return poll.response.status, state if isinstance(state, str) else body
