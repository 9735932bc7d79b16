from __future__ import annotations

import itertools
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.client.exchange_log import get_retry_after_s, iterate_poll_waits_s, iterate_retry_waits_s
from voicegauge.contract.extension.jobs import PollSchedule
from voicegauge.contract.extension.provider import RetryPolicy
from voicegauge.model.exchange import Response


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    """The time zone of the machine is not GMT."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("-3", 0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu Jan  1 00:01:40 1970", 90),
        ("Thu, 01 Jan 1970 02:01:40 +0200", 90),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        (" 7 ", 7),
        (" Thu, 01 Jan 1970 00:01:40 GMT ", 90),
        ("Fri, 31 Dec 9999999999 23:59:59 GMT", None),
        ("Thu, 99 Foo 1970", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    response = Response(status=429, headers=(("retry-after", value),))
    assert get_retry_after_s(response, now_unix_s=10) == seconds


def test_no_retry_after():
    assert get_retry_after_s(Response(status=429)) is None


def test_polls_grow_from_min_to_max():
    waits = iterate_poll_waits_s(PollSchedule(min_interval_s=1, max_interval_s=5, interval_factor=2))
    assert list(itertools.islice(waits, 5)) == [1, 2, 4, 5, 5]


@given(
    first=st.floats(0.1, 10),
    factor=st.floats(1, 3),
    most=st.floats(10, 60),
    attempts=st.integers(1, 8),
    seed=st.integers(),
)
def test_retries_are_never_sooner_than_documented_and_repeat_under_a_seed(first, factor, most, attempts, seed):
    retry = RetryPolicy(initial_delay_s=first, delay_factor=factor, max_delay_s=most, max_attempts=attempts)
    waits = list(iterate_retry_waits_s(retry, random.Random(seed)))
    assert len(waits) == attempts - 1
    for index, wait in enumerate(waits):
        documented = min(first * factor**index, most)
        assert documented * 0.999 <= wait <= documented * 1.101
    assert waits == list(iterate_retry_waits_s(retry, random.Random(seed)))
