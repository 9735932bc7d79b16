from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from voicegauge.cli import cli
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.drift._traffic_vs_contract import compare_traffic_with_contract
from voicegauge.drift.contract_patch import ContractPatch, build_contract_patch
from voicegauge.files import find_bundled_folder
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange
from voicegauge.recording.har_files import save_har

from .emulator_recordings import record, traffic
from .injections import with_json, with_response

PROVIDERS = ("pixelapi/voice-design", pytest.param("ttsai/kokoro", marks=pytest.mark.slow), "pixazo/xtts-v2")


@pytest.fixture(scope="module", params=PROVIDERS)
def patched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Contract, tuple[Exchange, ...]]:
    """A copy of a bundled contract, and traffic with it that shows much that it does not say."""
    provider, target = request.param.split("/")
    path = tmp_path_factory.mktemp("contract") / provider / "openapi.yaml"
    path.parent.mkdir()
    shutil.copy(find_bundled_folder("contracts") / provider / "openapi.yaml", path)
    contract = load_contract(path)
    return path, contract, tuple(map(_changed, asyncio.run(record(contract.find_target_by_name(target), 3))))


def _changed(one: Exchange) -> Exchange:
    if "json" not in one.response.media_type:
        return one
    value: Any = json.loads(one.response.body)
    if one.response.status == 200:
        value["engine"] = {"name": "v2", "nodes": [{"id": 1, "on": True}], "yes": None}
        value["queue_position"] = 3
        if "status" in value:
            value["status"] = "RENDERING: late" if value["status"] in ("completed", "COMPLETED") else value["status"]
    status = 451 if one.response.status in (400, 404) else one.response.status
    headers = (*one.response.headers, ("X-Region", "eu-1"), ("X-Cost", "12"))
    return with_response(with_json(one, value), status=status, headers=headers)


def _propose(contract: Contract, exchanges: tuple[Exchange, ...]) -> ContractPatch:
    seen = traffic(contract, exchanges, "seen.har")
    return build_contract_patch(seen, compare_traffic_with_contract(seen))


