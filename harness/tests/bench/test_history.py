from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
from pathlib import Path

import msgspec
import numpy as np
import pytest

from voicegauge.bench.history_store import STORE_FILE_NAME
from voicegauge.bench.run_history import (
    HistorySettings,
    LevelShift,
    RunHistory,
    SpreadAssumption,
    find_level_shifts,
    read_run_history,
)
from voicegauge.bench.run_store import load_run
from voicegauge.errors import DataError
from voicegauge.model.base import Provenance
from voicegauge.model.run import ListeningSet, Run
from voicegauge.model.sample import ListeningVerdict

from ..builders.nights import CHANGED_NIGHT, NIGHTS, made_run, night, save, save_nights
from ..builders.runs import FAILED, build_measured_target, build_run, build_sample


@pytest.fixture(scope="module")
def saved_nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    save_nights(folder)
    return folder


@pytest.fixture
def nights(saved_nights: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_nights, tmp_path / "nights"))


def without_folder(history: RunHistory) -> RunHistory:
    return msgspec.structs.replace(history, folder="")


def test_a_slowdown_is_an_alert_after_its_second_night(nights: Path) -> None:
    for index in range(CHANGED_NIGHT + 1, NIGHTS):
        shutil.move(nights / f"{index:02}", nights.parent / f"{index:02}")
    assert read_run_history(nights).changes == ()
    shutil.move(nights.parent / f"{CHANGED_NIGHT + 1}", nights)
    history = read_run_history(nights)
    (change,) = history.new_regressions
    assert (change.series_key.target, change.series_key.metric) == ("acme/voice-1", "total_latency_ms")
    assert (change.first_night, change.confirmation_night) == (night(CHANGED_NIGHT), night(CHANGED_NIGHT + 1))
    assert change.change == pytest.approx(0.6, abs=0.06)
    assert {series.key.metric for series in history.series} == {
        "total_latency_ms",
        "wer",
        "failures",
        "usd_per_1m_characters",
    }


def test_an_alert_is_new_on_one_night_only(nights: Path) -> None:
    history = read_run_history(nights)
    assert len(history.changes) == 1
    assert history.new_regressions == ()


def test_one_slow_night_is_no_alert(nights: Path) -> None:
    for index in range(CHANGED_NIGHT + 1, NIGHTS):
        save(nights / f"{index:02}", made_run(index))
    assert read_run_history(nights).changes == ()


def test_a_single_wild_night_never_raises_an_alert_and_two_do() -> None:
    levels = [0.01 * (-1) ** index for index in range(30)]
    levels[20] = 9.0

    def find(values: list[float]) -> list[LevelShift]:
        return find_level_shifts(
            values, [50] * len(values), SpreadAssumption(0.1, 0.0), alpha=0.001, is_difference_relevant=lambda *_: True
        )

    assert find(levels) == []
    levels[21:] = [9.0] * 9
    assert find(levels) == [LevelShift(first_night_index=20, confirmation_night_index=21)]


def test_unchanged_nights_rarely_raise_an_alert() -> None:
    """The probability is at most 1% a night: 25 of 1,500 nights would be a one in a hundred event."""
    draw = np.random.default_rng(5)
    found = [
        find_level_shifts(
            list(draw.normal(6, 0.1, 50)),
            [50] * 50,
            SpreadAssumption(0.1, 0.0),
            alpha=0.01,
            is_difference_relevant=lambda *_: True,
        )
        for _ in range(30)
    ]
    assert sum(map(len, found)) < 25


def test_runs_of_one_night_are_pooled_by_their_samples(tmp_path: Path) -> None:
    early, late = made_run(0), made_run(0, run_id="late", created_at=f"{night(0)}T23:30:00-01:00")
    failing = tuple(build_sample(text, session=9, failure=FAILED) for text in range(2))
    save(tmp_path / "a", build_run((*early.samples, *failing), run_id="early", created_at=early.manifest.created_at))
    save(tmp_path / "b", made_run(0, 1000.0, run_id="other"))
    save(tmp_path / "c", late)
    history = read_run_history(tmp_path)
    assert history.nights == (night(0), night(1))  # 23:30 one hour west of Greenwich is the next day in UTC
    by_metric = {series.key.metric: series.nights[0] for series in history.series}
    assert by_metric["total_latency_ms"].value == pytest.approx(math.sqrt(500 * 1000), rel=1e-6)
    assert (by_metric["failures"].value, by_metric["failures"].observation_count, by_metric["failures"].run_count) == (
        2 / 18,
        18,
        2,
    )


