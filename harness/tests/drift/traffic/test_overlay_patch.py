"""`drift --propose` for a contract that is an overlay: the patch changes the overlay, not the official document."""

from __future__ import annotations

import asyncio
import json
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
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange
from voicegauge.recording.har_files import save_har

from .emulator_recordings import record, traffic
from .injections import with_json, with_response

OFFICIAL = """
openapi: 3.0.3
info: {title: Acme official, version: "7"}
servers: [{url: "https://api.acme.test"}]
paths:
  /it's/speech:
    post:
      operationId: create
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Speech"}}}
      responses:
        "200": {description: audio, content: {application/json: {schema: {$ref: "parts.yaml#/Result"}}}}
components:
  schemas:
    Speech: {type: object, required: [text], properties: {text: {type: string, maxLength: 200}}}
"""
PARTS = "Result: {type: object, required: [audio_url], properties: {audio_url: {type: string, format: uri}}}\n"
OVERLAY = """overlay: 1.0.0
info: {title: Acme as a contract, version: "1"}
extends: openapi.yaml
actions:
  - target: $
    update:
      x-provider:
        id: acme
        title: Acme
        key_variable: ACME_KEY
        sources: {openapi.yaml: {title: Acme, date: "2026-01-01"}}
      security: [{key: []}]
  - target: $.components
    update: {securitySchemes: {key: {type: http, scheme: bearer}}}
  - target: $.paths["/it's/speech"].post
    update:
      responses: {"401": {description: no key}}
      x-speech:
        request_fields: {text: body#/text}
        response: {audio: {location: body#/audio_url, delivery_method: url}}
        targets: {one: {title: One, pricing: {unit: request, usd_per_unit: 0.01}}}
"""
PATCHED_RULES = {
    *("observed-status-undocumented", "observed-header-undocumented", "observed-field-undocumented"),
    *("observed-value-undocumented", "observed-type-undocumented", "observed-media-type-undocumented"),
}


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contract:
    monkeypatch.chdir(tmp_path)
    Path("openapi.yaml").write_text(OFFICIAL)
    Path("parts.yaml").write_text(PARTS)
    Path("overlay.yaml").write_text(OVERLAY)
    return load_contract(Path("overlay.yaml"))


def propose(contract: Contract, exchanges: tuple[Exchange, ...]) -> ContractPatch:
    seen = traffic(contract, exchanges, "seen.har")
    return build_contract_patch(seen, compare_traffic_with_contract(seen))


def apply(patch: str) -> None:
    done = subprocess.run(["patch", "-p0"], input=patch, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def reported_rules(contract: Contract, exchanges: tuple[Exchange, ...]) -> set[str]:
    return {change.rule for change in compare_traffic_with_contract(traffic(contract, exchanges)).changes}


def record_varied(contract: Contract) -> tuple[Exchange, ...]:
    """Exchanges with undocumented statuses, headers and fields, no two of which have the same values."""
    target = next(iter(contract.targets.values()))
    return tuple(
        vary(one, index) for index, one in enumerate(asyncio.run(record(target, 3))) if one.operation == "create"
    )


def vary(one: Exchange, index: int) -> Exchange:
    headers = (*one.response.headers, (("X-Cost", "x-cost")[index % 2], ("12", "12.5")[index % 2]))
    if index % 3 == 2:
        body: dict[str, Any] = {"error": {"code": index} if index % 2 else "late"}
        return with_response(with_json(one, body), status=451, headers=headers)
    return with_response(one, headers=headers)


def test_the_patch_adds_actions_to_the_overlay_that_document_the_traffic(contract: Contract) -> None:
    exchanges = record_varied(contract)
    before = reported_rules(contract, exchanges)
    assert {"observed-status-undocumented", "observed-header-undocumented"} <= before
    patch = propose(contract, exchanges)
    apply(patch.build_unified_diff())
    assert Path("openapi.yaml").read_text() == OFFICIAL
    text = Path("overlay.yaml").read_text()
    assert "target: \"$['paths']['/it\\\\'s/speech']['post']['responses']\"" in text
    changed = load_contract(Path("overlay.yaml"))
    assert not reported_rules(changed, exchanges) & PATCHED_RULES
    assert "recording seen.har" in changed.provider.sources
    assert max(map(len, text.splitlines())) <= 120


def test_an_addition_in_a_third_file_is_left_to_a_person(contract: Contract) -> None:
    def add_field(one: Exchange) -> Exchange:
        value = json.loads(one.response.body) if "json" in one.response.media_type else None
        return with_json(one, {**value, "seconds": 1}) if isinstance(value, dict) and "audio_url" in value else one

    target = next(iter(contract.targets.values()))
    exchanges = tuple(map(add_field, asyncio.run(record(target, 3))))
    patch = propose(contract, exchanges)
    assert [change.rule for change in patch.unpatched_changes] == ["observed-field-undocumented"]
    (change,) = patch.unpatched_changes
    assert change.old_position is not None
    assert change.old_position.file == "parts.yaml"
    save_har(Path("seen.har"), exchanges, provenance=Provenance.EMULATED, contract=contract)
    output = CliRunner().invoke(cli, ["drift", "overlay.yaml", "seen.har", "--propose", "change.patch"]).output
    assert output.count("must be made by hand in parts.yaml:1") == 1
    assert output.rstrip().endswith("; 1 change must be made by hand")
