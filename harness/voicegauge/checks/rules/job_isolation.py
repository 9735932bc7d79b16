"""Rules over several jobs of one account: that none of them is taken for another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from voicegauge.checks.registry import Violation, rule
from voicegauge.checks.subjects import JobHistory, JobSet


@rule(
    "job-id-reused",
    on=JobSet,
    proves="Each accepted request is given an id of its own.",
    basis="x-job.submit.id",
)
def _id_reused(jobs: JobSet) -> Iterator[Violation]:
    place = jobs.latest.spec.submit.id
    ids = [(trail.submit.read_response(place), trail) for trail in jobs.jobs]
    for (one, _), (other, later) in combinations(ids, 2):
        if isinstance(one, str) and one == other:
            at = f"{later.status_operation.pointer}/x-job/submit/id"
            message = f"two requests were given the id {one!r:.80}"
            yield Violation(message, at, place.pointer or None, exchange=later.submit.exchange)


@rule(
    "job-crosstalk",
    on=JobSet,
    proves="Requests for different speech are never given the same audio.",
    basis="x-job.audio",
)
def _crosstalk(jobs: JobSet) -> Iterator[Violation]:
    for one, other in combinations(jobs.jobs, 2):
        both = _audio(one) & _audio(other)
        if both and one.submit.exchange.request != other.submit.exchange.request:
            at = f"{jobs.operation.pointer}/x-job/audio"
            pointer = jobs.latest.spec.audio.at.pointer or None
            yield Violation("two jobs with different requests deliver the same audio", at, pointer, min(both))


def _audio(trail: JobHistory) -> set[str]:
    """What status answers gave as the audio: URLs, or base64; nothing where a call of its own fetches it."""
    job = trail.spec
    found = [poll.read_response(job.audio.at) for poll in trail.polls if poll.ok] if job.result is None else []
    return {value for value in found if isinstance(value, str) and value}
