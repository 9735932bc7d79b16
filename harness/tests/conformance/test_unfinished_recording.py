"""`voicegauge record --live` that ends early: cases with a response are not sent again."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from voicegauge import cli
from voicegauge.errors import EXIT_INTERRUPTED, EXIT_NOTHING_MEASURED, EXIT_OK, StorageError
from voicegauge.model.exchange import Exchange
from voicegauge.recording.har_files import load_har
from voicegauge.recording.recorded_exchanges import Recording
from voicegauge.recording.secret_search import find_secret_spelling

from ..builders.commands import RunningCommand
from .conftest import ACME_KEY, Acme

ANSWERED = 3


def requested(recording: Recording) -> list[tuple[str | None, int]]:
    return [(exchange.conversation_id, exchange.response.status) for exchange in recording.exchanges]


@pytest.fixture
def arguments(acme: Acme, acme_contracts: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("ACME_API_KEY", ACME_KEY)
    where = ["--contracts", str(acme_contracts()), "--base-url", acme.url]
    return ["record", "acme/voice-1", "--live", *where, "--out"]


@pytest.fixture
def killed(acme: Acme, arguments: list[str], tmp_path: Path) -> Path:
    """The folder of a recording that was killed after a few responses."""
    folder = tmp_path / "fixtures"
    acme.silent_after = ANSWERED
    with RunningCommand([*arguments, str(folder)]) as process:
        while len(acme.keys) <= ANSWERED and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    acme.silent_after = None
    assert len(acme.keys) == ANSWERED + 1
    return folder


def test_rejections_alone_are_recorded_after_the_delivery_was_lost(
    acme: Acme, arguments: list[str], tmp_path: Path
) -> None:
    """Statuses of requests that are meant to be rejected do not point to a wrong URL or key."""
    folder = tmp_path / "fixtures"
    acme.silent_after = 0
    with RunningCommand([*arguments, str(folder)]) as process:
        while not acme.keys and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    acme.silent_after, acme.status_of_all = None, 401
    assert cli.run([*arguments, str(folder)]) == EXIT_NOTHING_MEASURED
    (file,) = folder.rglob("*.har")
    assert {status for _, status in requested(load_har(file))} == {401}


def test_a_killed_recording_continues_where_it_stopped(
    acme: Acme, arguments: list[str], killed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not list(killed.rglob("*.har"))
    parts = list(killed.rglob("*.part"))
    assert len(parts) == ANSWERED
    for path in killed.rglob("*.*"):
        assert path.is_dir() or find_secret_spelling(path.read_bytes(), [ACME_KEY]) is None
    requests = len(acme.keys)
    assert cli.run([*arguments, str(killed)]) == EXIT_OK
    printed = capfd.readouterr()
    assert printed.err.startswith("LIVE: acme sends the key in ")
    assert f"{ANSWERED} cases are already recorded" in printed.err
    assert "may have been charged, without a result: acme/" in printed.out
    assert "the same command with --retry-ambiguous pays for it again" in printed.out
    rest = len(acme.keys) - requests
    assert cli.run([*arguments, str(killed), "--yes"]) == EXIT_NOTHING_MEASURED, "only the lost request is missing"
    assert len(acme.keys) - requests == rest, "the lost request is not sent again"
    assert cli.run([*arguments, str(killed), "--yes", "--retry-ambiguous"]) == EXIT_OK
    assert len(acme.keys) - requests == rest + 1
    assert not (killed / ".unfinished").exists()
    whole = tmp_path / "whole"
    requests = len(acme.keys)
    assert cli.run([*arguments, str(whole)]) == EXIT_OK
    assert rest == len(acme.keys) - requests - ANSWERED - 1
    recordings = [load_har(folder / "acme" / "voice-1.har") for folder in (killed, whole)]
    assert sorted(map(str, requested(recordings[0]))) == sorted(map(str, requested(recordings[1])))


def test_an_interrupted_recording_continues_where_it_stopped(
    acme: Acme, arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, folder, result = tmp_path / "whole", tmp_path / "fixtures", tmp_path / "result.json"
    assert cli.run([*arguments, str(whole)]) == EXIT_OK
    requests, charges = len(acme.keys), len(acme.texts)
    acme.keys.clear(), acme.texts.clear()
    acme.silent_after = 1
    with RunningCommand([*arguments, str(folder), "--json", str(result)]) as process:
        while len(acme.keys) <= 1 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        acme.silent_after = None
        assert process.wait() == EXIT_INTERRUPTED
    first = json.loads(result.read_bytes())
    assert (first["stop_reason"], first["unfinished_case_count"], first["files"]) == (
        "interrupted",
        len(acme.keys),
        [],
    )
    spent_usd = first["spent_usd"]
    assert spent_usd == pytest.approx(len(acme.texts) * 0.001)
    capfd.readouterr()
    assert cli.run([*arguments, str(folder), "--json", str(result)]) == EXIT_OK
    assert f"{first['unfinished_case_count']} cases are already recorded" in capfd.readouterr().err
    assert (len(acme.keys), len(acme.texts)) == (requests, charges)
    second = json.loads(result.read_bytes())
    assert second["spent_by_earlier_runs_usd"] == pytest.approx(spent_usd)
    assert not (folder / ".unfinished").exists()
    recordings = [load_har(one / "acme" / "voice-1.har") for one in (folder, whole)]
    assert requested(recordings[0]) == requested(recordings[1])


def test_an_interrupted_recording_of_rejections_alone_leaves_nothing(
    acme: Acme, arguments: list[str], tmp_path: Path
) -> None:
    """A wrong key explains them, so that no later command goes on with them."""
    acme.status_of_all, acme.silent_after = 401, 1
    folder, result = tmp_path / "fixtures", tmp_path / "result.json"
    with RunningCommand([*arguments, str(folder), "--json", str(result)]) as process:
        while len(acme.keys) <= 1 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        acme.silent_after = None
        assert process.wait() == EXIT_INTERRUPTED
    first = json.loads(result.read_bytes())
    assert (first["stop_reason"], first["files"], first["unfinished_case_count"]) == ("interrupted", [], 0)
    assert not list(folder.rglob("*.har"))
    acme.status_of_all = None
    requests = len(acme.keys)
    assert cli.run([*arguments, str(folder)]) == EXIT_OK
    recording = load_har(folder / "acme" / "voice-1.har")
    assert len(acme.keys) - requests == len(recording.exchanges)


def test_an_unfinished_recording_is_not_checked(killed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "pixelapi", "--recordings", str(killed)]) == EXIT_NOTHING_MEASURED
    assert "it has no recording (*.har) of pixelapi" in capfd.readouterr().err


def test_stale_unfinished_cases_are_recorded_again(acme: Acme, arguments: list[str], killed: Path) -> None:
    for part in killed.rglob("*.part"):
        text = part.read_text()
        old = re.sub(r'("started_at": )[\d.]+', r"\g<1>1000000000.0", text)
        assert old != text
        part.write_text(old)
    requests = len(acme.keys)
    assert cli.run([*arguments, str(killed), "--retry-ambiguous"]) == EXIT_OK
    recording = load_har(killed / "acme" / "voice-1.har")
    assert len(acme.keys) - requests == len(recording.exchanges)
    assert not (killed / ".unfinished").exists()


def test_a_case_with_a_possible_credential_is_not_saved(
    acme: Acme, arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its file is not written; the other cases are not paid for again with --mask."""
    acme.leaks = "Zq3vX8kLw0TnB5rYc7HdM2sJf9GpE4uA"
    status = cli.run([*arguments, str(tmp_path / "fixtures"), "--keep", "trace"])
    assert status == 2
    assert "looks like a credential" in capfd.readouterr().err
    requests = len(acme.keys)
    assert cli.run([*arguments, str(tmp_path / "fixtures"), "--mask", "trace"]) == EXIT_OK
    assert 0 < len(acme.keys) - requests < requests
    for path in (tmp_path / "fixtures").rglob("*.*"):
        assert path.is_dir() or acme.leaks.encode() not in path.read_bytes()


def test_a_response_that_cannot_be_saved_is_listed_and_stops_the_recording(
    acme: Acme,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def full_disk(path: Path, exchanges: Sequence[Exchange], **_: object) -> None:
        if exchanges[0].response.status == 200:
            raise StorageError(f"cannot write {path}: No space left on device")

    folder = tmp_path / "fixtures"
    with monkeypatch.context() as patch:
        patch.setattr("voicegauge.conformance.recording_updates.save_har", full_disk)
        assert cli.run([*arguments, str(folder)]) == 2
    printed = " ".join(capfd.readouterr().err.split())
    assert "$0.001: the response (HTTP 200) arrived and could not be saved" in printed
    assert "No space left on device" in printed
    assert len(acme.texts) == 1
    result = tmp_path / "result.json"
    assert cli.run([*arguments, str(folder), "--json", str(result)]) == EXIT_NOTHING_MEASURED
    assert len(acme.texts) == 1
    found = json.loads(result.read_bytes())
    assert found["spent_by_earlier_runs_usd"] == 0.001
    (lost,) = found["ambiguous_requests"]
    assert lost["counted_usd"] == 0.001
    assert "--retry-ambiguous pays for it again" in found["skip_reason_by_case"][lost["sample_or_case_id"]]
