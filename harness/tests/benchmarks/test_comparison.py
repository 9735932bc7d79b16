"""The comparison with another tool counts what both of them send, and takes only what is new for a find."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from comparison import schemathesis
from comparison.__main__ import MAX_CALLS, Outcome, Row, Tools, compare, sample, show
from comparison.service import Counts, serving
from throughput.keeping import Keeper

from voicegauge.contract import load_catalogue
from voicegauge.model import Request
from voicegauge.transport import Transport

TARGET = load_catalogue().provider("pixazo").target("chatterbox")


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    return Tools(TARGET, tmp_path_factory.mktemp("comparison"))


def test_a_served_provider_knows_one_key_and_counts(tools) -> None:
    with serving(TARGET.contract, TARGET.operation) as served:
        url = f"{served.url}{TARGET.operation.path}"
        stranger = httpx.post(url, json={"text": "hi"}, headers={"Ocp-Apim-Subscription-Key": "a-stranger"})
        counts = served.counts(TARGET.operation)
    assert stranger.status_code == 401
    assert counts == Counts(sent=1, accepted=0)


@pytest.mark.slow
def test_few_paid_calls_find_faults_of_every_class_and_blame_no_correct_provider(tools) -> None:
    clean = tools.voicegauge(None)
    assert clean.said == frozenset()
    assert 0 < clean.counts.accepted <= MAX_CALLS
    chosen = sample(tools, 1)
    assert len({mutant.kind for mutant in chosen}) == len(chosen) >= 15
    outcomes = [tools.voicegauge(mutant) for mutant in chosen]
    assert sum(bool(outcome.said) for outcome in outcomes) >= len(chosen) - 1
    assert all(outcome.counts.accepted <= MAX_CALLS for outcome in outcomes)


def test_what_is_said_of_a_correct_provider_as_well_is_no_find(tools, capsys) -> None:
    alarm, fault = frozenset({"alarm"}), frozenset({"alarm", "fault"})
    counts = Counts(10, 4)

    class Told(Tools):
        def __init__(self) -> None:
            self.answers = [Outcome(alarm, counts), Outcome(alarm, counts)]

        def voicegauge(self, mutant):
            return Outcome(alarm if mutant is None else fault, counts)

        def schemathesis(self, mutant):
            return Outcome(alarm, Counts(100, 40))

    mutant = sample(tools, 1)[0]
    rows = compare(Told(), [mutant])
    assert rows == [Row(mutant, {"voicegauge": True, "Schemathesis": False}, rows[0].counts)]
    show(rows)
    printed = capsys.readouterr().out
    assert "paid calls, Schemathesis to voicegauge: 10.0 : 1" in printed
    assert f"only voicegauge: {mutant.kind}" in printed


def test_a_run_of_the_other_tool_is_read_from_its_report(tmp_path, monkeypatch) -> None:
    report = {
        "failures": [{"type": "ServerError", "operations": ["POST /b", "GET /a"]}],
        "test_cases": {"generated": 12},
    }
    script = tmp_path / "st"
    asked = tmp_path / "asked"
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$@" > {asked}\n'
        'while [ "$1" != --report-json-path ]; do shift; done\n'
        f"cat > \"$2\" <<'END'\n{json.dumps(report)}\nEND\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(schemathesis, "command", lambda: script)
    run = schemathesis.run(Path("doc.json"), "http://x.test", {"X-Key": "k"}, ["speak"], seed=3)
    assert run.failures == {("ServerError", "GET /a", "POST /b")}
    assert run.generated == 12
    assert "run doc.json --url http://x.test --seed 3" in asked.read_text()
    assert "--header X-Key: k --include-operation-id speak" in asked.read_text()


async def test_kept_answers_come_again_in_their_order() -> None:
    states = iter(["working", "done"])

    async def app(scope, receive, send):
        body = (await receive())["body"] + next(states).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    keeper = Keeper(app)
    async with Transport(app=keeper) as transport:

        async def ask(path: str = "x") -> bytes:
            request = Request(method="POST", url=f"http://provider.test/{path}", body=b"job ")
            return (await transport.send(request, provider="p", operation="o")).response.body

        rounds = []
        for _ in range(3):
            rounds.append([await ask(), await ask()])
            keeper.end_round()
        assert rounds == [[b"job working", b"job done"]] * 3
        assert keeper.requests == 2
        with pytest.raises(RuntimeError, match="POST /y was asked where POST /x was asked before"):
            await ask("y")
        assert await ask() == b"job working"
        with pytest.raises(RuntimeError, match="a round ended where POST /x was asked before"):
            keeper.end_round()
        assert await ask() == b"job done"
        with pytest.raises(RuntimeError, match="POST /x was asked after the 2 requests that were asked before"):
            await ask()
