from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.formats.bodies import parse_timestamp
from voicegauge.model.exchange import StateObservation
from voicegauge.rules.subjects import JobHistory

NEXT = {"new": ["busy"], "busy": ["done", "broken"], "done": [], "broken": []}


def _answer(state, **more):
    carried = {"done": {"audio": "https://cdn/x.wav"}, "broken": {"why": "no voice"}}
    return {"id": "j1", "state": state, **carried.get(state, {}), **more}


@pytest.fixture
def trail(submit, poll, acme):
    def make(*answers, first="new", timed_out=False, observations=()):
        call = submit({"id": "j1", "state": first})
        polls = tuple(poll(answer if isinstance(answer, dict) else _answer(answer), submit=call) for answer in answers)
        return JobHistory(
            call, polls, acme.find_operation("status"), is_timed_out=timed_out, state_observations=observations
        )

    return make


@pytest.mark.parametrize(
    "states", [("busy", "done"), ("done",), ("broken",), ("new", "new", "busy", "busy", "done", "done")]
)
def test_states_may_be_missed_between_polls(trail, rules_of, states) -> None:
    assert rules_of(trail(*states)) == set()


@pytest.mark.parametrize(
    ("states", "rule"),
    [
        (("busy", "new"), "job-transition-illegal"),
        (("done", "broken"), "job-terminal-changed"),
        (("broken", "busy"), "job-terminal-changed"),
        ((_answer("busy", id="j2"),), "job-id-changed"),
        ((_answer("busy", model="voice-1-large"), _answer("done", model="voice-1-small")), "job-model-wrong"),
        (
            (_answer("busy", created="2026-01-01T00:00:00Z"), _answer("busy", created="2026-01-01T01:00:00Z")),
            "job-created-changed",
        ),
        ((_answer("done", used=3), _answer("done", used=4)), "job-charge-changed"),
    ],
)
def test_each_wrong_course_is_found_under_its_rule(trail, rules_of, states, rule) -> None:
    assert rules_of(trail(*states)) == {rule}


@pytest.mark.parametrize("reported", ["voice-1-large", None])
def test_a_job_may_report_the_requested_model_or_none(trail, rules_of, reported) -> None:
    assert rules_of(trail(_answer("busy", model=reported), _answer("done"))) == set()


def test_what_is_charged_may_change_until_the_end_and_not_after(trail, rules_of) -> None:
    assert rules_of(trail(_answer("busy", used=5), _answer("done", used=3), _answer("done", used=3))) == set()


def _seen(*states):
    """States seen by requests ten seconds apart, each with a response after one second."""
    return tuple(
        StateObservation(
            state=state, requested_ms=10_000.0 * index, response_began_ms=10_000.0 * index + 1_000, exchange_index=index
        )
        for index, state in enumerate(states)
    )


@pytest.mark.parametrize(("polls", "long"), [(6, False), (7, False), (8, True)])
def test_a_state_lasts_no_longer_than_documented(trail, rules_of, polls, long) -> None:
    """60 s are allowed in `new`; from the first response to the last request it is 10 s less than between polls."""
    found = rules_of(trail("busy", "done", observations=_seen(*["new"] * polls, "busy", "done")))
    assert found == ({"job-state-too-long"} if long else set())


def test_a_state_without_a_bound_and_an_end_last_as_long_as_they_like(trail, rules_of) -> None:
    assert rules_of(trail("busy", "done", observations=_seen("new", *["busy"] * 90, *["done"] * 90))) == set()


def test_a_job_that_does_not_end_is_stuck(trail, rules_of) -> None:
    assert rules_of(trail("busy", timed_out=True)) == {"job-stuck"}


@given(seen=st.lists(st.sampled_from(sorted(NEXT)), min_size=1, max_size=8))
def test_exactly_the_courses_that_the_transitions_allow_are_legal(seen, acme) -> None:
    reach = {"new": {"new", "busy", "done", "broken"}, "busy": {"busy", "done", "broken"}}
    legal = all(after in reach.get(before, {before}) for before, after in pairwise(["new", *seen]))
    found = _course_rules(acme, seen)
    assert (found == set()) is legal


