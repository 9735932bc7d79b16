"""Rules over several jobs of one account: that none of them is taken for another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from voicegauge.checks.registry import Problem, rule
from voicegauge.checks.subjects import Jobs, Trail


@rule(
    "job-id-reused",
    on=Jobs,
    proves="Each accepted request is given an id of its own.",
    basis="x-job.submit.id",
)
def _id_reused(jobs: Jobs) -> Iterator[Problem]:
    place = jobs.latest.spec.submit.id
    ids = [(trail.submit.answered(place), trail) for trail in jobs.trails]
    for (one, _), (other, later) in combinations(ids, 2):
        if isinstance(one, str) and one == other:
            at = f"{later.status_operation.pointer}/x-job/submit/id"
            message = f"two requests were given the id {one!r:.80}"
            yield Problem(message, at, place.partition("#")[2] or None, exchange=later.submit.exchange)


@rule(
    "job-crosstalk",
    on=Jobs,
    proves="Requests for different speech are never given the same audio.",
    basis="x-job.audio",
)
def _crosstalk(jobs: Jobs) -> Iterator[Problem]:
    for one, other in combinations(jobs.trails, 2):
        both = _audio(one) & _audio(other)
        if both and one.submit.exchange.request != other.submit.exchange.request:
            at = f"{jobs.operation.pointer}/x-job/audio"
            pointer = jobs.latest.spec.audio.at.partition("#")[2] or None
            yield Problem("two jobs with different requests deliver the same audio", at, pointer, min(both))


def _audio(trail: Trail) -> set[str]:
    """What status answers gave as the audio: URLs, or base64; nothing where a call of its own fetches it."""
    job = trail.spec
    found = [poll.answered(job.audio.at) for poll in trail.polls if poll.ok] if job.result is None else []
    return {value for value in found if isinstance(value, str) and value}