def _listen(run: Run, wrong_count: int, method: str = "listening/1") -> Run:
    verdicts = tuple(
        ListeningVerdict(
            sample_id=sample.id, outcome="wrong" if index < wrong_count else "right", explanation="made up"
        )
        for index, sample in enumerate(run.samples)
    )
    return msgspec.structs.replace(run, listening=ListeningSet(method=method, verdicts=verdicts))


def test_wrong_audio_is_followed_by_the_method_that_found_it(tmp_path: Path) -> None:
    for index in range(10):
        run = made_run(index)
        save(tmp_path / str(index), _listen(run, len(run.samples) if index >= 8 else 0))
    save(tmp_path / "other", _listen(made_run(9, run_id="other"), 0, "listening/2"))
    history = read_run_history(tmp_path)
    followed = [series for series in history.series if series.key.metric == "wrong_audio"]
    assert [len(series.nights) for series in followed] == [10, 1]
    assert [round(one.value, 1) for one in followed[0].nights] == [0.0] * 8 + [1.0] * 2
    assert [one.series_key.metric for one in history.new_regressions] == ["wrong_audio"]


@pytest.mark.parametrize(
    "changes",
    [
        {"provenance": Provenance.LIVE},
        {"region": "eu"},
        {"concurrency": 16},
        {"base_urls": {"acme": "https://eu.acme.example"}},
    ],
)
def test_what_is_not_comparable_is_not_mixed(tmp_path: Path, changes: dict[str, object]) -> None:
    save(tmp_path / "a", made_run(0))
    save(tmp_path / "b", made_run(1, 9000.0, **changes))
    history = read_run_history(tmp_path)
    latencies = [series for series in history.series if series.key.metric == "total_latency_ms"]
    assert [len(series.nights) for series in latencies] == [1, 1]


def test_prices_and_contracts_are_marked_when_they_change(tmp_path: Path) -> None:
    later = msgspec.structs.replace(build_measured_target(usd=0.02), contract_version="2", contract_sha256="d" * 64)
    price = msgspec.structs.replace(later.price, description="$0.02 / request")
    save_nights(tmp_path, 2)
    save(
        tmp_path / "later", made_run(2, targets=(msgspec.structs.replace(later, price=price),), voicegauge_version="1")
    )
    history = read_run_history(tmp_path)
    found = {(one.kind, one.target, one.old_value, one.new_value) for one in history.events}
    assert found == {
        ("voicegauge", None, "0", "1"),
        ("price", "acme/voice-1", "made up", "$0.02 / request"),
        ("contract", "acme/voice-1", "1 (cccccccc)", "2 (dddddddd)"),
    }
    assert {one.night for one in history.events} == {night(2)}
    prices = next(one for one in history.series if one.key.metric == "usd_per_1m_characters")
    assert [one.value for one in prices.nights] == [20.0, 20.0, 40.0]


def test_a_run_is_read_once_and_again_when_it_changes(nights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_run_history(nights)
    read: list[str] = []

    def note(file: Path) -> Run:
        read.append(file.parent.name)
        return load_run(file)

    monkeypatch.setattr("voicegauge.bench.history_store.load_run", note)
    assert read_run_history(nights) == before
    assert read == []
    save(nights / "03", made_run(3, 510.0))
    os.utime(nights / "03" / "run.json", ns=(1, 1))
    shutil.rmtree(nights / "05")
    after = read_run_history(nights)
    assert read == ["03"]
    assert after.run_count == NIGHTS - 1


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
DAMAGING_STATEMENTS = {
    "other version": "PRAGMA user_version = 999",
    "other tables": "DROP TABLE metrics",
    "other values": "UPDATE runs SET provenance = 'invented'",
    "a negative value": "UPDATE metrics SET value = -1",
    "an infinite value": "UPDATE metrics SET value = 9e999",
    "a negative count": "UPDATE metrics SET observation_count = -1",
}
HOSTILE_STATEMENTS = {
    "a trigger": f"CREATE TRIGGER t BEFORE DELETE ON runs BEGIN {ENDLESS}; END",
    "a view in place of a table": f"DROP TABLE targets; CREATE VIEW targets AS {ENDLESS}",
    "a check": "ALTER TABLE runs ADD COLUMN more TEXT CHECK (length(more) > 1)",
}


@pytest.mark.parametrize("damage", ["garbage", "truncated", "names that are not text", *DAMAGING_STATEMENTS])
def test_a_store_that_cannot_be_used_is_rebuilt(nights: Path, damage: str) -> None:
    expected = read_run_history(nights)
    file = nights / STORE_FILE_NAME
    if damage == "garbage":
        file.write_bytes(b"not a database" * 1000)
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:5000])
    elif damage == "names that are not text":
        file.write_bytes(file.read_bytes().replace(b"sqlite_autoindex_runs_1", b"s\x97lite_autoindex_runs_1"))
    else:
        connection = sqlite3.connect(file)
        connection.executescript(DAMAGING_STATEMENTS[damage])
        connection.close()
    assert read_run_history(nights) == expected
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT count(*) FROM metrics").fetchone() == (4 * NIGHTS,)
    connection.close()


