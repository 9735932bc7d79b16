"""A document is loaded, or rejected in one line with file, line and reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from voicegauge.contract.loading import load_contract
from voicegauge.errors import ContractError


def test_the_documented_example_is_a_complete_contract(acme, load) -> None:
    contract = load(acme)
    assert list(contract.targets) == ["swift"]
    target = contract.find_target_by_name("swift")
    assert target.id == "acme/swift"
    assert target.job_operation is contract.find_operation("getSpeech")
    assert target.speech.request_fields["language"].provider_values == {"en": "en-US", "de": "de-DE"}
    assert contract.hosts == {"api.acme.example"}
    assert contract.match_operation("GET", "/v1/speech/job-1") == (
        contract.find_operation("getSpeech"),
        {"id": "job-1"},
    )
    for operation in contract.operations.values():
        for response in operation.responses.values():
            for media in response.media_types.values():
                assert all(not list(media.iterate_violations(example.value)) for example in media.examples)


BROKEN: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_name("broken_documents.yaml").read_text("utf-8"))


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_document_is_rejected_with_its_line(
    case: str, acme: str, load, line_of: Callable[[str], int], tmp_path
) -> None:
    broken = BROKEN[case]
    assert broken["change"] in acme
    with pytest.raises(ContractError) as caught:
        load(acme.replace(broken["change"], broken["to"], 1))
    message = str(caught.value)
    assert broken["message"] in message
    assert message.startswith(f"{tmp_path / 'openapi.yaml'}:{line_of(broken['at'])}: ")
    assert "\n" not in message


def test_servers_are_distinguished(acme, load) -> None:
    one = '  - {url: "https://api.acme.example", x-name: api}\n'
    both = load(acme.replace(one, f"{one}  - {{url: https://eu.acme.example/api/, x-name: eu}}\n"))
    assert {server.name: server.url for server in both.servers.values()} == {
        "api": "https://api.acme.example",
        "eu": "https://eu.acme.example/api",
    }
    for second in ("{url: https://b.example, x-name: api}", "{url: https://api.acme.example, x-name: other}"):
        with pytest.raises(ContractError, match=r":5: the servers .* share a name or a URL"):
            load(acme.replace(one, f"{one}  - {second}\n"))


def test_a_server_variable_has_its_default(acme, load) -> None:
    contract = load(
        acme.replace(
            '{url: "https://api.acme.example", x-name: api}',
            '{url: "https://{region}.acme.example", variables: {region: {default: eu}}}',
        )
    )
    assert contract.hosts == {"eu.acme.example"}


def test_a_path_item_may_be_a_reference(acme, load) -> None:
    status = "  /v1/speech/{id}:\n"
    submit, polled = acme.split("components:\n")[0].split(status)
    indented = "".join(f"  {line}\n" for line in polled.splitlines())
    reference = f'{status.rstrip()} {{$ref: "#/components/pathItems/Status"}}\n\n'
    moved = f"{submit}{reference}components:\n  pathItems:\n    Status:\n{indented}"
    contract = load(acme.replace(f"{submit}{status}{polled}components:\n", moved))
    assert contract.find_operation("getSpeech").path == "/v1/speech/{id}"
    assert contract.find_operation("getSpeech").pointer == "/components/pathItems/Status/get"


def test_a_missing_file_is_one_line(tmp_path) -> None:
    with pytest.raises(ContractError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_contract(tmp_path / "nowhere.yaml")
