"""The README's example and the notebook of the documentation are run, and progress is shown below its cells."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

import voicegauge
from voicegauge.api.progress import NotebookProgress, choose_progress_listener

from ..builders.documented_examples import read_example

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOK = ROOT / "docs" / "guides" / "first-steps.ipynb"
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=500, kernel_name="python3").execute()
nbformat.write(notebook, "executed.ipynb")
"""


class FakeNotebook:
    """Holds what is shown, as a notebook does below a cell."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def display(self, content: dict[str, str]) -> Any:
        self.shown.append(content)
        shown, position = self.shown, len(self.shown) - 1

        class Handle:
            def update(self, content: dict[str, str], *, raw: bool) -> None:
                assert raw
                shown[position] = content

        return Handle()


@pytest.mark.slow
def test_every_cell_of_the_notebook_runs_and_shows_results_as_tables(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "harness"), "IPYTHONDIR": str(tmp_path / "ipython")}
    command = [sys.executable, "-c", EXECUTE, str(NOTEBOOK)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    cells = [one for one in nbformat.read(tmp_path / "executed.ipynb", as_version=4).cells if one.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    results = [one.data for one in outputs if one.output_type == "execute_result"]
    tables = [one["text/html"] for one in results if "<audio" not in one["text/html"]]
    heads = ["no findings", "audio-silent", "EMULATED: 8 of 8", "compare", "2,000,000 characters", "if every response"]
    assert len(tables) == len(heads)
    for table, head in zip(tables, heads, strict=True):
        assert head in table
    assert max(len(one["text/plain"]) for one in results) < 300
    bars = [one.data["text/plain"] for one in outputs if one.output_type == "display_data"]
    assert sum(bar.startswith("sending requests: ") for bar in bars) == 4
    assert sum(len(one["text/html"]) for one in results if "<audio" in one["text/html"]) > 10_000


@pytest.mark.slow
def test_the_example_of_the_readme_finds_what_the_fault_changed(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "example.py").write_text(next(block for block in blocks if "voicegauge.compare" in block))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "harness")}
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    report, *changes = done.stdout.splitlines()
    assert (tmp_path / report).is_file()
    assert {re.sub(r"[+]\d{3}%$", "+N%", line) for line in changes} == {
        f"{metric} regression +N%" for metric in ("submit_latency_ms", "ttfa_ms", "total_latency_ms")
    }


def test_the_notebook_is_valid_and_has_no_results_of_an_earlier_version() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert "guides/notebook.md" in (ROOT / "docs" / "index.md").read_text()
    assert NOTEBOOK.name in (ROOT / "docs" / "guides" / "notebook.md").read_text()


def test_a_bar_moves_at_most_five_times_a_second_and_becomes_a_line_at_its_end() -> None:
    notebook, now_s = FakeNotebook(), 0.0
    progress = NotebookProgress(notebook.display, clock=lambda: now_s)
    progress.phase_started("sending <requests>", 700, done_count=100)
    texts = [notebook.shown[0]["text/plain"]]
    for number in range(600):
        now_s += 0.01
        progress.phase_progressed(101 + number, 700, "a/b\x1b[31m")
        texts.append(notebook.shown[0]["text/plain"])
    assert 25 <= len(set(texts)) <= 31
    bar = notebook.shown[0]["text/html"]
    assert 'max="700"' in bar
    assert "<requests>" not in bar
    assert "\x1b" not in bar
    progress.phase_ended()
    assert notebook.shown == [
        {
            "text/plain": "sending <requests>: 700 of 700 in 6.0 s",
            "text/html": "<div>sending &lt;requests&gt;: 700 of 700 in 6.0 s</div>",
        }
    ]


def test_a_phase_without_a_known_total_is_a_bar_without_a_value() -> None:
    notebook = FakeNotebook()
    progress = NotebookProgress(notebook.display)
    progress.phase_started("transcribing", None)
    assert notebook.shown[0]["text/html"].startswith("<div><progress></progress> transcribing: 0")
    progress.notice("::error::<b>")
    assert notebook.shown[1]["text/html"] == "<div>::error::&lt;b&gt;</div>"


def test_nothing_is_shown_outside_of_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    assert type(choose_progress_listener(None)) is voicegauge.ProgressListener
    listener = voicegauge.ProgressListener()
    assert choose_progress_listener(listener) is listener
    voicegauge.check("pixelapi")
    assert capsys.readouterr() == ("", "")


LISTS = {
    "providers": voicegauge.list_providers,
    "rules": voicegauge.list_rules,
    "cost": lambda: voicegauge.estimate_cost(characters_per_month=1_000_000),
    "plan of a check": lambda: voicegauge.plan_check("pixelapi", emulated=True),
    "plan of a benchmark": lambda: voicegauge.plan_benchmark("pixelapi", max_texts=2),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_long_list_is_a_table_in_a_notebook_and_one_line_elsewhere(name: str) -> None:
    result = LISTS[name]()
    html = result._repr_html_()
    assert html.count("<tr>") > 1
    assert html.count("<td>") % html.count("<th>") == 0
    assert len(repr(result)) < 200
    assert "\n" not in repr(result)


@pytest.mark.slow
def test_the_rehearsal_of_an_alert_ends_with_one(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "guides" / "nightly-check.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "harness")}
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "total_latency_ms" in done.stdout
    command = [sys.executable, "-m", "voicegauge", "history", "rehearsal", "--slack", "alert.json"]
    alert = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert alert.returncode == 1, alert.stdout + alert.stderr
    assert "regression" in (tmp_path / "alert.json").read_text()
    command = [sys.executable, "-m", "voicegauge", "compare", "rehearsal/7", "rehearsal/9", "--json", "change.json"]
    change = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert change.returncode == 1, change.stdout + change.stderr
    verdicts = {one["metric"]: one["verdict"] for one in json.loads((tmp_path / "change.json").read_text())["metrics"]}
    assert verdicts["total_latency_ms"] == "regression"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "command", "url"),
    [
        ("cartesia-socket", "voicegauge serve cartesia --port 8080", "127.0.0.1:8080"),
        ("elevenlabs-socket", "voicegauge serve elevenlabs --port 8443 --tls", "127.0.0.1:8443"),
    ],
)
def test_an_official_library_speaks_over_a_websocket_of_serve(
    example: str, command: str, url: str, tmp_path: Path
) -> None:
    assert f"$ {command}\n" in (ROOT / "docs" / "realtime.md").read_text(encoding="utf-8")
    words = [
        *command.replace("voicegauge", f"{sys.executable} -m voicegauge").split(),
        "--port",
        "0",
        "--time-scale",
        "0",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "harness"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        printed = server.stdout.readline()
        served = re.search(r"https?://(\S+)", printed)
        assert served is not None, printed
        if "--tls" in words:
            while not printed.strip().startswith("TLS: "):
                printed = server.stdout.readline()
            environment["SSL_CERT_FILE"] = printed.partition("SSL_CERT_FILE=")[2].strip()
        script = read_example("realtime.md", example, language="python").replace(url, served[1])
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
        )
        server.send_signal(signal.SIGINT)
        server.communicate()
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[0]) > 24_000
    assert server.returncode == 0, "the emulator finds no mistake of the library"
