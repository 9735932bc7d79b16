"""Polls a job after its end: the state must not change, and a poll without a key must be rejected."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.checks import Call, CaseOutcome, ExpectedResponse
from voicegauge.client import Client, remove_credentials
from voicegauge.conformance.running.sending.batch_lifecycle import POLL_COUNT_AFTER_END
from voicegauge.contract import Target
from voicegauge.errors import TransportError
from voicegauge.model import Delivery, Exchange

MAX_POLL_DURATION_S = 10.0
"""Maximum duration, in seconds, of a poll after the end. A service that responds slowly must not hold up the check."""


async def poll_after_end(client: Client, target: Target, delivery: Delivery) -> list[Exchange]:
    """Poll a job again after its end, and return the exchanges; empty if no poll of the delivery saw the end."""
    status = target.job_operation
    polls = [exchange for exchange in delivery.exchanges if status and exchange.operation == status.id]
    if status is None or status.job is None or not polls or not _has_job_reached_end(target, delivery):
        return []
    repeated = []
    for _ in range(POLL_COUNT_AFTER_END):
        await client.clock.sleep(status.job.poll_schedule.min_interval_s)
        try:
            repeated.append(await client.send(polls[-1].request, status.id, max_total_s=MAX_POLL_DURATION_S))
        except TransportError:
            break  # the verdict on the delivery does not depend on these polls
    return repeated


def _has_job_reached_end(target: Target, delivery: Delivery) -> bool:
    """Whether the last state of the job that the client observed is a terminal state."""
    status = target.job_operation
    if status is None or status.job is None or delivery.job is None or not delivery.job.observations:
        return False
    state = status.job.states.get(delivery.job.observations[-1].state)
    return state is not None and state.terminal_outcome is not None


async def poll_without_key(client: Client, target: Target, poll_exchanges: Sequence[Exchange]) -> list[CaseOutcome]:
    """Send the last of the polls again without a key, and return its outcome, which must be a rejection.

    The poll is for an existing job, because a poll with an unknown id would be rejected in any case.

    The result is empty if a key is not required, or if there is no response.
    """
    status = target.job_operation
    if status is None or not status.needs_key or not poll_exchanges or client.key is None:
        return []
    request = remove_credentials(poll_exchanges[-1].request, status, client.key)
    try:
        exchange = await client.send(request, status.id, max_total_s=MAX_POLL_DURATION_S)
    except TransportError:
        return []  # the verdict on the delivery does not depend on this poll
    expected = ExpectedResponse(
        acceptance="rejected",
        case_kind="authentication",
        description=f"{status.id} of an existing job, without a key",
        contract_pointer=f"{status.pointer}/security" if "security" in status.part_data else "/security",
    )
    return [CaseOutcome(Call(status, exchange, target, request_intent="invalid"), expected)]
