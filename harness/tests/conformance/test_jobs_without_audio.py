"""Jobs whose result is not audio, such as the training of a voice: the example of the docs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.errors import ContractError

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


def test_a_job_is_followed_to_its_end_without_findings(load) -> None:
    report = check_in_process(load())
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
    report = check_in_process(load(), f"{fault}@acme/getTraining")
    assert {finding.rule for finding in report.findings} - {"response-schema"} == {rule}
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
