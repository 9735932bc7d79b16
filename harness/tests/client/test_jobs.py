"""A job is polled as its contract documents, until it ends or is cancelled."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import JSONResponse, Response

from voicegauge.client.client import CANCEL_REQUEST_TIMEOUT_S, Client
from voicegauge.client.exchange_log import DeliveryInterruptedError
from voicegauge.client.ledger import Ledger
from voicegauge.client.spending_journal import PurchaseAccount, PurchaseHistory, SubmitRecorder
from voicegauge.errors import BudgetError, UsageError
from voicegauge.transport.http import Transport

from ..builders.scripted_provider import HELLO, KEY, WAV, Watcher, audio_at, job, job_script
from ..builders.servers import serving
from ..builders.virtual_time import in_virtual_time
from .conftest import JOB_ID


async def test_a_status_response_can_request_a_wait(speak, script, status):
    job_script(script, speak.base, status)
    working = status("working")
    working.headers["retry-after"] = "9"
    script.on("GET /jobs/j1", working, status("done", audio=audio_at(speak.base)))
    _, clock = await speak()
    assert clock.sleeps == [1, 9]


async def test_a_job_may_be_done_at_once(speak, script):
    script.on("POST /speech", JSONResponse({"id": "j", "state": "done", "audio": audio_at(speak.base)}, 202))
    script.on("GET /files/a.wav", Response(WAV, media_type="audio/wav"))
    delivery, clock = await speak()
    assert delivery.audio == WAV
    assert clock.sleeps == []
    assert [s.state for s in delivery.job.observations] == ["done"]


def without_link(document):
    del document["paths"]["/speech"]["post"]["responses"]["202"]["links"]


@pytest.mark.parametrize("poll", ["/v9/jobs?id=1", None, "http://evil.test/jobs/j1", "http://127.0.0.1:9/jobs/j1", 5])
async def test_a_polling_url_is_used_only_if_it_is_the_providers_own(speak, script, status, poll):
    job_script(script, speak.base, status)
    own = isinstance(poll, str) and poll.startswith("/")
    url = f"{speak.base}{poll}" if own else poll
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued", "poll": url}, 202))
    script.on("GET /v9/jobs", status("done", audio=audio_at(speak.base)))
    delivery, _ = await speak(edit=without_link)
    assert delivery.audio == WAV
    assert script.routes[1] == ("GET /v9/jobs" if own else "GET /jobs/j1")
    assert script.requests[1][1].headers["x-key"] == KEY


async def test_without_an_id_nor_a_url_of_its_own_a_job_is_lost(speak, script):
    script.on("POST /speech", JSONResponse({"state": "queued", "poll": "http://evil.test/j"}, 202))
    delivery, _ = await speak(edit=without_link)
    assert delivery.failure.kind == "protocol"
    assert delivery.failure.message == (
        "the response to the submit has no usable job id at body#/id: "
        'HTTP 202: {"state":"queued","poll":"http://evil.test/j"}'
    )
    assert script.routes == ["POST /speech"]


async def test_the_parameters_of_a_poll_are_sent_where_they_are_documented(speak, script, status):
    """A link can fill parameters in the path, the query and the headers, and name where each belongs."""

    def link_parameters(document):
        poll = document["paths"]["/jobs/{job_id}"]["get"]
        text = {"schema": {"type": "string"}}
        poll["parameters"] = [
            JOB_ID,
            {"name": "token", "in": "query", **text},
            {"name": "X-Zone", "in": "header", **text},
        ]
        document["paths"]["/speech"]["post"]["responses"]["202"]["links"]["status"]["parameters"] = {
            "path.job_id": "$response.body#/id",
            "token": "$response.body#/token",
            "X-Zone": "$response.header.X-Zone",
        }

    job_script(script, speak.base, status)
    submitted = JSONResponse({"id": "j1", "state": "queued", "token": "t 1"}, 202, {"X-Zone": "eu"})
    script.on("POST /speech", submitted)
    delivery, _ = await speak(edit=link_parameters)
    assert delivery.audio == WAV
    sent = script.requests[1][1]
    assert (sent.url.path, sent.url.query, sent.headers["x-zone"]) == ("/jobs/j1", "token=t%201", "eu")


def id_in_header(document):
    """Take the job's id in a header, which can only have ASCII characters."""
    paths = document["paths"]
    paths["/jobs"] = {"get": paths.pop("/jobs/{job_id}")["get"]}
    paths["/jobs"]["get"]["parameters"] = [{**JOB_ID, "in": "header", "name": "X-Job"}]
    links = paths["/speech"]["post"]["responses"]["202"]["links"]
    links["status"]["parameters"] = {"X-Job": "$response.body#/id"}


