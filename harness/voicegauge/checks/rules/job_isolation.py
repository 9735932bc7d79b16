"""Rules about several jobs of one account, which the provider must not confuse."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from voicegauge.checks.registry import Violation, register_rule
from voicegauge.checks.subjects import ConcurrentJobs, JobHistory


@register_rule(
    "job-id-reused",
    subject_class=ConcurrentJobs,
    description="Every accepted request gets a different job id.",
    contract_condition="x-job.submit.id",
)
def _check_job_id_reused(concurrent_jobs: ConcurrentJobs) -> Iterator[Violation]:
    location = concurrent_jobs.latest_job.job_spec.submit_response.job_id_location
    ids = [(job.submit_call.read_response_value(location), job) for job in concurrent_jobs.jobs]
    for (one, _), (other, later) in combinations(ids, 2):
        if isinstance(one, str) and one == other:
            at = f"{later.status_operation.pointer}/x-job/submit/id"
            message = f"two requests got the id {one!r:.80}"
            yield Violation(message, at, location.json_pointer or None, exchange=later.submit_call.exchange)


@register_rule(
    "job-crosstalk",
    subject_class=ConcurrentJobs,
    description="Requests for different speech never get the same audio.",
    contract_condition="x-job.audio",
)
def _check_job_crosstalk(concurrent_jobs: ConcurrentJobs) -> Iterator[Violation]:
    audio = concurrent_jobs.latest_job.job_spec.audio
    if audio is None:
        return
    for one, other in combinations(concurrent_jobs.jobs, 2):
        both = _collect_audio_values(one) & _collect_audio_values(other)
        if both and one.submit_call.exchange.request != other.submit_call.exchange.request:
            at = f"{concurrent_jobs.operation.pointer}/x-job/audio"
            message = "two jobs with different requests have the same audio"
            yield Violation(message, at, audio.location.json_pointer or None, min(both))


def _collect_audio_values(job_history: JobHistory) -> set[str]:
    """Return the different URLs or base64 texts of audio in the status responses of a job; empty if there are none."""
    job = job_history.job_spec
    found = (
        [poll.read_response_value(job.audio.location) for poll in job_history.polls if poll.is_accepted]
        if job.result_operation_id is None and job.audio is not None
        else []
    )
    return {value for value in found if isinstance(value, str) and value}
