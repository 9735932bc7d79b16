"""The workflow of the guide to nightly checks is green for a service of each provider that keeps its contract."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import voicegauge
from voicegauge import cli
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.process import EmulatorSettings, running_emulator

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "nightly-check.md"


def read_recipe(provider: str) -> dict[str, str]:
    """Return the inputs that the guide gives to the action for a provider: those of the workflow and of the table."""
    guide = GUIDE.read_text(encoding="utf-8")
    blocks = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL))
    (workflow,) = (block for block in blocks if "jobs" in block)
    steps = workflow["jobs"]["contract"]["steps"]
    (inputs,) = (step["with"] for step in steps if "voicegauge@" in step["uses"])
    rows = dict(re.findall(r"^ *\| ([a-z-]+) \| (`.*`) \|$", guide, re.MULTILINE))
    assert rows.keys() < set(PROVIDERS)
    assert inputs.keys() == {"provider", "live", "max-cost"}
    more = (yaml.safe_load(text) for text in re.findall(r"`(.*?)`", rows.get(provider, "")))
    return {**inputs, **{key: value for one in more for key, value in one.items()}, "provider": provider}


PROVIDERS = sorted(contract.id for contract in load_catalogue())


@pytest.fixture(scope="module")
def emulator() -> Iterator[voicegauge.RunningEmulator]:
    settings = EmulatorSettings(credits=1e9, time_scale=0, enforces_rate_limits=False)
    with running_emulator(load_catalogue(), settings) as running:
        yield running


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_check_of_a_healthy_provider_is_green(provider, emulator, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in load_catalogue().find_provider(provider).key_variables:
        monkeypatch.setenv(variable, "sk-test-0123456789")
    inputs = read_recipe(provider)
    assert inputs.pop("live") == "true"
    del inputs["provider"]
    options = [f"--{name}={value}" for name, value in inputs.items()]
    arguments = ["check", "--github", "--live", *options, "--base-url", emulator.base_url(provider)]
    status = cli.run([*arguments, "--", provider])
    shown, error = capsys.readouterr()
    assert status == 0, (shown, error)
    assert "no findings" in shown
    assert "left out: " not in shown
    assert "::error" not in shown
