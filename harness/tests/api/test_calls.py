"""Calls of the API: inside an event loop, with a progress listener, with a budget, interrupted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

import voicegauge
from voicegauge.api.calls import run_coroutine
from voicegauge.client.ledger import Ledger
from voicegauge.errors import BudgetError, DataError, MissingKeyError, UnreachableError, UsageError

RECORDINGS = Path(__file__).resolve().parents[3] / "fixtures" / "pixelapi"


class Recorder(voicegauge.ProgressListener):
    """Notes everything that it is called with."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.done: list[int] = []
        self.notices: list[str] = []
        self.ended = 0

    def phase_started(self, name: str, total_count: int | None, done_count: int = 0) -> None:
        self.phases.append(f"{name} {total_count}")

    def phase_progressed(self, done_count: int, total_count: int | None, item_name: str = "") -> None:
        self.done.append(done_count)

    def phase_ended(self) -> None:
        self.ended += 1

    def notice(self, message: str) -> None:
        self.notices.append(message)


def test_a_benchmark_without_an_asr_engine_has_no_phase_of_transcribing(tmp_path: Path) -> None:
    listener = Recorder()
    voicegauge.benchmark("ttsai/kokoro-sync", max_texts=1, warmup=0, asr="none", out=tmp_path, progress=listener)
    assert "sending requests" in " ".join(listener.phases)
    assert not [one for one in listener.phases if one.startswith("transcribing")]
    assert "no error rates: none requested" in listener.notices


async def test_a_function_can_be_called_inside_an_event_loop() -> None:
    report = voicegauge.check_request("pixelapi/voice-design", {"text": "Hello."}, emulated=True)
    assert (report.findings, report.stop_reason) == ((), None)


async def test_a_function_can_be_called_in_a_thread_of_an_event_loop() -> None:
    report = await asyncio.to_thread(voicegauge.check, "pixelapi/voice-design", emulated=True, max_calls=1)
    assert report.spending.total.billable_request_count >= 1


def test_a_wrong_keyword_gets_the_name_of_the_function_and_the_near_one() -> None:
    with pytest.raises(TypeError, match=r"^benchmark\(\) got .*'max_text'; did you mean 'max_texts'\?$"):
        voicegauge.benchmark("pixelapi", max_text=3)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match=r"^live is True: pass LiveOptions\(\.\.\.\), or leave it out$"):
        voicegauge.check("pixelapi", live=True)  # type: ignore[arg-type]
    live = voicegauge.LiveOptions()
    with pytest.raises(TypeError, match=r"'max_cost'; did you mean live=LiveOptions\(max_cost_usd=\.\.\.\)\?$"):
        voicegauge.check("lmnt", live=live, max_cost="1")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^LiveOptions\(\) got .*'max_cost'; did you mean 'max_cost_usd'\?$"):
        voicegauge.LiveOptions(max_cost="1")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"'limit'; did you mean 'max_texts'\?$"):
        voicegauge.benchmark("pixelapi", limit=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"'zzzzzz'; known: targets, live, suite, .*max_texts"):
        voicegauge.benchmark("pixelapi", zzzzzz=1)  # type: ignore[call-arg]
    assert "listens: with `False`: do not judge" in str(voicegauge.benchmark.__doc__)


@pytest.mark.parametrize(
    ("command", "function"),
    [("bench", "benchmark"), ("cost", "estimate_cost"), ("drift", "find_drift"), ("history", "read_history")],
)
def test_the_name_of_a_command_is_answered_with_that_of_its_function(command: str, function: str) -> None:
    with pytest.raises(AttributeError, match=rf"has no attribute '{command}'; use voicegauge\.{function}$"):
        voicegauge.__getattr__(command)


@pytest.mark.parametrize(
    "write", ["write_junit", "write_sarif", "write_findings_page", "write_badge", "write_baseline"]
)
def test_only_a_report_is_written(write: str, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=rf"^{write} takes the report that `.*` returned first, then the file; not a NoneType"
    ):
        getattr(voicegauge, write)(None, tmp_path / "out")
    with pytest.raises(UsageError, match=r"; not a str"):
        getattr(voicegauge, write)(str(tmp_path / "out"), object())
    assert not list(tmp_path.iterdir())


