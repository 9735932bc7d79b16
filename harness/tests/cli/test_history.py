from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from voicegauge.cli import run as voicegauge
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Failure

from ..builders.nights import CHANGED_NIGHT, made_run, night, save, save_nights
from ..builders.runs import build_measured_target


@pytest.fixture(scope="module")
def saved_nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nights of which the last two are slower."""
    folder = tmp_path_factory.mktemp("history")
    save_nights(folder, CHANGED_NIGHT + 2)
    return folder


def run_history(*words: str | Path) -> int:
    return voicegauge(["history", *(str(word) for word in words)])


def test_an_alert_is_printed_in_80_columns_and_fails(
    saved_nights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run_history(saved_nights) == 1
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines() if line.startswith(" ")) <= 80
    assert out.startswith("EMULATED: ")
    assert re.search(r"  total latency p50 +14   [▁▂▃▄▅▆▇█]{14} +500 ms +8\d\d ms", out)
    assert f"{night(13)} NEW regression: acme/voice-1: total latency p50 +6" in out
    assert out.rstrip().endswith(f"1 alert on the latest night, {night(13)}")
    assert run_history(saved_nights, "--fail-on", "never") == 0
    assert run_history(saved_nights, "--min-slowdown", "0.9") == 0


def test_a_price_fails_if_any_change_does(saved_nights: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved_nights, tmp_path / "nights"))
    for index in range(CHANGED_NIGHT, CHANGED_NIGHT + 2):
        save(folder / f"{index:02}", made_run(index))
    assert run_history(folder, "--fail-on", "change") == 0
    save(folder / "later", made_run(CHANGED_NIGHT + 2, voicegauge_version="1"))
    assert run_history(folder) == 0
    assert run_history(folder, "--fail-on", "change") == 1


def test_too_few_nights_are_not_reported_as_no_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(3):
        save(tmp_path / str(index), made_run(index))
    assert run_history(tmp_path, "--html", tmp_path / "page.html") == 0
    assert "nothing can be judged before night 8" in capsys.readouterr().out
    html = (tmp_path / "page.html").read_text()
    assert "Nothing can be judged before night 8" in html
    assert "No new regression" not in html


def test_runs_with_different_faults_are_separate_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index, faults in enumerate(((), ("flaky-503",))):
        save(tmp_path / str(index), made_run(index, fault_ids=faults))
    assert run_history(tmp_path, "--json", tmp_path / "out.json") == 0
    series = json.loads((tmp_path / "out.json").read_bytes())["series"]
    by_faults = [sum("faults flaky-503" in one["key"]["configuration"] for one in series), len(series)]
    assert by_faults == [len(series) // 2, len(series)]
    capsys.readouterr()
    assert run_history(tmp_path) == 0
    assert {"configuration 1: faults flaky-503", "configuration 2: without injected faults"} <= set(
        capsys.readouterr().out.splitlines()
    )
    (tmp_path / "0" / "run.json").unlink()
    assert run_history(tmp_path) == 0
    assert "configuration 1: " in (out := capsys.readouterr().out)  # faults are named also if all runs have them
    assert "configuration 1: faults flaky-503\n" in out
    assert "all configurations: " in out


def test_configurations_are_named_by_what_differs_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index, concurrency in enumerate((4, 8)):
        save(tmp_path / str(index), made_run(index, concurrency=concurrency))
    assert run_history(tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("configuration ")] == [
        "configuration 1: 8 requests in flight",  # what was measured last comes first
        "configuration 2: 4 requests in flight",
    ]
    assert {line.split()[1] for line in lines if "WER" in line} == {"(1)", "(2)"}, "errors have the same configurations"


def test_speech_to_text_has_no_price_by_characters(tmp_path: Path) -> None:
    for index, kind in enumerate(("speech", "transcription")):
        save(tmp_path / str(index), made_run(index, kind=kind))
    assert run_history(tmp_path, "--json", tmp_path / "out.json") == 0
    keys = [one["key"] for one in json.loads((tmp_path / "out.json").read_bytes())["series"]]
    priced = [
        key["configuration"].startswith("transcription") for key in keys if key["metric"] == "usd_per_1m_characters"
    ]
    assert priced == [False]


def test_live_and_emulated_runs_and_regions_are_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "emulated", made_run(0))
    for region, latency_ms in (("eu", 200.0), ("us", 900.0)):
        # The same second in both places: not a copy.
        save(tmp_path / region, made_run(1, latency_ms, provenance=Provenance.LIVE, region=region))
    assert run_history(tmp_path, "--json", tmp_path / "out.json") == 0
    out = capsys.readouterr().out
    live, _, emulated = out.partition("EMULATED")
    assert re.search(r"latest night, by region +eu +us", live)
    assert re.search(r"  total latency p50 +204 ms +918 ms", live)
    assert "region" not in emulated
    found = json.loads((tmp_path / "out.json").read_bytes())
    assert (found["schema"], found["regions"], found["run_count"]) == ("voicegauge/history/1", ["eu", "us"], 3)


def test_lost_samples_are_named_and_places_that_have_changed_stay_readable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lost = Failure(kind="interrupted", message="the worker was killed")
    for index, places in enumerate((("eu", "us"), ("ap", "eu", "us"), ("ap", "eu", "us"))):
        run = made_run(index)
        samples = [
            msgspec.structs.replace(sample, place=places[number % len(places)])
            for number, sample in enumerate(run.samples)
        ]
        if index == 2:
            samples = [
                msgspec.structs.replace(sample, failure=lost) if sample.place == "us" or number == 0 else sample
                for number, sample in enumerate(samples)
            ]
        save(tmp_path / str(index), msgspec.structs.replace(run, samples=tuple(samples)))
    assert run_history(tmp_path, "--html", tmp_path / "page.html") == 0
    out = capsys.readouterr().out
    assert f"{night(2)} NEW lost: acme/voice-1 [ap]: 1 of 3 samples sent without a saved result" in out
    assert f"{night(2)} NEW lost: acme/voice-1 [us]: 2 of 2 samples sent without a saved result" in out
    assert re.search(r"  total latency p50 \[ap\] \(1\) +2 .* ms +\n", out)  # a lost sample does not end the series
    assert re.search(rf"  total latency p50 \[us\] \(3\) +1 .* ms +{night(0)}", out)
    assert re.search(r"latest night, by place +ap +eu +us", out)
    assert re.search(r"  total latency p50 +\d+ ms \(1\) +\d+ ms \(1\) +\n", out)
    assert "2 of 2 samples sent without a saved result" in (tmp_path / "page.html").read_text()
    assert run_history(tmp_path, "--json", tmp_path / "out.json") == 0
    found = json.loads((tmp_path / "out.json").read_bytes())["lost_samples"]
    assert [(one["origin"], one["lost_count"], one["sent_count"]) for one in found] == [("ap", 1, 3), ("us", 2, 2)]


def test_damaged_runs_are_named_and_control_characters_escaped(
    saved_nights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(saved_nights, tmp_path / "nights"))
    save(folder / "hostile", made_run(20, region="e\x1b[31mu"))
    (folder / "damaged").mkdir()
    (folder / "damaged" / "run.json").write_text("{")
    assert run_history(folder) == 0
    out = capsys.readouterr().out
    assert "left out: damaged/run.json: is not a saved run" in out
    assert "\x1b" not in out


def test_a_folder_without_runs_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_history(tmp_path) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run_history(tmp_path / "missing") == 2
    assert "cannot be read: No such file or directory: give the folder" in capsys.readouterr().err


def test_the_page_shows_each_region_and_change_without_a_script(saved_nights: Path, tmp_path: Path) -> None:
    folder, page = Path(shutil.copytree(saved_nights, tmp_path / "nights")), tmp_path / "page.html"
    for region in ("eu", "<b>us</b>"):
        save(folder / region[:2], made_run(13, provenance=Provenance.LIVE, region=region))
    later = msgspec.structs.replace(build_measured_target(), contract_version="2")
    save(folder / "later", made_run(14, 800.0, targets=(later,)))
    assert run_history(folder, "--html", page) == 0
    html = page.read_text()
    assert "<script" not in html
    assert "<b>us" not in html
    live, emulated = html.split('id="timeline-2"')
    assert live.index("total latency p50 · &lt;b&gt;us") < live.index("total latency p50 · eu") < live.index("WER ·")
    assert f"No new regression on the latest night, {night(14)}." in live
    assert 'class="mark regression"' in emulated
    assert 'class="mark contract"' in emulated
    assert emulated.count('class="level"') == 2
    assert f"{night(13)}: 502 ms, n = 8" in live
