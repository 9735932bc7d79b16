"""Several jobs of one account: whether one is taken for another."""

from __future__ import annotations

import pytest

from voicegauge.rules.call import Call
from voicegauge.rules.subjects import ConcurrentJobs, JobHistory

from ..builders.contracts import load_text
from ..builders.documents import changed_yaml
from .conftest import DOCUMENT, WITHOUT_AUDIO


@pytest.fixture
def jobs(submit, poll, acme):
    """Jobs, each as (its text, its id, the URL of its audio)."""

    def make(*each):
        trails = []
        for text, job_id, url in each:
            call = submit({"id": job_id, "state": "new"}, asked={"text": text})
            done = {"id": job_id, "state": "done" if url else "busy", "audio": url}
            trails.append(JobHistory(call, (poll(done, submit=call),), acme.find_operation("status")))
        return ConcurrentJobs(tuple(trails), trails[-1])

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


WITH_RESULT = changed_yaml(
    DOCUMENT,
    {
        "/paths/~1jobs~1{id}/get/x-job/result_operation_id": "fetch",
        "/paths/~1results~1{id}": {
            "get": {
                "operationId": "fetch",
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                "responses": {
                    "200": {"description": "Result", "content": {"application/json": {"schema": {"type": "object"}}}}
                },
            }
        },
    },
)


def test_a_status_response_has_no_audio_if_another_operation_fetches_it(jobs, rules_of, tmp_path) -> None:
    contract = load_text(tmp_path, WITH_RESULT)
    status, audio = contract.find_operation("status"), "https://cdn/1"
    confused = jobs(("one", "j1", audio), ("two", "j2", audio))
    histories = tuple(
        JobHistory(
            Call(contract.find_operation("speak"), job.submit_call.exchange, contract.find_target_by_name("voice-1")),
            tuple(Call(status, poll.exchange) for poll in job.polls),
            status,
        )
        for job in confused.jobs
    )
    assert rules_of(confused) == {"job-crosstalk"}
    assert rules_of(ConcurrentJobs(histories, histories[-1])) == set()


def test_jobs_without_audio_are_distinguished_by_their_ids(jobs, rules_of, tmp_path) -> None:
    contract = load_text(tmp_path, WITHOUT_AUDIO)
    start, status = contract.find_operation("speak"), contract.find_operation("status")

    def load_jobs(*ids: str) -> ConcurrentJobs:
        with_audio = jobs(*((f"text {index}", job_id, "https://cdn/1") for index, job_id in enumerate(ids)))
        histories = tuple(
            JobHistory(
                Call(start, job.submit_call.exchange), tuple(Call(status, poll.exchange) for poll in job.polls), status
            )
            for job in with_audio.jobs
        )
        return ConcurrentJobs(histories, histories[-1])

    assert rules_of(load_jobs("j1", "j2")) == set()
    assert rules_of(load_jobs("j1", "j1")) == {"job-id-reused"}
