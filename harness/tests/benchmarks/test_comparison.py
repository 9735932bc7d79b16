"""The comparison with Schemathesis counts paid calls until a fault is found, and no false alarms."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from comparison import schemathesis
from comparison.__main__ import print_results, run_all, sample_mutants
from comparison.curves import render_svg, render_table
from comparison.results import RunFile, compare_samples, summarize_tool
from comparison.service import RequestCounts, serve_provider
from comparison.tool_run import ToolRun
from comparison.tools import ComparedTarget, SchemathesisTool, VoicegaugeTool
from throughput.response_replay import ReplayingApp

from voicegauge.contract import load_catalogue
from voicegauge.model import Request
from voicegauge.transport import Transport

TARGET = load_catalogue().provider("pixazo").target("chatterbox")
SUBMIT = f"POST http://x.test/pixazo{TARGET.operation.path}"


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    return ComparedTarget(TARGET, tmp_path_factory.mktemp("comparison"))


def test_a_served_provider_accepts_one_key_and_counts_requests(compared) -> None:
    with serve_provider(TARGET.contract, TARGET.operation) as served:
        url = f"{served.url}{TARGET.operation.path}"
        response = httpx.post(url, json={"text": "hi"}, headers={"Ocp-Apim-Subscription-Key": "another-key"})
        counts = served.counts(TARGET.operation)
    assert response.status_code == 401
    assert counts == RequestCounts(sent=1, accepted=0)


@pytest.mark.slow
def test_ten_paid_calls_find_faults_of_every_class_without_false_alarms(compared) -> None:
    tool = VoicegaugeTool(compared)
    clean = tool.run(None, 0, to_the_end=True)
    assert not clean.first_reports
    assert clean.paid > 20
    chosen = sample_mutants(compared, 1)
    assert len({mutant.kind for mutant in chosen}) == len(chosen) >= 15
    paid = [tool.run(mutant, 0, to_the_end=False).paid_until_found(frozenset()) for mutant in chosen]
    assert sum(count is not None and count <= 10 for count in paid) >= len(chosen) - 1


class FakeTool:
    """A tool that reports one false alarm, and each fault after another number of paid calls."""

    command_line = "fake"

    def __init__(self, name: str, paid: int) -> None:
        self.name, self.paid, self.runs = name, paid, list[bool]()

    def run(self, mutant, seed, *, to_the_end):
        self.runs.append(to_the_end)
        reports = {"alarm": 1}
        if mutant is not None and to_the_end:
            reports["fault"] = self.paid + seed
        return ToolRun(first_reports=reports, sent=400, paid=350)


FAULT = SimpleNamespace(kind="header dropped", id="acme")


def test_a_fault_is_found_by_a_report_that_the_correct_provider_does_not_cause(tmp_path, capsys) -> None:
    early, late = FakeTool("early", 8), FakeTool("late", 99)
    file = RunFile(tmp_path / "runs.jsonl")
    run_all([early, late], [FAULT], range(5), file)
    assert early.runs == [True] * 5 + [False, True] * 5  # again to the end, because the first report is a false alarm
    results = [summarize_tool(tool.name, file.runs) for tool in (early, late)]
    assert results[0].found == {10: [1, 1, 1, 0, 0], 20: [1] * 5, 40: [1] * 5, 100: [1] * 5, 300: [1] * 5}
    assert results[1].found[40] == [0] * 5
    assert results[1].found[100] == [1, 1, 0, 0, 0]
    assert (results[0].median(10), results[1].median(100)) == (1, 0)
    assert results[0].false_alarms == {"alarm"}
    capsys.readouterr()
    print_results(results, 1)
    printed = capsys.readouterr().out
    assert "early at 10 to late at 300: median 1 to 1, A12 = 0.30" in printed
    assert "| late | 0 | 0 | 0 | 0 (0 to 1) | 1 |" in printed


def test_an_interrupted_comparison_continues_with_the_missing_runs(tmp_path) -> None:
    run_all([FakeTool("fake", 3)], [FAULT], range(2), RunFile(tmp_path / "runs.jsonl"))
    again = FakeTool("fake", 3)
    run_all([again], [FAULT], range(3), RunFile(tmp_path / "runs.jsonl"))
    assert again.runs == [True, False, True]


def test_the_effect_size_is_the_probability_of_a_larger_value() -> None:
    assert compare_samples([3, 4, 5, 6, 7], [1, 1, 2, 2, 2]).a12 == 1
    assert compare_samples([1, 2], [1, 2]).a12 == 0.5
    assert compare_samples([3, 4, 5, 6, 7], [1, 1, 2, 2, 2]).p_value < 0.05


def test_curves_show_every_tool(tmp_path) -> None:
    file = RunFile(tmp_path / "runs.jsonl")
    run_all([FakeTool("one & only", 8), FakeTool("other", 30)], [FAULT], range(5), file)
    results = [summarize_tool(name, file.runs) for name in ("one & only", "other")]
    svg = render_svg(results, 1)
    assert svg.count("<polyline") == 2
    assert "one &amp; only" in svg
    assert render_table(results, 1).startswith("| paid calls | 10 | 20 | 40 | 100 | 300 |")


def _events(*cases):
    """Return the lines of a report: one scenario with cases of (id, time, request, status, failed check)."""
    recorder = {
        "cases": {case_id: {"value": {"path": "/path"}} for case_id, *_ in cases},
        "interactions": {
            case_id: {
                "timestamp": at,
                "request": dict(zip(("method", "uri"), request.split(" "), strict=True)),
                "response": {"status_code": status},
            }
            for case_id, at, request, status, _ in cases
        },
        "checks": {
            case_id: [{"name": failed or "any", "status": "failure" if failed else "success"}]
            for case_id, *_, failed in cases
        },
    }
    scenarios = [{"label": "Stateful tests"}, recorder]  # the first one sent nothing
    return [*({"ScenarioFinished": {"recorder": scenario}} for scenario in scenarios), {"EngineFinished": {}}]


@pytest.fixture
def fake_schemathesis(tmp_path, monkeypatch):
    """Return a function that replaces Schemathesis with a script that writes a report."""
    script = tmp_path / "st"
    monkeypatch.setattr(schemathesis, "install", lambda: script)

    def replace(events):
        lines = "\n".join(map(json.dumps, events))
        script.write_text(
            "#!/bin/sh\n"
            f'echo "$@" > {tmp_path / "arguments"}\n'
            'while [ "$1" != --report-ndjson-path ]; do shift; done\n'
            f"cat > \"$2\" <<'END'\n{lines}\nEND\nexit 1\n"
        )
        script.chmod(0o755)
        return tmp_path / "arguments"

    return replace


def test_a_run_of_schemathesis_is_read_from_its_report(fake_schemathesis) -> None:
    arguments = fake_schemathesis(
        _events(("b", 2.0, "GET http://x.test/a", 404, None), ("a", 1.0, SUBMIT, 200, "not_a_server_error"))
    )
    run = schemathesis.run(
        Path("doc.json"), "http://x.test", {"X-Key": "k"}, ["speak"], seed=3, options=["--no-shrink"]
    )
    assert [(case.status, case.failures) for case in run.cases] == [(200, ("not_a_server_error /path",)), (404, ())]
    line = arguments.read_text()
    assert "run doc.json --url http://x.test --seed 3 --no-shrink" in line
    assert "--header X-Key: k --include-operation-id speak" in line


def test_an_aborted_run_of_schemathesis_is_an_error(fake_schemathesis) -> None:
    fake_schemathesis(_events()[:-1])
    with pytest.raises(RuntimeError, match="Schemathesis ended with 1"):
        schemathesis.run(Path("doc.json"), "http://x.test", {}, ["speak"], seed=3)


def test_paid_calls_are_counted_until_the_first_failure(compared, fake_schemathesis, monkeypatch) -> None:
    fake_schemathesis(
        _events(
            ("a", 1.0, SUBMIT, 200, None),
            ("b", 2.0, SUBMIT, 400, None),
            ("c", 3.0, SUBMIT, 202, "response_schema_conformance"),
            ("d", 4.0, SUBMIT, 200, "response_schema_conformance"),
        )
    )
    monkeypatch.setattr("comparison.service.ServedProvider.counts", lambda *_: RequestCounts(4, 3))
    run = SchemathesisTool(compared, "fake", ()).run(None, 0, to_the_end=True)
    assert run == ToolRun(first_reports={"response_schema_conformance /path": 2}, sent=4, paid=3)
    monkeypatch.setattr("comparison.service.ServedProvider.counts", lambda *_: RequestCounts(4, 2))
    with pytest.raises(RuntimeError, match="3 paid calls in the report of Schemathesis, 2 at the provider"):
        SchemathesisTool(compared, "fake", ()).run(None, 0, to_the_end=True)


def test_neither_the_installation_nor_the_first_start_counts_as_a_start(tmp_path, monkeypatch) -> None:
    clock = SimpleNamespace(cpu_s=0.0, starts=0)

    def run(line, **_):
        if line[-1] == "--version":
            clock.cpu_s += 0.5 if clock.starts else 4.0  # the first start compiles every module
            clock.starts += 1
        else:
            clock.cpu_s += 300.0  # a virtual environment, or its packages
            (tmp_path / "bin").mkdir(exist_ok=True)
            (tmp_path / "bin" / "st").touch()

    monkeypatch.setattr(schemathesis, "CACHE", tmp_path)
    monkeypatch.setattr(schemathesis.subprocess, "run", run)
    monkeypatch.setattr(schemathesis, "children_cpu_s", lambda: clock.cpu_s)
    assert schemathesis.measure_startup_s() == 0.5


def test_the_throughput_of_a_run_that_is_shorter_than_a_start_is_not_reported() -> None:
    case = schemathesis.JudgedCase(0.0, SUBMIT, 200, ())
    assert schemathesis.SchemathesisRun((case,) * 90, cpu_s=4.0).cases_per_s(1.0) == 30
    with pytest.raises(RuntimeError, match=r"ran for 4\.00 s of CPU, but its start takes 317\.00 s"):
        schemathesis.SchemathesisRun((case,) * 90, cpu_s=4.0).cases_per_s(317.0)


async def test_recorded_responses_are_replayed_in_order() -> None:
    states = iter(["working", "done"])

    async def app(scope, receive, send):
        body = (await receive())["body"] + next(states).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    replaying = ReplayingApp(app)
    async with Transport(app=replaying) as transport:

        async def send(path: str = "x") -> bytes:
            request = Request(method="POST", url=f"http://provider.test/{path}", body=b"job ")
            return (await transport.send(request, provider="p", operation="o")).response.body

        rounds = []
        for _ in range(3):
            rounds.append([await send(), await send()])
            replaying.end_round()
        assert rounds == [[b"job working", b"job done"]] * 3
        assert replaying.requests == 2
        with pytest.raises(RuntimeError, match="POST /y was sent instead of the recorded POST /x"):
            await send("y")
        assert await send() == b"job working"
        with pytest.raises(RuntimeError, match="the round ended before the recorded POST /x"):
            replaying.end_round()
        assert await send() == b"job done"
        with pytest.raises(RuntimeError, match="POST /x was sent after the 2 recorded requests"):
            await send()
