from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.bench.benchmark_plan import BenchPlan, BenchPlanSettings
from voicegauge.bench.run_config import RunConfig
from voicegauge.bench.run_start import begin_run, check_region, find_run_to_continue, find_runs_of_other_plans
from voicegauge.bench.run_store import (
    JournalEvent,
    SampleFinishedEvent,
    create_run_folder,
    find_run_folder,
    load_run,
    open_journal,
    read_journal,
    save_audio,
    save_run,
)
from voicegauge.client.spending_journal import SubmitCompletedEvent, SubmitNotSentEvent, SubmitStartedEvent
from voicegauge.errors import DataError, UsageError
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import BillingStatus
from voicegauge.model.sample import Cost

from ..builders.runs import FAILED, SUITE, TARGET, build_measured_target, build_run, build_sample, build_score_set


def submitting(name: str, usd: float = 0.01) -> SubmitStartedEvent:
    return SubmitStartedEvent(sample_or_case_id=name, submitted_at="2026-11-21T00:00:00Z", price_usd=usd)


def test_a_saved_run_is_loaded_unchanged(tmp_path: Path) -> None:
    samples = (build_sample(1, done=(1.0, 2.0)), build_sample(2, failure=FAILED))
    made = build_run(samples, score_sets=(build_score_set(samples, lambda _: 1),))
    path = save_run(tmp_path, made)
    assert load_run(tmp_path) == load_run(path) == made
    assert find_run_folder(path) == find_run_folder(tmp_path) == tmp_path
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("version", "says"), [(99, "newer voicegauge .*pip install -U voicegauge"), (0, "older voicegauge .*again")]
)
def test_a_run_of_another_version_is_rejected_with_a_hint(tmp_path: Path, version: int, says: str) -> None:
    path = save_run(tmp_path, build_run((build_sample(1),)))
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


def test_a_file_other_than_a_run_is_not_called_a_damaged_one(tmp_path: Path) -> None:
    file = tmp_path / "plain.txt"
    file.write_text("hello")
    with pytest.raises(
        DataError, match=r"plain\.txt: is not a saved run: .*; give the folder of a run, or its run\.json$"
    ):
        load_run(file)


