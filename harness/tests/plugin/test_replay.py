"""`voicegauge_replay` in a user's tests, and `voicegauge serve --replay`."""

from __future__ import annotations

import json
import signal
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from voicegauge import cli
from voicegauge.contract.loading import load_catalogue
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.recording.har_files import save_har

from ..builders.commands import RunningCommand

pytest_plugins = ["pytester"]

CONTRACT = load_catalogue().find_provider("pixazo")
STATUS = "https://gateway.pixazo.ai/v2/requests/status/"


def _poll(job: str, state: str) -> Exchange:
    body = json.dumps({"request_id": job, "status": state}).encode()
    return Exchange(
        provider="pixazo",
        operation="getRequestStatus",
        request=Request(method="GET", url=STATUS + job, headers=(("Ocp-Apim-Subscription-Key", "k"),)),
        response=Response(status=200, headers=(("Content-Type", "application/json"),), body=body),
        conversation_id=f"job {job}",
    )


@pytest.fixture
def folder(tmp_path) -> Path:
    """Recordings of two jobs."""
    exchanges = [_poll("a", "PROCESSING"), *[_poll("a", "COMPLETED")] * 2, _poll("b", "FAILED")]
    path = tmp_path / "recorded" / "pixazo" / "jobs.har"
    save_har(path, exchanges, provenance=Provenance.RECORDED, contract=CONTRACT)
    return path.parent.parent


CLIENT = """
import json
import urllib.request

def ask(base, job, key="mine"):
    request = urllib.request.Request(f"{base}/v2/requests/status/{job}", headers={"Ocp-Apim-Subscription-Key": key})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["status"]
"""


@pytest.fixture
def run(run_pytest, folder):
    """Run tests that send requests with `ask` to a replay of `FOLDER`."""
    return lambda test: run_pytest(CLIENT + textwrap.dedent(test).replace("FOLDER", repr(str(folder))))


def test_a_client_runs_on_recordings(run) -> None:
    result = run(
        """
        def test_mine(voicegauge_replay):
            base = voicegauge_replay(FOLDER).base_url("pixazo")
            assert [ask(base, "a") for _ in range(3)] == ["PROCESSING", "COMPLETED", "COMPLETED"]
            assert ask(base, "b") == "FAILED"
        """
    )
    result.assert_outcomes(passed=1)


def test_a_recorded_request_that_is_not_sent_fails_the_test_unless_it_is_excluded(run) -> None:
    result = run(
        """
        def test_forgets(voicegauge_replay):
            assert ask(voicegauge_replay(FOLDER).base_url("pixazo"), "a")

        def test_takes_one(voicegauge_replay):
            assert ask(voicegauge_replay(FOLDER, conversation_id_part="job a").base_url("pixazo"), "a")

        def test_may_forget(voicegauge_replay):
            assert ask(voicegauge_replay(FOLDER, allows_unused_recordings=True).base_url("pixazo"), "a")
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["recorded, but not sent: pixazo getRequestStatus (job b)"])


AGAIN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    runtestprotocol(item, nextitem=nextitem, log=False)
    item._initrequest()  # as plugins that run flaky tests again do it
    runtestprotocol(item, nextitem=nextitem)
    return True
"""


def test_a_test_that_is_run_again_is_not_blamed_for_its_first_time(run, pytester) -> None:
    pytester.makeconftest(AGAIN)
    result = run(
        """
        times = []

        def test_flaky(voicegauge_replay):
            base = voicegauge_replay(FOLDER, conversation_id_part="job b").base_url("pixazo")
            times.append("now")
            assert len(times) == 2
            assert ask(base, "b") == "FAILED"
        """
    )
    result.assert_outcomes(passed=1)


def test_an_unrecorded_request_fails_the_test_even_if_the_client_handles_the_error(run) -> None:
    result = run(
        """
        import contextlib

        def test_other(voicegauge_replay):
            base = voicegauge_replay(FOLDER, conversation_id_part="job b").base_url("pixazo")
            ask(base, "b")
            with contextlib.suppress(Exception):
                ask(base, "c")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "no recorded request of pixazo matches getRequestStatus: GET *status/c",
            "*path request_id: recorded b, sent c",
        ]
    )


def test_a_folder_without_recordings_fails_in_one_line(run) -> None:
    result = run(
        """
        def test_none(voicegauge_replay, tmp_path):
            voicegauge_replay(tmp_path)

        def test_no_such_group(voicegauge_replay):
            voicegauge_replay(FOLDER, conversation_id_part="nobody")
        """
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*contains no recording*", "*no recorded conversation has 'nobody' in its id*"])


def _get(url: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=headers or {})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize(
    ("jobs", "status"), [pytest.param(["a", "a", "b"], 0, marks=pytest.mark.slow), (["a", "nobody"], 1)]
)
def test_recordings_are_served_on_a_port(folder, tmp_path, jobs, status) -> None:
    printed = tmp_path / "printed.txt"
    command = ["serve", "--replay", str(folder), "--port", "0", "--pace", "0"]
    with RunningCommand(command, output=printed) as process:
        try:
            while not printed.exists() or "2 recorded requests, RECORDED" not in printed.read_text():
                assert process.poll() is None, printed.read_text()
                time.sleep(0.02)
            url = printed.read_text().split()[3]
            codes = [
                _get(f"{url}/pixazo/v2/requests/status/{job}", {"ocp-apim-subscription-key": "x"})[0] for job in jobs
            ]
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait() == status
    said = printed.read_text()
    assert codes == [501 if job == "nobody" else 200 for job in jobs]
    assert f"  {url} in place of https://gateway.pixazo.ai\n" in said
    assert f"{len({'a', 'b'} & set(jobs))} of 2 recorded requests were sent" in said
    assert ("the nearest recorded one is" in said) == bool(status)
    assert "Traceback" not in said


def test_a_replay_without_recordings_is_one_line(tmp_path, capfd) -> None:
    assert cli.run(["serve", "--replay", str(tmp_path), "--port", "0"]) == 2
    assert "contains no recording" in capfd.readouterr().err
