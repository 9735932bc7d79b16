"""Measuring from several places, by workers of a Dask cluster that run in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import voicegauge
from voicegauge.bench import places
from voicegauge.bench.comparison import compare_runs
from voicegauge.bench.measuring_worker import (
    ClockReading,
    assign_places,
    choose_clock_reading,
    find_place,
    split_requests_in_flight_evenly,
)
from voicegauge.bench.run_history import read_run_history
from voicegauge.bench.run_store import load_run
from voicegauge.bench.target_samples import restrict_run_to_place, summarize_places
from voicegauge.cli import run as command
from voicegauge.emulator.server import running_app
from voicegauge.errors import BudgetError, DataError, UnreachableError, UsageError, VoicegaugeError
from voicegauge.model.base import Provenance
from voicegauge.model.run import MeasuringWorker, Run
from voicegauge.speech.encoding import encode

from ..builders.audio import make_changing_noise
from ..builders.dask_cluster import Cluster, running_cluster
from ..builders.nights import save
from ..builders.rounds import build_rounds
from ..builders.runs import build_measured_target, build_run, build_sample

ADDRESS = "tcp://10.0.0.1:4000"
PRICE_USD = 0.01


# Which place measures what, and how clocks are compared.


@pytest.mark.parametrize(
    ("name", "place"),
    [("frankfurt", "frankfurt"), ("tokyo-12", "tokyo"), ("us-east-1-3", "us-east-1"), (0, "10.0.0.1"),
     (ADDRESS, "10.0.0.1")],
)  # fmt: skip
def test_the_name_of_a_worker_says_its_place(name: object, place: str) -> None:
    assert find_place(name, ADDRESS) == place


@pytest.mark.parametrize("name", ["-1", "a" * 41, "a\x1b[31m", " a"])
def test_a_name_that_cannot_be_shown_is_rejected_in_one_line(name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be used as a place: start the worker with --name") as caught:
        find_place(name, ADDRESS)
    assert caught.value.args[0].isprintable()


def test_each_text_is_measured_from_each_place_and_targets_of_a_round_from_the_same_one() -> None:
    first = build_rounds(5, "a/x", "a/y")
    rounds = [
        tuple(msgspec.structs.replace(one, repetition_number=repetition) for one in row)
        for repetition in (1, 2, 3)
        for row in first
    ]
    names = ("berlin", "oslo", "rome")
    place_by_id = assign_places(rounds, names)
    for row in rounds:
        assert len({place_by_id[one.id] for one in row}) == 1
    for row in first:
        same_text = [one for other in rounds for one in other if one.text == row[0].text and one.target == "a/x"]
        assert sorted(place_by_id[one.id] for one in same_text) == list(names)
    assert max(Counter(place_by_id.values()).values()) - min(Counter(place_by_id.values()).values()) == 0


def test_warm_up_requests_take_turns_at_the_places() -> None:
    rows = [
        tuple(msgspec.structs.replace(one, repetition_number=0) for one in row) for row in build_rounds(2, "a/x", "a/y")
    ]
    assert set(assign_places(rows, ("oslo", "rome")).values()) == {"oslo", "rome"}


@given(st.integers(1, 512), st.integers(1, 20))
def test_requests_in_flight_are_split_evenly(total: int, parts: int) -> None:
    found = split_requests_in_flight_evenly(total, parts)
    assert max(found) - min(found) <= 1
    assert sum(found) == max(total, parts)


@given(
    st.floats(-1e6, 1e6),
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=8),
)
def test_the_true_offset_of_a_clock_is_within_the_stated_error(
    offset_s: float, delays_s: list[tuple[float, float]]
) -> None:
    readings = [
        ClockReading(sent, sent + there + offset_s, sent + there + back) for sent, (there, back) in enumerate(delays_s)
    ]
    chosen = choose_clock_reading(readings)
    assert abs(chosen.offset_s - offset_s) <= chosen.error_s + 1e-6
    assert chosen.error_s <= min(sum(one) for one in delays_s) / 2 + 1e-6


# Results by place.


def run_from_places(**changes: Any) -> Run:
    """Two places, of which one is 300 ms farther away."""
    samples = []
    for number in range(12):
        place = ("rome", "oslo")[number % 2]
        sample = build_sample(f"t{number // 2}", total_latency_ms=500.0 + 300 * (place == "oslo"))
        samples.append(msgspec.structs.replace(sample, id=f"{sample.target}/1/{number}/t", place=place))
    workers = (
        MeasuringWorker(name="oslo", place="oslo", clock_offset_ms=-12.0, clock_error_ms=3.5),
        MeasuringWorker(name="rome", place="rome", clock_offset_ms=0.5, clock_error_ms=1.0),
    )
    return build_run(tuple(samples), workers=workers, **changes)


def test_results_are_stated_by_place() -> None:
    oslo, rome = summarize_places(run_from_places())
    assert (oslo.place, oslo.sample_count, rome.place, rome.sample_count) == ("oslo", 6, "rome", 6)
    assert oslo.total_latency_ms is not None
    assert rome.total_latency_ms is not None
    assert (oslo.total_latency_ms.value, rome.total_latency_ms.value) == (800.0, 500.0)


def test_a_run_of_one_machine_has_no_places() -> None:
    assert summarize_places(build_run((build_sample("t"),))) == ()


def test_reports_show_places_and_clocks(tmp_path: Path) -> None:
    from voicegauge.report.html_page import render_page
    from voicegauge.report.report_data import analyze_runs
    from voicegauge.report.result_summaries import render_csv
    from voicegauge.report.run_comparison import render_markdown

    analyzed = analyze_runs([(tmp_path, run_from_places())])
    markdown = render_markdown(analyzed)
    assert "| oslo |" in markdown
    assert "| 800 |" in markdown
    page = render_page(analyzed)
    assert "By place" in page
    assert "-12.0" in page
    rows = render_csv(analyzed.runs).splitlines()
    index = rows[0].split(",").index("place")
    assert {row.split(",")[index] for row in rows[1:]} == {"oslo", "rome"}
    assert "By place" not in render_page(analyze_runs([(tmp_path, build_run((build_sample("t"),)))]))


def test_runs_are_compared_place_by_place() -> None:
    before, after = run_from_places(run_id="before"), run_from_places(run_id="after")
    assert compare_runs(before, after).run.places == ("oslo", "rome")
    only = compare_runs(restrict_run_to_place(before, "oslo"), restrict_run_to_place(after, "oslo"))
    values = {one.baseline_value for one in only.metrics if one.metric == "total_latency_ms"}
    assert values == {800.0}
    with pytest.raises(DataError, match=r"no sample from 'mars'; its places: oslo, rome"):
        voicegauge.compare(before, after, place="mars")


def test_a_history_has_a_series_for_each_place_and_for_each_set_of_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def save_night(name: str, run: Run) -> None:
        save(tmp_path / name, msgspec.structs.replace(run, score_sets=()))

    for day in (1, 2):
        at = {"created_at": f"2026-11-0{day}T02:00:00+00:00"}
        save_night(f"{day}-all", run_from_places(run_id=f"all-{day}", **at))
        save_night(f"{day}-oslo", restrict_run_to_place(run_from_places(run_id=f"oslo-{day}", **at), "oslo"))
        here = tuple(msgspec.structs.replace(one, place=None) for one in run_from_places().samples)
        save_night(f"{day}-here", build_run(here, run_id=f"here-{day}", **at))
    history = read_run_history(tmp_path)
    assert (history.run_count, history.places) == (6, ("oslo", "rome"))
    found = {
        (one.key.place, "places oslo + rome" in one.key.configuration): [night.value for night in one.nights]
        for one in history.series
        if one.key.metric == "total_latency_ms"
    }
    assert found == {
        (None, False): [pytest.approx(650.0)] * 2,
        ("oslo", True): [pytest.approx(800.0)] * 2,
        ("rome", True): [pytest.approx(500.0)] * 2,
        ("oslo", False): [pytest.approx(800.0)] * 2,
    }
    assert {night.run_count for one in history.series for night in one.nights} == {1}
    assert command(["history", str(tmp_path), "--html", str(tmp_path / "page.html")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"latest night, by place +oslo +rome", out)
    assert re.search(r"  total latency p50 \[oslo\] \(\d\) +2 ", out)
    assert "total latency p50 · oslo" in (tmp_path / "page.html").read_text()


def test_a_place_keeps_its_texts_if_the_order_of_the_plan_changes() -> None:
    rounds = build_rounds(6, "a/x")
    by_text = {one.text.id: place_by_id for row in rounds for one in row for place_by_id in [one.id]}
    forwards, backwards = (assign_places(rows, ("oslo", "rome")) for rows in (rounds, rounds[::-1]))
    assert {text: forwards[sample] for text, sample in by_text.items()} == {
        text: backwards[sample] for text, sample in by_text.items()
    }


def test_a_comparison_says_which_texts_were_measured_from_other_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run_from_places(run_id="before")
    swapped = {"oslo": "rome", "rome": "oslo"}
    samples = tuple(
        msgspec.structs.replace(one, place=swapped[str(one.place)] if one.text_id in ("t0", "t1") else one.place)
        for one in (msgspec.structs.replace(one, text_id=f"t{number}") for number, one in enumerate(before.samples))
    )
    numbered = tuple(msgspec.structs.replace(one, text_id=f"t{n}") for n, one in enumerate(before.samples))
    save(tmp_path / "a", msgspec.structs.replace(before, samples=numbered, score_sets=()))
    later = run_from_places(run_id="after")
    save(tmp_path / "b", msgspec.structs.replace(later, samples=samples, score_sets=()))
    assert command(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 of 12 texts were measured from other places: --place NAME compares one place" in said
    assert command(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--place", "oslo"]) == 0
    assert "other places" not in capsys.readouterr().out
    assert command(["report", str(tmp_path / "a"), str(tmp_path / "b"), "--out", "-"]) == 0
    assert "2 of 12 texts were measured from other places" in capsys.readouterr().out


def test_runs_from_different_places_are_not_joined_and_those_from_the_same_keep_their_workers(tmp_path: Path) -> None:
    from voicegauge.report.html_page import render_page
    from voicegauge.report.report_data import analyze_runs

    def rename(run: Run, target: str) -> Run:
        refs = (msgspec.structs.replace(build_measured_target(), id=target),)
        samples = tuple(
            msgspec.structs.replace(one, id=one.id.replace(one.target, target), target=target) for one in run.samples
        )
        manifest = msgspec.structs.replace(run.manifest, targets=refs)
        return msgspec.structs.replace(run, samples=samples, manifest=manifest, score_sets=())

    first, second = (rename(run_from_places(run_id=name), f"acme/{name}") for name in ("x", "y"))
    (joined,) = analyze_runs([(tmp_path, first), (tmp_path, second)]).report.runs
    assert [(one.place, one.target) for one in joined.places] == [
        (place, f"acme/{name}") for name in ("x", "y") for place in ("oslo", "rome")
    ]
    assert [one.name for one in joined.manifest.workers] == ["oslo", "oslo", "rome", "rome"]
    here = msgspec.structs.replace(
        second,
        samples=tuple(msgspec.structs.replace(one, place=None) for one in second.samples),
        manifest=msgspec.structs.replace(second.manifest, workers=()),
    )
    for other in (here, restrict_run_to_place(second, "oslo")):
        page = render_page(analyze_runs([(tmp_path, first), (tmp_path, other)]))
        assert "Run B and run A are not ranked together: they differ in places" in page


def test_a_site_compares_no_runs_from_different_places(tmp_path: Path) -> None:
    run = msgspec.structs.replace(run_from_places(run_id="all"), score_sets=())
    save(tmp_path / "a", run)
    manifest = msgspec.structs.replace(run.manifest, run_id="one", created_at="2027-01-01T00:00:00+00:00")
    save(tmp_path / "b", msgspec.structs.replace(restrict_run_to_place(run, "oslo"), manifest=manifest))
    site = tmp_path / "site"
    assert command(["report", str(tmp_path / "a"), str(tmp_path / "b"), "--site", str(site)]) == 0
    assert not list(site.glob("*-compared.html"))
    assert "from <bdi>oslo, rome</bdi>" in (site / "index.html").read_text()


# A cluster of real processes. Servers on this machine count what they are asked for, and by whom.


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), OPENAI_API_KEY="key-of-") as started:
        yield started


class SpeechServer:
    """OpenAI's speech, with a delay for each key."""

    def __init__(self) -> None:
        self.url = ""
        self.delay_s_by_key: dict[str, float] = {}
        self.texts_by_key: dict[str, list[str]] = {}
        self.on_request: Callable[[str, int], None] = lambda _key, _count: None

    @property
    def texts(self) -> Counter[str]:
        return Counter(text for texts in self.texts_by_key.values() for text in texts)

    async def create_speech(self, request: Request) -> Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        text = (await request.json())["input"]
        self.texts_by_key.setdefault(key, []).append(text)
        self.on_request(key, len(self.texts_by_key[key]))
        await asyncio.sleep(self.delay_s_by_key.get(key, 0.0))
        return Response(encode(make_changing_noise(0.4, 16_000, text=text), 16_000, "wav")[0], media_type="audio/wav")

    async def reject(self, _request: Request) -> Response:
        return JSONResponse({"error": {"message": "not here"}}, 404)

    @contextlib.contextmanager
    def running(self) -> Iterator[SpeechServer]:
        routes = [
            Route("/audio/speech", self.create_speech, methods=["POST"]),
            Route("/{path:path}", self.reject, methods=["GET", "POST"]),
        ]
        with running_app(Starlette(routes=routes)) as self.url:
            yield self


