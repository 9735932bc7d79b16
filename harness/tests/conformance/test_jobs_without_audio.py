"""Jobs of other kinds: without audio, and those that are done or not. They are examples of the docs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from voicegauge.cases.case import ConformanceCase
from voicegauge.client.http_request import RequestBuilder
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.errors import ContractError
from voicegauge.formats.locations import MISSING

from ..builders.documented_examples import read_example
from ..builders.in_process_check import check_in_process


@pytest.fixture
def load(tmp_path) -> Callable[..., Contract]:
    """Load the complete example with the operations of the training."""
    acme = yaml.safe_load(read_example("contract.md", "acme"))
    acme["paths"] |= yaml.safe_load(read_example("contract.md", "training", kind="jobs"))

    def load_edited(edit: Callable[[dict[str, Any]], object] = lambda _: None) -> Contract:
        edit(acme["paths"])
        path = tmp_path / "openapi.yaml"
        path.write_text(yaml.safe_dump(acme, sort_keys=False))
        return load_contract(path)

    return load_edited


def _is_training(case: ConformanceCase) -> bool:
    return case.operation == "createTraining"


def test_a_job_is_followed_to_its_end_without_findings(load) -> None:
    report = check_in_process(load(), keep_case=_is_training)
    assert report.findings == ()
    verdicts = {case.id: case.verdict for case in report.case_results}
    assert verdicts["acme/createTraining: a job, polled to its end"] == "passed"
    assert verdicts["acme/createTraining: name left out"] == "passed"


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("unknown-status", "job-state-unknown"),
        ("terminal-flip", "job-terminal-changed"),
        ("stuck-job", "job-stuck"),
        ("id-changed", "job-id-changed"),
        ("completed-without-output", "job-completed-without-output"),
    ],
)
def test_the_states_of_the_job_are_judged(load, fault, rule) -> None:
    report = check_in_process(load(), f"{fault}@acme/getTraining", keep_case=_is_training)
    assert {one for finding in report.findings for one in finding.violated_rules} - {"response-schema"} == {rule}
    assert {finding.where.operation for finding in report.findings} == {"getTraining"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda paths: paths["/v1/trainings"]["post"]["x-submit"].update(status_operation_id="getVoices"),
            "is not an operation with",
        ),
        (
            lambda paths: paths["/v1/speech"]["post"]["x-speech"]["response"].update(status_operation_id="getTraining"),
            "has no audio, so it cannot be the job of x-speech",
        ),
    ],
)
def test_a_contract_that_contradicts_itself_is_rejected(load, edit, message) -> None:
    with pytest.raises(ContractError, match=message):
        load(edit)


@pytest.fixture
def load_operations(tmp_path) -> Callable[..., Contract]:
    """Load the complete example with the operations that are done or not, whose names have slashes."""
    acme = yaml.safe_load(read_example("contract.md", "acme"))
    acme["paths"] = acme["paths"] | yaml.safe_load(read_example("contract.md", "operation", kind="jobs"))

    def load_edited(edit: Callable[[dict[str, Any]], object] = lambda _: None) -> Contract:
        edit(acme["paths"]["/v1/{name}"]["get"]["x-job"]["states"])
        path = tmp_path / "openapi.yaml"
        path.write_text(yaml.safe_dump(acme, sort_keys=False))
        return load_contract(path)

    return load_edited


def test_a_job_with_a_flag_is_followed_to_its_audio_without_findings(load_operations) -> None:
    contract = load_operations()
    report = check_in_process(contract, targets=[contract.targets["long"]])
    assert report.findings == ()
    verdicts = {case.id: case.verdict for case in report.case_results}
    assert verdicts["acme/long: a full delivery"] == "passed"
    assert verdicts["acme/long: a job that ends as failed"] == "passed"


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("unknown-status", "job-state-unknown"),
        ("terminal-flip", "job-terminal-changed"),
        ("failure-undone", "job-terminal-changed"),
        ("stuck-job", "job-stuck"),
        ("id-changed", "job-id-changed"),
        ("completed-without-output", "job-completed-without-output"),
        ("failed-without-reason", "job-failed-without-reason"),
    ],
)
def test_the_states_behind_the_flag_are_judged(load_operations, fault, rule) -> None:
    contract = load_operations()
    report = check_in_process(
        contract,
        f"{fault}@acme/getOperation",
        targets=[contract.targets["long"]],
        keep_case=lambda case: case.id.endswith((": a full delivery", ": a job that ends as failed")),
    )
    found = [(one, finding.where.operation) for finding in report.findings for one in finding.violated_rules]
    assert {one for one, _ in found} - {"response-schema", "audio-missing"} == {rule}
    assert (rule, "getOperation") in found


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda states: states["running"].pop("flag_value"), "state 'running' needs flag_value"),
        (
            lambda states: states["succeeded"].pop("identifying_location"),
            "states with flag_value true need an identifying_location: succeeded, failed",
        ),
    ],
)
def test_states_that_look_the_same_are_rejected(load_operations, edit, message) -> None:
    with pytest.raises(ContractError, match=message):
        load_operations(edit)


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"name": "n"}, "running"),
        ({"name": "n", "done": False}, "running"),
        ({"name": "n", "done": True, "response": {}}, "succeeded"),
        ({"name": "n", "done": True, "response": None, "error": {"code": 3}}, "failed"),
        ({"name": "n", "done": True}, "true"),
        ({"name": "n", "done": "yes"}, '"yes"'),
        ([], MISSING),
    ],
)
def test_a_flag_is_read_as_the_state_that_it_means(load_operations, body, state) -> None:
    job = load_operations().operations["getOperation"].job
    assert job.read_state(lambda location: location.read_body(body)) == state


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/base/v1/projects/p/locations/l/operations/o", ("/base", "projects/p/locations/l/operations/o")),
        ("/v1/v1/projects/p/locations/l/operations/a%20b", ("/v1", "projects/p/locations/l/operations/a b")),
        ("/v1/projects/p/locations/l", None),
        ("/v1/speech", None),
    ],
)
def test_a_name_with_slashes_is_found_at_the_end_of_a_path(load_operations, path, expected) -> None:
    match = load_operations().operations["getOperation"].match_path_end(path)
    assert (match and (match.base_path, match.path_parameters["name"])) == expected


def test_a_name_with_slashes_leads_to_no_other_path(load_operations) -> None:
    contract = load_operations()
    assert contract.match_operation("GET", "/v1/speech/17")[0].id == "getSpeech"
    operation = contract.operations["getOperation"]
    builder = RequestBuilder(contract, {})
    url = builder.build_url(operation, {"name": "projects/../locations/a?b/operations/."})
    assert url == "https://api.acme.example/v1/projects/%2E%2E/locations/a%3Fb/operations/%2E"
