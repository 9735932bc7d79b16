"""Finds the calls of a recording that belong together, and says why a call addresses no target of the contract."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from voicegauge.contract.operation import Operation
from voicegauge.formats.json_text import quote_json
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.exchange import Exchange
from voicegauge.rules.call import Call

MAX_QUOTED_VALUE_CHARACTERS = 60
"""Maximum length of a request value that is quoted in the reason why the request addresses no target."""
_URL_SEPARATOR_PATTERN = re.compile(r"[/?&=#]")


class UnmatchedCallReason(NamedTuple):
    """Why a call is not about a target of the contract."""

    call_noun: str
    """The noun for the call in a message: "submit" or "request"."""
    explanation: str
    """A phrase that follows the noun, such as "for a job of no target"."""


_REASON_JOB_OF_NO_TARGET = UnmatchedCallReason("request", "for a job of no target")
_REASON_UNDOCUMENTED_PATH = UnmatchedCallReason("request", "with a path that the contract does not describe")


class ExchangeLookup:
    """Finds the calls of a recording by the ids in their URLs, and the downloads by path."""

    def __init__(self, calls: Sequence[Call], exchanges: Sequence[Exchange]) -> None:
        self.downloads: dict[str, Exchange] = {}
        """The first successful exchange of each path. Only paths are compared, because recordings contain the
        contract's servers and signatures in queries are masked."""
        for exchange in exchanges:
            if exchange.response.status == 200:
                self.downloads.setdefault(urlsplit(exchange.request.url).path, exchange)
        self._calls: dict[tuple[str, str | None, str], list[Call]] = defaultdict(list)
        self._operations = {call.operation.id: call.operation for call in calls}
        for call in calls:
            for part in set(_URL_SEPARATOR_PATTERN.split(unquote(call.exchange.request.url))):
                self._calls[call.operation.id, call.exchange.conversation_id, part].append(call)

    def find_polls(self, status_operation: Operation, submit_call: Call, job_id: object) -> list[Call]:
        """Return the calls of `status_operation` for the job of `submit_call`, in their order."""
        # A job id may itself be a path or a URL; its last part tells it apart from other jobs.
        parts = _URL_SEPARATOR_PATTERN.split(job_id) if isinstance(job_id, str) else []
        found = (
            self._calls.get((status_operation.id, submit_call.exchange.conversation_id, parts[-1]), []) if parts else []
        )
        return [call for call in found if str(job_id) in unquote(call.exchange.request.url)]

    def find_calls_for_job(self, submit_call: Call, job_id: object) -> list[Call]:
        """Return the calls of all operations for the job of `submit_call`."""
        return [
            call for operation in self._operations.values() for call in self.find_polls(operation, submit_call, job_id)
        ]


def find_unmatched_calls(
    calls: Sequence[Call], exchange_lookup: ExchangeLookup, case_ids: Collection[str]
) -> dict[int, UnmatchedCallReason]:
    """Return the reason for each call that is not about a target of the contract, by `id(call)`.

    A provider may have other models behind the same paths, such as models for images. Their requests, jobs and
    responses differ, and the contract does not describe them. Calls that were recorded for planned cases are always
    about a target.

    Args:
        calls: all calls of one recording.
        exchange_lookup: the index of the calls.
        case_ids: ids of the planned cases.
    """
    strangers = [call for call in calls if call.exchange.conversation_id not in case_ids]
    job_has_target: dict[int, bool] = {}
    for submit in strangers:
        if submit.operation.speech is not None and submit.is_accepted:
            for call in _iterate_later_calls_for_job(submit, exchange_lookup):
                job_has_target[id(call)] = job_has_target.get(id(call), True) and submit.target is not None
    reasons = {
        id(call): explain_unmatched_call(call, job_has_target=job_has_target.get(id(call))) for call in strangers
    }
    return {number: reason for number, reason in reasons.items() if reason is not None}


def explain_unmatched_call(call: Call, *, job_has_target: bool | None) -> UnmatchedCallReason | None:
    """Return why a call that was not recorded for a case is not about a target; `None` if it may be about one.

    Args:
        call: the call.
        job_has_target: whether the job that the call belongs to was started for a target; `None` if no job is known.
    """
    if call.operation.speech is not None:
        return _explain_unmatched_submit(call) if call.is_accepted and call.target is None else None
    if job_has_target is False:
        return _REASON_JOB_OF_NO_TARGET
    if job_has_target or not call.is_accepted:
        return None
    if _has_undocumented_path_value(call):
        return _REASON_UNDOCUMENTED_PATH
    return _REASON_JOB_OF_NO_TARGET if call.operation.job is not None and _reports_undocumented_constant(call) else None


def _explain_unmatched_submit(submit_call: Call) -> UnmatchedCallReason:
    """Return the reason why a submit addresses no target: the values in its request that no target has."""
    constants = [target.target_spec.request_constants for target in submit_call.operation.targets]
    known_by_location = {
        location: [one[location] for one in constants]
        for location in (constants[0] if constants else ())
        if all(location in one for one in constants)
    }
    values = {location: submit_call.read_request(location) for location in known_by_location}
    parts = [
        f"no {location}" if value is MISSING else f"{location} {quote_json(value, MAX_QUOTED_VALUE_CHARACTERS)}"
        for location, value in values.items()
        if value not in known_by_location[location]
    ]
    return UnmatchedCallReason("submit", f"of no target: {', '.join(parts) or 'values that no target combines'}")


def _iterate_later_calls_for_job(submit_call: Call, exchange_lookup: ExchangeLookup) -> Iterator[Call]:
    """Yield the calls for the job that a submit started, except the submit."""
    for status in _list_status_operations(submit_call.operation):
        if status.job is not None:
            job_id = submit_call.read_response_value(status.job.submit_response.job_id_location)
            yield from (
                call for call in exchange_lookup.find_calls_for_job(submit_call, job_id) if call is not submit_call
            )


def _list_status_operations(operation: Operation) -> Iterable[Operation]:
    return {
        target.job_operation.id: target.job_operation for target in operation.targets if target.job_operation
    }.values()


def _has_undocumented_path_value(call: Call) -> bool:
    """Whether a path parameter has a value that its `enum` does not list, so that the contract lacks the URL."""
    return any(
        parameter.message_part == "path"
        and "enum" in parameter.schema
        and parameter.name in call.path_parameters
        and call.path_parameters[parameter.name] not in parameter.schema["enum"]
        for parameter in call.operation.parameters
    )


def _reports_undocumented_constant(call: Call) -> bool:
    """Whether a status response has, at the location of a constant of targets, a value that no target has."""
    targets = [
        target
        for target in call.operation.contract.targets.values()
        if target.job_operation is not None and target.job_operation.id == call.operation.id
    ]
    constants: dict[Location, set[str]] = defaultdict(set)
    for target in targets:
        for location, constant in target.target_spec.request_constants.items():
            if location.message_part == "body" and isinstance(constant, str):
                constants[location].add(constant)
    values = ((call.read_response_value(location), known) for location, known in constants.items())
    return any(isinstance(value, str) and value not in known for value, known in values)
