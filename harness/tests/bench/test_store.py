from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.bench.running.journal import (
    Journal,
    SampleAbandoned,
    SampleFinished,
    SubmitCompleted,
    SubmitStarted,
    read_journal,
)
from voicegauge.bench.running.store import (
    create_run_folder,
    find_unfinished_run,
    load_run,
    run_folder,
    save_audio,
    save_run,
)
from voicegauge.errors import DataError, UsageError

from .made import FAILED, run, sample, score_set


def submitting(name: str, usd: float = 0.01) -> SubmitStarted:
    return SubmitStarted(sample=name, at="2026-11-21T00:00:00Z", usd=usd)


def test_a_saved_run_is_loaded_unchanged(tmp_path: Path) -> None:
    samples = (sample(1, done=(1.0, 2.0)), sample(2, failure=FAILED))
    made = run(samples, score_sets=(score_set(samples, lambda _: 1),))
    path = save_run(tmp_path, made)
    assert load_run(tmp_path) == load_run(path) == made
    assert run_folder(path) == run_folder(tmp_path) == tmp_path
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("version", "says"), [(99, "newer voicegauge .*pip install -U voicegauge"), (0, "older voicegauge .*again")]
)
def test_a_run_of_another_version_is_rejected_with_a_hint(tmp_path: Path, version: int, says: str) -> None:
    path = save_run(tmp_path, run((sample(1),)))
    document = json.loads(path.read_bytes())
    document["manifest"]["schema_version"] = version
    document["something new"] = 1
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=says):
        load_run(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"manifest": {}}', b"\xff\xfe", b'{"manifest": {"schema_version": 1}}', b"[" * 10_000],
)
def test_a_damaged_run_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_run(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_without_a_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give the folder of a run"):
        load_run(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read"):
        load_run(tmp_path)


def test_equal_audio_is_saved_once_under_its_digest(tmp_path: Path) -> None:
    wav = b"RIFF\0\0\0\0WAVEfmt "
    first, second = save_audio(tmp_path, wav), save_audio(tmp_path, wav)
    assert first == second
    digest, name = first
    assert name == f"audio/{digest}.wav"
    assert (tmp_path / name).read_bytes() == wav
    assert save_audio(tmp_path, b"<html>")[1].endswith(".bin")
    assert len(list((tmp_path / "audio").iterdir())) == 2


def test_an_existing_folder_name_gets_a_number(tmp_path: Path) -> None:
    assert [create_run_folder(tmp_path, "run").name for _ in range(3)] == ["run", "run-2", "run-3"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another folder with --out"):
        create_run_folder(tmp_path / "file", "run")


def test_the_journal_restores_what_was_paid_for(tmp_path: Path) -> None:
    done = sample("done")
    with Journal(tmp_path, durable=True) as journal:
        for event in (
            submitting(done.id),
            SubmitCompleted(sample=done.id, status=202, job="j0"),
            SampleFinished(sample=done, spent_usd=0.01),
            submitting("under way"),
            SubmitCompleted(sample="under way", status=202, job="j1"),
            submitting("unknown"),
            submitting("refused"),
            SubmitCompleted(sample="refused", status=429, job=None),
            submitting("left"),
            SubmitCompleted(sample="left", status=202, job="j2"),
            SampleAbandoned(sample="left"),
        ):
            journal.write(event)
    past = read_journal(tmp_path)
    assert past.finished == {done.id: done}
    assert past.pending_jobs == {"under way": "j1", "left": "j2"}
    assert past.abandoned == {"left"}
    assert past.spent_usd == pytest.approx(0.01 + 3 * 0.01)
    assert past.has_paid_results


def test_a_run_that_paid_for_nothing_is_not_resumed(tmp_path: Path) -> None:
    assert not read_journal(tmp_path).has_paid_results
    with Journal(tmp_path, durable=False) as journal:
        journal.write(SampleFinished(sample=sample(1, failure=FAILED), spent_usd=0.0))
    assert not read_journal(tmp_path).has_paid_results


@given(data=st.data())
def test_a_truncated_journal_keeps_every_complete_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    with Journal(folder, durable=False) as journal:
        for index in range(4):
            journal.write(SampleFinished(sample=sample(index), spent_usd=0.01 * (index + 1)))
    raw = journal.path.read_bytes()
    cut = data.draw(st.integers(0, len(raw)))
    journal.path.write_bytes(raw[:cut])
    whole = raw[:cut].count(b"\n")
    assert len(read_journal(folder).finished) == whole
    with Journal(folder, durable=False) as journal:
        journal.write(SampleFinished(sample=sample("more"), spent_usd=1.0))
    assert len(read_journal(folder).finished) == whole + 1


def test_damage_in_the_middle_is_reported(tmp_path: Path) -> None:
    with Journal(tmp_path, durable=False) as journal:
        journal.write(submitting("a"))
    journal.path.write_bytes(b"{broken\n" + journal.path.read_bytes())
    with pytest.raises(DataError, match=r"journal.jsonl:1: is damaged"):
        read_journal(tmp_path)


def test_two_processes_do_not_share_a_journal(tmp_path: Path) -> None:
    with Journal(tmp_path, durable=False), pytest.raises(DataError, match="another process"):
        Journal(tmp_path, durable=False)


def test_a_killed_run_is_read_from_its_journal(tmp_path: Path) -> None:
    save_run(tmp_path, run((), finished=False))
    with Journal(tmp_path, durable=False) as journal:
        journal.write(SampleFinished(sample=sample(1), spent_usd=0.0))
    assert load_run(tmp_path).samples == (sample(1),)


def test_only_an_interrupted_run_of_the_same_plan_is_resumed(tmp_path: Path) -> None:
    kinds: dict[str, dict[str, object]] = {
        "a": {"finished": True},
        "c": {"finished": False, "plan_sha256": "other"},
    }
    for name, changes in kinds.items():
        save_run(tmp_path / name, run((sample(1),), **{"plan_sha256": "same", **changes}))
        with Journal(tmp_path / name, durable=False) as journal:
            journal.write(SampleFinished(sample=sample(1), spent_usd=0.0))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert find_unfinished_run(tmp_path, "same") is None
    assert find_unfinished_run(tmp_path, "other") == tmp_path / "c"
    assert find_unfinished_run(tmp_path / "none", "same") is None


def test_on_a_full_disk_no_half_line_is_written(tmp_path: Path) -> None:
    import resource
    import signal

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with Journal(tmp_path, durable=True) as journal:
            journal.write(submitting("a"))
            size = journal.path.stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
            for _ in range(2):
                with pytest.raises(UsageError, match="free some disk space"):
                    journal.write(submitting("b"))
            assert journal.path.stat().st_size == size
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            with pytest.raises(UsageError, match="free some disk space"):
                journal.write(submitting("c"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert read_journal(tmp_path).spent_usd == pytest.approx(0.01)
