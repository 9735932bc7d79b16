"""The subjects of one delivery, successful or not."""

from __future__ import annotations

import json

import pytest

from voicegauge.conformance._sent_case import iterate_delivery_subjects
from voicegauge.contract.loading import load_catalogue
from voicegauge.model.base import Provenance, SpeechRequest
from voicegauge.model.exchange import Delivery, Exchange, Failure, Job, Request, Response, StateObservation
from voicegauge.rules.checker import Checker

SPEECH = SpeechRequest(text="Good morning.")
URL = "https://api.pixelapi.dev/outputs/job-1.wav"
LATE = Failure(kind="timeout", message="cdn: waiting for the response: nothing for 120 s")
GONE = Failure(kind="rejected", message="downloading the audio: HTTP 404", http_status=404)


@pytest.fixture(scope="module")
def target():
    return load_catalogue().find_provider("pixelapi").find_target_by_name("voice-design")


@pytest.fixture
def rules_of(target):
    """The rules over jobs and audio that a failed delivery breaks, given the states of its submit and its polls.

    `after_s` is the time of the last state after the submit.
    """

    def find(failure: Failure, *states: str, after_s: float = 10_000) -> set[str]:
        exchanges = tuple(
            _status_exchange(target.job_operation if index else target.operation, s) for index, s in enumerate(states)
        )
        seen = StateObservation(
            state=states[-1], response_began_ms=after_s * 1000, requested_ms=0.0, exchange_index=len(states) - 1
        )
        delivery = Delivery(
            target=target.id,
            exchanges=exchanges,
            submit_count=1,
            job=Job(id="job-1", status_operation=target.job_operation.id, observations=(seen,)),
            failure=failure,
            submit_exchange_index=0,
        )
        judge = Checker(Provenance.RECORDED)
        found = [
            f.rule
            for subject in iterate_delivery_subjects(target, SPEECH, delivery)
            for f in judge.iterate_findings(subject)
        ]
        return {rule for rule in found if rule.startswith(("job-stuck", "audio-"))}

    return find


def _status_exchange(operation, state: str) -> Exchange:
    body = {"id": "job-1", "status": state, "credits_used": 50.0, "output_url": URL if state == "completed" else None}
    request = Request(method=operation.method, url=f"https://api.pixelapi.dev{operation.path.replace('{id}', 'job-1')}")
    headers = (("Content-Type", "application/json"),)
    response = Response(status=200, headers=headers, body=json.dumps(body).encode())
    return Exchange(provider="pixelapi", operation=operation.id, request=request, response=response)


@pytest.mark.parametrize(
    ("failure", "states", "rules"),
    [
        (LATE, ("queued", "processing"), {"job-stuck"}),
        (LATE, ("queued", "processing", "completed"), {"audio-missing"}),
        (LATE, ("completed",), {"audio-missing"}),
        (GONE, ("queued", "completed"), {"audio-missing"}),
        (GONE, ("completed",), {"audio-missing"}),
    ],
)
def test_a_job_that_has_ended_must_have_audio_and_is_not_stuck(rules_of, failure, states, rules) -> None:
    assert rules_of(failure, *states) == rules


def test_a_job_is_not_stuck_before_the_documented_time(rules_of) -> None:
    assert rules_of(LATE, "queued", "processing", after_s=20) == set()