@pytest.fixture
def server() -> Iterator[SpeechServer]:
    with SpeechServer().running() as running:
        yield running


@pytest.fixture(autouse=True)
def no_keys_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("CARTESIA_API_KEY", raising=False)


def measure(cluster: Cluster, server: SpeechServer, out: Path, **changes: Any) -> voicegauge.BenchResult:
    options: dict[str, Any] = {
        "max_texts": 4, "repetitions": 2, "warmup": 0, "asr": "none", "listens": False, "concurrency": 4,
        "live": voicegauge.LiveOptions(base_urls={"": server.url}, max_cost_usd=0.09),
        "prices": {"openai/tts-1": PRICE_USD}, "write_html_report": False,
    } | changes  # fmt: skip
    return voicegauge.benchmark("openai/tts-1", dask_scheduler=cluster.address, out=out, **options)


@pytest.mark.slow
def test_two_places_are_measured_apart_with_keys_of_their_own(
    cluster: Cluster, server: SpeechServer, tmp_path: Path
) -> None:
    server.delay_s_by_key = {"key-of-oslo": 0.4}
    result = measure(cluster, server, tmp_path)
    run = load_run(Path(result.folder))
    assert set(server.texts_by_key) == {"key-of-rome", "key-of-oslo"}
    assert set(server.texts_by_key["key-of-rome"]) == set(server.texts_by_key["key-of-oslo"]) == set(server.texts)
    assert set(server.texts.values()) == {2}
    oslo, rome = result.places
    assert (oslo.place, rome.place) == ("oslo", "rome")
    assert oslo.ttfb_ms is not None
    assert rome.ttfb_ms is not None
    assert oslo.ttfb_ms.value - rome.ttfb_ms.value > 200
    for worker in run.manifest.workers:  # the clock of this machine is that of the workers
        assert abs(worker.clock_offset_ms) <= worker.clock_error_ms
        assert worker.timing_error is not None
    assert run.manifest.timing_error in [worker.timing_error for worker in run.manifest.workers]
    assert run.manifest.spent_usd == pytest.approx(8 * PRICE_USD)
    assert all((Path(result.folder) / one.audio.file_path).is_file() for one in run.samples if one.audio is not None)
    assert sum(one.audio is not None for one in run.samples) == 8
    for file in [*Path(result.folder).rglob("*"), *cluster.folder.rglob("*.log")]:
        assert not file.is_file() or b"key-of-" not in file.read_bytes(), file


