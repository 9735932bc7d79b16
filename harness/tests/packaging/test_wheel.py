"""The built wheel: its content, and that it works from an empty folder without the source tree."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import voicegauge
from voicegauge.hosts import EMULATOR_PORT

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("voicegauge-*.whl"))


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_wheel(unpacked: Path, empty: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "voicegauge", *arguments],
        cwd=empty, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_it_contains_contracts_suites_and_types_but_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        # Half of it are recordings of the bundled providers.
        assert sum(info.file_size for info in archive.infolist()) < 28_000_000
    for provider in ("openai", "openai-compatible", "pixazo", "pixelapi", "ttsai"):
        assert f"voicegauge/data/contracts/{provider}/openapi.yaml" in names
    assert "voicegauge/data/benchmarks/suites/smoke.yaml" in names
    assert "voicegauge/py.typed" in names
    assert [name for name in names if Path(name).name.startswith(("test_", "conftest"))] == []


def test_it_works_from_an_empty_folder(unpacked: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [sys.executable, "-c", "import voicegauge; print(voicegauge.__file__)"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(unpacked)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(unpacked)
    listed = run_wheel(unpacked, tmp_path, "providers", "--json", "-")
    assert listed.returncode == 0, listed.stderr
    files = {provider["id"]: provider["contract_file"] for provider in json.loads(listed.stdout)["providers"]}
    assert all(Path(file).is_relative_to(unpacked) for file in files.values())
    checked = run_wheel(unpacked, tmp_path, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    benched = run_wheel(unpacked, tmp_path, "bench", "pixelapi/voice-design", "--limit", "2", "--out", "runs")
    assert benched.returncode == 0, benched.stdout + benched.stderr
    assert "EMULATED" in benched.stdout
    assert list((tmp_path / "runs").rglob("*.html"))


def test_the_python_script_of_the_readme_runs(unpacked: Path, tmp_path: Path) -> None:
    """It checks, benchmarks twice, and finds the second run, with a fault, slower."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    script = next(block for block in blocks if block.startswith("import voicegauge"))
    assert len(script.splitlines()) <= 15
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(unpacked)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page, *metrics = done.stdout.splitlines()
    assert (tmp_path / page).is_file()
    changes = {metric: float(change.rstrip("%")) / 100 for metric, _, change in (line.split() for line in metrics)}
    assert changes["total_latency_ms"] > 0.5
    assert "failures" not in changes, "only what changed is printed"


FIVE_LINES = """\
import pytest

@pytest.mark.voicegauge("pixelapi/voice-design")
def test_contract(voicegauge_rule):
    voicegauge_rule.assert_holds()
"""
# Saves the curl command of a failure.
REPRODUCE = """\
from pathlib import Path

import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    for line in report.longreprtext.splitlines():
        if line.strip().startswith("curl "):
            Path("again.sh").write_text(line)
    return report
"""


def test_five_lines_in_an_empty_folder_fail_with_a_fault_and_show_how_to_reproduce_it(
    unpacked: Path, tmp_path: Path
) -> None:
    (tmp_path / "test_contract.py").write_text(FIVE_LINES)
    (tmp_path / "conftest.py").write_text(REPRODUCE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--vg-max-calls", "5"]
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "PIXELAPI_KEY": "a-key-of-mine", "NO_COLOR": "1"}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *more], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    clean = run()
    assert clean.returncode == 0, clean.stdout
    faulty = run("--vg-fault", "ignored-key")
    assert faulty.returncode == 1, faulty.stdout
    failure = next(line for line in faulty.stdout.splitlines() if line.startswith("auth-not-enforced: "))
    assert f"({unpacked}/voicegauge/data/contracts/pixelapi/openapi.yaml:" in failure
    assert "Traceback" not in faulty.stdout
    line = (tmp_path / "again.sh").read_text()
    with voicegauge.emulate("pixelapi", faults=["ignored-key"]) as emulator:
        address = emulator.url
        command = ["bash", "-c", line.replace(f"http://127.0.0.1:{EMULATOR_PORT}", address)]
        again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert again.stdout.startswith(("HTTP/1.1 200", "HTTP/1.1 404")), "not the documented 401"
