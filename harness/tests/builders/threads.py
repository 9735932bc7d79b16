"""Replaces processes of the library by threads of the test process, which share imports, contracts and models."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from voicegauge.bench import _transcription_workers as transcription
from voicegauge.bench import scoring
from voicegauge.contract import loading
from voicegauge.contract.contract import Contract
from voicegauge.emulator import process
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorProcessConfig, EmulatorStartupMessage, create_server_certificate
from voicegauge.emulator.server import ServerOptions, running_app
from voicegauge.errors import UsageError, VoicegaugeError
from voicegauge.relay import _traffic_judge, traffic_monitor

_run_emulator_process, _process_pool = process._run_emulator_process, transcription.open_process_pool
_run_judge_process = traffic_monitor._run_judge_process


def use_threads(patch: pytest.MonkeyPatch) -> None:
    """Run emulators, ASR engines and the judges of proxies in threads."""
    patch.setattr(traffic_monitor, "_run_judge_process", _run_judge_thread)
    patch.setattr(
        _traffic_judge, "load_contract", lambda path: _load_once(path, path.stat().st_mtime_ns, path.stat().st_size)
    )
    patch.setattr(process, "_run_emulator_process", _run_emulator)
    for module in (transcription, scoring):
        patch.setattr(module, "open_process_pool", _thread_pool)


def use_processes(patch: pytest.MonkeyPatch) -> None:
    """Run them in processes of their own again, as they do for users."""
    patch.setattr(traffic_monitor, "_run_judge_process", _run_judge_process)
    patch.setattr(process, "_run_emulator_process", _run_emulator_process)
    for module in (transcription, scoring):
        patch.setattr(module, "open_process_pool", _process_pool)


@functools.lru_cache(maxsize=64)
def _load_once(path: Path, modified_ns: int, size: int) -> Contract:
    del modified_ns, size  # parts of the cache key
    # Contracts are immutable, so that an emulator in this process can have those that the tests have loaded.
    return loading._load_bundled_contract(path) if loading.is_bundled(path) else loading.load_contract(path)


@contextlib.contextmanager
def _run_emulator(config: EmulatorProcessConfig) -> Iterator[Callable[[], EmulatorStartupMessage]]:
    try:
        paths = [(Path(file), Path(file).stat()) for file in config.contract_paths]
        contracts = [_load_once(path, status.st_mtime_ns, status.st_size) for path, status in paths]
        app = create_app(contracts, config.settings, control_route_host_names=[config.host])
    except VoicegaugeError as error:
        raise UsageError(str(error)) from error
    with contextlib.ExitStack() as stack:
        identity = stack.enter_context(create_server_certificate(config.host)) if config.uses_tls else None
        options = ServerOptions(accepts_sockets=True, ssl_context=identity.ssl_context if identity else None)
        url = stack.enter_context(running_app(app, port=config.port, options=options))
        startup = EmulatorStartupMessage(
            port=int(url.rpartition(":")[2]),
            provider_ids=tuple(one.id for one in contracts),
            authority_path=str(identity.authority_file) if identity else None,
        )
        yield lambda: startup


@contextlib.contextmanager
def _run_judge_thread() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    requests, results = os.pipe(), os.pipe()
    with os.fdopen(requests[1], "wb") as sent, os.fdopen(results[0], "rb") as received:

        def judge() -> None:
            with os.fdopen(requests[0], "rb") as reader, os.fdopen(results[1], "wb") as writer:
                _traffic_judge.judge_exchange_stream(reader, writer)

        thread = threading.Thread(target=judge, daemon=True)
        thread.start()
        try:
            yield sent, received
        finally:
            sent.close()
            thread.join(60)


@contextlib.contextmanager
def _thread_pool(workers: int) -> Iterator[transcription.WorkerPool]:
    executor = ThreadPoolExecutor(1)  # an ASR engine transcribes one clip at a time
    try:
        yield transcription.WorkerPool(executor, 2 * workers, is_remote=False)
    finally:
        executor.shutdown(cancel_futures=True)