@pytest.mark.slow
def test_a_killed_worker_loses_only_what_was_in_flight_and_buys_nothing_twice(
    cluster: Cluster, server: SpeechServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "CLUSTER_WORKER_TIMEOUT_S", 0.5)
    cluster.start_worker("paris", OPENAI_API_KEY="key-of-paris")
    cluster.wait_for_workers(3)
    server.delay_s_by_key = {"key-of-rome": 0.1}

    def answer_once_and_kill_at_third_request(key: str, count: int) -> None:
        if (key, count) == ("key-of-paris", 2):  # the first may be the one that shows whether a service responds
            server.delay_s_by_key[key] = 600.0
        if (key, count) == ("key-of-paris", 3):
            cluster.processes["paris"].send_signal(signal.SIGKILL)

    server.on_request = answer_once_and_kill_at_third_request
    notices = []
    live = voicegauge.LiveOptions(base_urls={"": server.url}, max_cost_usd=20 * PRICE_USD)
    changes: dict[str, Any] = {
        "max_texts": 6, "repetitions": 3, "concurrency": 6, "live": live,
        "progress": type("Notices", (voicegauge.ProgressListener,), {"notice": lambda _, text: notices.append(text)})(),
    }  # fmt: skip
    result = measure(cluster, server, tmp_path, **changes)
    run = load_run(Path(result.folder))
    lost = [one for one in run.samples if one.failure is not None]
    assert len(run.samples) == 18
    assert (len(server.texts_by_key["key-of-paris"]), len(lost)) == (3, 2), "what was in flight"
    assert {(one.failure.kind, one.place) for one in lost if one.failure} == {("interrupted", "paris")}
    assert set(server.texts.values()) == {3}, "every sample of the plan was requested once"
    assert run.manifest.spent_usd == pytest.approx(18 * PRICE_USD)
    assert sorted(one.sample_or_case_id for one in run.ambiguous_requests) == sorted(one.id for one in lost)
    assert any("paris has lost its workers" in notice for notice in notices)
    again = measure(cluster, server, tmp_path, **changes, retry_ambiguous_requests=True)
    assert sum(server.texts.values()) == 20, "bought again because the user asks for it, and within the budget"
    assert load_run(Path(again.folder)).manifest.spent_usd == pytest.approx(20 * PRICE_USD)
    assert again.measured_sample_count == 18