def test_a_folder_without_a_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give the folder of a run"):
        load_run(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read"):
        load_run(tmp_path)


def test_a_folder_of_runs_names_the_latest_of_them(tmp_path: Path) -> None:
    for name, advice in (("20260101", ""), ("20260102", f", or all with {tmp_path}/*")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_bytes(b"{}")
        with pytest.raises(DataError) as caught:
            load_run(tmp_path)
        assert str(caught.value).endswith(f": give the folder of a run, such as {tmp_path / name}{advice}")


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


@given(data=st.data())
def test_a_truncated_journal_keeps_every_complete_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    with open_journal(folder, is_durable=False) as journal:
        for index in range(4):
            journal.write(SampleFinishedEvent(sample=build_sample(index), billing=BillingStatus.ACCEPTED))
    raw = journal.path.read_bytes()
    cut = data.draw(st.integers(0, len(raw)))
    journal.path.write_bytes(raw[:cut])
    whole = raw[:cut].count(b"\n")
    assert len(read_journal(folder).finished_samples) == whole
    with open_journal(folder, is_durable=False) as journal:
        journal.write(SampleFinishedEvent(sample=build_sample("more"), billing=BillingStatus.ACCEPTED))
    assert len(read_journal(folder).finished_samples) == whole + 1


def test_damage_in_the_middle_is_reported(tmp_path: Path) -> None:
    with open_journal(tmp_path, is_durable=False) as journal:
        journal.write(submitting("a"))
    journal.path.write_bytes(b"{broken\n" + journal.path.read_bytes())
    with pytest.raises(DataError, match=r"journal.jsonl:1: is damaged"):
        read_journal(tmp_path)


@pytest.mark.parametrize(
    "event",
    [
        submitting("a", usd=-1.0),
        SubmitCompletedEvent(
            sample_or_case_id="a", http_status=200, billing_status=BillingStatus.ACCEPTED, job_id=None, charged_usd=-1.0
        ),
        SampleFinishedEvent(sample=build_sample("a", cost=Cost(charged_usd=-1.0)), billing=BillingStatus.ACCEPTED),
    ],
)
def test_an_impossible_amount_in_a_journal_is_damage(tmp_path: Path, event: JournalEvent) -> None:
    with open_journal(tmp_path, is_durable=False) as journal:
        journal.write(event)
    with pytest.raises(DataError, match=r"journal.jsonl:1: is damaged"):
        read_journal(tmp_path)


def test_nan_in_a_journal_is_damage(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text(
        '{"event": "submit_started", "id": "a", "submitted_at": "", "price_usd": NaN}\n'
    )
    with pytest.raises(DataError, match=r"journal.jsonl:1: is damaged"):
        read_journal(tmp_path)


def test_two_processes_do_not_share_a_journal(tmp_path: Path) -> None:
    with open_journal(tmp_path, is_durable=False), pytest.raises(DataError, match="another process"):
        open_journal(tmp_path, is_durable=False)


def test_a_killed_run_is_read_from_its_journal(tmp_path: Path) -> None:
    save_run(tmp_path, build_run((), is_finished=False))
    with open_journal(tmp_path, is_durable=False) as journal:
        journal.write(SampleFinishedEvent(sample=build_sample(1), billing=BillingStatus.ACCEPTED))
    assert load_run(tmp_path).samples == (build_sample(1),)


def plan(sha256: str = "same", targets: tuple[str, ...] = (TARGET,)) -> BenchPlan:
    return BenchPlan(
        suite=SUITE,
        settings=BenchPlanSettings(),
        targets=tuple(build_measured_target(name) for name in targets),
        rounds=(),
        target_costs=(),
        run_kind="speech",
        unsupported_target_ids=(),
        provenance=Provenance.LIVE,
        sha256=sha256,
    )


def save_live_run(folder: Path, *events: JournalEvent, **changes: object) -> Path:
    save_run(folder, build_run((), **{"plan_sha256": "same", "is_finished": False, "max_cost_usd": 1.0, **changes}))
    with open_journal(folder, is_durable=False) as journal:
        for event in events:
            journal.write(event)
    return folder


def continued(folder: Path, **options: bool) -> Path | None:
    found = find_run_to_continue(folder, plan(), **options)
    return found.run_folder if found else None


PAID = (
    submitting("a"),
    SubmitCompletedEvent(sample_or_case_id="a", http_status=200, billing_status=BillingStatus.ACCEPTED, job_id=None),
)
REJECTED = (
    submitting("a"),
    SubmitCompletedEvent(sample_or_case_id="a", http_status=401, billing_status=BillingStatus.REJECTED, job_id=None),
)


@pytest.mark.parametrize(
    ("events", "changes", "is_continued"),
    [
        (PAID, {}, True),
        ((submitting("a"),), {}, True),
        ((), {}, True),
        (REJECTED, {}, False),
        ((submitting("a"), SubmitNotSentEvent(sample_or_case_id="a")), {}, False),
        (PAID, {"is_finished": True}, False),
        (PAID, {"plan_sha256": "other"}, False),
        (PAID, {"max_cost_usd": None}, False),
    ],
)
def test_only_an_unfinished_live_run_of_the_same_plan_is_continued(
    tmp_path: Path, events: tuple[JournalEvent, ...], changes: dict[str, object], is_continued: bool
) -> None:
    folder = save_live_run(tmp_path / "run", *events, **changes)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert continued(tmp_path) == (folder if is_continued else None)
    assert continued(tmp_path / "none") is None


def test_the_newest_unfinished_run_is_continued(tmp_path: Path) -> None:
    save_live_run(tmp_path / "20261120-000000-made-live", *PAID)
    newest = save_live_run(tmp_path / "20261121-000000-made-live", *PAID)
    assert continued(tmp_path) == newest


def test_a_finished_run_with_an_ambiguous_request_is_continued_on_demand(tmp_path: Path) -> None:
    folder = save_live_run(tmp_path / "run", submitting("a"), is_finished=True)
    assert continued(tmp_path) is None
    assert continued(tmp_path, retry_ambiguous=True) == folder
    settled = (submitting("a"), *PAID, SampleFinishedEvent(sample=build_sample("a"), billing=BillingStatus.ACCEPTED))
    save_live_run(tmp_path / "run", *settled[1:], is_finished=True)
    assert continued(tmp_path, retry_ambiguous=True) == folder, "the last request of the sample is the one that counts"


@pytest.mark.parametrize(("version", "hint"), [(2, "finish it with that version"), (99, "pip install -U voicegauge")])
def test_a_live_run_of_another_version_is_not_silently_bought_again(tmp_path: Path, version: int, hint: str) -> None:
    folder = save_live_run(tmp_path / "run", *PAID, schema_version=version, plan_sha256="of another version")
    with pytest.raises(DataError, match=hint) as caught:
        continued(tmp_path)
    assert str(folder) in str(caught.value)
    assert "move the folder away" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"is_finished": True}, {"targets": (build_measured_target("acme/other"),)}, {"max_cost_usd": None}]
)
def test_other_runs_of_another_version_are_in_nobodys_way(tmp_path: Path, changes: dict[str, object]) -> None:
    save_live_run(tmp_path / "run", *PAID, schema_version=2, **changes)
    assert continued(tmp_path) is None


def test_a_run_with_a_damaged_journal_is_not_silently_bought_again(tmp_path: Path) -> None:
    folder = save_live_run(tmp_path / "run", *PAID)
    journal = folder / "journal.jsonl"
    journal.write_bytes(b"{broken\n" + journal.read_bytes())
    with pytest.raises(DataError, match=r"journal.jsonl:1: is damaged.*move .*run away"):
        continued(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b'{"manifest": {}}'])