async def test_an_id_that_cannot_be_sent_is_a_protocol_failure_and_leaves_no_open_job(speak, script):
    script.on("POST /speech", JSONResponse({"id": "\u00e91", "state": "queued"}, 202))
    watcher = Watcher()
    delivery, _ = await speak(edit=id_in_header, submit_observer=watcher)
    assert delivery.failure.message == "the header X-Job can only have printable ASCII characters"
    assert (delivery.failure.kind, delivery.has_open_job, delivery.job.id) == ("protocol", False, "\u00e91")
    assert watcher.events[-1] == (202, "accepted", None)


@pytest.mark.parametrize("submitted", [{}, {"state": "dreaming"}, {"state": "done"}, {"state": 5}])
async def test_a_job_without_a_result_in_the_response_to_its_submit_is_polled(speak, script, status, submitted):
    job_script(script, speak.base, status)
    script.on("POST /speech", JSONResponse({"id": "j1", **submitted}, 202))
    delivery, _ = await speak()
    assert delivery.audio == WAV
    assert script.routes == ["POST /speech", "GET /jobs/j1", "GET /files/a.wav"]


@pytest.mark.parametrize("job_id", [f"j-{KEY}", "j" * 513, "j\x1b1", ""])
async def test_an_id_that_cannot_be_saved_leaves_no_open_job(speak, script, job_id):
    """The link from the submit is followed where the id can be part of a URL."""
    script.on("POST /speech", JSONResponse({"id": job_id, "state": "queued"}, 202))
    script.on(f"GET /jobs/{job_id}", Response(status_code=500))
    watcher = Watcher()
    delivery, _ = await speak(submit_observer=watcher)
    assert watcher.events[-1] == (202, "accepted", None)
    assert (delivery.job.id, delivery.has_open_job) == (None, False)
    assert delivery.failure.kind == ("server_error" if KEY in job_id else "protocol")


@pytest.mark.parametrize("reason", [{}, {"reason": None}, {"reason": " "}])
async def test_a_failed_job_may_have_no_reason(speak, script, status, reason):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("failed", **reason))
    delivery, _ = await speak()
    assert delivery.failure.message == "failed: no reason given"


async def test_a_failed_job_has_a_reason(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("failed", reason=f"out of breath {KEY}"))
    delivery, _ = await speak()
    assert (delivery.failure.kind, delivery.failure.message) == ("failed", "failed: out of breath [redacted]")
    assert delivery.audio is None


async def test_a_reason_is_one_short_line_without_control_characters(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("failed", reason="\x1b]0;mine\x07 out\nof \u202ebreath" + "!" * 5_000))
    delivery, _ = await speak()
    message = delivery.failure.message
    assert message.startswith("failed: ]0;mine out of breath!!!")
    assert message.isprintable()
    assert len(message) < 300


async def test_an_unknown_state_is_noted_and_waited_for(speak, script, status):
    job_script(script, speak.base, status, "dreaming")
    delivery, _ = await speak()
    assert delivery.audio == WAV
    assert [s.state for s in delivery.job.observations] == ["queued", "dreaming", "done"]


async def test_a_stuck_job_times_out(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status("working"))
    delivery, clock = await speak()
    assert delivery.failure.kind == "timeout"
    assert delivery.failure.message == "job not done after 60 s (the contract's limit), last seen: state 'working'"
    assert clock.monotonic() == 60
    assert sum(clock.sleeps) == 60