@pytest.mark.parametrize("statements", HOSTILE_STATEMENTS.values(), ids=HOSTILE_STATEMENTS)
def test_a_store_of_a_stranger_that_would_not_end_is_rebuilt(nights: Path, statements: str) -> None:
    read_run_history(nights)
    connection = sqlite3.connect(nights / STORE_FILE_NAME)
    connection.executescript(statements)
    connection.close()
    shutil.rmtree(nights / "05")  # its rows are deleted
    assert read_run_history(nights).run_count == NIGHTS - 1
    connection = sqlite3.connect(nights / STORE_FILE_NAME)
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view')").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM metrics").fetchone() == (4 * (NIGHTS - 1),)
    connection.close()


def test_a_store_in_use_or_behind_a_link_is_left_alone(nights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_run_history(nights)
    monkeypatch.setattr("voicegauge.bench.history_store.LOCK_TIMEOUT_S", 0.0)
    save(nights / "00", made_run(0))
    os.utime(nights / "00" / "run.json", ns=(1, 1))
    connection = sqlite3.connect(nights / STORE_FILE_NAME)
    connection.execute("BEGIN EXCLUSIVE")
    assert read_run_history(nights) == expected
    connection.close()
    (nights / STORE_FILE_NAME).rename(nights.parent / "elsewhere")
    (nights / STORE_FILE_NAME).symlink_to(nights.parent / "elsewhere")
    content = (nights.parent / "elsewhere").read_bytes()
    assert read_run_history(nights) == expected
    assert (nights.parent / "elsewhere").read_bytes() == content
    (nights / STORE_FILE_NAME).unlink()
    os.mkfifo(nights / STORE_FILE_NAME)
    assert read_run_history(nights) == expected


def test_unusable_runs_are_named_and_left_out(nights: Path) -> None:
    (nights / "damaged").mkdir()
    (nights / "damaged" / "run.json").write_text('{"manifest": {')
    save(nights / "unfinished", made_run(20, is_finished=False))
    save(nights / "empty", build_run(()))
    save(nights / "undated", made_run(21, created_at="yesterday"))
    shutil.copytree(nights / "00", nights / "copy")
    history = read_run_history(nights)
    assert history.run_count == NIGHTS
    reasons = {one.path.partition("/")[0]: one.reason for one in history.skipped_runs}
    assert set(reasons) == {"damaged", "unfinished", "empty", "undated", "copy"}
    assert reasons["copy"] == "is a copy of 00/run.json"
    assert "is not a saved run: Input data was truncated; restore the file, or measure again" in reasons["damaged"]
    assert reasons["unfinished"] == "is not finished: measure it again; an emulated run is not resumed"
    assert reasons["undated"].startswith("is a damaged run: manifest.created_at is not a date")


def test_a_folder_without_runs_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contains no finished run: save some with"):
        read_run_history(tmp_path)
    with pytest.raises(DataError, match="cannot be read: No such file or directory"):
        read_run_history(tmp_path / "missing")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text("[]")
    with pytest.raises(DataError, match=r"contains no finished run: a/run\.json is not a saved run.*measure again$"):
        read_run_history(tmp_path)


def test_changes_too_small_to_matter_are_ignored(nights: Path) -> None:
    assert read_run_history(nights, HistorySettings(min_slowdown=0.7)).changes == ()
    assert json.loads(msgspec.json.encode(read_run_history(nights)))["schema"] == "voicegauge/history/1"