def test_a_paid_run_with_a_damaged_manifest_is_not_silently_bought_again(tmp_path: Path, content: bytes) -> None:
    folder = save_live_run(tmp_path / "run", *PAID)
    (folder / "run.json").write_bytes(content)
    with pytest.raises(DataError, match=r"run.json: is damaged.*journal.jsonl, then move or delete") as caught:
        continued(tmp_path)
    assert "\n" not in str(caught.value)
    (folder / "journal.jsonl").write_bytes(b"{broken\n")
    with pytest.raises(DataError, match=r"run.json: is damaged, and so is its journal .*move or delete"):
        continued(tmp_path)


EMULATED = SampleFinishedEvent(sample=build_sample("a"), billing=BillingStatus.ACCEPTED, is_emulated=True)


@pytest.mark.parametrize("events", [(), REJECTED, (*PAID, EMULATED)])
def test_a_damaged_manifest_of_an_unpaid_run_is_in_nobodys_way(
    tmp_path: Path, events: tuple[JournalEvent, ...]
) -> None:
    folder = save_live_run(tmp_path / "run", *events)
    (folder / "run.json").write_text("{")
    assert continued(tmp_path) is None


def test_an_unfinished_run_with_other_settings_is_found(tmp_path: Path) -> None:
    folder = save_live_run(tmp_path / "run", *PAID, plan_sha256="other")
    save_live_run(tmp_path / "same", *PAID)
    save_live_run(tmp_path / "finished", *PAID, plan_sha256="other", is_finished=True)
    assert find_runs_of_other_plans(tmp_path, plan()) == [folder]


def test_a_killed_run_lists_what_is_unresolved(tmp_path: Path) -> None:
    job = SubmitCompletedEvent(
        sample_or_case_id="b", http_status=202, billing_status=BillingStatus.ACCEPTED, job_id="j1"
    )
    save_live_run(tmp_path, submitting("a"), submitting("b"), job)
    loaded = load_run(tmp_path)
    assert [(one.sample_or_case_id, one.counted_usd) for one in loaded.ambiguous_requests] == [("a", 0.01)]
    assert [(one.sample_id, one.job_id) for one in loaded.open_jobs] == [("b", "j1")]


def test_on_a_full_disk_no_half_line_is_written(tmp_path: Path) -> None:
    import resource
    import signal

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with open_journal(tmp_path, is_durable=True) as journal:
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


def test_a_run_names_its_region_and_is_resumed_in_no_other(tmp_path: Path) -> None:
    folder = begin_run(tmp_path, RunConfig(plan(), {}, {}, max_cost_usd=1.0, region="eu"))
    assert load_run(folder).manifest.region == "eu"
    with open_journal(folder, is_durable=False) as journal:
        journal.write(submitting("a"))
    found = find_run_to_continue(tmp_path, plan())
    with pytest.raises(UsageError, match="was started with --region eu: resume it so"):
        begin_run(tmp_path, RunConfig(plan(), {}, {}, max_cost_usd=1.0), found)
    assert begin_run(tmp_path, RunConfig(plan(), {}, {}, max_cost_usd=1.0, region="eu"), found) == folder


@pytest.mark.parametrize("region", ["", " eu", "e\x1b[31mu", "x" * 41])
def test_a_region_is_a_short_name(region: str) -> None:
    with pytest.raises(UsageError, match="cannot be used: name it with at most 40 characters"):
        check_region(region)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda run: run["samples"][0]["cost"].update(price_usd=1e308), r"samples\[0\].cost.price_usd"),
        (lambda run: run["samples"][0]["cost"].update(price_usd=-1), r"samples\[0\].cost.price_usd"),
        (lambda run: run["samples"][1].update(poll_count=10**30), r"samples\[1\].poll_count"),
        (lambda run: run["samples"][1]["latency"].update(total_latency_ms=-1), r"samples\[1\].*total_latency_ms"),
        (lambda run: run["samples"][1].update(id=run["samples"][0]["id"]), "two samples have the id 'acme/"),
        (lambda run: run["samples"][1].update(started_at="9999-12-31T23:59:60Z"), "started_at of the sample 'acme/"),
        (lambda run: run["manifest"]["targets"][0].update(max_characters=0), r"targets\[0\].max_characters"),
        (
            lambda run: run["samples"][0]["audio"].update(audio_duration_s=1e-308),
            "audio_duration_s of the sample 'acme",
        ),
        (lambda run: run["manifest"].update(created_at="yesterday"), "manifest.created_at .*'yesterday'"),
        (lambda run: run["manifest"]["targets"].append(run["manifest"]["targets"][0]), "manifest.targets has '.*twice"),
        (lambda run: run["score_sets"][0]["scores"].append(run["score_sets"][0]["scores"][0]), "two scores of the"),
    ],
)
def test_impossible_values_are_named_with_their_place(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], says: str
) -> None:
    samples = (build_sample(1, done=(1.0, 2.0)), build_sample(2, done=(1.0, 2.0)))
    path = save_run(tmp_path, build_run(samples, score_sets=(build_score_set(samples, lambda _: 1),)))
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=says) as caught:
        load_run(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
