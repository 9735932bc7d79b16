from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.bench._sample_building import measure_latency, measure_request_phases
from voicegauge.contract.contract import Target
from voicegauge.contract.loading import load_contract
from voicegauge.model.exchange import Delivery, Exchange, Failure, Job, Request, Response, StateObservation, Timing
from voicegauge.model.sample import Interval

from ..builders.documents import changed_yaml
from .conftest import ACME

STATUS = "/paths/~1jobs~1{id}/get"
STATUS_PROPERTIES = f"{STATUS}/responses/200/content/application~1json/schema/properties"


@pytest.fixture(scope="module")
def timestamped(tmp_path_factory: pytest.TempPathFactory) -> Target:
    path = tmp_path_factory.mktemp("timestamped") / "openapi.yaml"
    changes = {
        f"{STATUS}/x-job/creation_time_location": "body#/created",
        f"{STATUS}/x-job/end_time_location": "body#/completed",
        f"{STATUS_PROPERTIES}/audio": {"type": "string"},
        f"{STATUS_PROPERTIES}/created": {},
        f"{STATUS_PROPERTIES}/completed": {},
    }
    path.write_text(changed_yaml(ACME, changes))
    return load_contract(path).find_target_by_name("job")


def exchange(
    operation: str,
    response_began_ms: float,
    *,
    total: float = 30.0,
    receive: float = 10.0,
    first: float | None = None,
    media: str = "",
) -> Exchange:
    timing = Timing(
        started_at=0.0,
        started_ms=1000.0 + response_began_ms,
        connection_wait_ms=0.0,
        connect_ms=None,
        tls_ms=None,
        send_ms=1.0,
        ttfb_ms=total - receive - 1.0,
        receive_ms=receive,
        total_ms=total,
        chunk_arrivals=() if first is None else ((first, 10), (total, 90)),
    )
    response = Response(status=200, headers=(("Content-Type", media or "application/json"),))
    return Exchange(
        provider="acme",
        operation=operation,
        request=Request(method="POST", url="https://api.acme.test"),
        response=response,
        timing=timing,
    )


def polled(*seen: tuple[str, float, float], target: str = "acme/job") -> Delivery:
    """A job that was seen in the states `seen`: (state, asked, answered), the submit's answer first."""
    exchanges = [exchange("submit", 0.0), exchange("audio", seen[-1][2], total=40.0, first=25.0, media="audio/wav")]
    observations = tuple(
        StateObservation(state=state, requested_ms=asked, response_began_ms=at, exchange_index=0)
        for state, asked, at in seen
    )
    return Delivery(
        target=target,
        exchanges=tuple(exchanges),
        submit_count=1,
        job=Job(id="1", status_operation="status", observations=observations),
        audio=b"RIFF",
        audio_exchange_index=1,
        submit_exchange_index=0,
    )


def delivered_by(answer: Exchange) -> Delivery:
    """A delivery whose audio is in the response to the only request."""
    return Delivery(
        target="acme/now",
        exchanges=(answer,),
        submit_count=1,
        audio=b"RIFF",
        audio_exchange_index=0,
        submit_exchange_index=0,
    )


def test_audio_in_the_response_is_timed_from_the_submit(targets: dict[str, Target]) -> None:
    answer = exchange("now", 0.0, total=100.0, receive=60.0, first=45.0, media="audio/wav")
    delivery = delivered_by(answer)
    found = measure_latency(delivery, targets["acme/now"])
    assert found is not None
    assert (found.submit_latency_ms, found.ttfb_ms, found.ttfa_ms, found.total_latency_ms) == (100.0, 40.0, 45.0, 100.0)
    assert (found.download_ms, found.completion_ms, found.queue_ms) == (None, None, None)


