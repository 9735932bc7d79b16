"""A check waits for a job no longer than it must, and Ctrl-C keeps what was observed."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from voicegauge import cli
from voicegauge.speech.encoding import encode

from ..builders.acme import YAML_PREAMBLE

CONTRACT = (
    YAML_PREAMBLE
    + """\
paths:
  /jobs:
    post:
      operationId: submit
      x-speech:
        request_fields: {text: "body#/text"}
        response: {status_operation_id: status}
        targets:
          queued: {title: Queued}
      x-pricing: {unit: request, usd_per_unit: 0.001, source: {document_name: acme.txt}}
      requestBody:
        content:
          application/json:
            schema: {type: object, required: [text], properties: {text: {type: string, minLength: 1}}}
      responses:
        "202": {description: The job, content: {application/json: {schema: &job {type: object, required: [id]}}}}
        "400": {description: Rejected}
        "401": {description: No key}
  /jobs/{id}:
    get:
      operationId: status
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      x-job:
        submit_response: {job_id_location: body#/id, state_location: body#/state}
        state_location: body#/state
        states:
          waiting: {successor_names: [working]}
          working: {successor_names: [done], max_duration_s: 0.001}
          done: {terminal_outcome: success, required_locations: [body#/audio]}
        audio: {location: body#/audio, delivery_method: url}
        poll_schedule: {min_interval_s: 0.05, max_interval_s: 0.05, job_timeout_s: 3600}
      responses:
        "200": {description: The state, content: {application/json: {schema: *job}}}
        "401": {description: No key}
        "404": {description: Unknown}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
"""
)
KEY = "sk-acme-0123456789abcdef"


class JobService:
    """A service whose jobs never end."""

    def __init__(self) -> None:
        self.url = ""
        self.polls = 0
        self.on_poll: Callable[[int], Response] = lambda _: JSONResponse({"id": "j1", "state": "working"})
        """Returns the response to the nth poll."""

    async def submit(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return Response(status_code=401)
        try:
            text = json.loads(await request.body())["text"]
        except (ValueError, KeyError, TypeError):
            return Response(status_code=400)
        if not isinstance(text, str) or not text:
            return Response(status_code=400)
        return JSONResponse({"id": "j1", "state": "waiting"}, 202)

    async def status(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return Response(status_code=401)
        if request.path_params["id"] != "j1":
            return Response(status_code=404)
        self.polls += 1
        return self.on_poll(self.polls)


@pytest.fixture
def service() -> Iterator[JobService]:
    jobs = JobService()
    routes = [Route("/jobs", jobs.submit, methods=["POST"]), Route("/jobs/{id}", jobs.status)]
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="critical", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    jobs.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    yield jobs
    server.should_exit = True
    thread.join(60)
    listening.close()


@pytest.fixture
def check(service: JobService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Any]]:
    """Run `voicegauge check acme --live`; returns the exit status and the report."""
    monkeypatch.setenv("ACME_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    folder, out = tmp_path / "contracts" / "acme", tmp_path / "out.json"
    folder.mkdir(parents=True)
    (folder / "openapi.yaml").write_text(CONTRACT)

    def run(*arguments: str) -> tuple[int, Any]:
        where = ["--contracts", str(folder.parent), "--live", "--base-url", service.url, "--max-calls", "1"]
        status = cli.run(["check", "acme", *where, "--json", str(out), *arguments])
        return status, json.loads(out.read_text())

    return run


def reasons(report: Any) -> list[str]:
    return [case["not_judged_reason"] for case in report["case_results"] if case["id"].endswith("a full delivery")]


def rules(report: Any) -> set[str]:
    return {finding["rule"] for finding in report["findings"]}


def test_an_undocumented_state_is_a_finding_at_once(check, service) -> None:
    service.on_poll = lambda _: JSONResponse({"id": "j1", "state": "dreaming"})
    status, report = check()
    assert status == 1
    assert rules(report) == {"job-state-unknown"}
    assert reasons(report) == ["protocol: the job is in state 'dreaming', which the contract does not document"]
    assert service.polls == 1


def test_a_recording_says_why_a_case_is_left_out_without_quoting_the_service(check, service, tmp_path) -> None:
    service.on_poll = lambda _: JSONResponse({"id": "j1", "state": "done", "se": "cret"})
    assert check("--max-calls", "0")[0] in (0, 3), "the contract is written"
    out, where = tmp_path / "result.json", ["--contracts", str(tmp_path / "contracts"), "--base-url", service.url]
    cli.run(["record", "acme", "--live", "--yes", *where, "--out", str(tmp_path / "fixtures"), "--json", str(out)])
    reason = json.loads(out.read_text())["skip_reason_by_case"]["acme/queued: a full delivery"]
    assert reason == "protocol: the response of status has no audio at body#/audio (HTTP 200)"


@pytest.mark.parametrize(
    "source", ["option", *(pytest.param(one, marks=pytest.mark.slow) for one in ("environment", "settings"))]
)
def test_the_wait_is_limited_by_the_user(check, monkeypatch, tmp_path, source) -> None:
    if source == "environment":
        monkeypatch.setenv("VOICEGAUGE_MAX_WAIT", "1.5")
    if source == "settings":
        (tmp_path / "voicegauge.toml").write_text("max-wait = 1.5\n")
    _, report = check(*(["--max-wait", "1.5"] if source == "option" else []))
    [reason] = reasons(report)
    assert reason.startswith("timeout: job not done after ")
    assert "(a delivery may take 1.5 s), last seen: " in reason
    assert reason.endswith("state 'working'")
    assert "job-stuck" not in rules(report)  # the limit is not the contract's


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "inf", "soon"])
def test_a_limit_that_is_no_time_is_rejected(limit, capsys) -> None:
    assert cli.run(["check", "--emulated", "--max-wait", limit]) == 2
    assert "--max-wait" in capsys.readouterr().err


@pytest.fixture
def python_signals() -> Iterator[None]:
    """Handle Ctrl-C as a new process does: servers of other tests may have left their own handler."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.slow  # waits for the request in flight
@pytest.mark.usefixtures("python_signals")
def test_ctrl_c_judges_the_states_observed_so_far(check, service) -> None:
    def interrupt(number: int) -> Response:
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return JSONResponse({"id": "j1", "state": "working"})

    service.on_poll = interrupt
    status, report = check()
    assert status == 130
    assert (report["is_finished"], report["stop_message"]) == (False, "interrupted")
    assert rules(report) == {"job-state-too-long"}
    assert reasons(report) == ["interrupted: interrupted before the delivery was complete, last seen: state 'working'"]
    assert report["exchange_count_by_provenance"]["live"] >= 3


def test_a_slow_service_does_not_hold_up_polls_after_the_end_of_a_job(check, service, monkeypatch) -> None:
    monkeypatch.setattr("voicegauge.conformance._resource_lifecycle.MAX_POLL_DURATION_S", 0.2)
    audio = encode(np.full(8_000, 0.3, np.float32), 8_000, "wav")[0]
    done = {"id": "j1", "state": "done", "audio": f"data:audio/wav;base64,{base64.b64encode(audio).decode()}"}

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    service.on_poll = lambda number: JSONResponse(done) if number == 1 else StreamingResponse(drip())
    _, report = check()
    assert service.polls == 2  # the second one is cut off, and no third one is sent
    assert reasons(report) == [None]
