"""Jobs pass through their documented states, in time or poll by poll."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest

from voicegauge.emulator.process import SCENARIO_HEADER
from voicegauge.speech.decoding import decode


async def test_each_poll_moves_a_job_to_its_next_state(start: Any) -> None:
    api = await start()
    submitted = (await api.submit()).json()
    assert submitted["state"] == "queued"
    assert submitted["id"].startswith("job_")
    assert submitted["poll"] == f"{api.url}/acme/jobs/{submitted['id']}"
    assert await api.states(submitted["id"], 4) == ["working", "done", "done", "done"]


async def test_a_virtual_clock_only_moves_when_advanced(start: Any) -> None:
    api = await start(clock="virtual")
    job = (await api.submit()).json()["id"]
    assert await api.states(job, 3) == ["queued"] * 3
    await api.control("POST", "/clock", {"advance_s": 1.01})
    assert await api.states(job, 2) == ["working"] * 2
    await api.control("POST", "/clock", {"advance_s": 2.1})
    done = (await api.send("GET", f"/jobs/{job}")).json()
    assert done["state"] == "done"
    spent = datetime.fromisoformat(done["finished"]) - datetime.fromisoformat(done["created"])
    assert spent.total_seconds() == 3


async def test_the_response_is_the_documented_example_with_actual_values(start: Any) -> None:
    api = await start()
    job = (await api.submit()).json()["id"]
    await api.states(job, 1)
    done = (await api.send("GET", f"/jobs/{job}")).json()
    assert set(done) == {"id", "state", "model", "audio", "type", "cost", "created", "finished"}
    assert (done["id"], done["model"], done["cost"]) == (job, "model-small", 30)
    assert done["audio"].startswith(api.url)
    assert "T" not in done["created"], "in the style of the example"
    audio = await api.send("GET", done["audio"], key=None)
    assert audio.headers["Content-Type"] == done["type"]
    assert decode(audio.content).duration_s > 0.5


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^nar_[a-z0-9]+$"},
        {"type": "string", "pattern": r"^(job|task)-\d{4}(-[^-_\W]{2,6})?$", "maxLength": 20},
        {"type": "string", "maxLength": 12},
        {"type": "string", "format": "uuid"},
    ],
    ids=["pattern", "pattern-and-length", "length", "uuid"],
)
async def test_job_ids_fit_the_parameter_that_takes_them(start: Any, schema: dict[str, Any]) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["paths"]["/jobs/{job_id}"]["get"]["parameters"][0]["schema"] = schema

    api = await start(edit=edit)
    ids = [(await api.submit(model="large")).json()["id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert await api.states(ids[0], 2) == ["working", "done"]
    # A stated format is kept, so that a contract can describe a service that breaks its own document.
    assert (await api.submit(model="small")).json()["id"].startswith("job_")


async def test_an_integer_id_of_a_job_is_an_integer_in_responses(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        status = document["paths"]["/jobs/{job_id}"]["get"]
        status["parameters"][0]["schema"] = {"type": "integer", "minimum": 1000, "maximum": 99_999_999}
        for operation, code in ((document["paths"]["/speech"]["post"], "202"), (status, "200")):
            schema = operation["responses"][code]["content"]["application/json"]["schema"]
            schema["properties"]["id"] = {"type": "integer"}
        status["responses"]["200"]["content"]["application/json"]["examples"]["done"]["value"]["id"] = 1234

    api = await start(edit=edit)
    job = (await api.submit(model="large")).json()["id"]
    assert isinstance(job, int)
    assert 1000 <= job <= 99_999_999
    polled = (await api.send("GET", f"/jobs/{job}")).json()
    assert (polled["id"], polled["state"]) == (job, "working")


async def test_a_state_without_an_example_is_built_from_the_schema(start: Any) -> None:
    api = await start()
    job = (await api.submit(model="large")).json()["id"]
    working = (await api.send("GET", f"/jobs/{job}")).json()
    assert (working["id"], working["state"], working["model"]) == (job, "working", "model-large")
    assert "audio" not in working


async def test_a_job_ends_in_the_requested_state_and_is_refunded_if_that_is_free(start: Any) -> None:
    api = await start(credits=100)
    job = (await api.submit(headers={SCENARIO_HEADER: "state:void"})).json()
    assert job["left"] == 70
    failed = (await api.send("GET", f"/jobs/{job['id']}")).json()
    assert (failed["state"], failed["cost"]) == ("void", 0)
    assert failed["reason"]
    assert (await api.submit()).json()["left"] == 70
    job = (await api.submit(headers={SCENARIO_HEADER: "state:failed"})).json()["id"]
    assert (await api.states(job, 2))[-1] == "failed"
    assert (await api.submit()).json()["left"] == 10


async def test_a_refund_does_not_need_a_poll(start: Any) -> None:
    api = await start(clock="virtual", credits=100)
    await api.submit(headers={SCENARIO_HEADER: "state:void"})
    assert (await api.submit()).json()["left"] == 40
    await api.control("POST", "/clock", {"advance_s": 60})
    assert (await api.submit()).json()["left"] == 40


async def test_constants_are_written_where_the_response_has_their_location(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        target = document["paths"]["/speech"]["post"]["x-speech"]["targets"]["small"]
        target["emulation"]["response_constants"] = {"body#/trace": "t-{hex4}", "body#/nowhere": 1}
        media = document["paths"]["/speech"]["post"]["responses"]["202"]["content"]["application/json"]
        media["schema"]["properties"]["trace"] = {"type": "string"}

    api = await start(edit=edit)
    first, second = (await api.submit()).json(), (await api.submit()).json()
    traces = [first["trace"], second["trace"]]
    assert all(re.fullmatch("t-[0-9a-f]{4}", trace) for trace in traces)
    assert traces[0] != traces[1]
    assert "nowhere" not in second


async def test_a_cancelled_job_stays_cancelled(start: Any) -> None:
    api = await start()
    job = (await api.submit()).json()["id"]
    assert (await api.send("DELETE", f"/jobs/{job}")).status_code == 204
    assert await api.states(job, 2) == ["void", "void"]
    assert (await api.submit()).json()["left"] == 70


@pytest.mark.parametrize(("documented", "status"), [(False, 404), (True, 410)])
async def test_a_job_expires_an_hour_after_its_end(start: Any, documented: bool, status: int) -> None:
    def edit(document: dict[str, Any]) -> None:
        responses = document["paths"]["/jobs/{job_id}"]["get"]["responses"]
        example = {"x-rejection-reason": "expired", "value": {"code": "gone", "reason": "too late"}}
        media = {**responses["404"]["content"]["application/json"], "examples": {"one": example}}
        if documented:
            responses["410"] = {"description": "gone", "content": {"application/json": media}}

    api = await start(clock="virtual", edit=edit)
    job = (await api.submit()).json()["id"]
    await api.control("POST", "/clock", {"advance_s": 3600})  # it ended after three seconds
    assert await api.states(job, 1) == ["done"]
    await api.control("POST", "/clock", {"advance_s": 4})
    assert (await api.send("GET", f"/jobs/{job}")).status_code == status
    assert (await api.send("DELETE", f"/jobs/{job}")).status_code == 404


async def test_unknown_jobs_and_those_of_other_accounts_are_not_found(start: Any) -> None:
    api = await start()
    job = (await api.submit()).json()["id"]
    for path, key in (("/jobs/none", "k"), (f"/jobs/{job}", "another")):
        response = await api.send("GET", path, key=key)
        assert (response.status_code, response.json()["code"]) == (404, "not-found")


async def test_a_real_clock_waits_for_the_emulated_durations(start: Any) -> None:
    api = await start(clock="real", time_scale=0.0)
    job = (await api.submit()).json()["id"]
    assert await api.states(job, 1) == ["done"]
    api = await start(clock="real", time_scale=50)
    job = (await api.submit(model="large")).json()["id"]
    assert await api.states(job, 1) == ["queued"]


async def test_the_audio_of_an_unfinished_job_is_not_found(start: Any) -> None:
    api = await start(clock="virtual")
    job = (await api.submit()).json()["id"]
    media = f"{api.url}/_emulator/media/acme/{job}.wav"
    assert (await api.send("GET", media)).status_code == 404
    await api.control("POST", "/clock", {"advance_s": 60})
    assert (await api.send("GET", media)).status_code == 200


async def test_documented_download_and_result_operations_are_used(start: Any) -> None:
    identified = [{"name": "id", "in": "query", "required": True, "schema": {"type": "string"}}]

    def edit(document: dict[str, Any]) -> None:
        job = document["paths"]["/jobs/{job_id}"]["get"]["x-job"]
        job["result_operation_id"] = "result"
        job["states"]["done"]["required_locations"] = []
        job["audio"] = {"location": "body#/file", "delivery_method": "url", "download_operation_id": "download"}
        document["paths"]["/result"] = {
            "get": {
                "operationId": "result",
                "parameters": identified,
                "responses": {"200": {"description": "r", "content": {"application/json": {}}}},
            }
        }
        document["paths"]["/files/{id}/{name}"] = {
            "get": {
                "operationId": "download",
                "security": [],
                "parameters": [
                    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                    for name in ("id", "name")
                ],
                "responses": {"200": {"description": "audio", "content": {"audio/x-flac": {}, "audio/mpeg": {}}}},
            }
        }

    api = await start(edit=edit)
    job = (await api.submit()).json()["id"]
    assert (await api.send("GET", "/result", params={"id": job})).status_code == 404
    await api.states(job, 2)
    url = (await api.send("GET", "/result", params={"id": job})).json()["file"]
    assert url == f"{api.url}/acme/files/{job}/output.flac"
    audio = await api.send("GET", url, key=None)
    assert audio.headers["Content-Type"] == "audio/x-flac"
    assert decode(audio.content).container == "flac"
    assert (await api.send("GET", "/files/none/output.flac")).status_code == 404


async def test_a_reset_forgets_everything_but_the_faults(start: Any) -> None:
    api = await start(faults=("slow@acme/voices",))
    job = (await api.submit()).json()["id"]
    await api.control("POST", "/reset")
    assert (await api.send("GET", f"/jobs/{job}")).status_code == 404
    assert (await api.control("GET", "/faults"))["injected"] == ["slow@acme/voices"]
    state = await api.control("GET", "/state")
    assert state["acme"]["jobs"] == []


@pytest.mark.parametrize("body", [None, {}, {"advance_s": -1}, {"advance_s": "1"}, {"advance_s": True}])
async def test_an_invalid_clock_advance_explains_the_format(start: Any, body: Any) -> None:
    api = await start()
    response = await api.http.post(f"{api.url}/_emulator/clock", json=body)
    assert response.status_code == 400
    assert "advance_s" in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/fault", 404), ("GET", "", 404), ("DELETE", "/faults", 405)]
)
async def test_a_control_route_that_does_not_exist_names_those_that_do(
    start: Any, method: str, path: str, status: int
) -> None:
    api = await start()
    response = await api.http.request(method, f"{api.url}/_emulator/{path.removeprefix('/')}")
    assert response.status_code == status
    error = response.json()["error"]
    assert error.startswith(f"no control route {method} /_emulator/{path.removeprefix('/')}; below /_emulator are ")
    assert "GET /health, POST /reset, GET or POST /clock" in error
    assert "GET or PUT /faults" in error


async def test_the_same_requests_in_the_same_order_get_the_same_responses(start: Any) -> None:
    async def play(seed: int) -> list[Any]:
        api = await start(clock="virtual", seed=seed)
        seen: list[Any] = [(await api.submit()).json() for _ in range(2)]
        await api.control("POST", "/clock", {"advance_s": 60})
        for job in [entry["id"] for entry in seen]:
            state = (await api.send("GET", f"/jobs/{job}")).json()
            seen += [state["finished"], (await api.send("GET", state["audio"])).content]
        return [str(entry).replace(api.url, "") for entry in seen]

    first = await play(1)
    assert await play(1) == first
    assert (await play(2))[0] != first[0]