def test_times_count_from_the_first_submit_and_from_when_it_had_to_wait_for_others(targets: dict[str, Target]) -> None:
    refused, answer = exchange("now", 0.0), exchange("now", 5000.0, total=100.0, media="audio/wav")
    delivery = Delivery(
        target="acme/now",
        exchanges=(refused, answer),
        submit_count=2,
        audio=b"RIFF",
        audio_exchange_index=1,
        submit_exchange_index=1,
        first_submit_sent_ms=1000.0,
    )
    found = measure_latency(delivery, targets["acme/now"])
    assert found is not None
    assert (found.total_latency_ms, found.retries_ms, found.start_delay_ms) == (5100.0, 5000.0, None)
    late = measure_latency(delivery, targets["acme/now"], due_ms=990.0)
    assert late is not None
    assert (late.total_latency_ms, late.retries_ms, late.start_delay_ms) == (5100.0, 5000.0, 10.0)
    waited = measure_latency(delivery, targets["acme/now"], due_ms=990.0, slot_wait_ms=4.0)
    assert waited is not None
    assert (waited.total_latency_ms, waited.retries_ms, waited.start_delay_ms) == (5104.0, 5000.0, 10.0)


def test_opening_a_connection_is_no_latency(targets: dict[str, Target]) -> None:
    answer = exchange("now", 0.0, total=100.0, receive=60.0, first=45.0, media="audio/wav")
    assert answer.timing is not None
    opened = msgspec.structs.replace(
        answer.timing, connection_wait_ms=2.0, connect_ms=8.0, tls_ms=20.0, delay_before_send_ms=30.0
    )
    delivery = delivered_by(msgspec.structs.replace(answer, timing=opened))
    found, phases = measure_latency(delivery, targets["acme/now"]), measure_request_phases(delivery)
    assert found is not None
    assert (found.ttfb_ms, found.ttfa_ms, found.total_latency_ms) == (10.0, 15.0, 70.0)
    assert phases is not None
    assert (phases.connection_wait_ms, phases.connect_ms, phases.tls_ms, phases.is_new_connection) == (
        2.0,
        8.0,
        20.0,
        True,
    )


def test_audio_inside_json_arrives_with_the_last_byte(targets: dict[str, Target]) -> None:
    answer = exchange("now", 0.0, total=100.0, receive=60.0, first=45.0, media="application/json")
    delivery = delivered_by(answer)
    found = measure_latency(delivery, targets["acme/now"])
    assert found is not None
    assert (found.ttfb_ms, found.ttfa_ms) == (40.0, 100.0)


def test_phases_of_a_job_have_bounds_between_two_polls(targets: dict[str, Target]) -> None:
    found = measure_latency(
        polled(("queued", 0, 30), ("queued", 100, 110), ("working", 200, 210), ("done", 300, 310)), targets["acme/job"]
    )
    assert found is not None
    assert found.queue_ms == Interval(low_ms=100, high_ms=210)
    assert found.completion_ms == Interval(low_ms=200, high_ms=310)
    assert found.processing_ms == Interval(low_ms=0, high_ms=210)
    assert (found.ttfb_ms, found.ttfa_ms, found.total_latency_ms, found.download_ms) == (340.0, 335.0, 350.0, 40.0)


def test_a_state_missed_between_polls_widens_the_bounds(targets: dict[str, Target]) -> None:
    found = measure_latency(polled(("queued", 0, 30), ("done", 5000, 5010)), targets["acme/job"])
    assert found is not None
    assert found.queue_ms == Interval(low_ms=0, high_ms=5010)
    assert found.completion_ms == Interval(low_ms=0, high_ms=5010)
    assert found.processing_ms == Interval(low_ms=0, high_ms=5010)


@given(
    waits=st.lists(st.floats(1, 1000), min_size=2, max_size=12),
    truth=st.tuples(st.floats(0, 3000), st.floats(0, 3000)),
)
def test_the_true_time_always_lies_within_the_bounds(
    targets: dict[str, Target], waits: list[float], truth: tuple[float, float]
) -> None:
    begun, done = truth[0], truth[0] + truth[1]
    seen, asked = [("queued", 0.0, 30.0)], 30.0
    for wait in (*waits, 10_000.0):
        asked += wait
        state = "queued" if asked + 5 < begun else "working" if asked + 5 < done else "done"
        seen.append((state, asked, asked + 10))
        if state == "done":
            break
        asked += 10
    found = measure_latency(polled(*seen), targets["acme/job"])
    assert found is not None
    for interval, value in ((found.queue_ms, begun), (found.completion_ms, done), (found.processing_ms, done - begun)):
        assert interval is not None
        assert interval.low_ms <= value + 1e-6
        assert value <= interval.high_ms + 1e-6 or value <= 30.0