async def test_a_status_response_without_a_state_is_a_protocol_failure(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", JSONResponse({"note": "busy"}))
    delivery, _ = await speak()
    assert delivery.failure.kind == "protocol"
    assert 'no state at body#/state: HTTP 200: {"note":"busy"}' in delivery.failure.message


async def test_polls_that_fail_in_passing_are_borne(speak, script, status):
    job_script(script, speak.base, status)
    script.on(
        "GET /jobs/j1",
        Response(status_code=500),
        Response(status_code=429, headers={"Retry-After": "3"}),
        status("done", audio=audio_at(speak.base)),
    )
    delivery, clock = await speak()
    assert delivery.audio == WAV
    assert clock.sleeps == [1, 2, 3]


@pytest.mark.parametrize(
    ("code", "kind", "polls"), [(500, "server_error", 6), (404, "rejected", 1), (300, "protocol", 1)]
)
async def test_polls_that_keep_failing_are_not(speak, script, status, code, kind, polls):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", Response(status_code=code))
    delivery, _ = await speak()
    assert delivery.failure.kind == kind
    assert delivery.failure.message.startswith("polling the job: HTTP")
    assert script.routes.count("GET /jobs/j1") == polls


async def test_a_job_paid_for_before_is_resumed(speak, script, status):
    job_script(script, speak.base, status, "working")
    delivery, clock = await speak(speech="j1", method="resume_job")
    assert delivery.audio == WAV
    assert script.routes == ["GET /jobs/j1", "GET /jobs/j1", "GET /files/a.wav"]
    assert (delivery.submit_count, delivery.submit_exchange_index, delivery.job.id) == (0, None, "j1")
    assert (delivery.charged_usd, delivery.charged_credits) == (None, None)
    assert clock.sleeps == [0, 2]


@pytest.mark.parametrize(
    ("answer", "has_open_job"),
    [
        (Response(status_code=500), True),
        (Response(status_code=429), True),
        (Response(status_code=401), True),
        (Response("<html>busy</html>", media_type="text/html"), True),
        (Response(status_code=404), False),
        (Response(status_code=410), False),
        (job("failed"), False),
        (job("working"), False),
    ],
)
async def test_a_job_whose_status_cannot_be_fetched_stays_open(speak, script, status, answer, has_open_job):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", answer)
    delivery, _ = await speak()
    assert delivery.failure is not None
    assert (delivery.has_open_job, delivery.billing_status) == (has_open_job, "accepted")


async def test_a_job_whose_audio_cannot_be_fetched_stays_open(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /files/a.wav", Response(status_code=503))
    delivery, _ = await speak()
    assert delivery.has_open_job


async def test_a_job_without_an_id_cannot_stay_open(speak, script):
    script.on("POST /speech", JSONResponse({"state": "queued", "poll": f"{speak.base}/v9"}, 202))
    script.on("GET /v9", Response(status_code=500))
    watcher = Watcher()
    delivery, _ = await speak(edit=without_link, submit_observer=watcher)
    assert not delivery.has_open_job
    assert (delivery.job.id, [seen.state for seen in delivery.job.observations]) == (None, ["queued"])
    assert watcher.events[-1] == (202, "accepted", None)


async def test_a_resumed_job_keeps_its_id_and_waits_for_the_end_of_an_unknown_state(speak, script, status):
    job_script(script, speak.base, status, "dreaming")
    delivery, _ = await speak(speech="j1", method="resume_job")
    assert (delivery.audio, delivery.job.id) == (WAV, "j1")
    script.on("GET /jobs/j1", Response(status_code=404))
    delivery, _ = await speak(speech="j1", method="resume_job")
    assert (delivery.job.id, delivery.job.observations) == ("j1", ())


@pytest.mark.parametrize(("state", "spent_usd"), [("done", 0.01), ("failed", 0.01), ("void", 0.0)])
async def test_the_price_of_a_resumed_job_is_settled_by_its_end(speak, script, status, state, spent_usd):
    job_script(script, speak.base, status)
    script.on("GET /jobs/j1", status(state, audio=audio_at(speak.base)))
    ledger = Ledger(0.005)
    held = ledger.reserve_unconditionally(0.01)  # more than the budget: it was spent before
    with pytest.raises(BudgetError):
        ledger.reserve(0.001)
    await speak(speech="j1", method="resume_job", ledger=ledger, reservation=held)
    assert (ledger.spent_usd, ledger.reserved_usd) == (spent_usd, 0)


def poll_by_query(document):
    """Name the job in a query parameter, which only the link from the submit tells from another one."""
    paths = document["paths"]
    paths["/jobs"] = {"get": paths.pop("/jobs/{job_id}")["get"]}
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in ("part", "job")]
    paths["/jobs"]["get"]["parameters"] = parameters
    links = paths["/speech"]["post"]["responses"]["202"]["links"]
    links["status"]["parameters"] = {"job": "$response.body#/id"}


async def test_a_job_is_resumed_by_the_parameter_to_which_a_link_assigns_its_id(speak, script, status):
    job_script(script, speak.base, status)
    script.on("GET /jobs", status("done", audio=audio_at(speak.base)))
    delivery, _ = await speak(speech="j1", method="resume_job", edit=poll_by_query)
    assert delivery.audio == WAV
    assert script.requests[0][1].url.query == "job=j1"


async def test_a_job_cannot_be_resumed_if_no_parameter_takes_its_id(speak, script):
    def without_a_link_to_poll(document):
        poll_by_query(document)
        without_link(document)

    with pytest.raises(UsageError) as caught:
        await speak(speech="j1", method="resume_job", edit=without_a_link_to_poll)
    assert str(caught.value) == "acme status does not say which parameter takes the job's id"
    assert script.requests == []


async def test_a_target_without_jobs_cannot_be_resumed(speak):
    with pytest.raises(UsageError, match="acme/sync has no jobs"):
        await speak("sync", speech="j1", method="resume_job")


def cancellable(document):
    document["paths"]["/jobs/{job_id}"]["get"]["x-job"]["cancellation"] = {
        "operation_id": "cancel",
        "resulting_state": "failed",
    }


def cancellable_by_link(document):
    """Cancel a job by a parameter that only a link names as that of the id."""
    cancellable(document)
    document["paths"]["/jobs"] = {"delete": document["paths"]["/jobs/{job_id}"].pop("delete")}
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in ("why", "job")]
    document["paths"]["/jobs"]["delete"]["parameters"] = parameters
    links = document["paths"]["/speech"]["post"]["responses"]["202"]["links"]
    links["cancel"] = {"operationId": "cancel", "parameters": {"job": "$response.body#/id"}}


