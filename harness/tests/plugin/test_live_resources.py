"""Live tests announce what they leave in the account, and delete the rest."""

from __future__ import annotations

import copy
import json
import urllib.request

import pytest

from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.emulator.process import running_emulator

pytest_plugins = ["pytester"]

TEST = """
    def test_contract(voicegauge_check):
        voicegauge_check("acme")
"""


def test_live_tests_delete_what_they_create(
    run_pytest, saved_voices, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", "sk-acme-0123456789")
    document = copy.deepcopy(saved_voices.DOCUMENT)
    contract = saved_voices.write_contract(pytester.path / "emulated") / "openapi.yaml"
    with running_emulator([contract], build_emulator_settings()) as emulator:
        document["servers"] = [{"url": emulator.base_url("acme")}]
        folder = saved_voices.write_contract(pytester.path / "own", document)
        consent = f"ACME_KEY={emulator.url.removeprefix('http://')}"
        result = run_pytest(TEST, "--vg-live", "--vg-contracts", str(folder), "--vg-allow-key", consent)
        with urllib.request.urlopen(f"{emulator.control_url}/state", timeout=30) as answer:  # noqa: S310 - loopback
            stored = json.load(answer)["acme"]["resources"]
    result.assert_outcomes(passed=1)
    assert {resource["name"] for resource in stored} == {"voice print"}
    announced = "stays in the account, because no document says how to delete it: voice print (acme/createPrint, *"
    result.stdout.fnmatch_lines([announced, "left in the account: voice print print_* of acme/createPrint: *"])
