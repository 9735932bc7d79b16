"""The subprocess of the emulator starts quickly and never outlives its parent."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from voicegauge.contract.contract import Contract
from voicegauge.emulator.process import EmulatorProcessConfig, EmulatorSettings, running_emulator
from voicegauge.errors import UsageError


def _is_serving(url: str) -> bool:
    try:
        return httpx.get(url, timeout=30).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
@pytest.mark.usefixtures("own_processes")
def test_the_emulator_serves_only_within_its_context(plain_acme: Contract) -> None:
    with running_emulator([plain_acme], EmulatorSettings(seed=3)) as emulator:
        health = httpx.get(f"{emulator.control_url}/health").json()
        assert health == {"status": "ok", "emulated": True, "providers": ["acme"]}
        assert httpx.get(f"{emulator.base_url('acme')}/voices").status_code == 200
        url = f"{emulator.control_url}/health"
    assert not _is_serving(url)


@pytest.mark.slow
@pytest.mark.usefixtures("own_processes")
def test_a_port_in_use_is_a_one_line_error(plain_acme: Contract) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"),
            running_emulator([plain_acme], port=port),
        ):
            pass


def test_too_few_open_files_are_not_blamed_on_a_provider(plain_acme: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (20, 20))
    with pytest.raises(UsageError, match=r"too many open files: .* 20 .*: raise the limit with `ulimit -n \d+`"):
        running_emulator([plain_acme]).__enter__()


@pytest.mark.slow
@pytest.mark.usefixtures("own_processes")
def test_an_unknown_fault_is_a_one_line_error(plain_acme: Contract) -> None:
    with (
        pytest.raises(UsageError, match="unknown fault 'nonsense'"),
        running_emulator([plain_acme], EmulatorSettings(faults=("nonsense",))),
    ):
        pass


_PARENT = """
import sys, time
from pathlib import Path
from voicegauge.emulator.process import running_emulator
with running_emulator([Path(sys.argv[1])]) as emulator:
    print(emulator.control_url, flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_it_exits_silently_if_its_parent_ends_during_startup(plain_acme: Contract) -> None:
    config = EmulatorProcessConfig(contract_paths=(str(plain_acme.document.path),), settings=EmulatorSettings())
    with subprocess.Popen(
        [sys.executable, "-m", "voicegauge.emulator.app"],
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
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


@pytest.mark.slow
def test_it_exits_when_its_parent_is_killed(plain_acme: Contract) -> None:
    command = [sys.executable, "-c", _PARENT, str(plain_acme.document.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = f"{parent.stdout.readline().strip()}/health"
        assert _is_serving(url)
        children = psutil.Process(parent.pid).children()
        assert children
        parent.send_signal(signal.SIGKILL)
        psutil.wait_procs(children)
        assert not _is_serving(url)


def test_faults_can_be_changed_while_it_runs(plain_acme: Contract) -> None:
    with running_emulator([plain_acme], EmulatorSettings(clock="per-poll")) as emulator, httpx.Client() as http:
        ask: dict[str, Any] = {"json": {"text": "Hi"}, "headers": {"Authorization": "Bearer k"}}
        url, control = f"{emulator.base_url('acme')}/speech", f"{emulator.control_url}/faults"
        assert "state" in http.post(url, **ask).json()
        injected = http.put(control, json={"faults": ["empty-body@acme/small"]}).json()
        assert injected["injected"] == ["empty-body@acme/small"]
        assert http.post(url, **ask).content == b""
        rejected = http.put(control, json={"faults": ["empty-bodi"]})
        assert (rejected.status_code, "empty-body" in rejected.text) == (400, True)
        assert http.put(control, json={"faults": "empty-body"}).status_code == 400
        http.put(control, json={"faults": []})
        assert "state" in http.post(url, **ask).json()


@pytest.mark.parametrize("stop", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_ends_serve_without_a_traceback(plain_acme: Contract, stop: signal.Signals) -> None:
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
        process.send_signal(stop)
        process.wait(timeout=60)
        out, err = process.stdout.read(), process.stderr.read()  # communicate() loses what readline() had taken in
    assert (process.returncode, err) == (0, "")
    assert "export ACME_KEY" in out
    assert f"voicegauge check acme --live --base-url {url}/acme --contracts {folder} --price acme=0\n" in out


def test_unsupported_emulation_settings_name_their_line(tmp_path: Any, acme: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["paths"]["/now"]["post"]["x-speech"]["targets"]["now"]["emulation"] = {"espeak_voice": "nobody"}

    contract = acme(edit)
    contract.document.path.write_text(json.dumps(json.loads(contract.document.path.read_text()), indent=1))
    with pytest.raises(UsageError, match=r"openapi.json:\d+: .*no variant 'nobody'"), running_emulator([contract]):
        pass
