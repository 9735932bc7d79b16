"""Several jobs of one account: whether one is taken for another."""

from __future__ import annotations

import pytest

from voicegauge.checks import JobHistory, JobSet


@pytest.fixture
def jobs(submit, poll, acme):
    """Jobs, each as (its text, its id, the URL of its audio)."""

    def make(*each):
        trails = []
        for text, job_id, url in each:
            call = submit({"id": job_id, "state": "new"}, asked={"text": text})
            done = {"id": job_id, "state": "done" if url else "busy", "audio": url}
            trails.append(JobHistory(call, (poll(done, submit=call),), acme.find_operation("status")))
        return JobSet(tuple(trails), trails[-1])

    return make


@pytest.mark.parametrize(
    ("each", "rule"),
    [
        ((("one", "j1", "https://cdn/1"), ("two", "j2", "https://cdn/2")), None),
        ((("one", "j1", None), ("two", "j2", None)), None),
        ((("one", "j1", "https://cdn/1"), ("one", "j2", "https://cdn/1")), None),
        ((("one", "j1", "https://cdn/1"), ("two", "j2", "https://cdn/1")), "job-crosstalk"),
        ((("one", "j1", None), ("two", "j2", None), ("three", "j1", None)), "job-id-reused"),
    ],
    ids=["apart", "under-way", "the same speech", "the same audio", "the same id"],
)
def test_jobs_are_not_confused(jobs, rules_of, each, rule) -> None:
    assert rules_of(jobs(*each)) == ({rule} if rule else set())