def cancellable_by_nothing(document):
    cancellable_by_link(document)
    del document["paths"]["/speech"]["post"]["responses"]["202"]["links"]["cancel"]


@pytest.mark.parametrize(
    ("edit", "cancellation"),
    [
        (None, None),
        (cancellable, "/jobs/j1"),
        (cancellable_by_link, "/jobs?job=j1"),
        (cancellable_by_nothing, None),
    ],
)
async def test_ctrl_c_cancels_the_job_where_that_is_documented(contract, script, serve, status, edit, cancellation):
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued"}, 202))
    script.on("GET /jobs/j1", status("working")).on("DELETE /jobs/j1", Response(status_code=204))
    base, loaded, watcher, ledger = await serve(script), contract(edit), Watcher(), Ledger(1.0)
    async with Transport() as transport:
        client = Client(loaded, transport, base_urls={"": base}, key=KEY, ledger=ledger)
        task = asyncio.create_task(client.speak(loaded.find_target_by_name("one"), HELLO, submit_observer=watcher))
        while len(watcher.events) < 2:  # noqa: ASYNC110 - an observer has no event
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(DeliveryInterruptedError) as caught:
            await task
    assert watcher.events[-1] == (202, "accepted", "j1")
    assert (caught.value.delivery.exchanges[-1].operation == "cancel") is (cancellation is not None)
    sent = [str(request.url).removeprefix(base) for _, request, _ in script.requests if request.method == "DELETE"]
    assert sent == ([cancellation] if cancellation else [])
    assert (ledger.spent_usd, ledger.reserved_usd) == (0.01, 0)


async def _never(_request):
    await asyncio.sleep(3600)


async def _interrupt(contract, script, base, edit, *, at="GET /jobs/j1"):
    """Speak, and cancel the task when a request has arrived `at` a route that does not respond.

    Return the delivery, and the seconds from the cancellation to its end.
    """
    arrived = asyncio.Event()

    async def wait(request):
        arrived.set()
        await _never(request)

    script.on(at, wait)
    async with Transport() as transport:
        client = Client(contract(edit), transport, base_urls={"": base}, key=KEY)
        task = asyncio.create_task(client.speak(contract(edit).find_target_by_name("one"), HELLO))
        await arrived.wait()
        task.cancel()
        started_s = asyncio.get_running_loop().time()
        with pytest.raises(DeliveryInterruptedError) as caught:
            await task
        return caught.value.delivery, asyncio.get_running_loop().time() - started_s


@in_virtual_time
async def test_ctrl_c_waits_for_a_cancellation_for_a_short_time_only(contract, script, status):
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued"}, 202))
    script.on("DELETE /jobs/j1", _never)
    async with serving(script) as base:
        delivery, took_s = await _interrupt(contract, script, base, cancellable)
    assert script.routes[-1] == "DELETE /jobs/j1"
    assert took_s == pytest.approx(CANCEL_REQUEST_TIMEOUT_S)
    assert delivery.has_open_job


