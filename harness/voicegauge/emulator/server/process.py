"""An emulator in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from voicegauge.contract import Contract
from voicegauge.emulator.settings import CONTROL_PREFIX, EmulatorSettings
from voicegauge.errors import UsageError
from voicegauge.model import Record

START_LIMIT_S = 60.0
"""A start takes about a second; this much on a machine that is busy with other things."""
STOP_LIMIT_S = 10.0


class EmulatorProcessConfig(Record, frozen=True, kw_only=True):
    """What the process is told: one line of JSON on its standard input."""

    contracts: tuple[str, ...]
    """Files, one document each."""
    settings: EmulatorSettings
    host: str = "127.0.0.1"
    port: int = 0


class EmulatorStartup(Record, frozen=True, kw_only=True):
    """What the process says once it answers, or why it never will: one line of JSON."""

    port: int = 0
    providers: tuple[str, ...] = ()
    error: str | None = None


class RunningEmulator:
    """An emulator that answers."""

    def __init__(self, host: str, port: int, providers: tuple[str, ...]) -> None:
        """It answers at `host` and `port`."""
        self.host, self.port, self.providers = host, port, providers

    @property
    def url(self) -> str:
        """Its root: http://host:port."""
        return f"http://{self.host}:{self.port}"

    @property
    def control_url(self) -> str:
        """Where the control routes lie."""
        return self.url + CONTROL_PREFIX

    def base_url(self, provider_id: str) -> str:
        """The base URL that stands for all servers of a provider."""
        return f"{self.url}/{provider_id}"


@contextlib.contextmanager
def running_emulator(
    contracts: Iterable[Contract | Path],
    settings: EmulatorSettings | None = None,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
) -> Iterator[RunningEmulator]:
    """An emulator of `contracts` in a process of its own, which ends with the context.

    The process ends as well when this one is killed: it reads its standard input until that ends.

    Args:
        contracts: loaded ones, or the files of their documents.
        settings: how it behaves.
        port: 0 takes a free one.
        host: the address to bind.

    Raises:
        UsageError: it does not start: the port is taken, a setting is wrong.
    """
    files = tuple(str(c.document.path if isinstance(c, Contract) else c) for c in contracts)
    config = EmulatorProcessConfig(contracts=files, settings=settings or EmulatorSettings(), host=host, port=port)
    process = subprocess.Popen(
        [sys.executable, "-m", "voicegauge.emulator"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which then ends the other
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        ready = _start(process, config)
        yield RunningEmulator(host, ready.port, ready.providers)
    finally:
        _stop(process)


def _start(process: subprocess.Popen[bytes], config: EmulatorProcessConfig) -> EmulatorStartup:
    assert process.stdin is not None
    assert process.stdout is not None
    late = threading.Timer(START_LIMIT_S, process.kill)
    late.start()
    try:
        process.stdin.write(msgspec.json.encode(config) + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = b""
    finally:
        late.cancel()
    if not line:
        raise UsageError(f"the emulator did not start (exit status {process.poll()})")
    ready = msgspec.convert(json.loads(line), EmulatorStartup)
    if ready.error is not None:
        raise UsageError(ready.error)
    return ready


def _stop(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