def _apply(patch: str, folder: Path) -> None:
    done = subprocess.run(["patch", "-p0"], input=patch, text=True, capture_output=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_patch_applies_and_documents_the_traffic(
    patched: tuple[Path, Contract, tuple[Exchange, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, contract, exchanges = patched
    copy = tmp_path / "openapi.yaml"
    shutil.copy(path, copy)
    monkeypatch.chdir(tmp_path)
    patch = _propose(load_contract(Path("openapi.yaml")), exchanges).build_unified_diff()
    _apply(patch, tmp_path)
    changed = load_contract(copy)
    rules = {c.rule for c in compare_traffic_with_contract(traffic(changed, exchanges)).changes}
    stated = {"observed-status-undocumented", "observed-header-undocumented", "observed-field-undocumented"}
    before = {c.rule for c in compare_traffic_with_contract(traffic(contract, exchanges)).changes}
    assert stated <= before
    assert not rules & (stated | {"observed-value-undocumented"})
    assert "recording seen.har" in changed.provider.sources
    removed = [line for line in patch.splitlines() if line.startswith("-") and not line.startswith("---")]
    added = [line for line in patch.splitlines() if line.startswith("+")]
    assert len(removed) < len(added) / 2  # lines are changed only where a list or a mapping is written on one
    assert all("is_inferred: true" in line for line in added if "document_name: recording" in line)


def test_changes_that_no_addition_can_document_are_left(
    patched: tuple[Path, Contract, tuple[Exchange, ...]],
) -> None:
    _, contract, exchanges = patched
    left = _propose(contract, exchanges).unpatched_changes
    assert {c.rule for c in left} <= {
        "observed-state-undocumented",
        "observed-value-out-of-bounds",
        "observed-field-missing",
    }


def test_documented_traffic_gives_an_empty_patch() -> None:
    contract = load_contract(find_bundled_folder("contracts") / "pixelapi" / "openapi.yaml")
    exchanges = asyncio.run(record(contract.find_target_by_name("voice-design"), 3))
    assert _propose(contract, exchanges).build_unified_diff() == ""


@pytest.mark.parametrize("patched", PROVIDERS[:1], indirect=True)
def test_from_the_command_line(patched: tuple[Path, Contract, tuple[Exchange, ...]], tmp_path: Path) -> None:
    path, contract, exchanges = patched
    har = tmp_path / "new.har"
    save_har(har, exchanges, provenance=Provenance.EMULATED, contract=contract)
    patch = tmp_path / "change.patch"
    done = CliRunner().invoke(cli, ["drift", str(path), str(har), "--propose", str(patch)])
    assert done.exit_code == 1, done.output
    assert "observed-field-undocumented" in done.output
    assert f"patch -p0 < {patch}" in done.output
    assert "+++" in patch.read_text()
    markdown = CliRunner().invoke(cli, ["drift", str(path), str(har), "--format", "markdown"]).output
    assert "| Location | Rule | Change | File |" in markdown
    assert "`observed-status-undocumented`" in markdown


def test_an_added_error_can_be_emulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = load_contract(find_bundled_folder("contracts") / "pixelapi" / "openapi.yaml")
    (submit, *_) = asyncio.run(record(source.find_target_by_name("voice-design"), 1))
    expired = with_response(with_json(submit, {"detail": "It has expired."}), status=410)
    monkeypatch.chdir(tmp_path)
    shutil.copy(source.document.path, "openapi.yaml")
    _apply(_propose(load_contract(Path("openapi.yaml")), (expired,)).build_unified_diff(), tmp_path)
    (operation,) = [one for one in load_contract(Path("openapi.yaml")).operations.values() if "410" in one.responses]
    (example,) = operation.responses["410"].media_types["application/json"].examples
    assert (example.rejection_reason, example.value) == ("expired", {"detail": "It has expired."})


def test_with_nothing_to_add_no_file_is_written(tmp_path: Path) -> None:
    contract = load_contract(find_bundled_folder("contracts") / "pixelapi" / "openapi.yaml")
    har, patch = tmp_path / "same.har", tmp_path / "folder" / "change.patch"
    exchanges = asyncio.run(record(contract.find_target_by_name("voice-design"), 3))
    save_har(har, exchanges, provenance=Provenance.EMULATED, contract=contract)
    arguments = ["drift", str(contract.document.path), str(har), "--propose", str(patch)]
    output = CliRunner().invoke(cli, arguments).output
    assert f"the recordings add nothing to the contract: {patch} is not written" in output
    assert "patch -p0" not in output
    assert not patch.parent.exists()
    patch.parent.mkdir()
    patch.write_text("an earlier patch")
    refused = CliRunner().invoke(cli, arguments)
    assert f"{patch} exists: name another file with --propose, or delete it" in str(refused.exception)
    assert patch.read_text() == "an earlier patch"


def test_a_contract_in_json_stays_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = load_contract(find_bundled_folder("contracts") / "pixelapi" / "openapi.yaml")
    exchanges = tuple(map(_changed, asyncio.run(record(source.find_target_by_name("voice-design"), 3))))
    monkeypatch.chdir(tmp_path)
    Path("openapi.json").write_text(json.dumps(source.document.data, indent=2) + "\n")
    _apply(_propose(load_contract(Path("openapi.json")), exchanges).build_unified_diff(), tmp_path)
    changed = json.loads(Path("openapi.json").read_text())
    assert "queue_position" in changed["components"]["schemas"]["SpeechStatus"]["properties"]
    load_contract(Path("openapi.json"))


@pytest.mark.parametrize("patched", PROVIDERS[:1], indirect=True)
def test_an_addition_fits_all_recorded_values(
    patched: tuple[Path, Contract, tuple[Exchange, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first value of a field is null, a header has two spellings, and a new status has two kinds of bodies."""
    path, _, exchanges = patched
    values, headers = (None, "late", 3), (("X-Cost", "12"), ("x-cost", "12.5"))

    def vary(index: int, one: Exchange) -> Exchange:
        value = json.loads(one.response.body) if "json" in one.response.media_type else None
        if not isinstance(value, dict):
            return one
        changed = with_json(one, {**value, "wait": values[index % 3], "seen": {f"key{index % 2}": index}})
        status = 451 if one.response.status == 404 else one.response.status
        return with_response(changed, status=status, headers=(*one.response.headers, headers[index % 2]))

    varied = tuple(vary(index, one) for index, one in enumerate(exchanges))
    monkeypatch.chdir(tmp_path)
    shutil.copy(path, "openapi.yaml")
    patch = _propose(load_contract(Path("openapi.yaml")), varied).build_unified_diff()
    assert patch.count("X-Cost:") + patch.count("x-cost:") == patch.lower().count("x-cost:")
    _apply(patch, tmp_path)
    left = compare_traffic_with_contract(traffic(load_contract(Path("openapi.yaml")), varied)).changes
    assert not [
        (change.rule, change.location)
        for change in left
        if change.rule.startswith("observed-") and ("wait" in change.location or "key" in change.location)
    ]
    assert not {change.rule for change in left} & {"observed-status-undocumented", "observed-header-undocumented"}
