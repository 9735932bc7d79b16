"""The comparison with Schemathesis counts requests of both tools, and only reports that the correct provider lacks."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from comparison import schemathesis
from comparison.__main__ import (
    MAX_CALLS,
    MutantComparison,
    ToolOutcome,
    Tools,
    compare,
    print_comparison,
    sample_mutants,
)
from comparison.service import RequestCounts, serve_provider
from throughput.response_replay import ReplayingApp

from voicegauge.contract import load_catalogue
from voicegauge.model import Request
from voicegauge.transport import Transport

TARGET = load_catalogue().provider("pixazo").target("chatterbox")


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    return Tools(TARGET, tmp_path_factory.mktemp("comparison"))


def test_a_served_provider_accepts_one_key_and_counts_requests(tools) -> None:
    with serve_provider(TARGET.contract, TARGET.operation) as served:
        url = f"{served.url}{TARGET.operation.path}"
        response = httpx.post(url, json={"text": "hi"}, headers={"Ocp-Apim-Subscription-Key": "another-key"})
        counts = served.counts(TARGET.operation)
    assert response.status_code == 401
    assert counts == RequestCounts(sent=1, accepted=0)


@pytest.mark.slow
def test_few_billable_requests_find_faults_of_every_class_without_false_alarms(tools) -> None:
    clean = tools.voicegauge(None)
    assert clean.reported == frozenset()
    assert 0 < clean.counts.accepted <= MAX_CALLS
    chosen = sample_mutants(tools, 1)
    assert len({mutant.kind for mutant in chosen}) == len(chosen) >= 15
    outcomes = [tools.voicegauge(mutant) for mutant in chosen]
    assert sum(bool(outcome.reported) for outcome in outcomes) >= len(chosen) - 1
    assert all(outcome.counts.accepted <= MAX_CALLS for outcome in outcomes)


def test_reports_about_the_correct_provider_do_not_count(tools, capsys) -> None:
    alarm, fault = frozenset({"alarm"}), frozenset({"alarm", "fault"})
    counts = RequestCounts(10, 4)

    class FakeTools(Tools):
        def __init__(self) -> None:
            pass

        def voicegauge(self, mutant):
            return ToolOutcome(alarm if mutant is None else fault, counts)

        def schemathesis(self, mutant):
            return ToolOutcome(alarm, RequestCounts(100, 40))

    mutant = sample_mutants(tools, 1)[0]
    rows = compare(FakeTools(), [mutant])
    assert rows == [MutantComparison(mutant, {"voicegauge": True, "Schemathesis": False}, rows[0].counts)]
    print_comparison(rows)
    printed = capsys.readouterr().out
    assert "billable requests, Schemathesis to voicegauge: 10.0 : 1" in printed
    assert f"only voicegauge: {mutant.kind}" in printed


def test_a_run_of_schemathesis_is_read_from_its_report(tmp_path, monkeypatch) -> None:
    report = {
        "failures": [{"type": "ServerError", "operations": ["POST /b", "GET /a"]}],
        "test_cases": {"generated": 12},
    }
    script = tmp_path / "st"
    arguments = tmp_path / "arguments"
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$@" > {arguments}\n'
        'while [ "$1" != --report-json-path ]; do shift; done\n'
        f"cat > \"$2\" <<'END'\n{json.dumps(report)}\nEND\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(schemathesis, "command", lambda: script)
    run = schemathesis.run(Path("doc.json"), "http://x.test", {"X-Key": "k"}, ["speak"], seed=3)
    assert run.failures == {("ServerError", "GET /a", "POST /b")}
    assert run.generated == 12
    assert "run doc.json --url http://x.test --seed 3" in arguments.read_text()
    assert "--header X-Key: k --include-operation-id speak" in arguments.read_text()


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
