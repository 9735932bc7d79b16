"""Batches: many requests taken on at once, each a job of its own, as `x-batch` says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from voicegauge.contract import Operation, read_pointer
from voicegauge.contract.extension import BatchSpec
from voicegauge.emulator.http import ParsedRequest, Rejection, write_at
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.emulator.state import EmulatedClock, EmulatedJob


@dataclass
class EmulatedBatch(EmulatedJob):
    """A job that is done once all of its items are."""

    items: list[EmulatedJob] = field(default_factory=list)

    def update_state(self, clock: EmulatedClock, *, poll: bool) -> str:
        """As of any job; where polls move jobs on, half of the items move with each poll."""
        waiting = [item for item in self.items if not _ended(item)]
        turn = math.ceil(len(self.items) / 2)
        for index, item in enumerate(waiting):
            item.update_state(clock, poll=poll and index < turn)
        if not clock.is_per_poll:
            return super().update_state(clock, poll=poll)
        if poll and len(self.entered_at) < len(self.state_path) and all(map(_ended, self.items)):
            self.entered_at.append(clock.now())
        return self.state

    @property
    def completed(self) -> int:
        """How many items have ended."""
        return sum(map(_ended, self.items))


def _ended(job: EmulatedJob) -> bool:
    return len(job.entered_at) == len(job.state_path)


def calls_of_items(request: ParsedRequest, batch: BatchSpec) -> Iterator[ParsedRequest]:
    """Each item of a batch as the request that it is.

    Raises:
        Refusal: the list is none.
    """
    tokens = batch.items.tokens
    listed = read_pointer(request.body, tokens)
    if not isinstance(listed, list) or not listed:
        raise Rejection("invalid", tokens[0], f"{tokens[0]} must be a list of requests")
    each: Operation = request.operation.contract.operation(batch.each)
    media = next(iter(each.request_media.values()))
    for item in listed:
        yield replace(request, operation=each, body=item if isinstance(item, dict) else {}, media=media)


def lay_progress(response: EmulatedResponse, batch: BatchSpec, job: EmulatedBatch, urls: dict[str, str]) -> None:
    """Write into an answer how far a batch is.

    Args:
        response: to the submit or to a poll.
        batch: where everything goes.
        job: the batch.
        urls: where the audio of items is, by job id.
    """
    for location, count in ((batch.total, len(job.items)), (batch.completed, job.completed)):
        if location is not None:
            response.body = write_at(response.body, location, count)
    if response.kind == "status":
        results = [dict(_result(batch, number, item, urls)) for number, item in enumerate(job.items)]
        response.body = write_at(response.body, batch.results, results)


def _result(batch: BatchSpec, number: int, item: EmulatedJob, urls: dict[str, str]) -> Iterator[tuple[str, Any]]:
    yield batch.job, item.id
    if batch.index is not None:
        yield batch.index, number
    if batch.state is not None:
        yield batch.state, item.state
    if batch.charged is not None and item.charge is not None:
        yield batch.charged, int(item.charge) if float(item.charge).is_integer() else item.charge
    if batch.url is not None and item.id in urls:
        yield batch.url, urls[item.id]
