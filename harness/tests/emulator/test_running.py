"""An emulator in a process of its own starts fast and never outlives who started it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import httpx
import msgspec
import pytest

from voicegauge.contract import Contract
from voicegauge.emulator import EmulatorSettings, running_emulator
from voicegauge.emulator.server.process import EmulatorProcessConfig
from voicegauge.errors import UsageError


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def _gone(url: str, limit_s: float = 10) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if not _answers(url):
            return True
        time.sleep(0.05)
    return False


def test_it_answers_within_the_context_and_no_longer(plain_acme: Contract) -> None:
    with running_emulator([plain_acme], EmulatorSettings(seed=3)) as emulator:
        health = httpx.get(f"{emulator.control_url}/health").json()
        assert health == {"status": "ok", "emulated": True, "providers": ["acme"]}
        assert httpx.get(f"{emulator.base_url('acme')}/voices").status_code == 200
        url = f"{emulator.control_url}/health"
    assert not _answers(url)


def test_a_taken_port_and_an_unknown_fault_are_one_line_each(plain_acme: Contract) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"),
            running_emulator([plain_acme], port=port),
        ):
            pass
    with (
        pytest.raises(UsageError, match="unknown fault 'nonsense'"),
        running_emulator([plain_acme], EmulatorSettings(faults=("nonsense",))),
    ):
        pass


_PARENT = """
import sys, time
from pathlib import Path
from voicegauge.emulator import running_emulator
with running_emulator([Path(sys.argv[1])]) as emulator:
    print(emulator.control_url, flush=True)
    time.sleep(60)
"""


def test_it_ends_without_a_word_when_its_parent_has_gone_before_it_is_ready(plain_acme: Contract) -> None:
    config = EmulatorProcessConfig(contracts=(str(plain_acme.document.path),), settings=EmulatorSettings())
    with subprocess.Popen(
        [sys.executable, "-m", "voicegauge.emulator"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(msgspec.json.encode(config) + b"\n")
        process.stdin.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == b""


def test_it_ends_when_its_parent_is_killed(plain_acme: Contract) -> None:
    command = [sys.executable, "-c", _PARENT, str(plain_acme.document.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = f"{parent.stdout.readline().strip()}/health"
        assert _answers(url)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert _gone(url)


def test_faults_are_planted_while_it_runs(plain_acme: Contract) -> None:
    with running_emulator([plain_acme], EmulatorSettings(clock="per-poll")) as emulator, httpx.Client() as http:
        ask: dict[str, Any] = {"json": {"text": "Hi"}, "headers": {"Authorization": "Bearer k"}}
        url, control = f"{emulator.base_url('acme')}/speech", f"{emulator.control_url}/faults"
        assert "state" in http.post(url, **ask).json()
        planted = http.put(control, json={"faults": ["empty-body@acme/small"]}).json()
        assert planted["planted"] == ["empty-body@acme/small"]
        assert http.post(url, **ask).content == b""
        refused = http.put(control, json={"faults": ["empty-bodi"]})
        assert (refused.status_code, "empty-body" in refused.text) == (400, True)
        assert http.put(control, json={"faults": "empty-body"}).status_code == 400
        http.put(control, json={"faults": []})
        assert "state" in http.post(url, **ask).json()


def test_serving_from_the_command_line_ends_quietly_with_ctrl_c(plain_acme: Contract) -> None:
    folder = str(plain_acme.document.path)
    command = [sys.executable, "-m", "voicegauge", "serve", "acme", "--contracts", folder, "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        assert "EMULATED" in first
        url = next(word for word in first.split() if word.startswith("http"))
        assert httpx.get(f"{url}/_emulator/health").json()["providers"] == ["acme"]
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
        out, err = process.stdout.read(), process.stderr.read()  # communicate() loses what readline() had taken in
    assert (process.returncode, err) == (0, "")
    assert "export ACME_KEY" in out


def test_a_contract_whose_emulation_cannot_be_done_names_its_line(tmp_path: Any, acme: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["paths"]["/now"]["post"]["x-speech"]["targets"]["now"]["emulation"] = {"voice": "nobody"}

    contract = acme(edit)
    contract.document.path.write_text(json.dumps(json.loads(contract.document.path.read_text()), indent=1))
    with pytest.raises(UsageError, match=r"openapi.json:\d+: .*no variant 'nobody'"), running_emulator([contract]):
        pass
