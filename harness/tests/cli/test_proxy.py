"""The command `voicegauge proxy` as a process: findings, signals, and what a killed process leaves."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.sync.client import connect

import voicegauge
from voicegauge.hosts import to_socket_url
from voicegauge.recording.har_files import load_har

from ..builders.documented_examples import read_example

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_processes")]
SPEECH = {"model": "tts-1", "voice": "alloy", "input": "Good morning. This is a short test.", "response_format": "wav"}
KEY = {"Authorization": "Bearer sk-proxy-0123456789abcdef"}
LIMIT_S = 60

Start = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    faults = ["stream-unknown-event"]
    with voicegauge.emulate("openai", time_scale=0.05, enforce_rate_limits=False, faults=faults) as emulator:
        yield emulator.base_url("openai")


@pytest.fixture
def start_proxy(upstream) -> Iterator[Start]:
    """Start the command, and return its process and the root URL that it prints."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, provider: str = "openai", upstream: str = upstream) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "voicegauge", "proxy", provider, "--upstream", upstream, "--port", "0"]
        process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )
        started.append(process)
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        return process, found[0]

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_findings_are_printed_and_the_summary_follows_sigterm(start_proxy, tmp_path: Path) -> None:
    process, url = start_proxy("--json", str(tmp_path / "report.json"))
    body = {**SPEECH, "model": "gpt-4o-mini-tts", "response_format": "pcm", "stream_format": "sse"}
    for _ in range(2):
        assert httpx.post(f"{url}/v1/audio/speech", json=body, headers=KEY, timeout=LIMIT_S).status_code == 200
    while not (title := process.stdout.readline()).startswith("error "):
        pass  # a finding, while the command runs
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=LIMIT_S)[0]
    assert process.returncode == 1
    assert title not in output, "the second one is counted, not printed again"
    assert f"{title.strip()}  2 times" in output
    assert "2 requests; EMULATED 2 exchanges" in output
    assert "Traceback" not in output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["report"]["findings"]


def test_a_request_that_the_contract_does_not_have_leaves_the_traffic_not_judged(start_proxy) -> None:
    process, url = start_proxy()
    assert httpx.post(f"{url}/v1/audio/speech", json=SPEECH, headers=KEY, timeout=LIMIT_S).status_code == 200
    httpx.get(f"{url}/v1/nowhere", headers=KEY, timeout=LIMIT_S)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=LIMIT_S)[0]
    assert process.returncode == 3
    assert "not everything was judged: GET /v1/nowhere is not in the contract" in output


def test_a_recording_without_an_exchange_is_said_to_be_missing(start_proxy, tmp_path: Path) -> None:
    file = tmp_path / "traffic.har"
    process, url = start_proxy("--record", str(file))
    httpx.get(f"{url}/v1/nowhere", headers=KEY, timeout=LIMIT_S)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=LIMIT_S)[0]
    assert "nothing recorded: " in output
    assert not file.exists()


def test_ctrl_c_during_a_stream_ends_the_command(start_proxy, tmp_path: Path) -> None:
    process, url = start_proxy("--record", str(tmp_path))
    assert httpx.post(f"{url}/v1/audio/speech", json=SPEECH, headers=KEY, timeout=LIMIT_S).status_code == 200
    with httpx.stream("POST", f"{url}/v1/audio/speech", json=SPEECH, headers=KEY, timeout=LIMIT_S) as response:
        process.send_signal(signal.SIGINT)
        with_error = False
        try:
            response.read()
        except httpx.HTTPError:
            with_error = True
    output = process.communicate(timeout=LIMIT_S)[0]
    assert "Traceback" not in output
    assert process.returncode in ({3} if with_error else {0})
    (path,) = tmp_path.glob("*.har")
    assert len(load_har(path).exchanges) >= 1


def test_a_killed_proxy_leaves_a_recording_of_all_that_passed(start_proxy, tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    process, url = start_proxy("--record", str(path))
    for _ in range(5):
        httpx.post(f"{url}/v1/audio/speech", json=SPEECH, headers=KEY, timeout=LIMIT_S).raise_for_status()
    (judge,) = psutil.Process(process.pid).children()
    with httpx.stream("POST", f"{url}/v1/audio/speech", json=SPEECH, headers=KEY, timeout=LIMIT_S):
        process.kill()  # with one exchange in flight
    process.wait()
    judge.wait()  # however long the machine takes
    # The last complete one may still be in the proxy itself, as docs/proxy.md says.
    assert len(load_har(path).exchanges) >= 4


def test_sockets_of_a_contract_of_your_own_pass_and_are_judged_again(start_proxy, tmp_path: Path) -> None:
    own = tmp_path / "contracts of mine" / "my-server" / "asyncapi.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(read_example("realtime.md", "my-server"))
    options = ("--contracts", str(own.parent.parent))
    with voicegauge.emulate("my-server", contracts=own.parent.parent, time_scale=0.05) as emulator:
        upstream = to_socket_url(emulator.base_url("my-server"))
        process, url = start_proxy(
            *options, "--record", str(tmp_path / "one.har"), provider="my-server", upstream=upstream
        )
        while f"requests with their keys are forwarded to {upstream}" not in (line := process.stdout.readline()):
            assert line  # the end of the output
        with connect(f"{to_socket_url(url)}/speak", proxy=None) as client:
            client.send('{"say": "Good morning, this is a test."}')
            client.send('{"stop": true}')
            while "ready" not in str(client.recv(LIMIT_S)):
                pass
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=LIMIT_S)[0]
    assert process.returncode == 0, output
    command = shlex.split(output.partition("judge them again: voicegauge ")[2].partition("\n")[0])
    again = subprocess.run([sys.executable, "-m", "voicegauge", *command], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
