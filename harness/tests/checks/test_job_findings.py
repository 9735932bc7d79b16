"""What a finding about a job says, and which statement, value and exchange it names."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from voicegauge.contract.contract import Contract
from voicegauge.model.base import Finding
from voicegauge.model.exchange import StateObservation
from voicegauge.rules.call import Call
from voicegauge.rules.subjects import ConcurrentJobs, JobHistory

from ..builders.contracts import load_text
from ..builders.documents import changed_yaml
from .conftest import DOCUMENT, WITHOUT_AUDIO

STATUS = "/paths/~1jobs~1{id}/get/x-job"


class Said(NamedTuple):
    """The parts of a finding that a user reads."""

    rule: str
    message: str
    at: str
    """The violated statement, below `x-job`."""
    pointer: str | None
    evidence: str | None = None


def said(finding: Finding) -> Said:
    where = finding.where
    at = (where.contract_pointer or "").removeprefix(STATUS)
    return Said(finding.rule, finding.message, at, where.traffic_pointer, finding.evidence)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            {"state": "sleeping"},
            Said(
                "job-state-unknown", "the state is 'sleeping'; documented: new, busy, done, broken", "/states", "/state"
            ),
        ),
        (
            {"state": ["new"] * 50},
            Said(
                "job-state-unknown",
                f"the state is {str(['new'] * 50)[:80]}; documented: new, busy, done, broken",
                "/states",
                "/state",
            ),
        ),
        (
            {"state": "done"},
            Said(
                "job-completed-without-output",
                "done, but body#/audio is missing",
                "/states/done/required_locations",
                "/audio",
            ),
        ),
        (
            {"state": "done", "audio": []},
            Said(
                "job-completed-without-output",
                "done, but body#/audio is []",
                "/states/done/required_locations",
                "/audio",
            ),
        ),
        (
            {"state": "done", "audio": {}},
            Said(
                "job-completed-without-output",
                "done, but body#/audio is {}",
                "/states/done/required_locations",
                "/audio",
            ),
        ),
        (
            {"state": "broken", "why": None},
            Said(
                "job-failed-without-reason",
                "broken, but body#/why is None",
                "/states/broken/required_locations",
                "/why",
            ),
        ),
        (
            {"state": "busy", "audio": "https://cdn/x.wav"},
            Said("job-output-early", "busy, but body#/audio has audio already", "/states/busy", "/audio"),
        ),
        (
            {"state": "busy", "updated": "x" * 100},
            Said(
                "job-timestamps",
                f"the update time '{'x' * 79} is not a valid time",
                "/update_time_location",
                "/updated",
            ),
        ),
        (
            {"state": "busy", "created": "2026-01-01T00:00:03.5Z", "updated": "2026-01-01 00:00:01"},
            Said(
                "job-timestamps",
                "the update time 2026-01-01 00:00:01+00:00 is 2.5 s before "
                "the creation time 2026-01-01 00:00:03.500000+00:00",
                "/update_time_location",
                None,
                "creation time 2026-01-01 00:00:03.500000+00:00, update time 2026-01-01 00:00:01+00:00",
            ),
        ),
    ],
)
def test_a_finding_about_a_status_response(poll, judge, answer, expected) -> None:
    assert [said(finding) for finding in judge(poll({"id": "j1", **answer}))] == [expected]


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_audio_without_content_is_not_early(poll, rules_of, value) -> None:
    assert rules_of(poll({"id": "j1", "state": "busy", "audio": value})) == set()


def test_a_job_whose_result_is_not_audio_has_none_too_early(poll, rules_of, tmp_path) -> None:
    status = load_text(tmp_path, WITHOUT_AUDIO).find_operation("status")
    response = poll({"id": "j1", "state": "busy", "audio": "https://cdn/x.wav"})
    assert rules_of(Call(status, response.exchange)) == set()


def test_times_that_a_response_leaves_out_are_not_compared(poll, rules_of) -> None:
    times: dict[str, Any] = {"created": None, "updated": "2026-01-01", "completed": "2025-01-01"}
    assert rules_of(poll({"id": "j1", "state": "busy", **times})) == set()
    assert rules_of(poll({"id": "j1", "state": "busy", **times, "created": "2025-01-01"})) == set()


def test_nothing_is_said_about_the_job_in_an_error(poll, rules_of) -> None:
    assert rules_of(poll({"state": "sleeping", "created": "yesterday"}, status=404)) == {"status-undocumented"}


@pytest.fixture
def history(submit, poll, acme) -> Callable[..., JobHistory]:
    """Return a job with these status responses; a pair is a response with its HTTP status."""

    def make(*answers: Any, first: Any = None, contract: Contract = acme, **more: Any) -> JobHistory:
        sent = submit(first)
        call = Call(contract.find_operation("speak"), sent.exchange, contract.find_target_by_name("voice-1"))
        pairs = [answer if isinstance(answer, tuple) else (answer, 200) for answer in answers]
        polls = [poll({"id": "j1", **answer}, status=status, submit=call) for answer, status in pairs]
        status = contract.find_operation("status")
        return JobHistory(call, tuple(Call(status, one.exchange, call.target) for one in polls), status, **more)

    return make


def shown(judge: Callable[..., list[Finding]], subject: Any) -> list[tuple[Said, dict[str, Any]]]:
    """The findings, each with the body of the response that shows it."""
    found = judge(subject, build_reproduction_command=lambda exchange: exchange.response.body.decode())
    return [(said(finding), json.loads(finding.reproduction_command or "null")) for finding in found]


BUSY = {"state": "busy"}
DONE = {"state": "done", "audio": "https://cdn/x.wav"}


@pytest.mark.parametrize(
    ("answers", "shown_by", "expected"),
    [
        (
            [BUSY, {"state": "new"}, DONE],
            1,
            Said(
                "job-transition-illegal",
                "went from busy to new; documented after busy: done, broken",
                "/states/busy/successor_names",
                "/state",
            ),
        ),
        (
            [DONE, BUSY, {**BUSY, "why": "polled once more"}],
            1,
            Said(
                "job-terminal-changed",
                "had ended as done, but is busy when polled again",
                "/states/done/terminal_outcome",
                "/state",
            ),
        ),
        (
            [BUSY, {**BUSY, "id": "j2"}, {**BUSY, "id": "j3"}],
            1,
            Said("job-id-changed", "requested job 'j1', but the response is about 'j2'", "/job_id_location", "/id"),
        ),
        (
            [{**BUSY, "model": None}, {**BUSY, "model": "tiny"}, {**BUSY, "model": "huge"}],
            1,
            Said(
                "job-model-wrong",
                "requested the model 'voice-1-large', but the response names 'tiny'",
                "/model_name_location",
                "/model",
            ),
        ),
        (
            [BUSY, {**BUSY, "created": 0}, BUSY, {**BUSY, "created": 60}, {**BUSY, "created": 0}],
            3,
            Said(
                "job-created-changed",
                "created changed from 1970-01-01 00:00:00+00:00 to 1970-01-01 00:01:00+00:00",
                "/creation_time_location",
                "/created",
            ),
        ),
        (
            [{**DONE, "used": 5}, DONE, {**DONE, "used": None}, {**DONE, "used": 7}, {**DONE, "used": 8}],
            3,
            Said("job-charge-changed", "charged 5 at its end, but 7 when polled again", "/charge_location", "/used"),
        ),
    ],
)
def test_a_finding_about_the_course_of_a_job(history, judge, answers, shown_by, expected) -> None:
    """The first response that shows it is named, and the same violation is not repeated for each later one."""
    assert shown(judge, history(*answers)) == [(expected, {"id": "j1", **answers[shown_by]})]


@pytest.mark.parametrize("wrong", [{"id": "j2"}, {"model": "tiny"}, {"created": 99}, {"state": "new"}, {"used": 9}])
def test_an_error_between_two_status_responses_says_nothing_about_the_job(history, rules_of, wrong) -> None:
    one = {**DONE, "created": 0, "used": 5}
    assert rules_of(history(one, ({**one, **wrong}, 500), one)) == set()


def test_a_job_whose_submit_reports_no_id_may_have_any(history, rules_of) -> None:
    assert rules_of(history(BUSY, {**BUSY, "id": "j2"}, first={"state": "new"})) == set()


def test_states_that_are_not_text_are_left_out_of_the_course(history, rules_of) -> None:
    assert rules_of(history({"state": 7}, BUSY, {"state": None}, DONE)) == set()


def test_the_state_in_the_response_to_the_submit_belongs_to_the_course(history, judge) -> None:
    made = history({"state": "new"}, first={"id": "j1", "state": "busy"})
    message = "went from busy to new; documented after busy: done, broken"
    expected = Said("job-transition-illegal", message, "/states/busy/successor_names", "/state")
    assert shown(judge, made) == [(expected, {"id": "j1", "state": "new"})]


def test_a_state_that_is_not_documented_is_not_compared_with_the_next(history, rules_of) -> None:
    assert rules_of(history({"state": "sleeping"}, BUSY, {"state": "dreaming"}, DONE)) == set()


def test_a_stuck_job_names_its_last_state(history, judge) -> None:
    made = history({"state": "new"}, {"state": "sleeping"}, BUSY, is_timed_out=True)
    expected = "still busy after 3 polls and 300 s; no document states a limit"
    assert [said(finding) for finding in judge(made)] == [Said("job-stuck", expected, "/poll_schedule", None)]
    made = history({"state": 1}, first={"id": "j1", "state": None}, is_timed_out=True)
    expected = "still no state after 1 polls and 300 s; no document states a limit"
    assert [said(finding) for finding in judge(made)] == [Said("job-stuck", expected, "/poll_schedule", None)]


def test_a_state_that_is_too_long_says_for_how_long(history, judge) -> None:
    times = ((0.0, 500.0), (30_000.0, 31_000.0), (60_500.0, 61_000.0), (70_500.0, 71_000.0))
    seen = tuple(StateObservation(state="new", requested_ms=a, response_began_ms=b, exchange_index=0) for a, b in times)
    assert judge(history(BUSY, state_observations=seen[:-1])) == [], "for at least 60 s, as documented"
    expected = "new for at least 70.0 s; at most 60 s are documented"
    found = [said(finding) for finding in judge(history(BUSY, state_observations=seen))]
    assert found == [Said("job-state-too-long", expected, "/states/new/max_duration_s", None)]


JOB = "/paths/~1jobs~1{id}/get/x-job"
ID_PARAMETER = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
CANCELLED = changed_yaml(
    DOCUMENT,
    {
        f"{JOB}/states/busy/successor_names": ["done", "broken", "stopped"],
        f"{JOB}/states/stopped": {"terminal_outcome": "failure"},
        f"{JOB}/cancellation": {"operation_id": "stop", "resulting_state": "stopped"},
        "/paths/~1jobs~1{id}~1stop": {
            "post": {
                "operationId": "stop",
                "parameters": [ID_PARAMETER],
                "responses": {"200": {"description": "Stopped"}},
            }
        },
    },
)


@pytest.fixture
def cancellable(tmp_path) -> Contract:
    return load_text(tmp_path, CANCELLED)


BROKEN = {"state": "broken", "why": "no voice"}
STOPPED = {"state": "stopped"}


@pytest.mark.parametrize(
    ("answers", "poll_count_before_cancel", "ignored_by"),
    [
        ([BUSY, BUSY, DONE, {**DONE, "used": 5}], 1, 2),
        ([BUSY, BUSY, BROKEN], 1, 2),
        ([BUSY, BUSY, STOPPED], 1, None),
        ([BUSY, BUSY, (DONE, 500), STOPPED], 1, None),
        ([BUSY, DONE], 1, None),  # it may have ended before the cancellation
        ([BUSY, BUSY, DONE], 2, None),
        ([BUSY, BUSY, ({}, 500), {"state": "sleeping"}, DONE], 1, 4),
        ([BUSY, BUSY, DONE], None, None),  # it was not cancelled
    ],
)
def test_a_cancellation_is_ignored_if_the_job_goes_on(
    history, judge, cancellable, answers, poll_count_before_cancel, ignored_by
) -> None:
    made = history(*answers, contract=cancellable, poll_count_before_cancel=poll_count_before_cancel)
    name = answers[ignored_by]["state"] if ignored_by else ""
    message = f"was cancelled before its end, but ended as {name}, not as stopped"
    expected = Said("job-cancel-ignored", message, "/cancellation/resulting_state", "/state")
    found = [one for one in shown(judge, made) if one[0].rule == "job-cancel-ignored"]
    assert found == ([(expected, {"id": "j1", **answers[ignored_by]})] if ignored_by else [])


def test_a_job_that_cannot_be_cancelled_is_not_judged_by_it(history, rules_of) -> None:
    assert rules_of(history(BUSY, BUSY, DONE, poll_count_before_cancel=1)) == set()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://evil.example/jobs/j1", "is not below https://api.acme.example"),
        ("http://[::1", "is not below https://api.acme.example"),
        ("https://api.acme.example/elsewhere/j1", "does not lead to GET /jobs/{id}"),
        ("https://api.acme.example/jobs/j2", "does not name the job 'j1'"),
    ],
)
def test_a_wrong_polling_url_is_quoted(submit, judge, url, error) -> None:
    expected = Said("job-polling-url", f"'{url}' {error}", "/submit_response/polling_url_location", "/url", url)
    assert [said(finding) for finding in judge(submit({"id": "j1", "state": "new", "url": url}))] == [expected]


@pytest.mark.parametrize(
    ("job_id", "url", "right"),
    [
        ("a/b", "https://api.acme.example/jobs/a%2Fb", True),
        ("a b", "https://api.acme.example/jobs/a b", True),
        ("a b", "https://api.acme.example/jobs/a%20b", True),
        ("a b", "https://API.acme.example/jobs/a%20c", False),
        ("a/b", "https://api.acme.example/jobs/a%2fb", True),  # the digits of an encoding have no case
        ("a%2Fb", "https://api.acme.example/jobs/a%2Fb", True),
        ("a%2Fb", "https://api.acme.example/jobs/a%252Fb", True),
    ],
)
def test_a_polling_url_may_percent_encode_the_id(submit, rules_of, job_id, url, right) -> None:
    found = rules_of(submit({"id": job_id, "state": "new", "url": url}))
    assert found == (set() if right else {"job-polling-url"})


SPEAK = "/paths/~1speak/post"
ANSWER_PROPERTIES = f"{SPEAK}/responses/200/content/application~1json/schema/properties"
WAITING = changed_yaml(
    DOCUMENT,
    {
        f"{SPEAK}/x-speech/response/wait_preference": {"location": "header.Prefer", "max_wait_s": 60},
        f"{ANSWER_PROPERTIES}/audio": {"type": "string"},
        f"{ANSWER_PROPERTIES}/type": {"type": "string"},
        f"{SPEAK}/parameters": [{"name": "Prefer", "in": "header", "schema": {"type": "string"}}],
    },
)


def test_the_response_to_a_submit_that_may_wait_is_a_status_response(submit, judge, tmp_path) -> None:
    contract = load_text(tmp_path, WAITING)
    sent = submit({"id": "j1", "state": "sleeping"})
    call = Call(contract.find_operation("speak"), sent.exchange, contract.find_target_by_name("voice-1"))
    message = "the state is 'sleeping'; documented: new, busy, done, broken"
    assert [said(finding) for finding in judge(call)] == [Said("job-state-unknown", message, "/states", "/state")]
    assert judge(sent) == []


def test_audio_in_the_response_to_a_submit_is_early_only_for_a_known_target(submit, rules_of, tmp_path) -> None:
    contract = load_text(tmp_path, WAITING)
    sent = submit({"id": "j1", "state": "busy", "audio": "https://cdn/x.wav"})
    speak, target = contract.find_operation("speak"), contract.find_target_by_name("voice-1")
    assert rules_of(Call(speak, sent.exchange, target)) == {"job-output-early"}
    assert rules_of(Call(speak, sent.exchange)) == set()


@pytest.mark.parametrize("url", [None, "https://evil.example/jobs/j1"])
def test_a_polling_url_is_judged_only_in_accepted_submits(submit, poll, rules_of, url) -> None:
    assert rules_of(submit({"id": "j1", "state": "new", "url": None})) <= {"response-schema"}
    assert rules_of(submit({"error": "busy", "url": url}, status=400)) == set()
    assert rules_of(poll({"id": "j1", "state": "busy", "url": url}, submit=submit())) == set()


def test_confused_jobs_name_the_later_one(history, judge) -> None:
    jobs = tuple(history(DONE, first={"id": job, "state": "new"}) for job in ("j1", "j2", "j1"))
    found = shown(judge, ConcurrentJobs(jobs, jobs[-1]))
    message = "two requests got the id 'j1'"
    assert found == [
        (Said("job-id-reused", message, "/submit_response/job_id_location", "/id"), {"id": "j1", "state": "new"})
    ]


def test_audio_of_two_jobs_names_the_audio(submit, poll, judge, acme) -> None:
    def history_of(text: str, job_id: str) -> JobHistory:
        call = submit({"id": job_id, "state": "new"}, asked={"text": text})
        urls = ("https://cdn/x.wav", "https://cdn/b.wav", "")
        polls = tuple(poll({"id": job_id, "state": "done", "audio": url}, submit=call) for url in urls)
        return JobHistory(call, polls, acme.find_operation("status"))

    jobs = (history_of("one", "j1"), history_of("two", "j2"))
    message = "two jobs with different requests have the same audio"
    expected = Said("job-crosstalk", message, "/audio", "/audio", "https://cdn/b.wav")
    assert [said(finding) for finding in judge(ConcurrentJobs(jobs, jobs[-1]))] == [expected]
