"""The comparison with Schemathesis counts paid calls until a fault is found, and no false alarms."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from types import SimpleNamespace

import comparison
import httpx
import pytest
from comparison import schemathesis
from comparison.__main__ import is_finished, name_fault, print_results, run_all, sample_mutants
from comparison.curves import render_faults, render_svg, render_table
from comparison.results import RunFile, ToolResult, compare_samples, summarize_tool
from comparison.service import RequestCounts, serve_provider
from comparison.tool_run import ToolRun
from comparison.tools import FAULTS_OF_FILES, ComparedTarget, SchemathesisTool, VoicegaugeTool
from throughput.response_replay import ReplayingApp

from voicegauge.conformance.check_settings import EMULATOR_API_KEY
from voicegauge.contract.loading import load_catalogue
from voicegauge.model.exchange import Request
from voicegauge.transport.http import Transport

TARGET = load_catalogue().find_provider("pixazo").find_target_by_name("chatterbox")
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
    clean = tool.run_to_the_end(0)
    assert not clean.first_reports
    assert clean.paid > 20
    chosen = sample_mutants(compared, 1)
    assert len({mutant.kind for mutant in chosen}) == len(chosen) >= 15
    paid = [tool.run_until_found(mutant, 0, frozenset()).paid_until_found(frozenset()) for mutant in chosen]
    assert sum(count is not None and count <= 10 for count in paid) >= len(chosen) - 1


@pytest.mark.slow
def test_a_larger_sample_of_faults_starts_with_the_smaller_one(compared) -> None:
    one, two, every = (sample_mutants(compared, count) for count in (1, 2, None))
    names = [[name_fault(mutant) for mutant in sample] for sample in (one, two, every)]
    assert names[0] == names[1][: len(one)] == names[2][: len(one)]
    assert set(names[1]) < set(names[2])
    assert len(set(names[2])) == len(every)


class FakeTool:
    """A tool that reports one false alarm, and each fault after another number of paid calls."""

    command_line = "fake"

    def __init__(self, name: str, paid: int, *, blind: bool = False) -> None:
        self.name, self.paid, self.blind, self.runs = name, paid, blind, list[str]()

    def can_observe(self, _mutant) -> bool:
        return not self.blind

    def run_to_the_end(self, seed):
        self.runs.append(f"{seed} to the end")
        return ToolRun(first_reports={"alarm": 1}, sent=400, paid=350)

    def run_until_found(self, mutant, seed, false_alarms):
        assert false_alarms == {"alarm"}
        self.runs.append(f"{seed} {mutant.id}")
        return ToolRun(first_reports={"alarm": 1, "fault": self.paid + seed}, sent=self.paid, paid=self.paid)


FAULT = SimpleNamespace(kind="header dropped", id="acme")
NAMES = [name_fault(FAULT)]


def test_a_fault_is_found_by_a_report_that_the_correct_provider_does_not_cause(tmp_path, capsys) -> None:
    early, late = FakeTool("early", 8), FakeTool("late", 99)
    file = RunFile(tmp_path / "runs.jsonl")
    run_all([early, late], [FAULT], range(5), file)
    results = [summarize_tool(tool.name, file.runs, NAMES, range(5)) for tool in (early, late)]
    assert results[0].count_found(10) == [1, 1, 1, 0, 0]
    assert results[0].count_found(20) == [1] * 5
    assert results[1].count_found(40) == [0] * 5
    assert results[1].count_found(100) == [1, 1, 0, 0, 0]
    assert results[0].quartiles(10) == (0, 1, 1)
    assert results[0].false_alarms == {"alarm"}
    capsys.readouterr()
    print_results(results)
    printed = capsys.readouterr().out
    assert "early at 10 to late at 300: median 1 to 1, A12 = 0.30" in printed
    assert "| late | 0 | 0 | 0 | 0 (0 to 1) | 1 |" in printed


def test_an_interrupted_comparison_continues_with_the_missing_runs(tmp_path) -> None:
    path = tmp_path / "runs.jsonl"
    run_all([FakeTool("fake", 3)], [FAULT], range(2), RunFile(path))
    path.write_bytes(path.read_bytes()[:-9])  # killed while it wrote the last line
    again = FakeTool("fake", 3)
    run_all([again], [FAULT], range(3), RunFile(path))
    assert again.runs == ["2 to the end", "1 acme", "2 acme"]
    assert len(RunFile(path).runs) == 6


def test_results_can_be_printed_of_the_faults_that_every_tool_finished(tmp_path) -> None:
    file, seeds, other = RunFile(tmp_path / "runs.jsonl"), range(2), SimpleNamespace(kind="audio silenced", id="acme")
    seeing, blind = FakeTool("seeing", 3), FakeTool("blind", 3, blind=True)
    run_all([seeing], [FAULT, other], seeds, file)
    assert is_finished(other, [seeing, blind], seeds, file)  # a fault that a tool cannot observe needs no run of it
    assert not is_finished(FAULT, [seeing, FakeTool("late", 3)], seeds, file)
    run_all([blind], [FAULT, other], seeds, file)
    assert blind.runs == ["0 to the end", "1 to the end"]
    assert summarize_tool("blind", file.runs, NAMES, seeds).count_found(300) == [0, 0]


def test_the_effect_size_is_the_probability_of_a_larger_value() -> None:
    assert compare_samples([3, 4, 5, 6, 7], [1, 1, 2, 2, 2]).a12 == 1
    assert compare_samples([1, 2], [1, 2]).a12 == 0.5
    assert compare_samples([3, 4, 5, 6, 7], [1, 1, 2, 2, 2]).p_value < 0.05


def test_curves_show_every_tool(tmp_path) -> None:
    file = RunFile(tmp_path / "runs.jsonl")
    run_all([FakeTool("one & only", 8), FakeTool("other", 30)], [FAULT], range(5), file)
    results = [summarize_tool(name, file.runs, NAMES, range(5)) for name in ("one & only", "other")]
    svg = render_svg(results, 1)
    assert svg.count("<polyline") == svg.count("<polygon") == 2
    assert "one &amp; only" in svg
    assert render_table(results).startswith("| paid calls | 10 | 20 | 40 | 100 | 300 |\n|---|--:|")


def test_the_table_of_faults_shows_the_seeds_that_found_each() -> None:
    results = [ToolResult("one", {"a": [1, 4, 9], "b": [None, 400, 20]}, 40, frozenset())]
    results.append(ToolResult("other", {"a": [None, 301, None], "b": [0, 0, 1]}, 40, frozenset()))
    assert render_faults(results).splitlines()[2:] == ["| a | 4 | - |", "| b | 20 (1 of 3) | 0 |"]


def test_the_published_table_and_curves_are_those_of_the_published_runs() -> None:
    folder = Path(comparison.__file__).parent
    runs = RunFile(folder / "runs.jsonl").runs
    faults = list(dict.fromkeys(saved.fault for saved in runs if saved.fault is not None))
    tools = dict.fromkeys(saved.tool for saved in runs)
    results = [summarize_tool(tool, runs, faults, range(5)) for tool in tools]
    assert render_table(results) in (folder.parent / "README.md").read_text(encoding="utf-8")
    assert render_svg(results, len(faults)) == (folder / "curves.svg").read_text(encoding="utf-8")


def _events(*cases):
    """Return the lines of a report: one scenario with cases of (id, time, request, status, failed check, body)."""
    recorder = {
        "cases": {
            case_id: {"value": {"method": request.split(" ")[0], "path": "/path"}} for case_id, _, request, *_ in cases
        },
        "interactions": {
            case_id: {
                "timestamp": at,
                "request": {
                    **dict(zip(("method", "uri"), request.split(" "), strict=True)),
                    "headers": {"Content-Type": ["application/json"], "Ocp-Apim-Subscription-Key": [EMULATOR_API_KEY]},
                    "body": {"$base64": base64.b64encode(json.dumps(body).encode()).decode()},
                },
                "response": {"status_code": status},
            }
            for case_id, at, request, status, _, body in cases
        },
        "checks": {
            case_id: [{"name": failed or "any", "status": "failure" if failed else "success"}]
            for case_id, _, _, _, failed, _ in cases
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


SPEECH = {"text": "Hello."}
BLANK = {"text": "\t"}
"""Valid by the document, but rejected by the emulator."""


def test_a_run_of_schemathesis_is_read_from_its_report(fake_schemathesis) -> None:
    arguments = fake_schemathesis(
        _events(
            ("b", 2.0, "GET http://x.test/a", 404, None, None), ("a", 1.0, SUBMIT, 200, "not_a_server_error", SPEECH)
        )
    )
    run = schemathesis.run(
        Path("doc.json"), "http://x.test", {"X-Key": "k"}, ["speak"], seed=3, options=["--no-shrink"]
    )
    assert [(case.status, case.operation, case.failed_checks) for case in run.cases] == [
        (200, "POST /path", ("not_a_server_error",)),
        (404, "GET /path", ()),
    ]
    assert json.loads(run.cases[0].body) == SPEECH
    assert not run.stopped
    line = arguments.read_text()
    assert "run doc.json --url http://x.test --seed 3 --no-shrink" in line
    assert "--header X-Key: k --include-operation-id speak" in line


def test_an_aborted_run_of_schemathesis_is_an_error(fake_schemathesis) -> None:
    fake_schemathesis(_events()[:-1])
    with pytest.raises(RuntimeError, match="Schemathesis ended with 1"):
        schemathesis.run(Path("doc.json"), "http://x.test", {}, ["speak"], seed=3)


def test_a_run_of_schemathesis_is_stopped_after_the_scenario_that_is_enough(fake_schemathesis) -> None:
    first, second = (_events((name, 1.0, SUBMIT, 200, None, SPEECH))[1] for name in "ab")
    fake_schemathesis([first, second])  # without the event that ends a report
    run = schemathesis.run(
        Path("doc.json"), "http://x.test", {}, ["speak"], seed=3, is_enough=lambda cases: len(cases) == 1
    )
    assert len(run.cases) == 1
    assert run.stopped


def test_paid_calls_are_counted_until_the_first_failure(compared, fake_schemathesis, monkeypatch) -> None:
    fake_schemathesis(
        _events(
            ("a", 1.0, SUBMIT, 200, None, SPEECH),
            ("b", 2.0, SUBMIT, 400, None, BLANK),
            ("c", 3.0, SUBMIT, 202, "response_schema_conformance", SPEECH),
            ("d", 4.0, SUBMIT, 202, "response_schema_conformance", SPEECH),
        )
    )
    monkeypatch.setattr("comparison.service.ServedProvider.counts", lambda *_: RequestCounts(4, 3))
    run = SchemathesisTool(compared, "fake", ()).run_to_the_end(0)
    reports = {"response_schema_conformance POST /path: 202, 202 if correct": 2}
    assert run == ToolRun(first_reports=reports, sent=4, paid=3)
    monkeypatch.setattr("comparison.service.ServedProvider.counts", lambda *_: RequestCounts(4, 2))
    with pytest.raises(RuntimeError, match="3 paid calls in the report of Schemathesis, 2 at the provider"):
        SchemathesisTool(compared, "fake", ()).run_to_the_end(0)


def test_a_true_report_counts_although_the_same_check_of_the_operation_has_false_alarms(
    compared, fake_schemathesis, monkeypatch
) -> None:
    monkeypatch.setattr("comparison.service.ServedProvider.counts", lambda *_: RequestCounts(3, 1))
    tool, check = SchemathesisTool(compared, "fake", ()), "positive_data_acceptance"
    paid, false_alarm = ("a", 1.0, SUBMIT, 202, None, SPEECH), ("b", 2.0, SUBMIT, 400, check, BLANK)
    fake_schemathesis(_events(paid, false_alarm))
    false_alarms = frozenset(tool.run_to_the_end(0).first_reports)
    assert false_alarms == {"positive_data_acceptance POST /path: 400, 400 if correct"}
    fake_schemathesis(_events(paid, false_alarm, ("c", 3.0, SUBMIT, 400, check, SPEECH)))
    assert tool.run_until_found(None, 0, false_alarms).paid_until_found(false_alarms) == 1
    fake_schemathesis(_events(paid, false_alarm))
    assert tool.run_until_found(None, 0, false_alarms).paid_until_found(false_alarms) is None


def test_schemathesis_does_not_run_against_faults_of_audio_files(compared) -> None:
    tool = SchemathesisTool(compared, "fake", ())
    assert not any(tool.can_observe(SimpleNamespace(kind=kind)) for kind in FAULTS_OF_FILES)
    assert tool.can_observe(FAULT)


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
    case = schemathesis.JudgedCase(0.0, "POST", SUBMIT.removeprefix("POST "), (), b"", 200, "POST /path", ())
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
            return (await transport.send(request, provider_id="p", operation_id="o")).response.body

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
