"""Two targets, two base URLs or two versions of a contract, interleaved in one run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voicegauge.bench.run_store import load_run
from voicegauge.cli import run as voicegauge
from voicegauge.emulator.process import RunningEmulator

QUICK = ["--asr", "none", "--no-report", "--warmup", "0", "--language", "en"]


@pytest.fixture
def words(contracts_folder: Path, suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a command line that benchmarks acme."""
    monkeypatch.setenv("ACME_KEY", "sk-acme-0123456789abcdef")
    where = ["--contracts", str(contracts_folder), "--suite", str(suite_file), "--out", str(tmp_path / "runs")]
    return ["bench", *where, *QUICK]


@pytest.fixture
def newer_contract(contracts_folder: Path, tmp_path: Path) -> Path:
    document = (contracts_folder / "acme" / "openapi.yaml").read_text()
    file = tmp_path / "openapi.yaml"
    file.write_text(document.replace('version: "1"', 'version: "2"', 1).replace("version: '1'", "version: '2'", 1))
    return file


def plan(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[tuple[str, int]]:
    """The targets of the plan with their numbers of requests."""
    assert voicegauge([*words, "--dry-run", "--json", "-"]) == 0
    return [(target["target"], target["request_count"]) for target in json.loads(capsys.readouterr().out)["targets"]]


def test_a_target_is_measured_beside_itself_at_another_base_url(
    words: list[str], emulator: RunningEmulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = emulator.base_url("acme")
    other_url = url.replace("127.0.0.1", "localhost")
    live = ["acme/now", "--live", "--base-url", url, "--against-url", other_url]
    assert voicegauge([*words, *live]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    run, other = load_run(folder), f"acme@localhost:{emulator.port}"
    assert [target.id for target in run.manifest.targets] == [f"{other}/now", "acme/now"]
    assert run.manifest.base_urls == {other: other_url, "acme": url}
    assert sorted(sample.target for sample in run.samples) == ["acme/now"] * 3 + [f"{other}/now"] * 3
    assert not any(sample.failure for sample in run.samples)
    printed = capsys.readouterr()
    assert f"{other} sends the key in " in printed.err
    assert f"compare: voicegauge compare {folder} --against {other}/now" in printed.out
    assert voicegauge(["compare", str(folder), "--against", f"{other}/now", "--fail-on", "never"]) == 0


def test_the_named_baseline_comes_first_and_is_measured_too(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan([*words, "acme/job", "--against", "acme/now"], capsys) == [("acme/now", 3), ("acme/job", 3)]


def test_another_version_of_the_contract_is_measured_beside_the_present_one(
    words: list[str], newer_contract: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    against = ["acme/now", "--against-contract", str(newer_contract)]
    assert plan([*words, *against], capsys) == [("acme@2/now", 3), ("acme/now", 3)]


@pytest.mark.slow
def test_each_version_of_a_contract_has_its_own_emulator(
    words: list[str], newer_contract: Path, tmp_path: Path
) -> None:
    assert voicegauge([*words, "acme/now", "--against-contract", str(newer_contract)]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert not any(sample.failure for sample in load_run(folder).samples)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["acme/now", "--against", "acme/now"], "name the targets to compare with it"),
        (["acme/now", "--against-url", "http://127.0.0.1:9"], "--against-url goes with --live"),
        (
            ["acme/now", "--live", "--against-url", "staging.test"],
            "no http://, https://, ws:// or wss:// in front",
        ),
        (["acme/now", "--live", "--against-url", "http://staging.test"], "unencrypted"),
        (["acme/now", "acme/job", "--against-contract", "CONTRACT"], "--against-contract takes one target, not 2"),
        (
            ["acme/now", "--against", "acme/job", "--against-contract", "CONTRACT"],
            "--against and --against-contract exclude each other",
        ),
    ],
)
def test_baselines_that_cannot_be_measured_are_refused_before_anything_is_sent(
    words: list[str],
    newer_contract: Path,
    tmp_path: Path,
    options: list[str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [str(newer_contract) if word == "CONTRACT" else word for word in options]
    assert voicegauge([*words, *given]) == 2
    assert reason in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs").exists()


def test_a_baseline_is_one_target(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert voicegauge([*words, "acme/now", "--against", "acme", "--dry-run"]) == 2
    assert capsys.readouterr().err == "voicegauge: --against acme: name one target, such as acme/NAME\n"
