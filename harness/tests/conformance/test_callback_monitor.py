"""Judging of callbacks when they arrive: the same findings as for all callbacks at once, in linear time."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.conformance.received_callbacks import CallbackMonitor
from voicegauge.contract.loading import load_catalogue
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import ReceivedCallback, Request
from voicegauge.rules.checker import Checker
from voicegauge.rules.webhooks import RequestCallbacks

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PIXAZO = load_catalogue().find_provider("pixazo")
CALLBACK = {
    "request_id": "job-1",
    "status": "COMPLETED",
    "model_id": "chatterbox",
    "error": None,
    "output": {"media_url": ["https://cdn.example/a.wav"], "media_type": "audio/wav"},
    "created_at": "2026-05-22T13:17:32.110Z",
    "updated_at": "2026-05-22 13:19:23",
    "completed_at": "2026-05-22 13:19:23",
}


def _callback(value: Any, at_s: float = 0.0) -> ReceivedCallback:
    request = Request(method="POST", url="https://t.example/x", body=json.dumps(value).encode())
    return ReceivedCallback(received_at=1e9 + at_s, received_at_ms=at_s * 1000, request=request)


@st.composite
def _sequences(draw: st.DrawFn) -> list[ReceivedCallback]:
    states = draw(st.lists(st.sampled_from(["PROCESSING", "COMPLETED", "FAILED", "unknown"]), max_size=8))
    at_s, found = 0.0, []
    for state in states:
        at_s += draw(st.sampled_from([1.0, 1000.0]))
        found.append(_callback({**CALLBACK, "status": state, "error": draw(st.sampled_from([None, "x"]))}, at_s))
    return found


@settings(max_examples=20, deadline=None)
@given(callbacks=_sequences(), posts=st.sampled_from(["any", "terminal", "progress"]))
def test_callbacks_judged_one_by_one_have_the_findings_of_all_together(callbacks, posts) -> None:
    monitor = CallbackMonitor([PIXAZO], callback_timing=posts)
    one_by_one = {finding.rule for callback in callbacks for finding in monitor.judge_callback(callback).findings}
    checker = Checker(Provenance.LIVE)
    operation = next(o for o in PIXAZO.operations.values() if o.webhook is not None)
    together = {
        finding.rule
        for count in range(1, len(callbacks) + 1)
        for finding in checker.iterate_findings(RequestCallbacks(operation, tuple(callbacks[:count]), posts))
    }
    assert {rule for rule in one_by_one if rule.startswith("webhook-")} == together


@pytest.mark.parametrize("stated", ["9" * 400, "9" * 5000, "\u0661", "soon", "-1"])
def test_a_callback_may_state_any_text_as_its_time(stated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = load_catalogue().find_provider("replicate")
    signature = next(one.webhook.signature for one in contract.operations.values() if one.webhook is not None)
    monkeypatch.setenv(signature.secret_variable, SECRET)
    body = b'{"id": "job-1", "status": "succeeded"}'
    for time_text, expected in ((stated, "unverified"), ("1000000000", "verified")):
        signed = signature.compute_signature(SECRET, body, callback_id="m1", timestamp=time_text)
        headers = signature.build_headers(signed, callback_id="m1", timestamp=time_text)
        request = Request(method="POST", url="https://t.example/x", headers=tuple(headers.items()), body=body)
        received = ReceivedCallback(received_at=1e9, received_at_ms=0.0, request=request)
        assert CallbackMonitor([contract]).judge_callback(received).sender_verification == expected


def _count_calls(count: int, ids: int) -> int:
    """Number of Python function calls that it takes to judge `count` callbacks about `ids` jobs."""
    monitor = CallbackMonitor([PIXAZO])
    callbacks = [_callback({**CALLBACK, "request_id": f"job-{number % ids}"}) for number in range(count)]
    calls = 0

    def profile(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(profile)
    try:
        for callback in callbacks:
            monitor.judge_callback(callback)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("ids", [1, 7])
def test_the_work_grows_linearly_with_the_number_of_callbacks(ids: int) -> None:
    _count_calls(20, ids)  # fills caches
    calls = [_count_calls(count, ids) for count in (50, 100, 200)]
    assert calls[1] < 2.1 * calls[0]
    assert calls[2] < 2.1 * calls[1]