def test_a_server_that_was_not_entered_says_how_to_start_it() -> None:
    with pytest.raises(
        AttributeError, match=r"^the server is not running: write `with voicegauge\.\w+\(\.\.\.\) as server:`"
    ):
        voicegauge.emulate("pixelapi").base_url("pixelapi")  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.usefixtures("short_emulated_times")
def test_results_of_benchmarks_are_compared_as_their_runs(tmp_path: Path) -> None:
    results = [
        voicegauge.benchmark(
            "pixelapi/voice-design",
            max_texts=2,
            warmup=0,
            asr="none",
            listens=False,
            write_html_report=False,
            out=tmp_path / name,
            seed=number,
        )
        for number, name in enumerate("ab")
    ]
    expected = voicegauge.compare(results[0].folder, results[1].folder)
    assert voicegauge.compare(results[0], results[1]) == voicegauge.compare([results[0]], results[1]) == expected
    with pytest.raises(UsageError, match="not CheckReport"):
        voicegauge.compare(voicegauge.check("pixelapi/voice-design", emulated=True, max_calls=1), results[1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("convert", "file"),
        ("explain_rule", "rule_id"),
        ("list_rules", "words"),
        ("load_contracts", "folders"),
        ("propose_overlay", "document"),
        ("replay", "paths"),
    ],
)
def test_functions_without_a_request_check_their_arguments_too(name: str, argument: str) -> None:
    function = getattr(voicegauge, name)
    with pytest.raises(UsageError, match=rf"^{argument} is 5: its type is "):
        function(5)
    with pytest.raises(TypeError, match=rf"^{name}\(\) got .*'{argument}s?_?x'; did you mean '{argument}'\?$"):
        function(**{f"{argument}x": "pixelapi"})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: voicegauge.check("pixelapi", emulated=True, max_calls="3"),
            r"max_calls is '3': its type is int \| None",
        ),
        (
            lambda: voicegauge.check("pixelapi", emulated="yes"),
            r"emulated is 'yes': its type is bool \| RunningEmulator",
        ),
        (lambda: voicegauge.check("pixelapi", emulated=1), "emulated is 1: its type is bool"),
        (lambda: voicegauge.check("pixelapi", emulated=True, faults="slow"), r"faults is 'slow': .* Sequence\[str\]"),
        (lambda: voicegauge.check("pixelapi", emulated=True, faults=[1]), r"faults is \[1\]: its type"),
        (lambda: voicegauge.check("pixelapi", contracts=5), "contracts is 5: its type is ContractsOrFolders"),
        (
            lambda: voicegauge.check("pixelapi", progress="yes"),
            r"progress is 'yes': its type is ProgressListener \| None",
        ),
        (
            lambda: voicegauge.check("pixelapi", live=voicegauge.LiveOptions(base_urls="http://me:secret@host")),
            r"base_urls is a str: its type is Mapping\[str, str\]",
        ),
        (
            lambda: voicegauge.check("lmnt", live=voicegauge.LiveOptions(), prices={"lmnt": "x"}),
            r"prices\['lmnt'\] is 'x': its type is float",
        ),
        (
            lambda: voicegauge.benchmark("pixelapi", texts=["Hello."]),
            r"^texts is \['Hello\.'\]: pass a path\. Your own texts instead of a suite: one per line \(\.txt\)",
        ),
        (lambda: voicegauge.benchmark("pixelapi", max_texts="two"), r"max_texts is 'two': its type is int \| None"),
        (lambda: voicegauge.benchmark("pixelapi", concurrency=True), "concurrency is True: its type is int"),
        (lambda: voicegauge.benchmark(None), r"targets is None: its type is str \| Sequence\[str\]"),
        (lambda: voicegauge.compare(1, 2), "baseline is 1: its type"),
        (lambda: voicegauge.build_report("runs", max_clips="3"), "max_clips is '3': its type"),
        (lambda: voicegauge.emulate("pixelapi", clock="fast"), r"clock is 'fast': its type is Literal\['real', "),
        (lambda: voicegauge.proxy("pixelapi", port=True), "port is True: its type"),
        (lambda: voicegauge.find_drift(1, 2), r"old is 1: pass a path\. An OpenAPI document"),
        (lambda: voicegauge.list_providers(3), "providers is 3: its type"),
        (
            lambda: voicegauge.write_history_page("runs", "history.html"),
            r"history is 'runs': its type is RunHistory; help\(voicegauge\.write_history_page\) says what it is$",
        ),
        (lambda: voicegauge.convert_all("recording.har", out=4), "paths is 'recording.har': its type"),
        (
            lambda: voicegauge.estimate_cost("lmnt", characters_per_month="2M"),
            "characters_per_month is a str: its type is int",
        ),
    ],
)
def test_a_value_of_another_type_is_rejected(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        call()


@pytest.mark.parametrize("write", [voicegauge.write_report, voicegauge.write_site])
def test_no_run_is_no_report(write: Callable[[list[Path], Path], Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^there is no run to report: give a run's folder or its run\.json$"):
        write([], tmp_path / "report")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "known"),
    [
        (lambda: voicegauge.render_report("run", format="doc"), "csv, html, markdown"),
        (lambda: voicegauge.write_report("run", "a.pdf", format="pdf"), "csv, html, markdown, parquet"),
        (
            lambda: voicegauge.render_summary(voicegauge.check("pixelapi"), format="text"),
            "html, markdown, prometheus, slack",
        ),
    ],
)
def test_an_unknown_format_is_rejected(call: Callable[[], object], known: str) -> None:
    with pytest.raises(UsageError, match=rf"^unknown format '\w+': known: {known}$"):
        call()


@pytest.mark.parametrize("volume", [0, -5, 10**13])
def test_a_month_has_at_least_one_character(volume: int) -> None:
    message = f"^characters_per_month is {volume}: choose a number from 1 to 1000000000000$"
    for call in (voicegauge.estimate_cost, voicegauge.build_report):
        with pytest.raises(UsageError, match=message):
            call("no-such-run-or-target", characters_per_month=volume)


def test_whole_numbers_may_be_written_as_floats() -> None:
    by_float = voicegauge.plan_benchmark("pixelapi", sessions=2.0, max_texts=3.0)  # type: ignore[arg-type]
    assert by_float == voicegauge.plan_benchmark("pixelapi", sessions=2, max_texts=3)
    with pytest.raises(UsageError, match=r"^sessions is 2\.5: its type is int"):
        voicegauge.plan_benchmark("pixelapi", sessions=2.5)  # type: ignore[arg-type]


def _health(url: str) -> str:
    with urllib.request.urlopen(f"{url}/_emulator/health", timeout=60) as response:  # noqa: S310 - loopback
        return str(json.load(response)["status"])


def test_the_base_url_of_a_provider_that_is_not_served_is_an_error() -> None:
    message = "unknown provider 'openai': known to this {}: {}$"
    with voicegauge.emulate("lmnt") as emulator, pytest.raises(UsageError, match=message.format("emulator", "lmnt")):
        emulator.base_url("openai")
    with (
        voicegauge.replay(RECORDINGS) as replayed,
        pytest.raises(UsageError, match=message.format("replay", "pixelapi")),
    ):
        replayed.base_url("openai")


async def test_the_servers_work_with_and_without_an_event_loop() -> None:
    with voicegauge.emulate("pixelapi") as emulator:
        assert _health(emulator.url) == "ok"
    async with voicegauge.emulate(
        "pixelapi", clock="per-poll", enforce_rate_limits=False, account_credits=1e9
    ) as emulator:
        assert await asyncio.to_thread(_health, emulator.url) == "ok"
        report = await asyncio.to_thread(voicegauge.check, "pixelapi", emulated=emulator, max_calls=1)
        assert report.findings == ()
    async with voicegauge.replay(RECORDINGS) as replayed:
        assert replayed.unused_requests
        assert replayed.unmatched_requests == []


def test_a_server_is_stopped_at_the_end_of_its_block() -> None:
    with voicegauge.emulate("pixelapi") as emulator:
        pass
    with pytest.raises(OSError, match="refused"):
        _health(emulator.url)


def test_progress_and_notices_are_reported() -> None:
    listener = Recorder()
    report = voicegauge.check("pixelapi/voice-design", emulated=True, max_calls=1, progress=listener)
    assert listener.phases == [f"sending requests {len(report.case_results)}"]
    assert listener.ended == 1
    assert listener.done == sorted(listener.done)
    assert listener.done[-1] == len(report.case_results)
    assert [notice.partition(":")[0] for notice in listener.notices] == ["emulated"]


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    voicegauge.check("pixelapi/voice-design", emulated=True, max_calls=1)
    voicegauge.plan_benchmark("pixelapi", max_texts=1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"emulated": True, "live": voicegauge.LiveOptions()}, "live and emulated exclude each other"),
        ({"faults": ["slow"]}, "faults has no effect"),
        ({"fuzz_request_count": 5}, "fuzz_request_count has no effect"),
        ({"emulated": True, "recordings": ["fixtures"]}, "recordings and emulated exclude each other"),
        ({"live": voicegauge.LiveOptions(), "faults": ["slow"]}, "faults has no effect without emulated"),
        ({"select": ["job-stuk"]}, "did you mean job-stuck"),
        ({"live": voicegauge.LiveOptions(base_urls={"nope": "http://x"})}, "no server 'nope'"),
        ({"live": voicegauge.LiveOptions(), "prices": {"pixelapi/nothing": 1.0}}, "unknown target"),
    ],
)
def test_arguments_that_contradict_each_other_are_rejected(
    arguments: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXELAPI_KEY", "k")
    with pytest.raises(UsageError, match=message):
        voicegauge.check("pixelapi", **arguments)  # type: ignore[arg-type]


def test_a_live_check_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIXELAPI_KEY", raising=False)
    with pytest.raises(MissingKeyError, match="PIXELAPI_KEY"):
        voicegauge.check("pixelapi/voice-design", live=voicegauge.LiveOptions())


def test_a_plan_over_budget_is_rejected_and_a_shared_ledger_stops_it_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELAPI_KEY", "k")
    with voicegauge.emulate("pixelapi", enforce_rate_limits=False) as emulator:
        urls = {"": emulator.base_url("pixelapi")}
        with pytest.raises(BudgetError, match="more than --max-cost"):
            voicegauge.check("pixelapi", live=voicegauge.LiveOptions(max_cost_usd=1e-6, base_urls=urls), max_calls=3)
        live = voicegauge.LiveOptions(base_urls=urls, ledger=Ledger(1e-6))
        report = voicegauge.check("pixelapi", live=live, max_calls=3)
    assert report.stop_reason == "budget"
    assert report.spent_usd == 0


@pytest.mark.usefixtures("short_emulated_times")
def test_a_service_that_cannot_be_reached_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    live = voicegauge.LiveOptions(base_urls={"": "http://127.0.0.1:9"})
    with pytest.raises(UnreachableError):
        voicegauge.check("openai/tts-1", live=live)


def test_recordings_are_not_overwritten_unless_the_caller_agrees(tmp_path: Path) -> None:
    first = voicegauge.record("pixelapi/voice-design", emulated=True, out=tmp_path)
    assert all(file.is_written for file in first.files)
    assert voicegauge.record("pixelapi/voice-design", emulated=True, out=tmp_path).files == ()
    with pytest.raises(UsageError, match="would overwrite"):
        voicegauge.record("pixelapi/voice-design", emulated=True, out=tmp_path, refresh="all")
    asked: list[voicegauge.FileToOverwrite] = []

    def refuse(overwrite: voicegauge.FileToOverwrite) -> bool:
        asked.append(overwrite)
        return False

    again = voicegauge.record(
        "pixelapi/voice-design", emulated=True, out=tmp_path, refresh="all", overwrite=refuse, seed=5
    )
    assert asked
    assert {str(one.path) for one in asked} == {file.path for file in again.files if not file.is_written}


async def test_ctrl_c_inside_an_event_loop_cancels_the_coroutine() -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_coroutine(wait())
    finally:
        signal.signal(signal.SIGINT, previous)
    assert cancelled.is_set()


async def test_an_error_inside_an_event_loop_reaches_the_caller() -> None:
    async def fail() -> None:
        raise UsageError("wrong")

    with pytest.raises(UsageError, match="wrong"):
        run_coroutine(fail())