@pytest.mark.slow
def test_the_budget_of_all_places_is_one(cluster: Cluster, server: SpeechServer, tmp_path: Path) -> None:
    live = voicegauge.LiveOptions(base_urls={"": server.url}, max_cost_usd=7 * PRICE_USD)
    with pytest.raises(BudgetError, match="8 requests cost"):
        measure(cluster, server, tmp_path, live=live)
    assert not server.texts


@pytest.mark.slow
def test_websockets_and_http_are_measured_from_places_at_emulators_of_the_workers(
    cluster: Cluster, tmp_path: Path
) -> None:
    result = voicegauge.benchmark(
        ["elevenlabs/flash-multi-context", "elevenlabs/flash-v2-5"], dask_scheduler=cluster.address, max_texts=2,
        repetitions=2, warmup=0, asr="none", out=tmp_path,
    )  # fmt: skip
    assert result.provenance is Provenance.EMULATED
    assert result.measured_sample_count == 8
    assert {(one.place, one.target, one.sample_count) for one in result.places} == {
        (place, f"elevenlabs/{name}", 2) for place in ("oslo", "rome") for name in ("flash-multi-context", "flash-v2-5")
    }
    assert all(one.failure_count == 0 for one in result.places)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "version", "complaint"),
    [
        (
            "openai/tts-1",
            "9.9",
            r"^the Dask worker (oslo|rome)-1 has voicegauge [\d.]+, but this machine 9\.9: install",
        ),
        ("cartesia", None, r"^worker (oslo|rome)-1: .*CARTESIA_API_KEY"),
    ],
)
def test_a_worker_that_cannot_measure_is_one_line_before_anything_is_sent(
    cluster: Cluster, server: SpeechServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str,
    version: str | None, complaint: str,
) -> None:  # fmt: skip
    if version is not None:
        monkeypatch.setattr(places, "__version__", version)
    live = voicegauge.LiveOptions(base_urls={"": server.url}, max_cost_usd=1.0)
    with pytest.raises(VoicegaugeError, match=complaint) as caught:
        voicegauge.benchmark(target, dask_scheduler=cluster.address, live=live, max_texts=1, asr="none", out=tmp_path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert not server.texts


def test_a_cluster_without_workers_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(places, "CLUSTER_WORKER_TIMEOUT_S", 0.1)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp") as empty,
        pytest.raises(UnreachableError, match=r"has no worker: start one with `dask worker \S+ --name PLACE`"),
    ):
        voicegauge.benchmark("pixelapi/voice-design", dask_scheduler=empty.scheduler_address, max_texts=1, out=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("address", "error_type"), [("", UsageError), ("foo", UsageError), ("tcp://127.0.0.1:1", UnreachableError)]
)
def test_an_address_without_a_scheduler_is_one_line(
    address: str, error_type: type[VoicegaugeError], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(places, "CLUSTER_CONNECT_TIMEOUT_S", 0.2)
    with pytest.raises(error_type, match=r"write it like tcp://HOST:8786$"):
        voicegauge.benchmark("pixelapi/voice-design", dask_scheduler=address, max_texts=1, out=tmp_path)