def test_a_failure_after_the_submit_keeps_the_submit_latency(targets: dict[str, Target]) -> None:
    failure = Failure(kind="rejected", message="no", http_status=400)
    delivery = Delivery(
        target="acme/job",
        exchanges=(exchange("submit", 0.0),),
        submit_count=1,
        submit_exchange_index=0,
        failure=failure,
    )
    found = measure_latency(delivery, targets["acme/job"])
    assert found is not None
    assert (found.submit_latency_ms, found.total_latency_ms) == (30.0, None)


@pytest.mark.parametrize("submit", [None, 0])
def test_without_a_timed_submit_there_are_no_times(targets: dict[str, Target], submit: int | None) -> None:
    untimed = Exchange(
        provider="acme",
        operation="status",
        request=Request(method="GET", url="https://api.acme.test"),
        response=Response(status=200),
    )
    delivery = Delivery(
        target="acme/job",
        exchanges=(untimed,),
        submit_count=0,
        audio=b"x",
        audio_exchange_index=0,
        submit_exchange_index=submit,
    )
    assert measure_latency(delivery, targets["acme/job"]) is None


@pytest.mark.parametrize(
    ("created", "completed", "bounds"),
    [
        ("2026-01-01T00:00:00.100Z", "2026-01-01T00:00:00.350Z", (249.0, 281.0)),  # 30 ms until the submit is answered
        (1767225600, 1767225600, (200.0, 310.0)),  # whole seconds
        ("2026-01-01T00:00:00.100Z", "2026-01-01T00:00:09.350Z", (200.0, 310.0)),  # contradicts the polls
        ("soon", None, (200.0, 310.0)),
    ],
)
def test_timestamps_of_the_provider_narrow_the_bounds_if_they_agree(
    timestamped: Target, created: object, completed: object, bounds: tuple[float, float]
) -> None:
    delivery = polled(("queued", 0, 30), ("working", 200, 210), ("done", 300, 310))
    body = msgspec.json.encode({"state": "done", "created": created, "completed": completed})
    poll = exchange("status", 300.0)
    poll = msgspec.structs.replace(poll, response=msgspec.structs.replace(poll.response, body=body))
    assert delivery.job is not None
    last = msgspec.structs.replace(delivery.job.observations[-1], exchange_index=2)
    job = msgspec.structs.replace(delivery.job, observations=(*delivery.job.observations[:-1], last))
    found = measure_latency(
        msgspec.structs.replace(delivery, exchanges=(*delivery.exchanges, poll), job=job), timestamped
    )
    assert found is not None
    assert found.completion_ms == Interval(low_ms=bounds[0], high_ms=bounds[1])


def test_a_job_left_the_queue_before_the_end_that_its_timestamps_state(timestamped: Target) -> None:
    delivery = polled(("queued", 0, 30), ("done", 300, 310))
    times = {"created": "2026-01-01T00:00:00.100Z", "completed": "2026-01-01T00:00:00.150Z"}
    poll = exchange("status", 300.0)
    body = msgspec.json.encode({"state": "done", **times})
    poll = msgspec.structs.replace(poll, response=msgspec.structs.replace(poll.response, body=body))
    assert delivery.job is not None
    last = msgspec.structs.replace(delivery.job.observations[-1], exchange_index=2)
    job = msgspec.structs.replace(delivery.job, observations=(delivery.job.observations[0], last))
    found = measure_latency(
        msgspec.structs.replace(delivery, exchanges=(*delivery.exchanges, poll), job=job), timestamped
    )
    assert found is not None
    assert found.completion_ms == Interval(low_ms=49.0, high_ms=81.0)
    assert found.queue_ms is not None
    assert found.queue_ms.high_ms == 81.0
