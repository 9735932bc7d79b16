"""A document is loaded, or rejected in one line with its line; contracts are found, selected by name, and replaced."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from voicegauge.contract.loading import load_catalogue, load_contract
from voicegauge.errors import ContractError, UnknownNameError


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


@pytest.fixture
def folder(acme, tmp_path):
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "openapi.yaml").write_text(acme)
    return tmp_path


def test_user_folders_are_added_to_the_bundled_contracts(folder) -> None:
    bundled, both = load_catalogue(), load_catalogue([folder])
    assert {contract.id for contract in both} == {contract.id for contract in bundled} | {"acme"}
    assert [contract.id for contract in both] == sorted(contract.id for contract in both)


def test_a_single_file_is_accepted(folder) -> None:
    assert load_catalogue([folder / "acme" / "openapi.yaml"]).find_provider("acme").id == "acme"


def test_a_user_contract_replaces_a_bundled_one(folder) -> None:
    path = folder / "acme" / "openapi.yaml"
    text = path.read_text().replace("  id: acme\n", "  id: pixelapi\n").replace("ACME_API_KEY", "PIXELAPI_KEY")
    path.write_text(text.replace("https://api.acme.example", "https://api.pixelapi.dev"))
    assert list(load_catalogue([folder]).find_provider("pixelapi").targets) == ["swift"]


def test_another_server_or_key_of_a_bundled_contract_requires_another_id(folder) -> None:
    path = folder / "acme" / "openapi.yaml"
    path.write_text(path.read_text().replace("  id: acme\n", "  id: pixelapi\n"))
    with pytest.raises(ContractError, match=r"pixelapi is a bundled contract, .*: choose another id$"):
        load_catalogue([folder])


def test_targets_are_selected_by_provider_or_full_id(folder) -> None:
    catalogue = load_catalogue([folder])
    assert [target.id for target in catalogue.select_targets(["acme"])] == ["acme/swift"]
    assert [target.id for target in catalogue.select_targets(["acme/swift", "acme"])] == ["acme/swift"]
    assert len(catalogue.select_targets([])) == len(catalogue.targets)


def test_an_unknown_name_suggests_the_nearest(folder) -> None:
    catalogue = load_catalogue([folder])
    with pytest.raises(UnknownNameError, match="did you mean acme/swift"):
        catalogue.select_targets(["acme/swivt"])
    with pytest.raises(UnknownNameError, match="unknown provider 'acne': did you mean acme"):
        catalogue.find_provider("acne")
    with pytest.raises(UnknownNameError, match="did you mean getSpeech"):
        catalogue.find_provider("acme").find_operation("getSpeach")


def test_an_unknown_name_among_many_is_a_short_message() -> None:
    catalogue = load_catalogue()
    count = sum(1 for contract in catalogue for _ in contract.iterate_targets())
    with pytest.raises(UnknownNameError) as caught:
        catalogue.select_targets(["openai/tts-9"])
    assert str(caught.value).startswith("unknown target 'openai/tts-9': did you mean openai/tts-1? Similar: openai/tts")
    assert str(caught.value).endswith(f"; `voicegauge providers` lists all {count}")
    assert len(str(caught.value)) < 200
    for name, meant in (("tts-1", "openai/tts-1"), ("OpenAI", "openai")):
        with pytest.raises(UnknownNameError, match=f"did you mean {meant}\\?"):
            catalogue.select_targets([name])
    with pytest.raises(UnknownNameError, match="unknown target '': `voicegauge providers` lists all"):
        catalogue.select_targets([""])


def test_one_folder_does_not_define_a_provider_twice(folder, acme) -> None:
    (folder / "another.yaml").write_text(acme)
    with pytest.raises(ContractError, match=r"acme is defined twice: .*openapi\.yaml, .*another\.yaml"):
        load_catalogue([folder])
    both = load_catalogue([folder / "acme", folder / "another.yaml"])
    assert both.find_provider("acme").document.path == folder / "another.yaml"


def test_an_empty_folder_is_an_error(tmp_path) -> None:
    with pytest.raises(ContractError, match=r"no contract found: expected .*openapi\.yaml.*overlay\.yaml"):
        load_catalogue([tmp_path])
    with pytest.raises(ContractError, match=r"missing: no such file or folder$"):
        load_catalogue([tmp_path / "missing"])


def test_a_folder_without_permission_is_not_called_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "iterdir", refuse)  # root may read any folder
    with pytest.raises(ContractError, match=r": cannot be read: Permission denied$"):
        load_catalogue([tmp_path])


def test_a_provider_without_targets_is_refused_with_file_and_line(folder, acme) -> None:
    path = folder / "acme" / "openapi.yaml"
    path.write_text(
        acme.replace("      x-speech:", "      x-speech-later:").replace("      x-job:", "      x-job-later:")
    )
    with pytest.raises(ContractError, match="describes no target") as raised:
        load_catalogue([folder]).select_targets(["acme"])
    assert (raised.value.path, raised.value.line) == (path, 1 + acme[: acme.index("\npaths:") + 1].count("\n"))
