"""The first live check of each provider, with few calls and a small budget, as the documentation advises."""

from __future__ import annotations

import json

import pytest

from voicegauge import cli
from voicegauge.contract.catalogue import load_catalogue
from voicegauge.emulator.process import running_emulator
from voicegauge.emulator.settings import EmulatorSettings

CONTRACTS = list(load_catalogue())


@pytest.mark.slow
@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.id)
def test_five_calls_for_a_dollar_judge_the_provider(contract, monkeypatch, tmp_path, capfd) -> None:
    for variable in contract.key_variables:
        monkeypatch.setenv(variable, "k-0123456789")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    max_cost = "2" if contract.id == "pixazo" else "1"  # one delivery of pixazo/vibevoice costs $1.25
    command = ["check", contract.id, "--live", "--max-calls", "5", "--max-cost", max_cost]
    assert cli.run([*command, "--dry-run", "--json", str(tmp_path / "plan.json")]) == 0
    plan = json.loads((tmp_path / "plan.json").read_text())
    prices = [f"--price={name}=0.001" for name in plan["unpriced_names"]]
    with running_emulator([contract], EmulatorSettings(credits=1e9)) as emulator:
        url = emulator.base_url(contract.id)
        status = cli.run([*command, "--base-url", url, *prices, "--json", str(tmp_path / "report.json")])
    report = json.loads((tmp_path / "report.json").read_text())
    out = capfd.readouterr().out
    assert report["findings"] == []
    assert report["is_finished"], report["stop_message"]
    assert status == (3 if plan["targets_without_delivery"] else 0), out
    assert report["spent_usd"] <= float(max_cost)
    delivered = {
        case["target"] for case in report["case_results"] if case["is_delivery"] and case["verdict"] == "passed"
    }
    assert len(delivered) == min(5, len(contract.targets))
