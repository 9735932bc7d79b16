"""The view of a running benchmark: what it says, and that the terminal stays whole."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from voicegauge.api.progress import ProgressListener
from voicegauge.cli._progress import PLAIN_LINE_INTERVAL_S, BenchProgress
from voicegauge.model.exchange import Failure
from voicegauge.model.sample import Cost, Sample

from ..builders.runs import build_sample


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that is set by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def finish_sample(target: str, total_ms: float | None = None, *, usd: float | None = None) -> Sample:
    failure = Failure(kind="rejected", message="no") if total_ms is None else None
    return build_sample(target=target, total_latency_ms=total_ms, failure=failure, cost=Cost(price_usd=usd))


def begin(progress: ProgressListener) -> None:
    progress.samples_planned({"acme/one": 3, "acme/two": 1})
    progress.phase_started("sending requests", 4)


def render(progress: BenchProgress, *, width: int = 80, height: int = 24) -> str:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(progress.build_table(console))
    return console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO from above


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> BenchProgress:
    return BenchProgress(is_live=True, clock=clock)


def test_the_table_has_counts_median_cost_and_the_time_left(progress: BenchProgress, clock: Clock) -> None:
    begin(progress)
    clock.now_s += 10
    progress.sample_finished(finish_sample("acme/one", 300, usd=0.5))
    progress.sample_finished(finish_sample("acme/one"))
    progress.sample_finished(finish_sample("acme/one", 100, usd=0.25))
    lines = [line.split() for line in render(progress).splitlines()]
    assert lines[1] == ["acme/two", "0/1", "0", "$0.00"]  # what is complete comes last
    assert lines[2] == ["acme/one", "3/3", "1", "200", "$0.75"]
    assert " ".join(lines[3]) == "3 of 4 requests, 1 failed, $0.75 spent, about 3 s left"


def test_an_emulated_run_has_no_cost_and_a_ramp_no_time_left(clock: Clock) -> None:
    progress = BenchProgress(is_live=False, clock=clock)
    progress.samples_planned({"acme/one": 0})
    progress.phase_started("sending requests", None)
    progress.sample_finished(finish_sample("acme/one", 300, usd=0.5))
    assert progress.describe_progress() == "1 request, 0 failed"
    progress.ramp_step_started(3, "4 requests in flight")
    assert progress.describe_progress() == "step 3: 4 requests in flight, 1 request, 0 failed"
    assert "spent" not in render(progress)


def test_what_an_interrupted_run_had_finished_says_nothing_about_the_speed(
    progress: BenchProgress, clock: Clock
) -> None:
    progress.samples_planned({"acme/one": 4})
    progress.sample_finished(finish_sample("acme/one", 300))
    progress.phase_started("sending requests", 4, 1)
    assert progress.describe_progress() == "1 of 4 requests, 0 failed, $0.00 spent"
    clock.now_s += 60
    progress.sample_finished(finish_sample("acme/one", 300))
    assert progress.describe_progress().endswith("about 2 min 0 s left")


def test_a_screen_shows_as_many_targets_as_fit(progress: BenchProgress) -> None:
    progress.samples_planned({f"acme/{number}" * 30: 1 for number in range(40)})
    progress.phase_started("sending requests", 40)
    lines = render(progress, width=40, height=12).splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 40
    assert "and 32 more targets" in lines


@pytest.mark.parametrize(("is_terminal", "term"), [(False, "xterm"), (True, "dumb")])
def test_a_line_now_and_then_where_nothing_can_be_drawn(
    progress: BenchProgress, clock: Clock, monkeypatch: pytest.MonkeyPatch, is_terminal: bool, term: str
) -> None:
    stream = Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", term)
    begin(progress)
    progress.sample_finished(finish_sample("acme/one", 300))
    assert stream.getvalue() == ""
    clock.now_s += PLAIN_LINE_INTERVAL_S
    progress.sample_finished(finish_sample("acme/one", 300))
    progress.sample_finished(finish_sample("acme/one", 300))
    progress.phase_ended()
    assert stream.getvalue() == "2 of 4 requests, 0 failed, $0.00 spent, about 30 s left\n"


def test_the_cursor_comes_back_and_no_color_is_used_if_unwanted(
    progress: BenchProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    begin(progress)
    progress.sample_finished(finish_sample("acme/one"))
    progress.notice("stopping when the requests in flight are finished")
    progress.phase_ended()
    shown = stream.getvalue()
    assert shown.index("\x1b[?25l") < shown.rindex("\x1b[?25h")
    assert "stopping when" in shown
    assert "\x1b[31m" not in shown