def _course_rules(acme, seen):
    import json

    from voicegauge.model.base import Provenance
    from voicegauge.model.exchange import Exchange, Request, Response
    from voicegauge.rules.call import Call
    from voicegauge.rules.checker import Checker

    def call(operation, answer):
        response = Response(
            status=200, headers=(("Content-Type", "application/json"),), body=json.dumps(answer).encode()
        )
        request = Request(method="GET", url="https://api.acme.example/jobs/j1")
        return Call(
            acme.find_operation(operation),
            Exchange(provider="acme", operation=operation, request=request, response=response),
        )

    polls = tuple(call("status", _answer(state)) for state in seen)
    trail = JobHistory(call("speak", {"id": "j1", "state": "new"}), polls, acme.find_operation("status"))
    return {finding.rule for finding in Checker(Provenance.RECORDED).iterate_findings(trail)}


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (_answer("sleeping"), "job-state-unknown"),
        (_answer(None), "job-state-unknown"),
        ({"id": "j1", "state": ["new"]}, "job-state-unknown"),
        (_answer("done", audio=""), "job-completed-without-output"),
        (_answer("done", audio=None), "job-completed-without-output"),
        (_answer("broken", why=""), "job-failed-without-reason"),
        (_answer("busy", created="yesterday"), "job-timestamps"),
        (_answer("done", created="2026-01-02T00:00:00Z", completed="2026-01-01 00:00:00"), "job-timestamps"),
        (_answer("broken", used=3), "charge-wrong"),
        (_answer("busy", audio="https://cdn/x.wav"), "job-output-early"),
    ],
)
def test_each_wrong_status_response_is_found_by_its_rule(submit, poll, rules_of, answer, rule) -> None:
    assert rules_of(poll(answer, submit=submit())) == {rule}


@pytest.mark.parametrize(("early_s", "rules"), [(0.0, set()), (1.0, set()), (1.1, {"job-timestamps"})])
@pytest.mark.parametrize("later", ["updated", "completed"])
def test_timestamps_may_differ_by_the_rounding_to_a_second(poll, rules_of, later, early_s, rules) -> None:
    created = datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)
    times = {"created": created.isoformat(), later: (created - timedelta(seconds=early_s)).isoformat()}
    assert rules_of(poll(_answer("done", **times))) == rules


@pytest.mark.parametrize(("change_s", "rules"), [(1.0, set()), (1.1, {"job-created-changed"})])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_creation_time_may_change_by_the_rounding_to_a_second(trail, rules_of, sign, change_s, rules) -> None:
    created = datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)
    times = (created, created + timedelta(seconds=sign * change_s))
    assert rules_of(trail(*(_answer("busy", created=time.isoformat()) for time in times))) == rules


@pytest.mark.parametrize("audio", [None, "", [], "https://cdn/part.wav"])
def test_partial_audio_is_allowed_before_the_end_if_documented(poll, rules_of, audio) -> None:
    assert rules_of(poll(_answer("new", audio=audio))) == set()


def test_one_response_can_have_both_styles_of_timestamps(poll, rules_of) -> None:
    answer = _answer("done", created="2026-05-22T13:17:32.110Z", completed="2026-05-22 13:19:23", updated=1_779_456_000)
    assert rules_of(poll(answer)) <= {"job-timestamps"}
    assert rules_of(poll({**answer, "updated": "2026-05-22 13:19:23"})) == set()


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (0, "1970-01-01T00:00:00"),
        (1_779_456_000.5, "2026-05-22T13:20:00.500000"),
        (1_779_456_000_500, "2026-05-22T13:20:00.500000"),
        (1e11, "5138-11-16T09:46:40"),
        (1e11 + 1000, "1973-03-03T09:46:41"),
        (-1.5, "1969-12-31T23:59:58.500000"),
        ("2026-05-22", "2026-05-22T00:00:00"),
        ("2026-05-22T15:20:00+02:00", "2026-05-22T13:20:00"),
        ("0", None),
        (True, None),
        (1e300, None),
    ],
)
def test_a_timestamp_is_text_or_a_number_of_seconds_or_milliseconds(value, moment) -> None:
    assert parse_timestamp(value) == (moment and datetime.fromisoformat(moment).replace(tzinfo=UTC))


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none()))
def test_every_value_is_read_as_a_timestamp_without_an_error(value) -> None:
    moment = parse_timestamp(value)
    assert moment is None or moment.tzinfo is not None


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://api.acme.example/jobs/j1", False),
        ("https://api.acme.example/jobs/j2", True),
        ("https://api.acme.example/elsewhere/j1", True),
        ("https://evil.example/jobs/j1", True),
        ("http://api.acme.example/jobs/j1", True),
        ("not a url", True),
        ("http://[::1", True),
    ],
)
def test_a_polling_url_leads_to_this_job_on_a_host_of_the_contract(submit, rules_of, url, wrong) -> None:
    found = rules_of(submit({"id": "j1", "state": "new", "url": url}))
    assert found == ({"job-polling-url"} if wrong else set())


@pytest.mark.parametrize("path", ["", "/acme", "/v1/VOX"])
def test_a_polling_url_may_be_below_the_base_url_in_use(submit, rules_of, path) -> None:
    base = f"http://127.0.0.1:9{path}"
    assert rules_of(submit({"id": "j1", "state": "new", "url": f"{base}/jobs/j1"}, base=base)) == set()
    assert rules_of(submit({"id": "j1", "state": "new", "url": f"{base}jobs/j1"}, base=base)) == {"job-polling-url"}