@in_virtual_time
async def test_a_job_without_an_id_cannot_be_cancelled(contract, script, status):
    async with serving(script) as base:
        script.on("POST /speech", JSONResponse({"state": "queued", "poll": f"{base}/jobs/j1"}, 202))
        delivery, _ = await _interrupt(contract, script, base, cancellable)
    assert script.routes == ["POST /speech", "GET /jobs/j1"]
    assert not delivery.has_open_job


@pytest.mark.parametrize(("submitted", "at"), [("done", "GET /jobs/j1"), ("queued", "GET /files/a.wav")])
@in_virtual_time
async def test_a_job_that_has_ended_is_not_cancelled(contract, script, status, submitted, at):
    async with serving(script) as base:
        job_script(script, base, status)
        script.on("POST /speech", JSONResponse({"id": "j1", "state": submitted}, 202))
        await _interrupt(contract, script, base, cancellable, at=at)
    assert script.routes[-1] == at


def charged_at_submit(document):
    document["paths"]["/speech"]["post"]["x-speech"]["response"]["charge_location"] = "body#/cost"


@pytest.mark.parametrize(("submitted", "done", "charged_usd"), [(5, 0.5, 5), (0.5, 5, 5), (0, 0.5, 0.5)])
async def test_the_larger_charge_of_a_delivery_counts(speak, script, status, submitted, done, charged_usd):
    job_script(script, speak.base, status, cost=done)
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued", "cost": submitted}, 202))
    delivery, _ = await speak(edit=charged_at_submit)
    assert delivery.charged_usd == charged_usd


async def test_a_job_documented_as_free_gives_back_the_charge_of_its_submit(speak, script, status):
    job_script(script, speak.base, status)
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued", "cost": 5}, 202))
    script.on("GET /jobs/j1", status("void", cost=0))
    delivery, _ = await speak(edit=charged_at_submit)
    assert (delivery.failure.kind, delivery.charged_usd) == ("failed", 0)


async def test_a_charge_that_cannot_be_believed_reaches_the_observer_and_the_ledger(speak, script, status):
    job_script(script, speak.base, status, cost=0.5)
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued", "cost": 1e12}, 202))
    ledger, events = Ledger(10.0), []
    recorder = SubmitRecorder(events.append, "a", 1.0)
    await speak(edit=charged_at_submit, ledger=ledger, price_usd=1.0, submit_observer=recorder)
    assert events[-1].unreadable_charge == "states a charge of 1e+12 USD, which cannot be believed"
    assert ledger.spent_usd == 1.0
    history = PurchaseHistory("a")
    for event in events:
        event.add_to_history(history)
    later = Ledger(10.0)
    PurchaseAccount({"a": history}).note_overcharges(later, lambda _: "acme/one")
    for one in (ledger, later):
        with pytest.raises(BudgetError, match=r"a response of acme/one states a charge of 1e\+12 USD"):
            one.reserve(1.0, "acme/one")


@pytest.mark.parametrize(("cost", "refusal"), [(5, r"a/one was charged \$5"), (-1, "a/one states a charge of -1 USD")])
async def test_a_charge_in_a_status_alone_reaches_the_journal(speak, script, status, cost, refusal):
    """A command that was killed before the delivery was judged does not buy at that price again."""
    job_script(script, speak.base, status, cost=cost)
    events = []
    await speak(ledger=Ledger(10.0), price_usd=1.0, submit_observer=SubmitRecorder(events.append, "a", 1.0))
    history = PurchaseHistory("a")
    for event in events:
        event.add_to_history(history)
    (purchase,) = history.purchases
    assert (purchase.http_status, purchase.job_id) == (202, "j1")
    later = Ledger(10.0)
    PurchaseAccount({"a": history}).note_overcharges(later, lambda _: "a/one")
    with pytest.raises(BudgetError, match=refusal):
        later.reserve(1.0, "a/one")


async def test_a_submit_that_is_not_json_says_so_instead_of_blaming_the_job_id(speak, script):
    body = b'{"id": "j1", "state": "queued", "cost": NaN}'
    script.on("POST /speech", Response(body, media_type="application/json", status_code=202))
    delivery, _ = await speak()
    assert delivery.failure.message == (
        "the response to the submit has no usable job id at body#/id, because the body has NaN, which is not valid "
        f"JSON: HTTP 202: {body.decode()}"
    )
