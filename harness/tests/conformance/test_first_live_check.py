"""The first live check of each provider, with few calls and a small budget, as the documentation advises."""

from __future__ import annotations

import json

import pytest

from voicegauge import cli
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.process import EmulatorSettings, running_emulator

CONTRACTS = list(load_catalogue())


@pytest.mark.slow
@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.id)
def test_five_calls_for_a_dollar_judge_the_provider(contract, monkeypatch, tmp_path, capfd) -> None:
    for variable in contract.key_variables:
        monkeypatch.setenv(variable, "k-0123456789")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    command = ["check", contract.id, "--live", "--max-calls", "5", "--max-cost", "1"]
    if contract.id == "ttsai":  # it charges characters of an account, whose price in dollars no document states
        command += ["--credit-rate", "ttsai=0.00001"]
    settings = EmulatorSettings(credits=1e9, time_scale=0, enforces_rate_limits=False)
    with running_emulator([contract], settings) as emulator:
        url = emulator.base_url(contract.id)
        status = cli.run([*command, "--base-url", url, "--json", str(tmp_path / "report.json")])
    report = json.loads((tmp_path / "report.json").read_text())
    left_out = report["left_out_reason_by_target"]
    assert (status, report["findings"]) == (0, []), capfd.readouterr().out
    assert report["is_finished"], report["stop_message"]
    assert report["spent_usd"] <= 1
    delivered = {
        case["target"] for case in report["case_results"] if case["is_delivery"] and case["verdict"] == "passed"
    }
    # A contract of transcription alone delivers no audio: its targets are judged by their transcripts.
    passed = {case["target"] for case in report["case_results"] if case["verdict"] == "passed"}
    assert 0 < len(delivered or passed - {None}) <= 5
    assert delivered | left_out.keys() >= {target.id for target in contract.targets.values()}
