"""Rules over webhooks: what they find, and what they bear."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.contract.loading import load_catalogue
from voicegauge.model.base import Finding, Provenance
from voicegauge.model.exchange import Exchange, ReceivedCallback, Request, Response, Timing
from voicegauge.rules.call import Call
from voicegauge.rules.checker import Checker
from voicegauge.rules.webhooks import RequestCallbacks

CATALOGUE = load_catalogue()
PIXAZO, TTSAI = CATALOGUE.find_provider("pixazo"), CATALOGUE.find_provider("ttsai")
JUDGE = Checker(Provenance.RECORDED)
STATES = ["QUEUED", "PROCESSING", "COMPLETED", "FAILED", "ERROR"]


def _received(value: Any, at_s: float = 0.0) -> ReceivedCallback:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return ReceivedCallback(
        received_at=1e9 + at_s, received_at_ms=at_s * 1000, request=Request(method="POST", url="u", body=body)
    )


def _status(state: str, **more: Any) -> dict[str, Any]:
    done = state == "COMPLETED"
    output = {"media_url": ["https://cdn.example/a.wav"], "media_type": "audio/wav"} if done else None
    error = None if state not in ("FAILED", "ERROR") else "No voice."
    return {"request_id": "job-1", "status": state, "model_id": "m", "error": error, "output": output, **more}


def _call(operation: Any, answer: Any, status: int = 200, started_s: float | None = 0.0) -> Call:
    times = dict.fromkeys(("connection_wait_ms", "send_ms", "ttfb_ms", "receive_ms", "total_ms"), 0.0)
    timing = Timing(started_at=0, started_ms=started_s * 1000, connect_ms=None, tls_ms=None, **times)
    exchange = Exchange(
        provider=operation.contract.id,
        operation=operation.id,
        request=Request(method=operation.method, url=f"https://api.example{operation.path}"),
        response=Response(
            status=status, headers=(("Content-Type", "application/json"),), body=json.dumps(answer).encode()
        ),
        timing=timing,
    )
    return Call(operation, exchange)


def callbacks(
    received: Sequence[ReceivedCallback],
    *,
    posts: str = "terminal",
    polled: Sequence[str] = ("COMPLETED",),
    at_s: float = 0.0,
) -> RequestCallbacks:
    submit = _call(PIXAZO.find_operation("generateChatterbox"), {"request_id": "job-1", "status": "QUEUED"}, 202)
    status = PIXAZO.find_operation("getRequestStatus")
    polls = tuple(_call(status, _status(state), started_s=at_s) for state in polled)
    return RequestCallbacks(submit.operation, tuple(received), posts, submit, polls, has_waited_long_enough=True)  # type: ignore[arg-type]


def batch(values: Sequence[Any]) -> RequestCallbacks:
    submit = _call(TTSAI.find_operation("submitBatch"), {"batch_id": "b", "status": "processing"})
    poll = _call(TTSAI.find_operation("getBatchResult"), {"batch_id": "b", "status": "completed"})
    received = tuple(_received(value) for value in values)
    return RequestCallbacks(submit.operation, received, "terminal", submit, (poll,), has_waited_long_enough=True)


def rules(subject: RequestCallbacks) -> set[str]:
    found: list[Finding] = [*JUDGE.iterate_findings(subject)]
    return {finding.rule for finding in found}


END = _status("COMPLETED")
EVENT = {"event": "task.completed", "task_id": "b", "status": "success"}


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (lambda: callbacks([_received(END)]), set()),
        (lambda: callbacks([_received(END), _received(END)]), set()),
        (lambda: callbacks([]), {"webhook-missing"}),
        (lambda: callbacks([], polled=["PROCESSING"]), set()),
        (lambda: callbacks([_received(b"\xff")]), {"webhook-missing"}),
        (lambda: callbacks([_received(_status("PROCESSING"))]), {"webhook-missing", "webhook-early"}),
        (lambda: callbacks([_received(_status("PROCESSING")), _received(END)]), {"webhook-early"}),
        (lambda: callbacks([_received(_status("PROCESSING")), _received(END)], posts="progress"), set()),
        (lambda: callbacks([_received(_status("PROCESSING")), _received(END)], posts="any"), set()),
        (lambda: callbacks([_received(END), _received({**END, "completed_at": "later"})]), {"webhook-repeated"}),
        (lambda: callbacks([_received(_status("ERROR"))]), {"webhook-contradicts"}),
        (lambda: callbacks([_received(_status("FAILED"))], polled=["ERROR"]), {"webhook-contradicts"}),
        (lambda: callbacks([_received({**END, "request_id": "job-2"})]), {"webhook-contradicts"}),
        (lambda: callbacks([_received(END)], polled=["PROCESSING", "COMPLETED"], at_s=5), {"webhook-early"}),
        (lambda: batch([EVENT]), set()),
        (lambda: batch([EVENT, EVENT]), {"webhook-duplicate"}),
        (lambda: batch([EVENT, {**EVENT, "credits_used": 2}]), {"webhook-repeated"}),
        (lambda: batch([{**EVENT, "task_id": "c"}]), {"webhook-contradicts"}),
        (lambda: batch([{**EVENT, "status": "odd"}]), {"webhook-missing"}),
    ],
)
def test_callbacks_are_checked(subject: Callable[[], RequestCallbacks], expected: set[str]) -> None:
    assert rules(subject()) == expected


def test_the_order_of_keys_is_no_other_content() -> None:
    turned = dict(reversed(END.items()))
    assert rules(callbacks([_received(END), _received(turned)])) == set()


@given(st.lists(st.floats(0, 40), min_size=1, max_size=8))
def test_progress_is_late_only_where_nothing_came_for_longer_than_promised(gaps: list[float]) -> None:
    at_s, received = 0.0, []
    for gap in gaps:
        at_s += gap
        received.append(_received(_status("PROCESSING"), at_s))
    ends = [_received(END, at_s), _received(END, at_s + 60)]  # sent again
    late = "webhook-progress-late" in rules(callbacks([*received, *ends], posts="progress"))
    assert late == (max(gaps) > 17.0) or abs(max(gaps) - 17.0) < 1e-6
    assert "webhook-progress-late" not in rules(callbacks(received))


@given(st.lists(st.sampled_from(STATES), max_size=6), st.sampled_from(["terminal", "progress", "any"]))
def test_any_sequence_of_documented_states_is_checked_without_an_error(states: list[str], posts: str) -> None:
    found = rules(callbacks([_received(_status(state)) for state in states], posts=posts))
    ends = [state for state in states if state in ("COMPLETED", "FAILED", "ERROR")]
    assert ("webhook-missing" in found) == (not ends)
    assert ("webhook-contradicts" in found) == any(state != "COMPLETED" for state in ends)
    assert ("webhook-early" in found) == (posts == "terminal" and len(ends) < len(states))
    repeated = any(first != second for first, second in pairwise(ends))
    assert ("webhook-repeated" in found) == repeated


JSON = st.recursive(st.none() | st.integers() | st.text(), st.lists)


@settings(max_examples=20)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_hostile_bodies_are_judged_like_any_other(body: bytes) -> None:
    subject = callbacks([_received(body)])
    assert "webhook-missing" in rules(subject)
    assert {finding.rule for callback in subject.callback_subjects for finding in JUDGE.iterate_findings(callback)} <= {
        "callback-schema"
    }
