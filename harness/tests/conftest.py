from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import gc
import os
import signal
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import certifi
import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, settings

from voicegauge.api import benchmark_sending
from voicegauge.client import client, exchange_log, job_polling
from voicegauge.conformance import _case_sender
from voicegauge.emulator import _speech_synthesis as speech
from voicegauge.model.run import TimingError

from .builders import saved_voices as saved_voices_module
from .builders.audio import encode_once
from .builders.contracts import load_once, validate_once
from .builders.embedded_weights import unpack_once
from .builders.lexicon import compute_once
from .builders.servers import serving
from .builders.threads import use_processes, use_threads

# A busy machine is not a failure: examples have no deadline. Under CI Hypothesis draws the same examples each time.
settings.register_profile(
    "voicegauge",
    parent=settings.default,
    deadline=None,
    max_examples=25,  # a run draws others than the one before
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("voicegauge")

# As in the command: the test processes and all that they start. Threads of small matrix products spin, and cost twice.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Hundreds of processes start in a run of the tests; without their bytecode each would compile all modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Documents of tests and of pages are read by the parser in C, which takes a tenth of the time.
yaml.safe_load = functools.partial(yaml.load, Loader=yaml.CSafeLoader)

# A shell that runs pytest in the background makes it and the processes it starts ignore Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Until the tests are collected, nearly everything that is allocated stays.
gc.disable()

Serve = Callable[[Any], Awaitable[str]]
MAX_CACHED_AUDIO_FILES = 1_000
MODULES_OF_LONG_TESTS = {"test_nightly_recipe.py"}
"""Files whose tests take up to a minute each, several minutes in all, in one process."""
EMULATION_SPEED = 50
"""How many times as fast as documented services are emulated with the fixture `short_emulated_times`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest tests first: at the end of a run, the other processes would have nothing else to do."""
    items.sort(key=lambda item: item.path.name not in MODULES_OF_LONG_TESTS)


def pytest_collection_finish() -> None:
    """Exempt imported modules and collected tests from garbage collection, which takes a tenth of the time."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 50, 100)


@pytest.fixture(scope="session", autouse=True)
def work_is_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Do once per test process what each command of a user does again.

    One fixture, because pytest takes 20 µs of each test for each fixture that all tests use.
    """
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    run_folder = tmp_path_factory.getbasetemp().parent if is_worker else tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        # Emulators and ASR engines share the test process, except for those of commands in a process of their own.
        use_threads(patch)
        validate_once(patch)
        load_once(patch)
        # Tests kill processes, never the machine: what a process has written stays. Each wait takes milliseconds.
        patch.setattr(os, "fsync", lambda _: None)
        skip_calibration(patch)
        # Nearly every command of a test reads this repository's pyproject.toml, in half of its time.
        read_toml = functools.lru_cache(maxsize=16)(tomllib.loads)
        patch.setattr(tomllib, "loads", lambda text: copy.deepcopy(read_toml(text)))
        # Emulators keep what they synthesize until the end of all tests: a minute of speech is encoded in a second.
        patch.setattr(
            speech, "render_speech", functools.lru_cache(maxsize=MAX_CACHED_AUDIO_FILES)(speech.render_speech)
        )
        encode_once(patch)
        unpack_once(patch, tmp_path_factory.mktemp("embedded"))
        # The processes of one test run share the lexicon.
        (run_folder / "lexicon").mkdir(exist_ok=True)
        compute_once(patch, run_folder / "lexicon")
        patch.setenv("SSL_CERT_FILE", str(write_one_certificate(tmp_path_factory.mktemp("certificates"))))
        # The width of tables, which is that of the terminal in a run without pytest-xdist.
        patch.setenv("COLUMNS", "80")
        # What must survive until the next run is in a folder of this test run, for subprocesses too.
        patch.setenv("VOICEGAUGE_STATE", str(tmp_path_factory.mktemp("state")))
        yield


def skip_calibration(patch: pytest.MonkeyPatch) -> None:
    """Let benchmarks skip the calibration, which starts a process and takes a third of a second."""

    async def measure(concurrency: int, _open_transport: object, *, requests_per_s: float | None = None) -> TimingError:
        return TimingError(
            concurrency=concurrency,
            requests_per_s=requests_per_s,
            request_count=96,
            median_error_ms=0.1,
            p99_error_ms=1.0,
        )

    patch.setattr("voicegauge.api.benchmark_sending.measure_timing_error", measure)
    patch.setattr("voicegauge.api.benchmarking.open_timing_probes", lambda _listener: contextlib.nullcontext())
    # The machine of the tests is always busy.
    patch.setattr("voicegauge.bench._sample_building.is_timing_disturbed", lambda *_times_ms: False)
    # They are frozen since the tests were collected, and counting a million of them takes 20 ms.
    patch.setattr("voicegauge.bench.timing_error._has_objects_exempt_from_gc", lambda: True)


def write_one_certificate(folder: Path) -> Path:
    """Write the one certificate that HTTP clients load instead of all, which takes 30 ms. No test needs another."""
    certificate, end, _ = Path(certifi.where()).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    path = folder / "one.pem"
    path.write_text(f"{certificate}{end}\n", encoding="utf-8")
    return path


@pytest.fixture
def short_emulated_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulated services answer benchmarks fifty times as fast, and polls and retries wait as little.

    For tests that do not read times.
    """
    build_settings = benchmark_sending.build_emulator_settings
    monkeypatch.setattr(
        benchmark_sending,
        "build_emulator_settings",
        lambda planned: msgspec.structs.replace(build_settings(planned), time_scale=1 / EMULATION_SPEED),
    )
    for module, name in (
        (job_polling, "iterate_poll_waits_s"),
        (exchange_log, "iterate_retry_waits_s"),
        (client, "iterate_retry_waits_s"),
        (_case_sender, "iterate_retry_waits_s"),
    ):
        iterate_waits_s = getattr(module, name)
        monkeypatch.setattr(
            module,
            name,
            lambda *arguments, iterate=iterate_waits_s: (wait_s / EMULATION_SPEED for wait_s in iterate(*arguments)),
        )


@pytest.fixture
def own_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulators and ASR engines run in processes of their own, as they do for users."""
    use_processes(monkeypatch)


@pytest.fixture(scope="session")
def saved_voices() -> ModuleType:
    """The contract of a provider that saves voices: `DOCUMENT`, and `write_contract`."""
    return saved_voices_module


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start ASGI applications on real loopback sockets; each call answers with a base URL."""
    async with contextlib.AsyncExitStack() as stack:
        yield lambda app: stack.enter_async_context(serving(app))


@pytest.fixture
async def disconnecting_server() -> AsyncIterator[str]:
    """The base URL of a server that reads a request and closes the connection without a response."""

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
